//! Toy scenes: procedural pictures with known truth, good enough to be worth learning from.
//!
//! One to four objects of twelve classes lie on a textured ground under one lamp. Classes differ in silhouette and inner structure;
//! colors and patterns of objects and ground come from one distribution, so color does not give the class away. A scene is a function
//! of (seed, index) and of the picture's proportions alone: at 32 and at 224 pixels it is the same scene, and with no system
//! mathematics beyond the exactly rounded square root it has the same bytes on every machine.
//!
//! ```text
//! composition (shape, texture, color) ─► paint (detail, light) ─► pixels, instances ─► on_disk
//! ```

mod color;
mod composition;
mod detail;
mod geometry;
mod on_disk;
mod paint;
mod shape;
mod texture;

pub use on_disk::make_toy;

/// Names of the classes; an object's class is an index into this list.
pub const CLASSES: [&str; 12] = shape::NAMES;

/// One scene with its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToyScene {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// RGB, row-major, `[H, W, 3]`.
    pub pixels: Vec<u8>,
    /// One id a pixel: 0 background, k = `objects[k - 1]`; `[H, W]`.
    pub instances: Vec<u8>,
    /// The objects that can be seen, at least one. All but the largest show on at least 1 % of the picture.
    pub objects: Vec<ToyObject>,
    /// Index into [`CLASSES`] of the object with the largest visible area.
    pub class: usize,
}

/// One object of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToyObject {
    /// Index into [`CLASSES`].
    pub class: usize,
    /// Pixels of the picture that show it.
    pub area_px: usize,
}

impl ToyScene {
    /// The shortest side of a scene, in pixels.
    pub const MIN_SIDE_PX: usize = 8;

    /// Draws the scene `index` of `seed` at `height` x `width` pixels, each at least [`Self::MIN_SIDE_PX`] (a shorter side is raised to it).
    pub fn new(seed: u64, index: u64, height: usize, width: usize) -> Self {
        let (height, width) = (height.max(Self::MIN_SIDE_PX), width.max(Self::MIN_SIDE_PX));
        let shorter = height.min(width) as f64;
        let composition = composition::Composition::draw(seed, index, [width as f64 / shorter, height as f64 / shorter]);
        let painting = paint::paint(&composition, height, width);
        let class = painting.objects.iter().rev().max_by_key(|object| object.area_px).map_or(0, |object| object.class);
        Self { height, width, pixels: painting.pixels, instances: painting.instances, objects: painting.objects, class }
    }

    /// Class + 1 for each pixel, 0 for background: `[H, W]`.
    pub fn class_mask(&self) -> Vec<u8> {
        let value = |id: u8| self.objects.get(usize::from(id).wrapping_sub(1)).map_or(0, |object| object.class as u8 + 1);
        self.instances.iter().map(|&id| value(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn scenes(seed: u64, count: u64, height: usize, width: usize) -> Vec<ToyScene> {
        (0..count).into_par_iter().map(|index| ToyScene::new(seed, index, height, width)).collect()
    }

    #[test]
    fn a_color_histogram_does_not_give_the_class_away() {
        let scenes = scenes(20, 600, 64, 64);
        let histogram = |scene: &ToyScene| {
            let mut bins = vec![0_i32; 512];
            for rgb in scene.pixels.chunks_exact(3) {
                bins[(usize::from(rgb[0]) >> 5) * 64 + (usize::from(rgb[1]) >> 5) * 8 + (usize::from(rgb[2]) >> 5)] += 1;
            }
            bins
        };
        let histograms: Vec<Vec<i32>> = scenes.iter().map(histogram).collect();
        // Leave one out: the majority of the k nearest by histogram intersection, ties to the nearest of the tied.
        let rightly_guessed = |k: usize| {
            (0..scenes.len())
                .into_par_iter()
                .filter(|&query| {
                    let mut nearest: Vec<(i32, usize)> = (0..scenes.len())
                        .filter(|&other| other != query)
                        .map(|other| {
                            (histograms[query].iter().zip(&histograms[other]).map(|(a, b)| (a - b).abs()).sum(), scenes[other].class)
                        })
                        .collect();
                    nearest.sort_unstable();
                    let votes = |class: usize| nearest[..k].iter().filter(|neighbor| neighbor.1 == class).count();
                    let winner = nearest[..k].iter().rev().max_by_key(|neighbor| votes(neighbor.1)).unwrap().1;
                    winner == scenes[query].class
                })
                .count() as f64
                / scenes.len() as f64
        };
        for k in [1, 5, 20] {
            let accuracy = rightly_guessed(k);
            println!("{k} nearest by color histogram: {:.1} % right, chance is 8.3 %", accuracy * 100.0);
            assert!(accuracy < 0.16, "{k} nearest colors guess {accuracy} of the classes");
        }
    }

    #[test]
    fn classes_are_balanced_and_objects_well_visible() {
        let scenes = scenes(21, 1200, 48, 48);
        let mut counts = [0_usize; 12];
        scenes.iter().for_each(|scene| counts[scene.class] += 1);
        assert!(counts.iter().all(|count| (60..=144).contains(count)), "{counts:?}");
        let mut shares: Vec<f64> =
            scenes.iter().map(|scene| scene.objects.iter().map(|object| object.area_px).max().unwrap() as f64 / (48.0 * 48.0)).collect();
        shares.sort_by(f64::total_cmp);
        let [low, median, high] = [60, 600, 1140].map(|at| shares[at]);
        println!("counts {counts:?}; the largest object covers {low:.3} .. {median:.3} .. {high:.3} of the picture (5 %, median, 95 %)");
        assert!(low > 0.10 && (0.16..0.28).contains(&median) && high < 0.4, "{low} {median} {high}");
        let mut crowds = [0_usize; 4];
        scenes.iter().for_each(|scene| crowds[scene.objects.len() - 1] += 1);
        println!("scenes with 1, 2, 3, 4 objects: {crowds:?}");
        assert!(crowds.iter().all(|&count| count > 40), "{crowds:?}");
    }

    #[test]
    fn a_scene_is_the_same_scene_at_every_size() {
        let (small, large) = (scenes(22, 150, 32, 32), scenes(22, 150, 160, 160));
        let agree = small.iter().zip(&large).filter(|(a, b)| a.class == b.class).count();
        let classes = |scene: &ToyScene| scene.objects.iter().map(|object| object.class).collect::<Vec<_>>();
        let same = small.iter().zip(&large).filter(|(a, b)| classes(a) == classes(b)).count();
        println!("32 and 160 px: {agree} of 150 classes and {same} of 150 object lists agree");
        assert!(agree >= 147 && same >= 140, "{agree} {same}");
        let overlap = |a: &ToyScene, b: &ToyScene| {
            let hits = (0..32 * 32).filter(|at| {
                let big = (at / 32 * 5 + 2) * 160 + at % 32 * 5 + 2;
                (a.instances[*at] == 0) == (b.instances[big] == 0)
            });
            hits.count() as f64 / 1024.0
        };
        let mean = small.iter().zip(&large).map(|(a, b)| overlap(a, b)).sum::<f64>() / 150.0;
        assert!(mean > 0.99, "only {mean} of the pixels agree on object or background");
    }

    #[test]
    fn the_truth_is_consistent_at_any_size() {
        for (height, width) in [(8, 8), (8, 300), (300, 8), (33, 57), (120, 40), (3, 5), (64, 64)] {
            for scene in scenes(23, 40, height, width) {
                assert_eq!((scene.height, scene.width), (height.max(8), width.max(8)));
                let area = scene.height * scene.width;
                assert_eq!((scene.pixels.len(), scene.instances.len()), (area * 3, area));
                assert!((1..=4).contains(&scene.objects.len()));
                for (position, object) in scene.objects.iter().enumerate() {
                    let counted = scene.instances.iter().filter(|&&id| usize::from(id) == position + 1).count();
                    assert_eq!(counted, object.area_px);
                    assert!(
                        object.area_px > 0 && (scene.objects.len() == 1 || object.area_px * 100 >= area),
                        "{object:?} at {height} x {width}"
                    );
                }
                assert!(scene.instances.iter().all(|&id| usize::from(id) <= scene.objects.len()));
                let largest = scene.objects.iter().map(|object| object.area_px).max().unwrap();
                assert!(scene.objects.iter().any(|object| object.class == scene.class && object.area_px == largest));
                let mask = scene.class_mask();
                assert!(mask.iter().zip(&scene.instances).all(|(&value, &id)| (value == 0) == (id == 0) && value <= 12));
            }
        }
    }

    #[test]
    fn objects_stand_out_from_what_is_behind_them() {
        // The greatest difference of mean red, green or blue between objects and background, in bytes.
        let scenes = scenes(24, 200, 64, 64);
        let contrasts = scenes.iter().map(|scene| {
            let mut sums = [[0.0; 4]; 2];
            for (rgb, &id) in scene.pixels.chunks_exact(3).zip(&scene.instances) {
                let side = &mut sums[usize::from(id > 0)];
                (0..3).for_each(|i| side[i] += f64::from(rgb[i]));
                side[3] += 1.0;
            }
            (0..3).map(|i| (sums[0][i] / sums[0][3] - sums[1][i] / sums[1][3]).abs()).fold(0.0, f64::max)
        });
        let weak = contrasts.filter(|&contrast| contrast < 16.0).count();
        println!("{weak} of 200 scenes have objects of the background's mean color");
        assert!(weak < 30, "{weak}");
    }

    #[test]
    fn bytes_are_fixed_for_ever() {
        let mut digest = 0xCBF2_9CE4_8422_2325_u64;
        for scene in (0..24).map(|index| ToyScene::new(7, index, 40, 56)) {
            for &byte in scene.pixels.iter().chain(&scene.instances) {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
        assert_eq!(digest, 0x4899_306D_3434_677A, "the generator draws other scenes than it did: {digest:#018X}");
        assert_ne!(ToyScene::new(7, 0, 32, 32).pixels, ToyScene::new(8, 0, 32, 32).pixels);
    }
}
