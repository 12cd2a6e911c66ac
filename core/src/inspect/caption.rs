//! Words inside pictures: a picture that leaves the program carries what its columns are and what must be known to read it.

use font8x8::UnicodeFonts as _;

use super::picture::{Picture, strip};

/// Side of a letter in pixels, before enlarging.
const LETTER: usize = 8;
/// Pixels between columns, and around words.
const GUTTER: usize = 4;
const PAPER: [u8; 3] = [255, 255, 255];
const INK: [u8; 3] = [40, 40, 44];
/// Smaller pictures are enlarged to at least this height, pixel by pixel.
const SHOWN_PX: usize = 128;

/// Pictures side by side under their headings, with a note below. Small pictures are enlarged by a whole factor.
pub fn labeled_strip(columns: &[(impl AsRef<str>, Picture)], note: &str) -> Picture {
    let factor = columns.iter().map(|(_, picture)| SHOWN_PX / picture.height.max(1)).min().unwrap_or(1).max(1);
    let labeled: Vec<Picture> = columns
        .iter()
        .map(|(heading, picture)| {
            let picture = picture.enlarged(factor);
            let mut column = Picture::filled(picture.height + LETTER + 2 * GUTTER, picture.width, PAPER);
            write(&mut column, heading.as_ref(), GUTTER, 0);
            column.paste(&picture, LETTER + 2 * GUTTER, 0);
            column
        })
        .collect();
    with_note(&strip(&labeled, GUTTER, PAPER), note)
}

/// The picture with lines of words below it, broken to its width; nothing is added for an empty note.
fn with_note(picture: &Picture, note: &str) -> Picture {
    let per_line = (picture.width / LETTER).max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in note.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= per_line => *line = format!("{line} {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.is_empty() {
        return picture.clone();
    }
    let line_height = LETTER + GUTTER;
    let mut noted = Picture::filled(picture.height + GUTTER + lines.len() * line_height, picture.width, PAPER);
    noted.paste(picture, 0, 0);
    for (index, line) in lines.iter().enumerate() {
        write(&mut noted, line, picture.height + GUTTER + index * line_height, 0);
    }
    noted
}

/// Writes a line of words; what does not fit into the width is cut off.
fn write(picture: &mut Picture, words: &str, top: usize, left: usize) {
    for (index, letter) in words.chars().enumerate() {
        let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or([0; LETTER]);
        for (y, row) in rows.into_iter().enumerate() {
            for x in (0..LETTER).filter(|x| row & (1 << x) != 0) {
                let (y, x) = (top + y, left + index * LETTER + x);
                if y < picture.height && x < picture.width {
                    let at = (y * picture.width + x) * 3;
                    picture.rgb[at..at + 3].copy_from_slice(&INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_headed_enlarged_and_noted() {
        let column = || Picture::filled(32, 40, [200, 0, 0]);
        let plain = labeled_strip(&[("one", column()), ("two", column())], "");
        assert_eq!((plain.height, plain.width), (128 + 16, 2 * 160 + 4));
        let noted = labeled_strip(&[("one", column()), ("two", column())], "brightness and contrast are borrowed from the original");
        assert_eq!(noted.width, plain.width);
        assert_eq!(noted.height, plain.height + 4 + 2 * 12, "54 letters need two lines of 40");
        let ink = |picture: &Picture| picture.rgb.chunks_exact(3).filter(|pixel| *pixel == INK).count();
        assert!(ink(&plain) > 20 && ink(&noted) > ink(&plain));
    }

    #[test]
    fn words_that_do_not_fit_do_no_harm() {
        let tiny = labeled_strip(&[("a long heading", Picture::filled(1, 1, [0, 0, 0]))], "a note much longer than the picture");
        assert!(tiny.width >= 1 && tiny.height > 1);
    }
}
