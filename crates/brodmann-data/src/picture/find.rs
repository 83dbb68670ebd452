//! Which pictures lie in the folder of an instrument.

use std::path::{Path, PathBuf};

/// A picture that lies beside measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSlide {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is, in words.
    pub what: String,
    /// What it shows.
    pub shows: Shows,
    /// A file that aligns it with the instrument's coordinates, as Xenium Explorer exports it.
    pub alignment: Option<PathBuf>,
}

/// What a picture beside measurements shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Stained tissue at full resolution.
    Stain,
    /// A smaller copy of it.
    Copy,
    /// Fluorescence.
    Fluorescence,
}

/// Folders of an instrument's output that pictures lie in.
const FOLDERS: [&str; 6] =
    ["", "spatial", "outs", "outs/spatial", "morphology_focus", "outs/morphology_focus"];

/// Pictures in a folder as Visium, Visium HD or Xenium writes it, the best for histology first: stained tissue before
/// fluorescence, full resolution before reduced copies.
///
/// Known by their names alone; none is opened.
pub fn find_slides(folder: &Path) -> Vec<FoundSlide> {
    let mut found: Vec<(usize, FoundSlide)> = Vec::new();
    let binned = ["binned_outputs", "outs/binned_outputs"].map(|f| folder.join(f));
    let squares = binned.iter().flat_map(|f| names(f).into_iter().map(|n| f.join(n).join("spatial")));
    for place in FOLDERS.iter().map(|f| folder.join(f)).chain(squares) {
        let names = names(&place);
        for name in &names {
            let Some((rank, what)) = kind(name) else { continue };
            let stem = name.split('.').next().unwrap_or_default();
            let alignment = names.iter().find(|n| {
                n.starts_with(stem) && n.contains("alignment") && n.to_lowercase().ends_with(".csv")
            });
            let shows = match rank {
                ..=2 => Shows::Stain,
                3 | 4 => Shows::Copy,
                _ => Shows::Fluorescence,
            };
            let what = match alignment {
                Some(csv) => format!("{what}, aligned by {csv}"),
                None => what.to_owned(),
            };
            let alignment = alignment.map(|csv| place.join(csv));
            found.push((rank, FoundSlide { path: place.join(name), what, shows, alignment }));
        }
    }
    // Equal ones stay in the order of folders and names.
    found.sort_by_key(|(rank, _)| *rank);
    // The same copy lies beside the squares of every size.
    let reduced = |slide: &FoundSlide| {
        slide.path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("tissue_"))
    };
    let mut slides: Vec<FoundSlide> = Vec::new();
    for (_, slide) in found {
        let again = slides.iter().any(|s| reduced(s) && s.path.file_name() == slide.path.file_name());
        if !again {
            slides.push(slide);
        }
    }
    slides
}

/// Rank and kind of a picture of this name.
fn kind(name: &str) -> Option<(usize, &'static str)> {
    let lower = name.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|e| lower.ends_with(e));
    let tiff = ends(&[".ome.tif", ".ome.tiff", ".tif", ".tiff", ".btf", ".svs"]);
    let small = ends(&[".png", ".jpg", ".jpeg"]);
    Some(match lower.as_str() {
        n if tiff && n.contains("he_image") => (0, "stained tissue at full resolution"),
        n if (tiff || small) && n.starts_with("tissue_fullres_image") => (1, "the full picture"),
        n if n.starts_with("tissue_hires_image") && (small || tiff) => (3, "a reduced copy (hires)"),
        n if n.starts_with("tissue_lowres_image") && small => (4, "a reduced copy (lowres)"),
        n if tiff && n.starts_with("morphology_focus") => (5, "fluorescence at full resolution, in focus"),
        n if tiff && n.starts_with("ch0") => (5, "fluorescence at full resolution, in focus"),
        n if tiff && n.starts_with("morphology_mip") => {
            (6, "fluorescence at full resolution, brightest planes")
        }
        n if tiff && n.starts_with("morphology") => (7, "fluorescence at full resolution, a stack"),
        n if tiff && n.contains("if_image") => (8, "fluorescence at full resolution"),
        n if ends(&[".svs"]) && !n.starts_with('.') => (2, "a slide"),
        _ => return None,
    })
}

/// Names in a folder, sorted; none where it is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stained_tissue_comes_before_fluorescence_and_full_resolution_before_copies() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = [
            "spatial/tissue_lowres_image.png",
            "spatial/tissue_hires_image.png",
            "spatial/scalefactors_json.json",
            "binned_outputs/square_008um/spatial/tissue_hires_image.png",
            "morphology.ome.tif",
            "morphology_focus/ch0000_dapi.ome.tif",
            "Xenium_he_image.ome.tif",
            "Xenium_he_imagealignment.csv",
        ];
        for path in paths {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("writable");
        }
        let found = find_slides(folder.path());
        let names: Vec<String> = found
            .iter()
            .map(|f| f.path.strip_prefix(folder.path()).expect("below").to_string_lossy().replace('\\', "/"))
            .collect();
        assert_eq!(
            names,
            [
                "Xenium_he_image.ome.tif",
                "spatial/tissue_hires_image.png",
                "spatial/tissue_lowres_image.png",
                "morphology_focus/ch0000_dapi.ome.tif",
                "morphology.ome.tif",
            ]
        );
        assert_eq!(
            found[0].what,
            "stained tissue at full resolution, aligned by Xenium_he_imagealignment.csv"
        );
        assert_eq!(found[0].alignment, Some(folder.path().join("Xenium_he_imagealignment.csv")));
        let shows: Vec<Shows> = found.iter().map(|f| f.shows).collect();
        assert_eq!(shows, [Shows::Stain, Shows::Copy, Shows::Copy, Shows::Fluorescence, Shows::Fluorescence]);
        assert_eq!(find_slides(&folder.path().join("none")), []);
    }
}
