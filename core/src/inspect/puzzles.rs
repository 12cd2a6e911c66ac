//! Puzzles in pictures: what a network was posed, how probable it thought each answer, and whether it was right.

use super::picture::Picture;
use super::strips::to_picture;
use crate::error::{Error, Result};
use crate::method::pretext::{Pretext, Puzzle};
use crate::objective::cross_entropy::largest;
use crate::recipe::Recipe;
use crate::weights::safetensors_file::TensorMap;

/// Puzzles of several images, solved by a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// What each picture of an image is.
    pub columns: Vec<String>,
    /// For each image its pictures, all of one size, a whole multiple of the image's.
    pub pictures: Vec<Vec<Picture>>,
    /// For each image what the network answered.
    pub said: Vec<String>,
    /// Puzzles whose answer is right.
    pub num_right: usize,
    /// All puzzles.
    pub num_posed: usize,
}

/// What must be known to read the pictures.
pub const NOTE: &str = "each bar is how probable the network thinks an answer; that of the right answer is green, and so is the frame \
                        where it is the highest, which is red where it is not";

/// Smaller pictures are enlarged to at least this many pixels, so that bars and frames can be seen.
const SHOWN_PX: usize = 128;
/// How high the highest bar is, as a share of the picture, and how much the ground behind bars darkens it.
const BAR_SHARE: f64 = 0.25;
const GROUND: f32 = 0.6;
/// Width of the frame in pixels.
const FRAME_PX: usize = 3;
const DARK: [u8; 3] = [16, 16, 20];
const RIGHT: [u8; 3] = [62, 190, 110];
const WRONG: [u8; 3] = [224, 76, 70];
const OTHER: [u8; 3] = [176, 182, 194];

/// The puzzles of a preview file of a recipe whose network solves them; `None` if the file holds none.
///
/// # Errors
/// If the file's parts do not fit each other or the recipe.
pub fn solved(recipe: &Recipe, tensors: &TensorMap) -> Result<Option<Solved>> {
    let parts = ["puzzles", "answers", "probabilities"].map(|name| tensors.get(name));
    let ([Some(puzzles), Some(answers), Some(probabilities)], Some(pretext)) = (parts, Pretext::of(recipe)) else { return Ok(None) };
    let [height, width] = recipe.data.image;
    let (image, classes) = (height * width * recipe.data.channels, recipe.decoder.count("classes"));
    let misfit = || Error::Failed(format!("the puzzles of the preview do not fit its recipe: they have shape {:?}", puzzles.shape));
    let &[count, each, ..] = &puzzles.shape[..] else { return Err(misfit()) };
    let all = count * each;
    let sizes = [(&puzzles.values, image), (&answers.values, 1), (&probabilities.values, classes)];
    if all == 0 || image == 0 || sizes.iter().any(|(values, size)| values.len() != all * size) {
        return Err(misfit());
    }
    let (mut pictures, mut said, mut num_right) = (Vec::new(), Vec::new(), 0);
    for number in 0..count {
        let (mut of_image, mut words, mut right) = (Vec::new(), Vec::new(), 0);
        for at in number * each..(number + 1) * each {
            let (puzzle, probabilities) = (&puzzles.values[at * image..][..image], &probabilities.values[at * classes..][..classes]);
            let (answer, told) = (answers.values[at] as usize, largest(probabilities));
            right += usize::from(answer == told);
            words.push(pretext.in_words(told));
            let frame = if answer == told { RIGHT } else { WRONG };
            let mut posed = shown(puzzle, recipe)?;
            bars(&mut posed, probabilities, answer);
            if let Puzzle::Jigsaw(..) = pretext.puzzle() {
                of_image.push(posed);
                posed = shown(&pretext.undone(puzzle, told), recipe)?;
            }
            framed(&mut posed, frame);
            of_image.push(posed);
        }
        pictures.push(of_image);
        said.push(match pretext.puzzle() {
            Puzzle::Rotation => format!("told {}: {right} of {each} right", words.join(", ")),
            Puzzle::Jigsaw(..) => format!("told {}: {}", words.join(", "), if right == each { "right" } else { "wrong" }),
        });
        num_right += right;
    }
    let columns = match pretext.puzzle() {
        Puzzle::Rotation => (0..each).map(|class| format!("Turned {}", pretext.in_words(class))).collect(),
        Puzzle::Jigsaw(..) => ["Shuffled", "Put back"].map(str::to_owned).into(),
    };
    Ok(Some(Solved { columns, pictures, said, num_right, num_posed: all }))
}

fn shown(values: &[f32], recipe: &Recipe) -> Result<Picture> {
    let [height, width] = recipe.data.image;
    Ok(to_picture(values, height, width, recipe)?.enlarged(enlargement([height, width])))
}

/// How many times as large as images the pictures of puzzles are.
pub fn enlargement([height, width]: [usize; 2]) -> usize {
    SHOWN_PX.div_ceil(height.min(width).max(1)).max(1)
}

/// Lays a bar for each probability over the lower part of a picture: that of the `right` class in its color, the highest in that of an
/// error if it is another one.
fn bars(picture: &mut Picture, probabilities: &[f32], right: usize) {
    let (height, width, count) = (picture.height, picture.width, probabilities.len().max(1));
    let tallest = ((height as f64 * BAR_SHARE) as usize).max(1);
    let told = largest(probabilities);
    let ground: Vec<bool> = (0..height * width).map(|at| at / width + tallest >= height).collect();
    picture.tint(&ground, DARK, GROUND);
    // Where there are more classes than columns of pixels, the first of those that share one is seen, and the two that matter always are.
    let last = [told, right].into_iter().filter(|&class| class < probabilities.len());
    for class in (0..probabilities.len()).rev().chain(last) {
        let [left, end] = [class, class + 1].map(|edge| edge * width / count);
        // A gap between bars where they are wide enough for one.
        let end = if end > left + 3 { end - 1 } else { end.max(left + 1) };
        let top = height - (f64::from(probabilities[class].clamp(0.0, 1.0)) * tallest as f64).round() as usize;
        let color = match class {
            class if class == right => RIGHT,
            class if class == told => WRONG,
            _ => OTHER,
        };
        let bar = Picture::filled(height - top, end.min(width) - left.min(width), color);
        picture.paste(&bar, top, left);
    }
}

fn framed(picture: &mut Picture, color: [u8; 3]) {
    let whole = vec![true; picture.height * picture.width];
    picture.contour(&whole, color, FRAME_PX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Base;
    use crate::weights::safetensors_file::HostTensor;

    fn recipe(method: &str) -> Recipe {
        let sets = [("backbone.preset", "vit-nano"), ("data.image", "[24, 24]"), ("backbone.patch", "8"), ("data.mean", "[0.0, 0.0, 0.0]")];
        let sets: Vec<_> =
            sets.into_iter().chain([("data.std", "[1.0, 1.0, 1.0]")]).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Recipe::resolve(Base::Preset(method), &sets).unwrap()
    }

    /// A preview of one image that is brighter towards its lower right corner, whose puzzles the network answers by `told`.
    fn preview(recipe: &Recipe, told: &dyn Fn(usize) -> usize) -> TensorMap {
        let pretext = Pretext::of(recipe).unwrap();
        let classes = recipe.decoder.count("classes");
        let image: Vec<f32> = (0..24 * 24 * 3).map(|at| ((at / 72) + (at / 3 % 24)) as f32 / 48.0).collect();
        let posed = pretext.posed(&image, 0, 0);
        let each = posed.len();
        let answers: Vec<f32> = posed.iter().map(|(_, class)| *class as f32).collect();
        let of = |&(_, class): &(Vec<f32>, usize)| {
            let mut shares = vec![0.4 / (classes - 1) as f32; classes];
            shares[told(class)] = 0.6;
            shares
        };
        let probabilities = posed.iter().flat_map(of).collect();
        let puzzles = posed.iter().flat_map(|(puzzle, _)| puzzle.iter().copied()).collect();
        TensorMap::from([
            ("puzzles".to_owned(), HostTensor::new([1, each, 24, 24, 3], puzzles)),
            ("answers".to_owned(), HostTensor::new([1, each], answers)),
            ("probabilities".to_owned(), HostTensor::new([1, each, classes], probabilities)),
        ])
    }

    fn pixel(picture: &Picture, y: usize, x: usize) -> [u8; 3] {
        std::array::from_fn(|channel| picture.rgb[(y * picture.width + x) * 3 + channel])
    }

    #[test]
    fn four_turns_stand_side_by_side_with_what_was_told() {
        let recipe = recipe("rotation");
        // It takes half a turn for none.
        let told = |class: usize| if class == 2 { 0 } else { class };
        let found = solved(&recipe, &preview(&recipe, &told)).unwrap().unwrap();
        assert_eq!(found.columns, ["Turned 0°", "Turned 90°", "Turned 180°", "Turned 270°"]);
        assert_eq!((found.num_right, found.num_posed, found.said[0].as_str()), (3, 4, "told 0°, 90°, 0°, 270°: 3 of 4 right"));
        let (pictures, side) = (&found.pictures[0], 24 * enlargement([24, 24]));
        assert!(side >= 128 && pictures.iter().all(|picture| (picture.height, picture.width) == (side, side)));
        assert_eq!([0, 1, 2, 3].map(|turn| pixel(&pictures[turn], side / 2, 0)), [RIGHT, RIGHT, WRONG, RIGHT]);
        // The right answer's bar is green; one that was told instead of it is red, and taller.
        let above_frame = side - FRAME_PX - 1;
        assert_eq!(pixel(&pictures[0], above_frame, side / 8), RIGHT);
        assert_eq!([1, 5].map(|eighth| pixel(&pictures[2], above_frame, side * eighth / 8)), [WRONG, RIGHT]);
        assert_ne!(pixel(&pictures[2], side - side / 8, side * 5 / 8), RIGHT);
    }

    #[test]
    fn shuffled_tiles_are_put_back_as_the_network_tells() {
        let recipe = recipe("jigsaw");
        let right = solved(&recipe, &preview(&recipe, &|class| class)).unwrap().unwrap();
        let wrong = solved(&recipe, &preview(&recipe, &|class| (class + 1) % 24)).unwrap().unwrap();
        assert_eq!(right.columns, ["Shuffled", "Put back"]);
        assert!(right.said[0].ends_with(": right") && wrong.said[0].ends_with(": wrong"), "{:?} {:?}", right.said, wrong.said);
        let side = 24 * enlargement([24, 24]);
        let is_whole = |picture: &Picture| {
            let steps = (1..20).map(|step| side * step / 20);
            steps.clone().zip(steps.skip(1)).all(|(a, b)| pixel(picture, a, a)[0] <= pixel(picture, b, b)[0])
        };
        assert!(is_whole(&right.pictures[0][1]) && !is_whole(&wrong.pictures[0][1]) && !is_whole(&right.pictures[0][0]));
        assert_eq!((pixel(&right.pictures[0][1], 0, 9), pixel(&wrong.pictures[0][1], 0, 9)), (RIGHT, WRONG));
    }

    #[test]
    fn other_previews_hold_none_and_damaged_ones_are_refused() {
        let recipe = recipe("rotation");
        let mut tensors = preview(&recipe, &|class| class);
        tensors.insert("answers".into(), HostTensor::new([1, 3], vec![0.0; 3]));
        assert!(solved(&recipe, &tensors).unwrap_err().to_string().contains("do not fit"));
        tensors.remove("answers");
        assert_eq!(solved(&recipe, &tensors).unwrap(), None);
        assert_eq!(solved(&Recipe::preset("dino").unwrap(), &preview(&recipe, &|class| class)).unwrap(), None);
    }

    #[test]
    fn more_classes_than_pixels_do_no_harm() {
        let mut picture = Picture::filled(20, 10, [255; 3]);
        let mut probabilities = vec![0.0; 100];
        (probabilities[37], probabilities[99]) = (1.0, f32::NAN);
        bars(&mut picture, &probabilities, 37);
        assert_eq!(pixel(&picture, 19, 3), RIGHT);
    }
}
