//! Sweeps that come with the program: the ablation tables of papers, at a size that trains in minutes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use maskroom_core::error::Error;
use maskroom_core::registry::suggestion;

/// A built-in sweep by the name of its file.
macro_rules! sweeps {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../sweeps/", $name, ".toml")))),+]
    };
}

/// Name and text of each.
pub const SWEEPS: &[(&str, &str)] = sweeps![
    "mae-decoder-depth",
    "mae-decoder-width",
    "mae-encoder-mask-tokens",
    "mae-targets",
    "mae-augmentation",
    "mae-masking",
    "beit-table-4",
    "um-mae-sampling",
    "maskfeat-targets",
];

/// The text of a sweep, and the folder that recipes named in it are looked for in: a built-in one, or a file.
///
/// # Errors
/// [`Error::Usage`] for an unknown name and for a file that cannot be read.
pub fn find(name: &str) -> Result<(String, PathBuf)> {
    if let Some((_, text)) = SWEEPS.iter().find(|(known, _)| *known == name) {
        return Ok(((*text).to_owned(), PathBuf::new()));
    }
    let path = Path::new(name);
    if !(name.ends_with(".toml") || name.contains(['/', '\\']) || path.is_file()) {
        let cure = suggestion(name, SWEEPS.iter().map(|(known, _)| *known));
        return Err(Error::Usage(format!("`{name}` is neither a sweep file nor a built-in sweep: {cure}")).into());
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::Usage(format!("cannot read the sweep {name}: {error}; check the path")))?;
    Ok((text, path.parent().unwrap_or(Path::new("")).to_path_buf()))
}

/// What a sweep compares, in its own words.
pub fn title_of(text: &str) -> String {
    let title = text.parse::<toml::Table>().ok().and_then(|table| Some(table.get("title")?.as_str()?.to_owned()));
    title.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use maskroom_core::sweep::Sweep;

    use super::*;

    #[test]
    fn every_built_in_sweep_has_rows_that_resolve_to_valid_recipes() {
        for (name, text) in SWEEPS {
            let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(table["name"].as_str(), Some(*name));
            assert!(!title_of(text).is_empty() && table["source"].as_str().is_some(), "{name}");
            let sweep = Sweep::read(text, Path::new("")).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
            assert_eq!((sweep.seeds.as_slice(), sweep.toy_scenes.is_some()), (&[0, 1, 2][..], true), "{name}");
            assert!(sweep.rows.len() >= 2 && sweep.rows.iter().any(|row| !row.published.is_empty()), "{name}");
            // Rows that train the same would fill a table with nothing.
            let mut identities: Vec<String> = sweep.rows.iter().map(|row| sweep.identity(row, 0).unwrap()).collect();
            identities.sort();
            identities.dedup();
            assert_eq!(identities.len(), sweep.rows.len(), "{name}: two rows are the same recipe");
        }
    }

    #[test]
    fn a_slip_is_met_with_the_nearest_name() {
        let message = find("mae-decoder-dept").unwrap_err().to_string();
        assert!(message.contains("did you mean `mae-decoder-depth`?"), "{message}");
        assert!(find("none/such.toml").unwrap_err().to_string().contains("cannot read"));
    }
}
