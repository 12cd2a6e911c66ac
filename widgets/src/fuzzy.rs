//! Finds text from a few of its letters: `em` finds "**E**xport **m**asks".

/// Points for a letter that begins a word.
const WORD_START: i32 = 8;
/// Points for a letter right behind the one found before it.
const ADJACENT: i32 = 5;
/// What a jump over letters costs.
const JUMP: i32 = 3;

/// Where the letters of a query were found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// How well they fit; compare it with that of other texts for the same query.
    pub score: i32,
    /// Which characters of the text they are, in rising order.
    pub positions: Vec<usize>,
}

/// Looks for the letters of `query` in `text` in their order, without regard to case and to spaces of the query. Of all ways to find them it
/// takes the one with the most word starts and the longest runs. `None` if a letter is missing; an empty query fits everything.
pub fn fuzzy_match(query: &str, text: &str) -> Option<Match> {
    let wanted: Vec<char> = query.chars().filter(|letter| !letter.is_whitespace()).map(lowercase).collect();
    let letters: Vec<char> = text.chars().collect();
    if wanted.is_empty() {
        return Some(Match::default());
    }
    // best[row][column]: the best score of wanted[..=row] that ends at letters[column], and where the letter before it is.
    let mut best: Vec<Vec<Option<(i32, usize)>>> = vec![vec![None; letters.len()]; wanted.len()];
    for row in 0..wanted.len() {
        let mut before: Option<(i32, usize)> = None;
        for column in 0..letters.len() {
            if lowercase(letters[column]) == wanted[row] {
                let own = 1 + if is_word_start(&letters, column) { WORD_START } else { 0 };
                best[row][column] = if row == 0 {
                    Some((own, column))
                } else {
                    let jumped = before.map(|(score, place)| (score - JUMP + own, place));
                    let adjacent = column.checked_sub(1).and_then(|place| Some((best[row - 1][place]?.0 + ADJACENT + own, place)));
                    [jumped, adjacent].into_iter().flatten().max_by_key(|&(score, _)| score)
                };
            }
            // Only places left of the next column may come before it; of equals, the first.
            if row > 0
                && let Some((score, _)) = best[row - 1][column]
                && before.is_none_or(|(other, _)| score > other)
            {
                before = Some((score, column));
            }
        }
    }
    let last = best.last()?;
    let mut column = (0..letters.len()).rev().filter(|&column| last[column].is_some()).max_by_key(|&column| last[column])?;
    let (score, _) = last[column]?;
    let mut positions = vec![column];
    for row in (1..wanted.len()).rev() {
        column = best[row][column]?.1;
        positions.push(column);
    }
    positions.reverse();
    // Of two texts that fit alike, the shorter one is meant.
    Some(Match { score: 16 * score - letters.len() as i32, positions })
}

fn lowercase(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn is_word_start(letters: &[char], at: usize) -> bool {
    at == 0
        || (!letters[at - 1].is_alphanumeric() && letters[at].is_alphanumeric())
        || (letters[at - 1].is_lowercase() && letters[at].is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(query: &str, text: &str) -> Option<Vec<usize>> {
        fuzzy_match(query, text).map(|found| found.positions)
    }

    #[test]
    fn letters_must_come_in_order() {
        assert_eq!(positions("xpt", "Export"), Some(vec![1, 2, 5]));
        assert_eq!(positions("txp", "Export"), None);
        assert_eq!(positions("", "Export"), Some(vec![]));
        assert_eq!(positions("a", ""), None);
        assert_eq!(positions("ee", "e"), None);
    }

    #[test]
    fn case_and_spaces_of_the_query_do_not_matter() {
        assert_eq!(positions("EXPORT masks", "Export masks"), Some(vec![0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]));
        assert_eq!(positions("ÜB", "Alles über"), Some(vec![6, 7]));
    }

    #[test]
    fn word_starts_win_over_the_first_letters_found() {
        assert_eq!(positions("m", "Dim the map"), Some(vec![8]));
        assert_eq!(positions("em", "Remember Export masks"), Some(vec![9, 16]));
        assert_eq!(positions("lc", "lineChart"), Some(vec![0, 4]));
    }

    #[test]
    fn runs_win_over_scattered_letters() {
        assert_eq!(positions("as", "a b asks"), Some(vec![4, 5]));
    }

    #[test]
    fn better_texts_come_first() {
        let mut texts = ["Reset the preview", "Open images…", "Start the run", "Restart"];
        texts.sort_by_key(|text| std::cmp::Reverse(fuzzy_match("st", text).map(|found| found.score)));
        assert_eq!(texts, ["Start the run", "Restart", "Reset the preview", "Open images…"]);
    }
}
