//! What the demo looks at once its networks are trained: heads, their overlap with the truth, and the masks that come of them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use maskroom_core::dataset::{Dataset, Split};
use maskroom_core::device::OpenDevice;
use maskroom_core::evaluate::attention::{Where, attention_jaccard};
use maskroom_core::evaluate::{JaccardFigures, JaccardOptions};
use maskroom_core::export::{Exports, ImageMasks, Instance};
use maskroom_core::inspect::colormap::head_color;
use maskroom_core::inspect::encoder::Query;
use maskroom_core::inspect::look::{Fit, for_each_batch};
use maskroom_core::inspect::picture::strip;
use maskroom_core::inspect::strips::{heat_map, to_picture};
use maskroom_core::method::Network;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::RunFolder;
use maskroom_core::segment::MassChoice;
use maskroom_core::segment::attention::{HeadChoice, MaskRule, map_of};
use maskroom_core::weights::model_file::{Weights, WeightsKind};

use crate::report::{Bar, Picture, Section};

/// Images shown with their masks.
const SHOWN: usize = 8;

/// The trained network beside the held-out scenes and their truth.
pub struct Look {
    network: Network,
    recipe: Recipe,
    scenes: Dataset,
    /// The heads' overlap with the truth.
    pub trained: JaccardFigures,
    /// The same of the network before any training.
    pub random: JaccardFigures,
    /// The block that is looked at.
    pub place: Where,
    /// The head of it that is looked at.
    pub head: usize,
}

/// What was exported.
pub struct Masks {
    folder: PathBuf,
    exact: bool,
    pictures: Vec<Picture>,
}

const CLS: Where = Where { layer: -1, query: Query::Cls, rollout: false };

impl Look {
    /// Looks at the weights of a finished run.
    pub fn new(run: &RunFolder, data: &Path) -> Result<Self> {
        let weights = Weights::open(&run.root)?;
        let network = weights.network(WeightsKind::Best, &OpenDevice::cpu("looking").device)?;
        let recipe = weights.recipe;
        let mut scenes = Dataset::open(data)?;
        scenes.keep_split(Split::Val);
        let (options, seed) = (JaccardOptions { mass: MassChoice::Best, ..JaccardOptions::default() }, recipe.seed);
        // Of all blocks' heads, whichever method: a masked autoencoder's last block attends to what it draws, and objects show before it.
        let places = CLS.in_every_layer(&network);
        let trained = attention_jaccard(&network, &recipe, &scenes, &places, options, seed)?;
        let twin = Network::untrained_twin(&recipe, network.device())?;
        let random = attention_jaccard(&twin, &recipe, &scenes, &places, options, seed)?;
        let (best, heads) = (trained.best_head.unwrap_or(0), trained.heads / places.len());
        Ok(Self { place: places[best / heads], head: best % heads, network, recipe, scenes, trained, random })
    }

    /// Exports the masks of all held-out scenes and pictures some of them.
    pub fn export_masks(&self, out: &Path) -> Result<Masks> {
        let folder = out.join("masks");
        let mut exports = Exports::begin(&["png", "coco"], &folder, &["object".to_owned()])?;
        let all: Vec<usize> = (0..self.scenes.items.len()).collect();
        let rule = MaskRule { mass: self.trained.mass, inverted: false, min_area_px: 0, largest_only: false };
        let mut pictures = Vec::new();
        for_each_batch(&self.scenes, &all, &self.recipe, Fit::Keep, |images, prepared| {
            let maps = self.place.maps(&self.network, images)?;
            for (index, image) in prepared.iter().enumerate() {
                let map = map_of(&maps, index, self.place.query, HeadChoice::One(self.head))?;
                let size = [image.source_height, image.source_width];
                let mask = rule.mask(&map, maps.grid, size);
                if pictures.len() < SHOWN {
                    let scene = to_picture(&image.values, image.height, image.width, &self.recipe)?.enlarged(4);
                    let enlarge = |mask: &[bool]| enlarged(mask, size, 4);
                    let (mut outlined, mut truth) = (scene.clone(), scene.clone());
                    outlined.tint(&enlarge(&mask), head_color(self.head), 0.45);
                    outlined.contour(&enlarge(&mask), head_color(self.head), 2);
                    if let Some(labels) = self.scenes.truth(image.sample)? {
                        let objects: Vec<bool> = labels.labels.iter().map(|&label| label > 0 && label != 255).collect();
                        truth.tint(&enlarge(&objects), head_color(self.head + 1), 0.45);
                        truth.contour(&enlarge(&objects), head_color(self.head + 1), 2);
                    }
                    let heat = heat_map(&map, maps.grid, image.height, image.width).enlarged(4);
                    pictures.push(strip(&[scene, heat, outlined, truth], 4, [3, 2, 1]).to_png([3, 2, 1])?);
                }
                let labels = mask.iter().map(|&kept| u8::from(kept)).collect();
                let file_name = self.scenes.items[image.sample].mask_name().to_owned();
                let instances = vec![Instance { category: 1, mask }];
                exports.add(&ImageMasks { file_name, height: size[0], width: size[1], labels, instances })?;
            }
            Ok(())
        })?;
        let exact = exports.finish()?.iter().all(|report| report.exact);
        let pictures = pictures.into_iter().map(|png| Picture { png, caption: String::new(), width_css: "720px".into() }).collect();
        Ok(Masks { folder, exact, pictures })
    }

    /// The overlap of the head that is chosen, of trained weights and of untrained ones.
    pub fn overlap(&self) -> [f64; 2] {
        [&self.trained, &self.random].map(|figures| figures.jaccard_best_head.unwrap_or(f64::NAN))
    }

    /// The exported masks of some scenes.
    pub fn pictures(&self, masks: Masks) -> Section {
        Section::Pictures {
            title: "Masks".into(),
            note: format!(
                "The strongest patches of head {} in block {} that hold {:.0} % of its attention, outlined on held-out scenes. The same masks \
                 are exported to {} and read back {}.",
                self.head,
                self.place.layer,
                self.trained.mass * 100.0,
                masks.folder.display(),
                if masks.exact { "without a difference" } else { "WITH DIFFERENCES" }
            ),
            headings: ["Scene", "Attention", "Mask", "Truth"].map(str::to_owned).to_vec(),
            images: masks.pictures,
        }
    }

    /// The Jaccard figures as bars, beside those of `other` weights.
    pub fn bars(&self, name: &str, (other_name, other): (&str, &Self)) -> Section {
        let bar = |label: &str, value: f64, emphasis: bool, note: &str| Bar { label: label.into(), value, emphasis, note: note.into() };
        let (trained, [own, untrained], [others, others_untrained]) = (&self.trained, self.overlap(), other.overlap());
        Section::Bars {
            title: "Overlap with the known objects".into(),
            note: format!("Jaccard index on {} held-out scenes. {}", trained.images, trained.protocol),
            rows: vec![
                bar(
                    &format!("{name}, best single head"),
                    own,
                    true,
                    "of all blocks, chosen with the mass on one half of the scenes, scored on the other",
                ),
                bar(&format!("{name}, random weights"), untrained, false, "the same network before any training, the same choice"),
                bar(&format!("{other_name}, best single head"), others, false, "the same choice"),
                bar(&format!("{other_name}, random weights"), others_untrained, false, "the same choice"),
                bar("Mean of heads", trained.jaccard_mean_head, false, &format!("a head of {name} taken at random")),
                bar("Oracle", trained.jaccard_oracle, false, "the best head for each object, chosen with the truth: an upper bound"),
                bar("Random masks", trained.jaccard_random_expectation, false, "expected of masks of the same share"),
                bar("Centered box", trained.jaccard_center_box, false, &format!("{:.0} % of the image", trained.mass * 100.0)),
                bar("Everything is object", trained.jaccard_all, false, ""),
            ],
        }
    }
}

/// A mask `[H, W]` with every pixel repeated `factor` times in both directions.
fn enlarged(mask: &[bool], [height, width]: [usize; 2], factor: usize) -> Vec<bool> {
    (0..height * factor).flat_map(|y| (0..width * factor).map(move |x| mask[y / factor * width + x / factor])).collect()
}
