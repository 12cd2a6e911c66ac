//! The leading principal components of patches: what He et al. (2021) tried beside pixels. The directions in which patches of these data
//! differ most are measured once, before training, and a patch is described by how far it lies along each.

use burn::tensor::Device;

use super::principal_components::principal_components;
use super::{Output, Sample, Target, TargetImage};
use crate::error::{Error, Result};
use crate::kernel::matrix::{Onto, Panels, View, ViewMut, multiply, product};
use crate::knob::Knob;
use crate::method::masked_batch::ImageShape;
use crate::registry::Entry;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

const COMPONENTS: Knob = Knob::int("components", "principal components; at most the numbers of a patch", "", (1, 4096), 96);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "pca",
    summary: "where the patch lies along the leading principal components of patches, measured on the data",
    source: "He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, table 1d",
    knobs: &[COMPONENTS],
    build: |settings| Ok(Box::new(Pca { components: COMPONENTS.count_of(settings).max(1), measured: None })),
};

/// Patches that the components are measured on: so many per number of a patch, and at least and at most so many.
const PATCHES_PER_VALUE: usize = 24;
const PATCHES: (usize, usize) = (4_096, 65_536);

/// The projection on principal components.
pub struct Pca {
    components: usize,
    measured: Option<Basis>,
}

/// An orthonormal basis of a part of the space of patches.
struct Basis {
    /// `[d]`
    mean: Vec<f32>,
    /// `[k, d]`, the component along which patches differ most first.
    vectors: Vec<f32>,
    /// The vectors as a right operand `[d, k]`, and what the mean has along them.
    projection: (Panels, Vec<f32>),
}

impl Target for Pca {
    fn output(&self, shape: ImageShape) -> Output {
        Output::Values { width: self.components.min(shape.patch_values()) }
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let (values, width) = (image.shape.patch_values(), self.output(image.shape).row_width());
        let Some(Basis { projection: (panels, offset), .. }) = &self.measured else {
            return image.patches.chunks_exact(values).flat_map(|patch| patch[..width].iter().copied()).collect();
        };
        let patches = image.patches.len() / values;
        let mut rows = vec![0.0; patches * width];
        multiply(ViewMut::new(&mut rows, [patches, width]), View::new(image.patches, [patches, values]), panels, Onto::Bias(offset));
        rows
    }

    fn draw(&self, image: &TargetImage<'_>, predictions: &[f32]) -> Option<Vec<f32>> {
        let (basis, values) = (self.measured.as_ref()?, image.shape.patch_values());
        let width = basis.vectors.len() / values;
        let patches = predictions.len() / width;
        let mut drawn = vec![0.0; patches * values];
        let vectors = View::new(&basis.vectors, [width, values]);
        product(ViewMut::new(&mut drawn, [patches, values]), View::new(predictions, [patches, width]), vectors, 1.0);
        drawn.chunks_exact_mut(values).for_each(|patch| patch.iter_mut().zip(&basis.mean).for_each(|(value, mean)| *value += mean));
        Some(drawn)
    }

    fn measure(&self, sample: &Sample<'_>) -> Result<TensorMap> {
        let values = sample.shape.patch_values();
        let width = self.output(sample.shape).row_width();
        if width < self.components {
            tracing::warn!("a patch has {values} numbers, so there are {width} principal components and not {}", self.components);
        }
        let patches = (sample.patches)((values * PATCHES_PER_VALUE).clamp(PATCHES.0, PATCHES.1))?;
        let count = patches.len() / values;
        if count <= width {
            tracing::warn!("the {width} principal components are measured on {count} patches only: the last ones mean little");
        }
        let found = principal_components(&patches, values, width, sample.seed);
        Ok(TensorMap::from([
            ("mean".to_owned(), HostTensor::new([values], found.mean)),
            ("basis".to_owned(), HostTensor::new([width, values], found.vectors)),
        ]))
    }

    fn is_known(&self) -> bool {
        self.measured.is_some()
    }

    fn restore(&mut self, measured: &TensorMap, _: &Device) -> Result<()> {
        let (Some(mean), Some(basis)) = (measured.get("mean"), measured.get("basis")) else {
            return Err(Error::Failed("the run lacks the principal components that its target was measured to have: start it anew".into()));
        };
        let (&[values], &[width, of_values]) = (&mean.shape[..], &basis.shape[..]) else { return Err(misshapen()) };
        if of_values != values || width == 0 || width > values || width != self.components.min(values) {
            return Err(misshapen());
        }
        let panels = Panels::new(View::new(&basis.values, [width, values]).transposed());
        let along = |vector: &[f32]| vector.iter().zip(&mean.values).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let offset = basis.values.chunks_exact(values).map(|vector| -along(vector) as f32).collect();
        self.measured = Some(Basis { mean: mean.values.clone(), vectors: basis.values.clone(), projection: (panels, offset) });
        Ok(())
    }
}

fn misshapen() -> Error {
    Error::Failed("the principal components of the run do not fit its recipe: start it anew".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    const SHAPE: ImageShape = ImageShape { height: 16, width: 16, channels: 1, patch: 4 };

    /// Patches of two patterns in random strengths, the first three times as strong, on a ramp that all have.
    fn patches(count: usize) -> Vec<f32> {
        let mut stream = Stream::new(5, 0, 0, Purpose::Bench);
        let stripe = |place: usize, size: usize| if (place / size).is_multiple_of(2) { 0.25 } else { -0.25 };
        (0..count)
            .flat_map(|_| {
                let (strong, weak) = (stream.normal() * 3.0, stream.normal());
                (0..16).map(move |at| (strong * stripe(at, 4) + weak * stripe(at, 1)) as f32 + at as f32)
            })
            .collect()
    }

    fn measured(components: usize) -> (Pca, TensorMap) {
        let mut target = Pca { components, measured: None };
        let sample = Sample { shape: SHAPE, seed: 0, mean: Vec::new(), std: Vec::new(), patches: &|count| Ok(patches(count)) };
        let found = target.measure(&sample).unwrap();
        target.restore(&found, &Device::flex()).unwrap();
        (target, found)
    }

    fn image(patches: &[f32]) -> TargetImage<'_> {
        TargetImage { values: &[], patches, shape: SHAPE, mean: &[], std: &[] }
    }

    #[test]
    fn two_patterns_are_two_components_and_draw_the_patches_again() {
        let (target, found) = measured(2);
        let stripes = |size: usize| (0..16_usize).map(move |at| if (at / size).is_multiple_of(2) { 0.25_f32 } else { -0.25 });
        for (vector, size) in found["basis"].values.chunks_exact(16).zip([4, 1]) {
            let along: f32 = vector.iter().zip(stripes(size)).map(|(a, b)| a * b).sum();
            assert!((along.abs() - 1.0).abs() < 1e-3, "{vector:?}");
        }
        let patches = patches(16);
        let rows = target.rows(&image(&patches));
        assert_eq!(rows.len(), 32);
        let drawn = target.draw(&image(&patches), &rows).unwrap();
        assert!(drawn.iter().zip(&patches).all(|(have, want)| (have - want).abs() < 1e-3), "{drawn:?}");
    }

    #[test]
    fn rows_have_mean_zero_over_the_data_and_the_first_differs_most() {
        let (target, _) = measured(2);
        let rows = target.rows(&TargetImage { shape: ImageShape { height: 256, width: 256, ..SHAPE }, ..image(&patches(4_096)) });
        let moments = |component: usize| {
            let values = || rows.iter().skip(component).step_by(2).map(|&value| f64::from(value));
            (values().sum::<f64>() / 4_096.0, values().map(|value| value * value).sum::<f64>() / 4_096.0)
        };
        let ((first_mean, first), (second_mean, second)) = (moments(0), moments(1));
        assert!(first_mean.abs() < 1e-3 && second_mean.abs() < 1e-3 && first > 8.0 && first < 10.0 && second > 0.9 && second < 1.1);
    }

    #[test]
    fn more_components_than_numbers_are_all_of_them() {
        let (target, found) = measured(96);
        assert_eq!((target.output(SHAPE), &found["basis"].shape[..]), (Output::Values { width: 16 }, &[16, 16][..]));
        let fresh = Pca { components: 96, measured: None };
        assert_eq!(fresh.rows(&image(&patches(16))).len(), 256, "unmeasured, rows have their size");
    }

    #[test]
    fn measuring_again_gives_the_same_and_what_does_not_fit_is_refused() {
        let (_, found) = measured(2);
        assert_eq!(found, measured(2).1);
        let mut other = Pca { components: 3, measured: None };
        assert!(other.restore(&found, &Device::flex()).unwrap_err().to_string().contains("do not fit"));
        assert!(other.restore(&TensorMap::new(), &Device::flex()).unwrap_err().to_string().contains("lacks"));
    }
}
