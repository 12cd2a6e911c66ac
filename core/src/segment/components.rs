//! Connected components of a mask: what hangs together, how large it is, and masks without the crumbs.

/// Which cells are neighbors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Left, right, above, below.
    Four,
    /// The diagonal ones too.
    Eight,
}

/// The connected components of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// For every cell 0, or the number of its component; components are numbered from 1 in the order of their first cells.
    pub labels: Vec<u32>,
    /// Cells in each component: `areas[0]` is the area of component 1.
    pub areas: Vec<usize>,
}

impl Components {
    /// The number of the largest component, the first of equals; `None` if the mask is empty.
    pub fn largest(&self) -> Option<u32> {
        let largest = self.areas.iter().copied().max()?;
        self.areas.iter().position(|&area| area == largest).map(|index| index as u32 + 1)
    }

    /// The mask of the components for which `keep(number, area)` holds.
    pub fn mask(&self, keep: impl Fn(u32, usize) -> bool) -> Vec<bool> {
        let kept: Vec<bool> = self.areas.iter().enumerate().map(|(index, &area)| keep(index as u32 + 1, area)).collect();
        self.labels.iter().map(|&label| label > 0 && kept[label as usize - 1]).collect()
    }

    /// The mask of the component that contains the cell `index`; empty if that cell is in none.
    pub fn containing(&self, index: usize) -> Vec<bool> {
        let wanted = self.labels.get(index).copied().unwrap_or(0);
        self.mask(|label, _| label == wanted)
    }
}

/// Labels the components of `mask` `[size[0], size[1]]`, row by row.
///
/// # Panics
/// If `mask` does not have `size[0] * size[1]` cells.
pub fn connected_components(mask: &[bool], size: [usize; 2], connectivity: Connectivity) -> Components {
    let [rows, cols] = size;
    assert_eq!(mask.len(), rows * cols, "a mask of {rows}x{cols} cells");
    let mut provisional = vec![0_u32; mask.len()];
    let mut parents = vec![0_u32];
    for row in 0..rows {
        for col in 0..cols {
            let index = row * cols + col;
            if !mask[index] {
                continue;
            }
            let mut label = 0;
            for (above, left) in earlier_neighbors(connectivity) {
                if row < above || (left > 0 && col == 0) || (left < 0 && col + 1 == cols) {
                    continue;
                }
                let neighbor = provisional[(row - above) * cols + col.wrapping_add_signed(-left)];
                label = match (label, neighbor) {
                    (_, 0) => label,
                    (0, _) => root(&mut parents, neighbor),
                    _ => join(&mut parents, label, neighbor),
                };
            }
            if label == 0 {
                label = parents.len() as u32;
                parents.push(label);
            }
            provisional[index] = label;
        }
    }
    number(provisional, &mut parents)
}

/// `mask` without the components of fewer than `min_area` cells.
///
/// # Panics
/// As [`connected_components`].
pub fn remove_small(mask: &[bool], size: [usize; 2], connectivity: Connectivity, min_area: usize) -> Vec<bool> {
    connected_components(mask, size, connectivity).mask(|_, area| area >= min_area)
}

/// The largest component of `mask`, the first of equals; empty if `mask` is.
///
/// # Panics
/// As [`connected_components`].
pub fn largest_component(mask: &[bool], size: [usize; 2], connectivity: Connectivity) -> Vec<bool> {
    let components = connected_components(mask, size, connectivity);
    let largest = components.largest();
    components.mask(|label, _| Some(label) == largest)
}

/// (rows above, columns to the left) of the neighbors that come earlier in row order.
fn earlier_neighbors(connectivity: Connectivity) -> impl Iterator<Item = (usize, isize)> {
    let count = match connectivity {
        Connectivity::Four => 2,
        Connectivity::Eight => 4,
    };
    [(0, 1), (1, 0), (1, 1), (1, -1)].into_iter().take(count)
}

fn root(parents: &mut [u32], mut label: u32) -> u32 {
    while parents[label as usize] != label {
        parents[label as usize] = parents[parents[label as usize] as usize];
        label = parents[label as usize];
    }
    label
}

fn join(parents: &mut [u32], a: u32, b: u32) -> u32 {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
    a.min(b)
}

fn number(provisional: Vec<u32>, parents: &mut [u32]) -> Components {
    let mut numbers = vec![0_u32; parents.len()];
    let mut areas = Vec::new();
    let labels = provisional
        .into_iter()
        .map(|label| {
            if label == 0 {
                return 0;
            }
            let number = &mut numbers[root(parents, label) as usize];
            if *number == 0 {
                areas.push(0);
                *number = areas.len() as u32;
            }
            areas[*number as usize - 1] += 1;
            *number
        })
        .collect();
    Components { labels, areas }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn mask(rows: &[&str]) -> (Vec<bool>, [usize; 2]) {
        (rows.iter().flat_map(|row| row.bytes().map(|byte| byte == b'#')).collect(), [rows.len(), rows.first().map_or(0, |row| row.len())])
    }

    #[test]
    fn diagonals_count_only_with_eight_neighbors() {
        let (mask, size) = mask(&["#..#", ".#..", "..#."]);
        assert_eq!(connected_components(&mask, size, Connectivity::Four).areas, [1, 1, 1, 1]);
        let eight = connected_components(&mask, size, Connectivity::Eight);
        assert_eq!(eight.areas, [3, 1]);
        assert_eq!(eight.labels, [1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn shapes_that_join_late_are_one_component() {
        let (comb, size) = mask(&["#.#.#", "#.#.#", "#####"]);
        assert_eq!(connected_components(&comb, size, Connectivity::Four).areas, [11]);
        let (spiral, size) = mask(&["#####", "....#", "###.#", "#...#", "#####"]);
        assert_eq!(connected_components(&spiral, size, Connectivity::Four).areas, [17]);
    }

    #[test]
    fn crumbs_go_and_the_largest_stays() {
        let (cells, size) = mask(&["##..#", "##...", "....#", "#...#"]);
        assert_eq!(remove_small(&cells, size, Connectivity::Four, 2), mask(&["##...", "##...", "....#", "....#"]).0);
        assert_eq!(largest_component(&cells, size, Connectivity::Four), mask(&["##...", "##...", ".....", "....."]).0);
        let components = connected_components(&cells, size, Connectivity::Four);
        assert_eq!(components.containing(15), mask(&[".....", ".....", ".....", "#...."]).0);
        assert_eq!(components.containing(2), vec![false; 20]);
        assert_eq!(largest_component(&[false; 4], [2, 2], Connectivity::Eight), [false; 4]);
        assert_eq!(connected_components(&[], [0, 5], Connectivity::Eight).areas, [0; 0]);
        let (equals, size) = mask(&["##.##"]);
        assert_eq!(largest_component(&equals, size, Connectivity::Four), mask(&["##..."]).0);
    }

    #[test]
    fn random_masks_agree_with_a_flood_fill() {
        for case in 0..100 {
            let mut stream = Stream::new(3, 0, case, Purpose::Mask);
            let [rows, cols] = [1 + stream.below(20), 1 + stream.below(20)];
            let mask: Vec<bool> = (0..rows * cols).map(|_| stream.chance(0.5)).collect();
            let connectivity = if case % 2 == 0 { Connectivity::Four } else { Connectivity::Eight };
            let reach = |a: usize, b: usize| {
                let (dy, dx) = ((a / cols).abs_diff(b / cols), (a % cols).abs_diff(b % cols));
                if connectivity == Connectivity::Four { dy + dx == 1 } else { dy.max(dx) == 1 }
            };
            let mut expected = vec![0_u32; mask.len()];
            let mut count = 0;
            for start in 0..mask.len() {
                if !mask[start] || expected[start] > 0 {
                    continue;
                }
                count += 1;
                let mut open = vec![start];
                expected[start] = count;
                while let Some(cell) = open.pop() {
                    for next in 0..mask.len() {
                        if mask[next] && expected[next] == 0 && reach(cell, next) {
                            expected[next] = count;
                            open.push(next);
                        }
                    }
                }
            }
            let found = connected_components(&mask, [rows, cols], connectivity);
            assert_eq!(found.labels, expected, "case {case}");
            assert_eq!(found.areas.iter().sum::<usize>(), mask.iter().filter(|&&m| m).count());
        }
    }
}
