//! Things that are kept while there is room: what was not asked for longest goes first.

/// Values by key within a budget of bytes.
pub struct ByteCache<K, V> {
    /// Asked for last comes last.
    entries: Vec<(K, V, usize)>,
    budget: usize,
}

impl<K: PartialEq, V> ByteCache<K, V> {
    /// Nothing yet; `budget` in bytes.
    pub fn new(budget: usize) -> Self {
        Self { entries: Vec::new(), budget }
    }

    /// The value, if it is still there.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let place = self.entries.iter().position(|entry| entry.0 == *key)?;
        let entry = self.entries.remove(place);
        self.entries.push(entry);
        self.entries.last().map(|entry| &entry.1)
    }

    /// Whether the value is there; asking so keeps nothing.
    pub fn has(&self, key: &K) -> bool {
        self.entries.iter().any(|entry| entry.0 == *key)
    }

    /// Keeps a value of `bytes`, even one that is larger than the budget, in place of an earlier one of that key.
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        self.entries.retain(|entry| entry.0 != key);
        self.entries.push((key, value, bytes));
        while self.entries.len() > 1 && self.entries.iter().map(|entry| entry.2).sum::<usize>() > self.budget {
            self.entries.remove(0);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let mut cache = ByteCache::new(10);
        cache.put("a", 1, 4);
        cache.put("b", 2, 4);
        assert_eq!(cache.get(&"a"), Some(&1));
        cache.put("c", 3, 4);
        assert_eq!([cache.has(&"a"), cache.has(&"b"), cache.has(&"c")], [true, false, true]);
        cache.put("d", 4, 100);
        assert!(cache.has(&"d") && !cache.has(&"a"));
        cache.put("d", 5, 1);
        assert_eq!(cache.get(&"d"), Some(&5));
        cache.clear();
        assert!(!cache.has(&"d"));
    }
}
