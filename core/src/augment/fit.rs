//! The size at which an image of any shape is looked into.

/// How much longer than the model's side the longer side of a scaled image may become; beyond, it is squeezed.
const MAX_STRETCH: usize = 16;

/// The size `(h, w)`, multiples of `patch`, to which an image of `height` × `width` pixels is resized for a model of size
/// `model_size = [H, W]`. With `stretch`, the model's own size. An image of the model's size or whose sides are multiples of the patch stays
/// as it is. Any other is scaled, aspect kept, so that its shorter side is the model's, then both sides are rounded to multiples of the patch (at least one, and
/// at most 16 times the model's side, which only needle-shaped images reach).
pub fn fit(height: usize, width: usize, model_size: [usize; 2], patch: usize, stretch: bool) -> (usize, usize) {
    let patch = patch.max(1);
    if stretch || [height, width] == model_size {
        return (model_size[0], model_size[1]);
    }
    if height > 0 && width > 0 && height.is_multiple_of(patch) && width.is_multiple_of(patch) {
        return (height, width);
    }
    let scale = if height <= width { model_size[0] as f64 / height.max(1) as f64 } else { model_size[1] as f64 / width.max(1) as f64 };
    let rounded = |side: usize, model: usize| {
        let patches = (side as f64 * scale / patch as f64).round() as usize;
        patches.clamp(1, (MAX_STRETCH * model / patch).max(1)) * patch
    };
    (rounded(height, model_size[0]), rounded(width, model_size[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_rule() {
        assert_eq!(fit(480, 640, [224, 224], 16, false), (480, 640), "multiples of the patch stay");
        assert_eq!(fit(32, 48, [32, 48], 64, false), (32, 48), "the model's own size stays");
        assert_eq!(fit(375, 500, [224, 224], 16, false), (224, 304));
        assert_eq!(fit(500, 375, [224, 224], 16, false), (304, 224));
        assert_eq!(fit(375, 500, [224, 224], 16, true), (224, 224));
        assert_eq!(fit(375, 500, [96, 192], 8, false), (96, 128));
        assert_eq!(fit(5, 7, [64, 64], 8, false), (64, 88));
    }

    #[test]
    fn needles_do_not_explode() {
        assert_eq!(fit(1, 1_000_001, [224, 224], 16, false), (224, 16 * 224));
        assert_eq!(fit(1_000_001, 1, [224, 224], 16, false), (16 * 224, 224));
        assert_eq!(fit(3, 5, [8, 8], 16, false), (16, 16));
    }
}
