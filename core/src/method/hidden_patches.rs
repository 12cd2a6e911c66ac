//! What is hidden of large views where a network must say what its teacher sees there (iBOT): drawn on the host, image by image, and brought
//! to the device in shapes that are always the same.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::mask::{Grid, MaskStrategy};
use crate::random::{Purpose, Stream, seed_of_view};
use crate::recipe::Recipe;

/// How patches are hidden.
pub struct HiddenPatches {
    /// One for each count of patches that may be hidden, the fewest first; all are as likely.
    strategies: Vec<Box<dyn MaskStrategy>>,
    /// M: the most that are hidden of an image.
    most: usize,
    grid: Grid,
    chance: f64,
    seed: u64,
}

/// What is hidden of the global views of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// N
    patches: usize,
    /// M: the most that are hidden of an image, in any batch.
    most: usize,
    /// `[G·B, N]`, view by view.
    masked: Vec<bool>,
}

impl HiddenPatches {
    /// The recipe's, if it hides any.
    pub fn new(recipe: &Recipe) -> Option<Self> {
        let [fewest, most] = recipe.hidden_patches()?;
        Some(Self {
            strategies: (fewest..=most).filter_map(|count| recipe.mask_of(count).ok()).collect(),
            most,
            grid: recipe.grid(),
            chance: recipe.target.number("masked_chance").unwrap_or(0.5),
            seed: recipe.seed,
        })
    }

    /// What is hidden of the first `views` views of samples: a function of (seed, epoch, view, key).
    pub fn draw(&self, epoch: u64, keys: &[u64], views: usize) -> Hidden {
        let of_image = |view: usize, key: u64| {
            let mut stream = Stream::new(seed_of_view(self.seed, view), epoch, key, Purpose::Mask);
            let is_masked = stream.chance(self.chance);
            let strategy = self.strategies.get(stream.below(self.strategies.len())).filter(|_| is_masked);
            strategy.map_or_else(|| vec![false; self.grid.len()], |strategy| strategy.sample(self.grid, &mut stream).masked)
        };
        let masked = (0..views).flat_map(|view| keys.iter().flat_map(move |&key| of_image(view, key))).collect();
        Hidden { patches: self.grid.len(), most: self.most, masked }
    }
}

impl Hidden {
    /// Hidden patches of all images.
    pub fn count(&self) -> usize {
        self.masked.iter().filter(|&&masked| masked).count()
    }

    /// The share of the images of which something is hidden.
    pub fn share(&self) -> f64 {
        let images = self.images();
        images.clone().filter(|image| image.contains(&true)).count() as f64 / images.count().max(1) as f64
    }

    /// 1 where the mask token stands, of so many images: those beyond the global views hide nothing. Shape: `[images, N, 1]`.
    pub fn mask(&self, images: usize, device: &Device) -> Tensor<3> {
        let mut values: Vec<f32> = self.masked.iter().map(|&masked| f32::from(u8::from(masked))).collect();
        values.resize(images * self.patches, 0.0);
        Tensor::from_data(TensorData::new(values, [images, self.patches, 1]), device)
    }

    /// Which patch each row is of: 1 in its column, M rows an image, those of nothing all 0. Shape: `[G·B, M, N]`.
    pub fn chosen(&self, device: &Device) -> Tensor<3> {
        /// The column of no patch.
        const NOWHERE: f32 = -1.0;
        let (images, patches) = (self.images().count(), self.patches);
        let places = self.rows(NOWHERE, |patch, _| patch as f32);
        let places = Tensor::<3>::from_data(TensorData::new(places, [images, self.most, 1]), device);
        let columns = Tensor::<1, Int>::arange(0..patches as i64, device).float().reshape([1, 1, patches]);
        columns.expand([images, self.most, patches]).equal(places.expand([images, self.most, patches])).float()
    }

    /// What each row counts, so that an image's rows are averaged, and then all images, those of which nothing is hidden among them. Shape:
    /// `[G·B·M, 1]`; all of them add up to [`Hidden::share`].
    pub fn weights(&self, device: &Device) -> Tensor<2> {
        let images = self.images().count().max(1) as f32;
        self.column(self.rows(0.0, |_, count| 1.0 / (images * count as f32)), device)
    }

    /// 1 where a row is of a patch. Shape: `[G·B·M, 1]`.
    pub fn counted(&self, device: &Device) -> Tensor<2> {
        self.column(self.rows(0.0, |_, _| 1.0), device)
    }

    fn images(&self) -> std::slice::ChunksExact<'_, bool> {
        self.masked.chunks_exact(self.patches.max(1))
    }

    /// A number for each row, from its patch and how many its image has, and another for rows of nothing: `[G·B, M]`.
    fn rows(&self, nothing: f32, number: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let of_image = |image: &[bool]| {
            let patches: Vec<usize> = (0..image.len()).filter(|&patch| image[patch]).collect();
            let mut rows: Vec<f32> = patches.iter().map(|&patch| number(patch, patches.len())).collect();
            rows.resize(self.most, nothing);
            rows
        };
        self.images().flat_map(of_image).collect()
    }

    fn column(&self, rows: Vec<f32>, device: &Device) -> Tensor<2> {
        let count = rows.len();
        Tensor::from_data(TensorData::new(rows, [count, 1]), device)
    }
}

/// The chosen patches, one a row. Shapes: `chosen [G·B, M, N]`, `tokens [G·B, N, D]` to `[G·B·M, D]`; rows of nothing are 0.
pub fn pick(chosen: &Tensor<3>, tokens: Tensor<3>) -> Tensor<2> {
    let ([images, rows, _], width) = (chosen.dims(), tokens.dims()[2]);
    let chosen = if tokens.is_autodiff() { chosen.clone().autodiff() } else { chosen.clone() };
    // A product with ones and zeros: no device has to scatter gradients then.
    chosen.matmul(tokens).reshape([images * rows, width])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::recipe::Base;
    use crate::weights::model_file::to_host;

    pub fn hidden(patches: usize, most: usize, masked: &[bool]) -> Hidden {
        Hidden { patches, most, masked: masked.to_vec() }
    }

    #[test]
    fn half_of_the_images_hide_between_a_tenth_and_half_of_their_patches() {
        let sets = [("backbone.preset", "vit-nano"), ("data.image", "[56, 56]")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::resolve(Base::Preset("ibot"), &sets).unwrap();
        let patches = HiddenPatches::new(&recipe).unwrap();
        let keys: Vec<u64> = (0..2000).collect();
        let hidden = patches.draw(3, &keys, 2);
        assert!((hidden.share() - 0.5).abs() < 0.03, "{}", hidden.share());
        let counts: Vec<usize> = hidden.images().map(|image| image.iter().filter(|&&masked| masked).count()).collect();
        // 14 x 14 patches: 0.1 and 0.5 of them are 20 and 98; blocks may fall a little short.
        let some: Vec<usize> = counts.into_iter().filter(|&count| count > 0).collect();
        assert!(some.iter().all(|&count| (10..=98).contains(&count)) && patches.most == 98);
        let mean = some.iter().sum::<usize>() as f64 / some.len() as f64;
        assert!((mean - 0.3 * 196.0).abs() < 3.0, "{mean}");
        // The same again, and others in another epoch and in the other view.
        assert_eq!(hidden, patches.draw(3, &keys, 2));
        assert_ne!(hidden, patches.draw(4, &keys, 2));
        let [first, second] = [0, 1].map(|view| &hidden.masked[view * 2000 * 196..][..2000 * 196]);
        assert_ne!(first, second);
        // A sample hides the same whatever batch it is in.
        assert_eq!(patches.draw(3, &[7], 1).masked, first[7 * 196..8 * 196]);
    }

    #[test]
    fn rows_are_those_of_hidden_patches() {
        // Of three images of four patches, one hides two, one hides nothing, one hides three.
        let masks = [[false, true, false, true], [false; 4], [true, true, false, true]].concat();
        let (hidden, device) = (hidden(4, 3, &masks), Device::flex());
        assert_eq!(hidden.count(), 5);
        let tokens = Tensor::<1>::from_floats(&(0..24).map(|value| value as f32).collect::<Vec<_>>()[..], &device).reshape([3, 4, 2]);
        let picked = to_host(pick(&hidden.chosen(&device), tokens)).unwrap();
        let zeros = [0.0; 2];
        let rows = [[2.0, 3.0], [6.0, 7.0], zeros, zeros, zeros, zeros, [16.0, 17.0], [18.0, 19.0], [22.0, 23.0]];
        assert_eq!(picked, rows.concat());
        let weights = to_host(hidden.weights(&device)).unwrap();
        let (half, third) = (1.0 / 6.0, 1.0 / 9.0);
        let golden = [half, half, 0.0, 0.0, 0.0, 0.0, third, third, third];
        assert!(weights.iter().zip(golden).all(|(have, want): (&f32, f32)| (have - want).abs() < 1e-7), "{weights:?}");
        assert!((f64::from(weights.iter().sum::<f32>()) - hidden.share()).abs() < 1e-6);
        assert_eq!(to_host(hidden.counted(&device)).unwrap(), golden.map(|weight| f32::from(u8::from(weight > 0.0))));
        let mask = to_host(hidden.mask(4, &device)).unwrap();
        assert!(mask[..12].iter().zip(&masks).all(|(&value, &masked)| (value == 1.0) == masked) && mask[12..] == [0.0; 4]);
    }
}
