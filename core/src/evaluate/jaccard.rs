//! How well attention masks overlap annotated objects: the Jaccard index under protocols that differ in who chooses the head, beside
//! what masks without any knowledge would score (Caron et al., 2021, section 4.2.2; the author's snippet in dino#54).

use rayon::prelude::*;
use serde::Serialize;

use super::overlap::{LabelMap, Objects, Overlap, Truth, Void, centered_box};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use crate::segment::{DEFAULT_MASS, MassChoice, random_mask_iou};

/// What exactly is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JaccardOptions {
    /// What happens to void pixels.
    pub void: Void,
    /// What counts as an object.
    pub objects: Objects,
    /// The share of the attention's mass that the masks keep; the baselines use it as a share of the area.
    pub mass: MassChoice,
    /// The masks are what that leaves of the image.
    pub inverted: bool,
}

impl Default for JaccardOptions {
    fn default() -> Self {
        Self { void: Void::default(), objects: Objects::default(), mass: MassChoice::Share(DEFAULT_MASS), inverted: false }
    }
}

impl JaccardOptions {
    /// The protocol of the snippet that DINO's author published: classes, void pixels in the union, 60 % of the mass.
    pub fn dino_snippet() -> Self {
        Self { void: Void::InUnion, ..Self::default() }
    }
}

/// Jaccard indices, all in `0..=1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JaccardFigures {
    /// How the figures were measured.
    pub protocol: String,
    /// ORACLE: the best head chosen for every object with the ground truth. Mean over an image's objects, then over images.
    pub jaccard_oracle: f64,
    /// One head for everything, chosen on one half of the images and scored on the other; none if there are fewer than two images.
    pub jaccard_best_head: Option<f64>,
    /// The mean over heads: what a head taken at random scores.
    pub jaccard_mean_head: f64,
    /// Every head on all images.
    pub jaccard_per_head: Vec<f64>,
    /// What random masks of the area share `mass` are expected to score.
    pub jaccard_random_expectation: f64,
    /// What calling every pixel an object scores.
    pub jaccard_all: f64,
    /// What a centered box of the image's shape scores that covers the share `mass` of the area.
    pub jaccard_center_box: f64,
    /// What a centered box scores that covers as much of each image as its masks do in the mean.
    pub jaccard_center_box_of_kept_area: f64,
    /// The head of `jaccard_best_head`.
    pub best_head: Option<usize>,
    /// The share of the mass that the masks keep.
    pub mass: f64,
    /// The mean share of an image's area that the masks keep.
    pub kept_area: f64,
    /// Images with at least one object; only these are scored.
    pub images: usize,
    /// Images without any.
    pub images_without_objects: usize,
    /// Objects in all images.
    pub objects: usize,
    /// Heads.
    pub heads: usize,
}

/// Takes images one by one, in any order.
#[derive(Debug, Clone)]
pub struct JaccardTally {
    heads: usize,
    options: JaccardOptions,
    mass: f64,
    images: Vec<ImageScore>,
    images_without_objects: usize,
}

/// The scores of one image that has objects.
#[derive(Debug, Clone)]
struct ImageScore {
    name: String,
    objects: usize,
    oracle: f64,
    per_head: Vec<f64>,
    kept_area: f64,
    random: f64,
    all: f64,
    center_box: f64,
    center_box_of_kept_area: f64,
}

/// A single head, and what it scores on the half of the images that chose it and on the other.
#[derive(Debug, Clone, Copy)]
struct Choice {
    head: usize,
    choosing: f64,
    scoring: f64,
}

impl JaccardTally {
    /// An empty tally of masks of that many heads, which keep the share `mass` of the attention's mass: one of the options'.
    ///
    /// # Errors
    /// [`Error::Usage`] for no heads or a mass outside `0..=1`.
    pub fn new(heads: usize, options: JaccardOptions, mass: f64) -> Result<Self> {
        if heads == 0 {
            return Err(Error::Usage("the Jaccard index needs masks of at least one head".to_owned()));
        }
        if !(0.0..=1.0).contains(&mass) {
            return Err(Error::Usage(format!("a mass of {mass} is not a share; choose one between 0 and 1, such as 0.6")));
        }
        Ok(Self { heads, options, mass, images: Vec::new(), images_without_objects: 0 })
    }

    /// Adds an image: its name, its ground truth, and one mask a head, `[H, W]` like the ground truth, `true` = kept.
    ///
    /// # Errors
    /// [`Error::Failed`] if the sizes or the number of masks disagree.
    pub fn add(&mut self, image: &str, truth: LabelMap<'_>, head_masks: &[Vec<bool>]) -> Result<()> {
        self.check(image, truth, head_masks)?;
        match score(image, truth, head_masks, (self.options, self.mass)) {
            Some(score) => self.images.push(score),
            None => self.images_without_objects += 1,
        }
        Ok(())
    }

    /// The figures; `seed` decides which half of the images chooses the single head. The order in which images came does not matter.
    ///
    /// # Errors
    /// [`Error::Failed`] if no image has an object.
    pub fn finish(self, seed: u64) -> Result<JaccardFigures> {
        Self::finish_best(vec![self], seed)
    }

    /// The figures of the tally whose single head is best on the half of the images that chooses (the first of equals): of tallies of the
    /// same images and other masks, the masks are chosen together with the head.
    ///
    /// # Errors
    /// [`Error::Failed`] if no image has an object.
    pub fn finish_best(mut tallies: Vec<Self>, seed: u64) -> Result<JaccardFigures> {
        tallies.iter_mut().for_each(|tally| tally.images.sort_by(|a, b| a.name.cmp(&b.name)));
        let tried: Vec<String> = tallies.iter().map(|tally| tally.mass.to_string()).collect();
        let chosen = tallies.into_iter().map(|tally| (tally.choose(seed), tally));
        let better = |choice: Option<Choice>, than: Option<Choice>| choice.zip(than).is_some_and(|(new, old)| new.choosing > old.choosing);
        let (choice, tally) = chosen
            .reduce(|best, next| if better(next.0, best.0) { next } else { best })
            .ok_or_else(|| Error::Usage("the Jaccard index needs a share of the mass to keep".to_owned()))?;
        let mut figures = tally.figures(choice)?;
        if tried.len() > 1 {
            figures.protocol += &format!("; the mass is chosen with the head, among {}", tried.join(", "));
        }
        Ok(figures)
    }

    fn figures(self, best: Option<Choice>) -> Result<JaccardFigures> {
        if self.images.is_empty() {
            return Err(Error::Failed(format!(
                "the Jaccard index needs objects, and none of {} images has one; give ground truth with labels other than 0 and 255",
                self.images_without_objects
            )));
        }
        let images = &self.images;
        let per_head = head_means(self.heads, &images.iter());
        let mean = |of: fn(&ImageScore) -> f64| images.iter().map(of).sum::<f64>() / images.len() as f64;
        Ok(JaccardFigures {
            protocol: self.protocol(),
            jaccard_oracle: mean(|image| image.oracle),
            jaccard_best_head: best.map(|choice| choice.scoring),
            jaccard_mean_head: per_head.iter().sum::<f64>() / self.heads as f64,
            jaccard_per_head: per_head,
            jaccard_random_expectation: mean(|image| image.random),
            jaccard_all: mean(|image| image.all),
            jaccard_center_box: mean(|image| image.center_box),
            jaccard_center_box_of_kept_area: mean(|image| image.center_box_of_kept_area),
            best_head: best.map(|choice| choice.head),
            mass: self.mass,
            kept_area: mean(|image| image.kept_area),
            images: images.len(),
            images_without_objects: self.images_without_objects,
            objects: images.iter().map(|image| image.objects).sum(),
            heads: self.heads,
        })
    }

    /// The head that is best on one half of the images (the first of equals), and its score on the other; images are sorted.
    fn choose(&self, seed: u64) -> Option<Choice> {
        let order = Stream::new(seed, 0, 0, Purpose::Split).permutation(self.images.len());
        let (choosing, scoring) = order.split_at(self.images.len() / 2);
        if choosing.is_empty() {
            return None;
        }
        let means = |half: &[usize]| head_means(self.heads, &half.iter().map(|&index| &self.images[index]));
        let (head, choosing) = means(choosing).into_iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        Some(Choice { head, choosing, scoring: means(scoring)[head] })
    }

    fn check(&self, image: &str, truth: LabelMap<'_>, head_masks: &[Vec<bool>]) -> Result<()> {
        let fail = |what: String| Err(Error::Failed(format!("cannot score the masks of {image}: {what}")));
        if truth.height.checked_mul(truth.width) != Some(truth.labels.len()) {
            return fail(format!("its ground truth has {} labels for {}x{} pixels", truth.labels.len(), truth.height, truth.width));
        }
        if head_masks.len() != self.heads {
            return fail(format!("{} masks came for {} heads", head_masks.len(), self.heads));
        }
        if let Some((head, mask)) = head_masks.iter().enumerate().find(|(_, mask)| mask.len() != truth.labels.len()) {
            return fail(format!(
                "the mask of head {head} has {} pixels and its ground truth {}x{}",
                mask.len(),
                truth.height,
                truth.width
            ));
        }
        Ok(())
    }

    fn protocol(&self) -> String {
        let objects = match self.options.objects {
            Objects::Classes => "objects = classes of the label map",
            Objects::Foreground => "one object per image = everything that is not background",
        };
        let void = match self.options.void {
            Void::Excluded => "void pixels excluded",
            Void::InUnion => "void pixels count in the union (dino-snippet)",
        };
        let mass = self.mass;
        let masks = if self.options.inverted { "masks of all but" } else { "masks of" };
        format!(
            "{masks} {mass} of the mass at ground-truth resolution; {objects}; {void}; mean over an image's objects, then over images with objects; \
             oracle = best head per object, chosen with the ground truth; best_head = one head chosen on one half of the images, scored on the other; \
             mean_head = mean over heads; random_expectation = random masks of {mass} of the area; all = every pixel; center_box = centered box of {mass} \
             of the area; center_box_of_kept_area = centered box as large as the image's masks in the mean"
        )
    }
}

fn head_means<'a>(heads: usize, images: &(impl Iterator<Item = &'a ImageScore> + Clone)) -> Vec<f64> {
    let count = images.clone().count() as f64;
    (0..heads).map(|head| images.clone().map(|image| image.per_head[head]).sum::<f64>() / count).collect()
}

/// The scores of an image; `None` if it has no object.
fn score(name: &str, truth: LabelMap<'_>, head_masks: &[Vec<bool>], (options, mass): (JaccardOptions, f64)) -> Option<ImageScore> {
    let truth = Truth::new(truth, options.objects, options.void);
    if truth.objects.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let overlaps: Vec<Overlap> = head_masks.par_iter().map(|mask| truth.overlap(mask)).collect();
    let kept_area = overlaps.iter().map(|overlap| overlap.kept_share).sum::<f64>() / overlaps.len() as f64;
    let best_of = |object: usize| overlaps.iter().map(|overlap| overlap.per_object[object]).fold(0.0, f64::max);
    let center_box = |share: f64| mean(&truth.overlap(&centered_box(truth.height, truth.width, share)).per_object);
    Some(ImageScore {
        name: name.to_owned(),
        objects: truth.objects.len(),
        oracle: mean(&(0..truth.objects.len()).map(best_of).collect::<Vec<_>>()),
        per_head: overlaps.iter().map(|overlap| mean(&overlap.per_object)).collect(),
        kept_area,
        random: mean(&truth.area_shares().map(|share| random_mask_iou(mass, share)).collect::<Vec<_>>()),
        all: mean(&truth.area_shares().collect::<Vec<_>>()),
        center_box: center_box(mass),
        center_box_of_kept_area: center_box(kept_area),
    })
}

#[cfg(test)]
mod tests {
    use super::super::overlap::VOID;
    use super::*;

    fn map(labels: &[u8], width: usize) -> LabelMap<'_> {
        LabelMap { height: labels.len() / width, width, labels }
    }

    fn masks<const N: usize>(rows: [&str; N]) -> Vec<Vec<bool>> {
        rows.iter().map(|row| row.bytes().map(|byte| byte == b'#').collect()).collect()
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    /// The definitions, pixel by pixel.
    fn plain_iou(labels: &[u8], class: u8, mask: &[bool], void: Void) -> f64 {
        let counts = |i: &usize| void == Void::InUnion || labels[*i] != VOID;
        let inter = (0..labels.len()).filter(counts).filter(|&i| labels[i] == class && mask[i]).count();
        let union = (0..labels.len()).filter(counts).filter(|&i| labels[i] == class || mask[i]).count();
        inter as f64 / union as f64
    }

    #[test]
    fn a_worked_example() {
        // Two objects; head 0 finds the first, head 1 the second, both with one void pixel.
        let labels = [1, 1, 0, 2, 2, 2, 255, 0];
        let heads = masks(["##....#.", "..####.."]);
        let mut tally = JaccardTally::new(2, JaccardOptions::default(), 0.6).unwrap();
        tally.add("a", map(&labels, 4), &heads).unwrap();
        let figures = tally.finish(0).unwrap();
        near(figures.jaccard_oracle, (1.0 + 0.75) / 2.0);
        near(figures.jaccard_per_head[0], 0.5);
        near(figures.jaccard_per_head[1], 0.375);
        near(figures.jaccard_mean_head, 0.4375);
        near(figures.jaccard_all, (2.0 / 7.0 + 3.0 / 7.0) / 2.0);
        near(figures.jaccard_random_expectation, (random_mask_iou(0.6, 2.0 / 7.0) + random_mask_iou(0.6, 3.0 / 7.0)) / 2.0);
        near(figures.kept_area, (2.0 / 7.0 + 4.0 / 7.0) / 2.0);
        assert_eq!((figures.jaccard_best_head, figures.best_head, figures.images, figures.objects), (None, None, 1, 2));
        let mut tally = JaccardTally::new(2, JaccardOptions::dino_snippet(), 0.6).unwrap();
        tally.add("a", map(&labels, 4), &heads).unwrap();
        near(tally.finish(0).unwrap().jaccard_per_head[0], 1.0 / 3.0);
        let mut tally =
            JaccardTally::new(2, JaccardOptions { objects: Objects::Foreground, ..JaccardOptions::dino_snippet() }, 0.6).unwrap();
        tally.add("a", map(&labels, 4), &heads).unwrap();
        let figures = tally.finish(0).unwrap();
        assert_eq!(figures.objects, 1);
        near(figures.jaccard_per_head[0], 2.0 / 6.0);
        near(figures.jaccard_per_head[1], 3.0 / 6.0);
        assert!(figures.protocol.contains("oracle") && figures.protocol.contains("dino-snippet"));
    }

    #[test]
    fn random_images_agree_with_the_definitions() {
        for case in 0..60 {
            let mut stream = Stream::new(7, 0, case, Purpose::Toy);
            let (height, width) = (1 + stream.below(30), 1 + stream.below(30));
            let mut label = 0;
            let labels: Vec<u8> = (0..height * width)
                .map(|_| {
                    if stream.chance(0.2) {
                        label = [0, 1, 7, 254, VOID][stream.below(5)];
                    }
                    label
                })
                .collect();
            let heads: Vec<Vec<bool>> = (0..3).map(|_| (0..labels.len()).map(|_| stream.chance(0.5)).collect()).collect();
            let void = if case % 2 == 0 { Void::Excluded } else { Void::InUnion };
            let options = JaccardOptions { void, ..JaccardOptions::default() };
            let classes: Vec<u8> = [1, 7, 254].into_iter().filter(|class| labels.contains(class)).collect();
            let mut tally = JaccardTally::new(3, options, 0.6).unwrap();
            tally.add("a", map(&labels, width), &heads).unwrap();
            if classes.is_empty() {
                assert!(tally.finish(0).is_err());
                continue;
            }
            let figures = tally.finish(0).unwrap();
            let n = classes.len() as f64;
            let iou = |class: u8, mask: &[bool]| plain_iou(&labels, class, mask, void);
            for (head, mask) in heads.iter().enumerate() {
                near(figures.jaccard_per_head[head], classes.iter().map(|&class| iou(class, mask)).sum::<f64>() / n);
            }
            let best = |&class: &u8| heads.iter().map(|mask| iou(class, mask)).fold(0.0, f64::max);
            near(figures.jaccard_oracle, classes.iter().map(best).sum::<f64>() / n);
            near(figures.jaccard_all, classes.iter().map(|&class| iou(class, &vec![true; labels.len()])).sum::<f64>() / n);
            let middle = centered_box(height, width, 0.6);
            near(figures.jaccard_center_box, classes.iter().map(|&class| iou(class, &middle)).sum::<f64>() / n);
            assert!(figures.jaccard_oracle >= figures.jaccard_per_head.iter().copied().fold(0.0, f64::max) - 1e-12);
        }
    }

    #[test]
    fn the_best_head_is_chosen_on_one_half_and_scored_on_the_other() {
        let labels = [1, 1, 0, 0];
        let tally = |reversed: bool| {
            let mut tally = JaccardTally::new(2, JaccardOptions::default(), 0.6).unwrap();
            let mut indices: Vec<usize> = (0..10).collect();
            if reversed {
                indices.reverse();
            }
            for index in indices {
                // Head 1 is right on nine images, head 0 on one.
                let heads = if index == 3 { masks(["##..", "..##"]) } else { masks(["..##", "##.."]) };
                tally.add(&format!("{index}"), map(&labels, 2), &heads).unwrap();
            }
            tally
        };
        for seed in 0..20 {
            let figures = tally(false).finish(seed).unwrap();
            assert_eq!(figures, tally(true).finish(seed).unwrap(), "the order of images does not matter");
            assert_eq!(figures.best_head, Some(1));
            let order = Stream::new(seed, 0, 0, Purpose::Split).permutation(10);
            near(figures.jaccard_best_head.unwrap(), if order[5..].contains(&3) { 0.8 } else { 1.0 });
        }
        let scores: std::collections::BTreeSet<_> =
            (0..20).map(|seed| (tally(false).finish(seed).unwrap().jaccard_best_head.unwrap() * 10.0) as u32).collect();
        assert_eq!(scores.len(), 2, "seeds split differently");
    }

    #[test]
    fn the_mass_is_chosen_with_the_head_on_the_same_half() {
        let labels = [1, 1, 0, 0];
        // With a mass of 0.9, head 1 is right on all images; with 0.6, head 0 on half of them.
        let tally = |mass: f64, count: usize| {
            let mut tally = JaccardTally::new(2, JaccardOptions::default(), mass).unwrap();
            for index in 0..count {
                let right = mass > 0.8 || index % 2 == 0;
                let heads = if mass > 0.8 { masks(["..##", "##.."]) } else { masks([if right { "##.." } else { "...." }, "..##"]) };
                tally.add(&format!("{index}"), map(&labels, 2), &heads).unwrap();
            }
            tally
        };
        for masses in [[0.6, 0.9], [0.9, 0.6]] {
            let figures = JaccardTally::finish_best(masses.map(|mass| tally(mass, 8)).to_vec(), 3).unwrap();
            assert_eq!((figures.mass, figures.best_head, figures.jaccard_best_head), (0.9, Some(1), Some(1.0)));
            assert!(figures.protocol.contains("chosen with the head, among"), "{}", figures.protocol);
        }
        // One mass is no choice, and one image chooses nothing.
        let alone = tally(0.6, 8).finish(3).unwrap();
        assert_eq!(JaccardTally::finish_best(vec![tally(0.6, 8)], 3).unwrap(), alone);
        assert_eq!(JaccardTally::finish_best(vec![tally(0.6, 1), tally(0.9, 1)], 3).unwrap().mass, 0.6);
        assert!(JaccardTally::finish_best(Vec::new(), 3).is_err());
    }

    #[test]
    fn images_without_objects_are_counted_and_not_scored() {
        let mut tally = JaccardTally::new(1, JaccardOptions::default(), 0.6).unwrap();
        tally.add("void", map(&[VOID; 4], 2), &masks(["####"])).unwrap();
        tally.add("background", map(&[0; 4], 2), &masks(["####"])).unwrap();
        tally.add("empty", map(&[], 1), &masks([""])).unwrap();
        tally.add("object", map(&[5, 0, 0, 0], 2), &masks(["...."])).unwrap();
        let figures = tally.finish(1).unwrap();
        assert_eq!((figures.images, figures.images_without_objects, figures.jaccard_oracle), (1, 3, 0.0));
        assert!(
            JaccardTally::new(1, JaccardOptions::dino_snippet(), 0.6)
                .unwrap()
                .finish(0)
                .unwrap_err()
                .to_string()
                .contains("none of 0 images")
        );
        let json = serde_json::to_value(&figures).unwrap();
        for field in [
            "protocol",
            "jaccard_oracle",
            "jaccard_best_head",
            "jaccard_mean_head",
            "jaccard_random_expectation",
            "jaccard_all",
            "jaccard_center_box",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        let mut tally = JaccardTally::new(2, JaccardOptions::dino_snippet(), 0.6).unwrap();
        let mut error = |truth, heads: &[Vec<bool>]| tally.add("cat.jpg", truth, heads).unwrap_err().to_string();
        assert!(error(map(&[0; 4], 2), &masks(["####"])).contains("cat.jpg: 1 masks came for 2 heads"));
        assert!(error(map(&[0; 4], 2), &masks(["####", "###"])).contains("head 1 has 3 pixels"));
        assert!(error(LabelMap { height: usize::MAX, width: 2, labels: &[0; 4] }, &masks(["####", "####"])).contains("4 labels"));
        assert!(JaccardTally::new(0, JaccardOptions::dino_snippet(), 0.6).is_err());
        assert!(JaccardTally::new(1, JaccardOptions::dino_snippet(), f64::NAN).is_err());
    }
}
