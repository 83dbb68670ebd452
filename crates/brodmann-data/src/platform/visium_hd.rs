//! Visium HD (Space Ranger 3 and 4): <https://www.10xgenomics.com/support/software/space-ranger>.
//!
//! `binned_outputs/square_00{2,8,16}um`, each laid out as a Visium folder, and since Space Ranger 4
//! `segmented_outputs` with a matrix of cells and their outlines. Coordinates are pixels of the full picture.

use std::path::{Path, PathBuf};

use brodmann_kernels::{Opt, OptionError};

use super::join::rows_by_id;
use super::polygons::read_geojson;
use super::space::{Slide, Unit, images, json, typical_diameter};
use super::{Bin, Opened, Platform, Source, features, note_choice, space, tenx, visium};
use crate::hdf5::Hdf5Reader;
use crate::{DataError, Value, keys};

pub(super) struct VisiumHd;

/// Micrometres of the squares that are taken where nothing is said.
const DEFAULT_BIN: u32 = 8;

/// What a folder of Visium HD holds.
struct Found {
    /// Side in micrometres and folder, rising.
    squares: Vec<(u32, PathBuf)>,
    cells: Option<PathBuf>,
}

impl Found {
    fn in_folder(folder: &Path) -> Self {
        let mut found = Self { squares: Vec::new(), cells: None };
        for outs in [folder.to_path_buf(), folder.join("outs")] {
            // The folder of the squares, or that of the cells, may be what was given.
            for binned in [outs.join("binned_outputs"), outs.clone()] {
                let entries = std::fs::read_dir(&binned).into_iter().flatten().filter_map(Result::ok);
                for path in entries.map(|e| e.path()) {
                    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    let side = name.strip_prefix("square_").and_then(|n| n.strip_suffix("um"));
                    let side = side.and_then(|s| s.parse().ok()).filter(|_| visium::locate(&path).is_some());
                    if let Some(side) = side {
                        found.squares.push((side, path));
                    }
                }
            }
            for segmented in [outs.join("segmented_outputs"), outs.clone()] {
                let complete = matrix_of_cells(&segmented).is_some() && outlines(&segmented).is_some();
                if found.cells.is_none() && complete {
                    found.cells = Some(segmented);
                }
            }
        }
        found.squares.sort();
        found
    }

    fn describe(&self) -> String {
        let sides: Vec<String> = self.squares.iter().map(|(side, _)| side.to_string()).collect();
        let squares = (!sides.is_empty()).then(|| format!("squares of {} um", sides.join(", ")));
        let cells = self.cells.as_ref().map(|_| "segmented cells".to_owned());
        squares.into_iter().chain(cells).collect::<Vec<_>>().join(" and ")
    }
}

fn matrix_of_cells(segmented: &Path) -> Option<PathBuf> {
    let names = ["filtered_feature_cell_matrix.h5", "raw_feature_cell_matrix.h5"];
    names.iter().map(|name| segmented.join(name)).find(|path| path.is_file())
}

fn outlines(segmented: &Path) -> Option<PathBuf> {
    let names = ["cell_segmentations.geojson", "graphclust_annotated_cell_segmentations.geojson"];
    names.iter().map(|name| segmented.join(name)).find(|path| path.is_file())
}

impl Platform for VisiumHd {
    fn names(&self) -> &'static [&'static str] {
        &["visium-hd"]
    }

    fn looks_for(&self) -> &'static str {
        "Visium HD (binned_outputs/square_*um or segmented_outputs, here or in outs/)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["bin"]
    }

    fn matches(&self, path: &Path) -> bool {
        let found = Found::in_folder(path);
        !found.squares.is_empty() || found.cells.is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let found = Found::in_folder(source.path);
        let monitor = source.monitor;
        if found.squares.is_empty() && found.cells.is_none() {
            return Err(DataError::UnknownFormat {
                path: source.path.to_path_buf(),
                looked_for: self.looks_for().to_owned(),
            });
        }
        let asked = source.options.bin;
        let wants_cells = asked == Some(Bin::Cells) || (found.squares.is_empty() && asked.is_none());
        if wants_cells {
            let Some(segmented) = &found.cells else {
                return Err(OptionError::new(
                    "bin",
                    format!("cells for {}, which has {}", source.path.display(), found.describe()),
                    "segmented_outputs with cell_segmentations.geojson",
                )
                .into());
            };
            note_choice(monitor, &found.describe(), "segmented cells", Opt("bin"));
            return cells(source, segmented);
        }
        let wanted = match asked {
            Some(Bin::Side(side)) => side,
            _ => DEFAULT_BIN,
        };
        let exact = found.squares.iter().find(|(side, _)| *side == wanted);
        let Some((side, folder)) = exact.or(match asked {
            Some(_) => None,
            // Without the usual ones the finest that is not finer, else the coarsest.
            None => found.squares.iter().find(|(side, _)| *side > wanted).or(found.squares.last()),
        }) else {
            let found = format!("{wanted} for {}, which has {}", source.path.display(), found.describe());
            return Err(OptionError::new("bin", found, "a side that is there").into());
        };
        note_choice(monitor, &found.describe(), &format!("those of {side} um"), Opt("bin"));
        visium::read_folder(source, folder)
    }
}

/// Segmented cells, at the centroids of their outlines.
fn cells(source: &Source<'_>, segmented: &Path) -> Result<Opened, DataError> {
    let missing = |name: &str| DataError::Missing { path: segmented.join(name) };
    let counts = matrix_of_cells(segmented).ok_or_else(|| missing("filtered_feature_cell_matrix.h5"))?;
    let outlined = outlines(segmented).ok_or_else(|| missing("cell_segmentations.geojson"))?;
    let (mut adata, by_row) = tenx::counts(&counts, source.options.genome.as_deref(), source.read.x)?;
    let (stored, metadata) = tenx::library(&Hdf5Reader::open(&counts)?)?;
    let mut outlines = read_geojson(&outlined)?;
    // Numbers there, `cellid_000000001-1` in the matrix.
    let named = adata.obs_names().first().is_some_and(|name| name.starts_with("cellid_"));
    if named {
        for id in &mut outlines.ids {
            if let Ok(number) = id.parse::<u64>() {
                *id = format!("cellid_{number:09}-1");
            }
        }
    }
    let rows = rows_by_id(adata.obs_names(), &counts, &outlines.ids, &outlined)?;
    let centroids = outlines.centroids();
    let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|&i| centroids[i]).unzip();
    adata.obsm.insert(keys::SPATIAL.to_owned(), space::pairs(&x, &y));
    let areas = outlines.areas();
    let areas: Vec<f64> = rows.iter().map(|&i| areas[i]).collect();
    let mut slide = Slide::new(Unit::Pixel, typical_diameter(&areas));
    adata.obs.columns.insert("cell_area".to_owned(), crate::Column::Float64(areas));
    let spatial = segmented.join("spatial");
    let factors = spatial.join("scalefactors_json.json");
    if factors.is_file() {
        let diameter = slide.scalefactors.clone();
        slide.scalefactors = json(&factors)?;
        // That of the file is of the spots of another product.
        slide.scalefactors.extend(diameter);
    }
    if source.wants_pictures() {
        slide.images = images(&spatial)?;
        slide.boundaries.insert(keys::CELL_BOUNDARIES.to_owned(), outlines.stored(adata.obs_names()));
    }
    slide.metadata.extend(metadata.into_iter().map(|(k, v)| (k, Value::String(v))));
    slide.add(&mut adata, source.library(stored));
    features::split_modalities(adata, by_row, source.monitor)
}
