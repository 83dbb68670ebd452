//! Coordinates that are probably not what they are taken for: said before the work, with the option that mends it.

use std::collections::HashMap;

use brodmann_data::{Column, OpenFile, ReadOptions, Select};
use brodmann_kernels::{Monitor, Opt};
use ndarray::ArrayView2;

use super::PipelineError;
use super::request::Place;
use super::scene::Scene;
use super::tissue::Tissue;

/// Axes whose extents differ by more are not in one unit. The longest tissue strips are some hundred times as long as wide.
const AXES_RATIO: f64 = 1000.0;
/// Share of spots at the place of another from which on something is wrong.
const COLOCATED: f64 = 0.05;
/// Share of those pairs that a column of sections takes apart.
const PARTED: f64 = 0.95;
/// Columns that name sections, as people call them.
const SECTIONS: [&str; 20] = [
    "library_id",
    "sample",
    "sample_id",
    "sample_name",
    "slice",
    "slice_id",
    "section",
    "section_id",
    "slide",
    "slide_id",
    "batch",
    "donor",
    "donor_id",
    "patient",
    "replicate",
    "puck",
    "orig.ident",
    "capture_area",
    "brain_section_label",
    "region",
];

/// Says what is doubtful about the coordinates of a tissue.
pub(super) fn tell(scene: &Scene<'_>, place: &Place, monitor: &dyn Monitor) {
    let Ok(coordinates) = scene.tissue.coordinates(&place.spatial_key) else { return };
    tell_axes(coordinates.view(), &place.spatial_key, monitor);
    let pairs = colocated(coordinates.view(), |i| scene.slices().map_or(0, |slices| slices.of(i)));
    if (pairs.len() as f64) < COLOCATED * coordinates.nrows() as f64 {
        return;
    }
    let share = 100.0 * pairs.len() as f64 / coordinates.nrows() as f64;
    let what = format!("{share:.0} % of the spots lie at the place of another");
    match sections(scene.tissue, &pairs).filter(|_| scene.library_key.is_none()) {
        Some((column, n)) => monitor.warn(&format!(
            "{what}: {n} sections lie on top of each other, and spots of one are taken for neighbours of the other; {} \
             keeps them apart",
            Opt("library_key").set(&column)
        )),
        None => monitor.warn(&format!(
            "{what}, and no column of obs tells them apart; check the coordinates, or name the sections with {}",
            Opt("library_key")
        )),
    }
}

/// Whether all rows are one row; of a single row there is nothing to be said.
fn is_constant(rows: ArrayView2<'_, f64>) -> bool {
    let Some(first) = rows.rows().into_iter().next() else { return false };
    // Without columns, or with one of coordinates, a table is refused for that.
    rows.nrows() > 1 && !first.is_empty() && rows.rows().into_iter().all(|row| row == first)
}

/// Refuses spots that all lie at one point: any neighbours found there would be invented.
///
/// # Errors
/// [`PipelineError::Column`].
pub(super) fn require_places(coordinates: ArrayView2<'_, f64>) -> Result<(), PipelineError> {
    if coordinates.ncols() < 2 || !is_constant(coordinates) {
        return Ok(());
    }
    Err(PipelineError::Column {
        element: "the table of coordinates".to_owned(),
        found: format!("one point for all {} spots", coordinates.nrows()),
        expected: "places that differ",
    })
}

/// Refuses features that are the same for all spots: any domains found there would be invented.
///
/// # Errors
/// [`PipelineError::Column`].
pub(super) fn require_differences(
    embedding: ArrayView2<'_, f64>,
    element: &str,
) -> Result<(), PipelineError> {
    if is_constant(embedding) { Err(no_differences(element.to_owned(), embedding.nrows())) } else { Ok(()) }
}

/// Why features that are the same for all spots are refused.
pub(super) fn no_differences(element: String, n_obs: usize) -> PipelineError {
    PipelineError::Column {
        element,
        found: format!("the same values for all {n_obs} spots"),
        expected: "expression that differs between spots",
    }
}

fn tell_axes(coordinates: ArrayView2<'_, f64>, key: &str, monitor: &dyn Monitor) {
    let extent = |j: usize| {
        let finite =
            coordinates.column(j).iter().copied().filter(|v| v.is_finite()).fold(None, |range, v| {
                let (low, high) = range.unwrap_or((v, v));
                Some((f64::min(low, v), f64::max(high, v)))
            });
        finite.map_or(0.0, |(low, high)| high - low)
    };
    if coordinates.ncols() < 2 {
        return;
    }
    let (first, second) = (extent(0), extent(1));
    let (small, large) = (first.min(second), first.max(second));
    if small > 0.0 && large > AXES_RATIO * small {
        monitor.warn(&format!(
            "the axes of obsm[{key:?}] seem to be in different units: the first spans {first}, the second {second}; \
             neighbours are then those along one axis alone; bring both into one unit, or name other columns with {}",
            Opt("spatial_columns")
        ));
    }
}

/// Pairs of spots at one place of one slice: each with the first there.
fn colocated(coordinates: ArrayView2<'_, f64>, slice: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let mut first: HashMap<(usize, Vec<u64>), usize> = HashMap::with_capacity(coordinates.nrows());
    let mut pairs = Vec::new();
    for (i, row) in coordinates.rows().into_iter().enumerate() {
        // Zero has two signs.
        let place: Vec<u64> = row.iter().map(|v| (v + 0.0).to_bits()).collect();
        match first.entry((slice(i), place)) {
            std::collections::hash_map::Entry::Occupied(entry) => pairs.push((*entry.get(), i)),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(i);
            }
        }
    }
    pairs
}

/// The column of obs that takes the pairs apart, and how many sections it names; one that is called like it first.
fn sections(tissue: &Tissue, pairs: &[(usize, usize)]) -> Option<(String, usize)> {
    let columns = obs_of(tissue);
    let parts = |column: &Column| {
        let named = column.to_categorical();
        let n = named.categories.len();
        let apart = pairs.iter().filter(|(a, b)| named.codes[*a] != named.codes[*b]).count();
        let few = (2..=1000).contains(&n) && n * 10 <= named.codes.len();
        (few && apart as f64 >= PARTED * pairs.len() as f64).then_some(n)
    };
    let found: Vec<(String, usize)> = columns
        .iter()
        .filter(|(_, column)| !matches!(column, Column::Float64(_) | Column::Float32(_)))
        .filter_map(|(name, column)| Some((name.clone(), parts(column)?)))
        .collect();
    let rank = |name: &str| {
        let name = name.to_lowercase();
        SECTIONS.iter().position(|s| *s == name).unwrap_or(SECTIONS.len())
    };
    found.into_iter().min_by_key(|(name, n)| (rank(name), *n))
}

/// All columns of obs of the observations that take part: of a file only a few were read.
fn obs_of(tissue: &Tissue) -> Vec<(String, Column)> {
    let loaded = || tissue.whole().obs.columns.iter().map(|(k, c)| (k.clone(), c.clone())).collect();
    let Some(file) = tissue.file() else { return loaded() };
    let read = |file: &OpenFile| {
        let options = ReadOptions { obs: Select::All, ..ReadOptions::names_only() };
        match file.read(&options).ok()? {
            brodmann_data::Container::AnnData(a) => Some(a.obs.columns),
            brodmann_data::Container::MuData(m) => Some(m.obs.columns),
        }
    };
    let Some(columns) = read(file) else { return loaded() };
    let chosen = |column: &Column| match tissue.kept_rows() {
        Some(rows) => column.select_rows(rows),
        None => column.clone(),
    };
    columns.iter().map(|(name, column)| (name.clone(), chosen(column))).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_does_not_differ_is_refused() {
        let (same, apart) = (array![[1.0, 2.0], [1.0, 2.0]], array![[1.0, 2.0], [1.0, 2.5]]);
        assert!(require_places(same.view()).is_err() && require_places(apart.view()).is_ok());
        assert!(require_differences(same.view(), "X_pca").is_err());
        assert!(require_differences(array![[1.0]].view(), "X_pca").is_ok());
    }

    #[test]
    fn spots_of_one_place_are_found_slice_by_slice() {
        let at = array![[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0], [2.0, 3.0]];
        assert_eq!(colocated(at.view(), |_| 0), [(0, 2), (1, 3)]);
        assert_eq!(colocated(at.view(), |i| i / 2), []);
    }
}
