//! Where spots lie: slices that are to be told apart, the length of a unit, lines around domains.

use std::collections::HashSet;

use brodmann_data::{Value, keys};
use brodmann_kernels::{Monitor, Opt};
use ndarray::{Array2, Axis};

use super::{library, scale_factor, spot_diameter};
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Border, Color, SpotShape, detect_shape};
use crate::stats::{Labels, domain_outlines};

/// Centres of neighbouring spots of a Visium slide are this far apart.
const VISIUM_PITCH_UM: f64 = 100.0;
/// As many of the diameters of spots that its software writes (55 or 65 µm, by version).
const VISIUM_PITCHES: std::ops::Range<f64> = 1.3..2.1;
/// Where Space Ranger keeps the size of a pixel.
const MICRONS_PER_PIXEL: &str = "microns_per_pixel";

/// The column that tells slices apart where nobody names one: that of several files joined, or the one whose
/// categories are the slides of `uns["spatial"]`.
pub(in crate::pipeline) fn slice_column(tissue: &Tissue, monitor: &dyn Monitor) -> Option<String> {
    let slides: HashSet<String> = tissue
        .uns(keys::SPATIAL)
        .and_then(Value::as_dict)
        .map(|libraries| libraries.keys().cloned().collect())
        .unwrap_or_default();
    let found = joined_column(tissue).or_else(|| {
        let names = || tissue.obs_columns().into_iter();
        names().filter(|_| slides.len() > 1).find(|key| slices_in(tissue, key).as_ref() == Some(&slides))
    })?;
    tell_slices(&found, monitor);
    Some(found)
}

/// The column with the slices of several files that were joined.
pub(in crate::pipeline) fn joined_column(tissue: &Tissue) -> Option<String> {
    slices_in(tissue, keys::LIBRARY_ID).map(|_| keys::LIBRARY_ID.to_owned())
}

/// Says which column that nobody named tells slices apart.
pub(in crate::pipeline) fn tell_slices(key: &str, monitor: &dyn Monitor) {
    monitor.note(&format!("slices are those of obs[{key:?}] ({} says otherwise)", Opt("library_key")));
}

/// The categories of a column that gives each spot one of several.
fn slices_in(tissue: &Tissue, key: &str) -> Option<HashSet<String>> {
    let labels = tissue.obs_column(key)?.to_categorical();
    let used: HashSet<i32> = labels.codes.iter().copied().filter(|c| *c >= 0).collect();
    let complete = labels.codes.iter().all(|c| *c >= 0);
    let names = used.iter().filter_map(|&c| labels.categories.get(usize::try_from(c).ok()?).cloned());
    complete.then(|| names.collect()).filter(|names: &HashSet<String>| names.len() > 1)
}

/// Micrometres per unit of the coordinates of a slice, where it is known: from the file, or from the lattice of Visium.
pub(super) fn um_per_unit(tissue: &Tissue, slice: &str, coordinates: &Array2<f64>) -> Option<f64> {
    let of_slice = library(tissue, slice);
    match tissue.coordinate_unit().as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("micrometre" | "micrometer" | "micron" | "microns" | "um" | "µm" | "μm") => return Some(1.0),
        Some("millimetre" | "millimeter" | "mm") => return Some(1000.0),
        Some("nanometre" | "nanometer" | "nm") => return Some(0.001),
        _ => {}
    }
    if let Some(size) = scale_factor(of_slice, MICRONS_PER_PIXEL) {
        return Some(size);
    }
    let diameter = spot_diameter(of_slice)?;
    match detect_shape(coordinates.view()) {
        SpotShape::Hexagon { pitch, .. } if VISIUM_PITCHES.contains(&(pitch / diameter)) => {
            Some(VISIUM_PITCH_UM / pitch)
        }
        _ => None,
    }
}

/// Lines around the categories of a slice; none around numbers.
///
/// # Errors
/// [`PipelineError`], as [`domain_outlines`].
pub(super) fn borders(color: &Color, coordinates: &Array2<f64>) -> Result<Vec<Border>, PipelineError> {
    let Color::Categorical { codes, names, .. } = color else { return Ok(Vec::new()) };
    let is_placed = |i: &usize| coordinates[[*i, 0]].is_finite() && coordinates[[*i, 1]].is_finite();
    let rows: Vec<usize> = (0..coordinates.nrows()).filter(is_placed).collect();
    let own: Vec<Option<u32>> = rows.iter().map(|&i| codes[i]).collect();
    let mut plane = coordinates.select(Axis(0), &rows);
    if plane.ncols() > 2 {
        plane = plane.select(Axis(1), &[0, 1]);
    }
    let labels = Labels { codes: &own, n_groups: names.len() };
    let outlines = domain_outlines(plane.view(), labels, None)?;
    let mut borders = Vec::new();
    for outline in outlines {
        for polygon in outline.polygons {
            for ring in std::iter::once(polygon.outer).chain(polygon.holes) {
                borders.push(Border { code: outline.label, ring });
            }
        }
    }
    Ok(borders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_border_runs_around_each_domain_and_none_around_numbers() {
        let xy = array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [f64::NAN, 0.0]];
        let codes = vec![Some(0), Some(0), Some(1), Some(1)];
        let color = Color::Categorical { codes, names: vec!["a".into(), "b".into()], palette: None };
        let found = borders(&color, &xy).expect("borders");
        assert_eq!(found.iter().map(|b| b.code).collect::<Vec<_>>(), [0, 1]);
        assert!(found[0].ring.iter().all(|[x, _]| *x < 1.6));
        assert!(borders(&Color::None, &xy).expect("none").is_empty());
    }
}
