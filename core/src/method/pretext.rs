//! Tasks with made-up labels: how far an image was turned, and in which order its tiles were shuffled. One linear layer on the class token
//! tells.

use burn::tensor::{Tensor, TensorData};

use super::Network;
use super::lesson::{Outcome, Place};
use super::view_batch::ViewBatch;
use super::view_lesson::{ViewLesson, Views, entropy};
use crate::error::Result;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;

/// What is done to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Puzzle {
    /// It is shown four times, each time turned by another quarter.
    Rotation,
    /// Its tiles, so many along a side, are shuffled in one of these orders.
    Jigsaw(usize, Vec<Vec<usize>>),
}

/// The lesson.
pub struct Pretext {
    views: Views,
    puzzle: Puzzle,
    channels: usize,
    seed: u64,
}

/// Tiles along a side (Noroozi and Favaro).
const TILES: usize = 3;

impl Pretext {
    /// The recipe's.
    pub fn new(recipe: &Recipe) -> Self {
        let puzzle = match recipe.target.kind.as_str() {
            "jigsaw" => Puzzle::Jigsaw(TILES, far_permutations(TILES * TILES, recipe.decoder.count("classes"), recipe.seed)),
            _ => Puzzle::Rotation,
        };
        let mut views = Views::new(recipe);
        if puzzle == Puzzle::Rotation {
            views.sizes = vec![recipe.data.image; 4];
            views.global = 4;
        }
        Self { views, puzzle, channels: recipe.data.channels, seed: recipe.seed }
    }

    /// The recipe's, if it is one whose network solves puzzles.
    pub fn of(recipe: &Recipe) -> Option<Self> {
        (recipe.compares_views() && recipe.decoder.kind == "classifier").then(|| Self::new(recipe))
    }

    /// What is done to images.
    pub fn puzzle(&self) -> &Puzzle {
        &self.puzzle
    }

    /// The puzzles that are made of one image in an epoch, each with the class that solves it. Shapes: `[H, W, C]` to the same.
    pub fn posed(&self, image: &[f32], epoch: u64, key: u64) -> Vec<(Vec<f32>, usize)> {
        let classes = self.classes(epoch, &[key]);
        let puzzles = self.puzzled(image, &classes);
        puzzles.chunks_exact(image.len().max(1)).map(<[f32]>::to_vec).zip(classes).collect()
    }

    /// What becomes of a puzzle that is undone as if this class were the right one. Shapes: `[H, W, C]` to the same.
    pub fn undone(&self, puzzle: &[f32], class: usize) -> Vec<f32> {
        let [height, width] = self.views.sizes[0];
        match &self.puzzle {
            Puzzle::Rotation => turned(puzzle, height, self.channels, 4 - class % 4),
            Puzzle::Jigsaw(tiles, orders) => {
                let mut back = vec![0; tiles * tiles];
                orders[class].iter().enumerate().for_each(|(place, &tile)| back[tile] = place);
                shuffled(puzzle, [height / tiles, width / tiles, width], self.channels, *tiles, &back)
            }
        }
    }

    /// A class in words: the angle, or the number of the tile that stands in each place, from 1 on.
    pub fn in_words(&self, class: usize) -> String {
        match &self.puzzle {
            Puzzle::Rotation => format!("{}°", 90 * class),
            Puzzle::Jigsaw(_, orders) => orders[class].iter().map(|tile| (tile + 1).to_string()).collect::<Vec<_>>().join(" "),
        }
    }

    /// What the network scores each class of each row of a batch: `[V·B, classes]`.
    ///
    /// # Errors
    /// If the network has another head.
    pub fn scores(&self, network: &Network, batch: &ViewBatch) -> Result<Tensor<2>> {
        Ok(network.views()?.head.classifier()?.forward(self.views.shown(network, batch)?))
    }

    /// The right class of each row of a batch: `[V·B]`.
    fn classes(&self, epoch: u64, keys: &[u64]) -> Vec<usize> {
        match &self.puzzle {
            Puzzle::Rotation => (0..4).flat_map(|turns| std::iter::repeat_n(turns, keys.len())).collect(),
            Puzzle::Jigsaw(_, orders) => {
                let order = |&key: &u64| Stream::new(self.seed, epoch, key, Purpose::Pretext).below(orders.len());
                keys.iter().map(order).collect()
            }
        }
    }

    /// The images that the network sees, from those of a loader: `[V·B, H, W, C]`.
    fn puzzled(&self, images: &[f32], classes: &[usize]) -> Vec<f32> {
        let [height, width] = self.views.sizes[0];
        let size = height * width * self.channels;
        match &self.puzzle {
            Puzzle::Rotation => {
                let turned = |turns: usize| images.chunks_exact(size).flat_map(move |image| turned(image, height, self.channels, turns));
                (0..4).flat_map(turned).collect()
            }
            Puzzle::Jigsaw(tiles, orders) => {
                let shuffled = |(image, &class): (&[f32], &usize)| {
                    shuffled(image, [height / tiles, width / tiles, width], self.channels, *tiles, &orders[class])
                };
                images.chunks_exact(size).zip(classes).flat_map(shuffled).collect()
            }
        }
    }
}

impl ViewLesson for Pretext {
    fn views(&self) -> &Views {
        &self.views
    }

    fn follows_average(&self) -> bool {
        false
    }

    fn can_collapse(&self) -> bool {
        false
    }

    fn batch(&self, images: &[f32], epoch: u64, keys: &[u64]) -> ViewBatch {
        self.views.batch(&self.puzzled(images, &self.classes(epoch, keys)), epoch, keys)
    }

    fn outcome(&self, network: &Network, batch: &ViewBatch, _place: Place, wants_figures: bool) -> Result<Outcome> {
        let scores = self.scores(network, batch)?;
        let classes = self.classes(batch.epoch, &batch.keys);
        let mut figures = Vec::new();
        if wants_figures {
            let guesses = scores.clone().without_autodiff().argmax(1).float();
            let right: Vec<f32> = classes.iter().map(|&class| class as f32).collect();
            let right = Tensor::from_data(TensorData::new(right, guesses.dims()), &guesses.device());
            figures.push(("accuracy", guesses.equal(right).float().mean()));
        }
        let loss = entropy(scores, &|row| classes[row]);
        Ok(Outcome { loss, figures, kept: None })
    }
}

/// A square image turned by so many quarters, counterclockwise. Shapes: `[S, S, C]` to the same.
fn turned(image: &[f32], side: usize, channels: usize, turns: usize) -> Vec<f32> {
    let last = side - 1;
    let from = |row: usize, col: usize| match turns % 4 {
        0 => (row, col),
        1 => (col, last - row),
        2 => (last - row, last - col),
        _ => (last - col, row),
    };
    let pixel = |place: usize| {
        let (row, col) = from(place / side, place % side);
        &image[(row * side + col) * channels..][..channels]
    };
    (0..side * side).flat_map(pixel).copied().collect()
}

/// An image whose tiles of `height` × `width` pixels stand in another order: in place i stands tile `order[i]`. What is left at the right and
/// at the bottom stays. Shapes: `[H, W, C]` to the same.
fn shuffled(image: &[f32], [height, width, row]: [usize; 3], channels: usize, tiles: usize, order: &[usize]) -> Vec<f32> {
    let mut out = image.to_vec();
    for (place, &tile) in order.iter().enumerate() {
        for y in 0..height {
            let at = |tile: usize| ((tile / tiles * height + y) * row + tile % tiles * width) * channels;
            out[at(place)..][..width * channels].copy_from_slice(&image[at(tile)..][..width * channels]);
        }
    }
    out
}

/// Orders of `n` things that are as unlike one another as a greedy search finds: each is the one of many random ones that differs from all
/// before it in the most places.
pub fn far_permutations(n: usize, count: usize, seed: u64) -> Vec<Vec<usize>> {
    const CANDIDATES: usize = 100;
    let mut stream = Stream::new(seed, 0, 0, Purpose::Pretext);
    let mut found: Vec<Vec<usize>> = Vec::new();
    while found.len() < count {
        let apart = |order: &[usize]| {
            let differing = |other: &Vec<usize>| order.iter().zip(other).filter(|(a, b)| a != b).count();
            found.iter().map(differing).min().unwrap_or(n)
        };
        let candidates = (0..CANDIDATES).map(|_| stream.permutation(n));
        let best = candidates.map(|order| (apart(&order), order)).fold(None, |best: Option<(usize, Vec<usize>)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        });
        found.extend(best.map(|(_, order)| order));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_are_turned_counterclockwise() {
        let image = [1.0, 2.0, 3.0, 4.0];
        let turned = |turns| turned(&image, 2, 1, turns);
        assert_eq!(
            [0, 1, 2, 3].map(turned),
            [vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 4.0, 1.0, 3.0], vec![4.0, 3.0, 2.0, 1.0], vec![3.0, 1.0, 4.0, 2.0]]
        );
        let large: Vec<f32> = (0..5 * 5 * 3).map(|value| value as f32).collect();
        let back = (0..4).fold(large.clone(), |image, _| super::turned(&image, 5, 3, 1));
        assert_eq!(back, large);
    }

    #[test]
    fn tiles_are_moved_whole() {
        // 4 × 5 pixels in tiles of 2 × 2; the last column belongs to none.
        let image: Vec<f32> = (0..20).map(|value| value as f32).collect();
        let out = shuffled(&image, [2, 2, 5], 1, 2, &[3, 2, 1, 0]);
        assert_eq!(out[..5], [12.0, 13.0, 10.0, 11.0, 4.0]);
        assert_eq!(out[15..], [7.0, 8.0, 5.0, 6.0, 19.0]);
        assert_eq!(shuffled(&image, [2, 2, 5], 1, 2, &[0, 1, 2, 3]), image);
    }

    #[test]
    fn what_is_posed_is_what_is_trained_on_and_the_right_class_undoes_it() {
        use crate::recipe::Base;
        use crate::weights::model_file::to_host;

        for (method, puzzles) in [("rotation", 4), ("jigsaw", 1)] {
            let sets = [("backbone.preset", "vit-nano"), ("backbone.patch", "8"), ("data.image", "[24, 24]")];
            let sets: Vec<_> = sets.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let pretext = Pretext::of(&Recipe::resolve(Base::Preset(method), &sets).unwrap()).unwrap();
            let images: Vec<f32> = (0..2 * 24 * 24 * 3).map(|value| value as f32).collect();
            let batch = pretext.batch(&images, 3, &[7, 8]);
            let trained = to_host(batch.groups[0].patches(0..batch.groups[0].count, &burn::tensor::Device::flex())).unwrap();
            for (sample, image) in images.chunks_exact(24 * 24 * 3).enumerate() {
                let posed = pretext.posed(image, 3, 7 + sample as u64);
                assert_eq!(posed.len(), puzzles, "{method}");
                for (view, (puzzle, class)) in posed.iter().enumerate() {
                    let patches = crate::backbone::patch_embed::patchify(puzzle, 24, 24, 3, 8);
                    assert_eq!(patches, trained[(view * 2 + sample) * image.len()..][..image.len()], "{method}");
                    assert_eq!(pretext.undone(puzzle, *class), image, "{method}");
                }
            }
        }
        assert!(Pretext::of(&Recipe::preset("dino").unwrap()).is_none() && Pretext::of(&Recipe::preset("mae").unwrap()).is_none());
    }

    #[test]
    fn orders_are_far_from_one_another_and_always_the_same() {
        let orders = far_permutations(9, 64, 0);
        assert_eq!(orders, far_permutations(9, 64, 0));
        let apart = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a != b).count();
        let nearest = (0..64).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| apart(&orders[a], &orders[b])).min().unwrap();
        assert!(nearest >= 6, "{nearest}");
    }
}
