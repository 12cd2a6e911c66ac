//! What is exported, whatever the format: for every image a label map and, where they are known, instances.

use std::borrow::Cow;
use std::path::{Component, Path};

use crate::error::{Error, Result};

/// The label of pixels that are neither object nor background.
pub const VOID: u8 = 255;
/// The largest picture that is written or read, in pixels.
pub const MAX_PIXELS: usize = 1 << 30;

/// Masks of a set of images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MaskSet {
    /// The images.
    pub images: Vec<ImageMasks>,
    /// What the labels mean: label `c` is `categories[c - 1]`. At most 254.
    pub categories: Vec<String>,
}

/// The masks of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMasks {
    /// The image's path below the data's folder, with forward slashes: `train/cat 1.jpg`.
    pub file_name: String,
    /// Rows of the image, in pixels.
    pub height: usize,
    /// Columns of the image, in pixels.
    pub width: usize,
    /// One label a pixel, 0 = background, 255 = [`VOID`]; `[H, W]`.
    pub labels: Vec<u8>,
    /// The instances; they may overlap. If there are none, every category of the label map is one, see [`ImageMasks::objects`].
    pub instances: Vec<Instance>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its category, from 1.
    pub category: u8,
    /// Its pixels, `[H, W]`.
    pub mask: Vec<bool>,
}

impl ImageMasks {
    /// The instances that have pixels; where none are known, one for every category in the label map.
    pub fn objects(&self) -> Vec<Cow<'_, Instance>> {
        if !self.instances.is_empty() {
            return self.instances.iter().filter(|instance| instance.mask.contains(&true)).map(Cow::Borrowed).collect();
        }
        let mut present = [false; 256];
        self.labels.iter().for_each(|&label| present[usize::from(label)] = true);
        (1..VOID)
            .filter(|&category| present[usize::from(category)])
            .map(|category| Cow::Owned(Instance { category, mask: self.labels.iter().map(|&label| label == category).collect() }))
            .collect()
    }

    /// Checks the image against itself and the number of categories.
    pub(super) fn check(&self, num_categories: usize) -> Result<()> {
        let name = &self.file_name;
        let fail = |what: String| Err(Error::Failed(format!("cannot export {}: {what}", if name.is_empty() { "an image" } else { name })));
        // Only what names a file below a folder in exactly one way: masks are written at the same path.
        let parts: Option<Vec<&str>> =
            Path::new(name).components().map(|part| if let Component::Normal(part) = part { part.to_str() } else { None }).collect();
        if name.is_empty() || parts.is_none_or(|parts| parts.join("/") != *name) {
            return fail("its file name must be a path below the data's folder, such as `train/cat.jpg`".to_owned());
        }
        let Some(pixels) = self.height.checked_mul(self.width).filter(|pixels| (1..=MAX_PIXELS).contains(pixels)) else {
            return fail(format!("{}x{} pixels are not between 1 and {MAX_PIXELS}", self.height, self.width));
        };
        if self.labels.len() != pixels {
            return fail(format!("it has {} labels for {}x{} pixels", self.labels.len(), self.height, self.width));
        }
        if let Some(label) = self.labels.iter().find(|&&label| label != VOID && usize::from(label) > num_categories) {
            return fail(format!("its label {label} has no name; there are {num_categories} categories"));
        }
        for (index, instance) in self.instances.iter().enumerate() {
            if instance.category == 0 || usize::from(instance.category) > num_categories {
                return fail(format!("the category {} of its instance {index} is not in 1..={num_categories}", instance.category));
            }
            if instance.mask.len() != pixels {
                return fail(format!("its instance {index} has {} pixels instead of {pixels}", instance.mask.len()));
            }
        }
        Ok(())
    }
}

/// Checks that every category has a name of its own and an 8-bit label.
pub(super) fn check_categories(categories: &[String]) -> Result<()> {
    if categories.len() >= usize::from(VOID) {
        return Err(Error::Usage(format!("{} categories cannot be exported: 8-bit labels have room for 254", categories.len())));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, category) in categories.iter().enumerate() {
        if category.trim().is_empty() {
            return Err(Error::Usage(format!("category {} has no name; name it", index + 1)));
        }
        if !seen.insert(category) {
            return Err(Error::Usage(format!("two categories are named `{category}`; rename one")));
        }
    }
    Ok(())
}
