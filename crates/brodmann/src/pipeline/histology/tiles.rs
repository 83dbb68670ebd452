//! Features of tiles that another program made of the slide: joined by the names of spots, or by place.
//!
//! A table of tiles, as lazyslide and sopa write it: an AnnData with a row per tile and a column per feature, alone
//! (`.h5ad`, `.zarr`) or as a table of a SpatialData store, whose shapes then say where the tiles lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use brodmann_data::{AnnData, Container, DataError, OpenFile, ReadOptions, Select, keys};
use brodmann_kernels::Opt;
use ndarray::{Array2, ArrayView2, Axis};

use super::request::SlideOptions;
use super::to_slide::ToSlide;
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;
use crate::plot::median_neighbor_distance;

/// Where a SpatialData store keeps its tables.
const TABLES: &str = "tables";

/// The file or store of a table, and its name where the path leads into a store: `slide.zarr/tables/uni`.
pub(super) fn store_and_table(path: &Path) -> Option<(PathBuf, Option<String>)> {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    if ends(path, "h5ad") || ends(path, "zarr") {
        return Some((path.to_path_buf(), None));
    }
    let (name, tables) = (path.file_name()?.to_str()?, path.parent()?);
    let store = tables.parent()?;
    let is_within = tables.file_name().is_some_and(|n| n == TABLES) && ends(store, "zarr");
    is_within.then(|| (store.to_path_buf(), Some(name.to_owned())))
}

/// Features of each spot, with the names of their columns and how they were joined.
///
/// # Errors
/// Those of the file; [`PipelineError::Option`] for spots that have neither a name nor a tile in the table.
pub(super) fn of_tiles(
    tissue: &Tissue,
    path: &Path,
    slide: &SlideOptions,
    spatial_key: &str,
) -> Result<(Vec<String>, Array2<f64>, String), PipelineError> {
    let tiles = read(path)?;
    let x = tiles.x.as_ref().map(|x| x.to_dense_f64().into_owned());
    let Some(x) = x.filter(|x| x.ncols() > 0 && x.nrows() > 0) else {
        let expected = "a table with a row of features per tile";
        return Err(PipelineError::option("encoder", format!("{} without values", path.display()), expected));
    };
    let columns = tiles.var.index.clone();
    let by_name: HashMap<&str, usize> =
        tiles.obs.index.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let named: Vec<Option<usize>> =
        tissue.obs_names().iter().map(|name| by_name.get(name.as_str()).copied()).collect();
    let n_named = named.iter().flatten().count();
    if let Some(rows) = named.iter().copied().collect::<Option<Vec<usize>>>() {
        return Ok((columns, x.select(Axis(0), &rows), "by the names of the spots".to_owned()));
    }
    // Names alone, of the same kind: then a spot that lacks is a mistake, whatever lies near it.
    if 2 * n_named > tissue.n_obs() {
        let lacking = named.iter().position(Option::is_none).map_or("", |i| &tissue.obs_names()[i]);
        let found = format!("{} with {n_named} of {} spots", path.display(), tissue.n_obs());
        return Err(PipelineError::option("encoder", found, format!("a row for every spot, also {lacking}")));
    }
    let places = tiles.obsm.get(keys::SPATIAL).and_then(|value| value.as_array()?.to_f64());
    let places: Option<Array2<f64>> = places.and_then(|places| places.into_dimensionality().ok());
    let Some(centres) = places.filter(|places| places.ncols() >= 2) else {
        let found =
            format!("{}, whose rows bear other names than the spots and have no place", path.display());
        let expected = format!("the spots' own names, or the tiles' centres in obsm[{:?}]", keys::SPATIAL);
        return Err(PipelineError::option("encoder", found, expected));
    };
    let spots = tissue.coordinates(spatial_key)?;
    let to_slide = match (&slide.image_transform, slide.image_scale) {
        (Some(path), _) => ToSlide::of_file(path)?,
        (None, scale) => ToSlide::scale(scale.unwrap_or(1.0)),
    };
    let spots = Array2::from_shape_fn((spots.nrows(), 2), |(i, axis)| {
        to_slide.pixel(spots[(i, 0)], spots[(i, 1)])[axis]
    });
    let width = median_neighbor_distance(centres.view()).filter(|w| *w > 0.0);
    let rows = width.map(|width| nearest_within(spots.view(), centres.view(), width)).unwrap_or_default();
    let far = rows.iter().filter(|row| row.is_none()).count();
    let Some(rows) = rows.into_iter().collect::<Option<Vec<usize>>>().filter(|rows| !rows.is_empty()) else {
        let found = match width {
            Some(width) => format!(
                "{}, in which {far} of {} spots have no tile within {width:.1} (the distance of two tiles)",
                path.display(),
                tissue.n_obs()
            ),
            None => format!("{} with a single tile", path.display()),
        };
        let expected = format!(
            "a tile at every spot; say with {} how many units of the tiles one of the spots has",
            Opt("image_scale")
        );
        return Err(PipelineError::option("encoder", found, expected));
    };
    Ok((columns, x.select(Axis(0), &rows), format!("by the nearest of {} tiles", centres.nrows())))
}

/// The table at a path.
fn read(path: &Path) -> Result<AnnData, PipelineError> {
    let Some((store, table)) = store_and_table(path) else {
        let expected = "a .h5ad, a .zarr, or STORE.zarr/tables/NAME";
        return Err(PipelineError::option("encoder", path.display(), expected));
    };
    let mut options = ReadOptions::names_only();
    options.x = true;
    options.obsm = Select::only([keys::SPATIAL]);
    let opened = OpenFile::open_table(&store, table.as_deref(), None).map_err(|error| match error {
        // The table is named in the path here.
        DataError::MissingKey { container, key, place, existing, .. } if container == TABLES => {
            let first = existing.first().map_or("NAME", String::as_str);
            let otherwise = vec![format!("name one as {}/{TABLES}/{first}", store.display())];
            DataError::MissingKey { container, key, place, existing, named_by: None, otherwise }
        }
        other => other,
    })?;
    match opened.read(&options)? {
        Container::AnnData(adata) => Ok(adata),
        Container::MuData(_) => {
            let found = format!("{}, a MuData", path.display());
            Err(PipelineError::option("encoder", found, "an AnnData with a row per tile"))
        }
    }
}

/// For each place the nearest centre, at most `width` away; of equally near ones the first.
fn nearest_within(
    places: ArrayView2<'_, f64>,
    centres: ArrayView2<'_, f64>,
    width: f64,
) -> Vec<Option<usize>> {
    // In squares of that width what is near lies in one of nine.
    let square = |x: f64, y: f64| ((x / width).floor() as i64, (y / width).floor() as i64);
    let mut in_square: HashMap<(i64, i64), Vec<usize>> = HashMap::new();
    for (i, centre) in centres.rows().into_iter().enumerate() {
        in_square.entry(square(centre[0], centre[1])).or_default().push(i);
    }
    let nearest = |place: ndarray::ArrayView1<'_, f64>| {
        let (column, row) = square(place[0], place[1]);
        let around = (-1..=1).flat_map(|i| (-1..=1).map(move |j| (i, j)));
        around
            .filter_map(|(i, j)| in_square.get(&(column.saturating_add(i), row.saturating_add(j))))
            .flatten()
            .map(|&i| ((centres[(i, 0)] - place[0]).hypot(centres[(i, 1)] - place[1]), i))
            .filter(|(distance, _)| *distance <= width)
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, i)| i)
    };
    places.rows().into_iter().map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_lead_into_a_store() {
        let of = |text: &str| store_and_table(Path::new(text));
        assert_eq!(of("tiles.h5ad"), Some(("tiles.h5ad".into(), None)));
        assert_eq!(of("a/slide.zarr"), Some(("a/slide.zarr".into(), None)));
        assert_eq!(of("slide.zarr/tables/uni"), Some(("slide.zarr".into(), Some("uni".to_owned()))));
        assert_eq!(of("slide/tables/uni"), None);
        assert_eq!(of("byol"), None);
    }

    #[test]
    fn the_nearest_tile_is_one_within_a_width() {
        let centres = ndarray::array![[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
        let places = ndarray::array![[1.0, 2.0], [9.0, 8.0], [5.0, 0.0], [-9.0, 0.0], [30.0, 0.0]];
        let found = nearest_within(places.view(), centres.view(), 10.0);
        // As near to the first as to the second: the first.
        assert_eq!(found, [Some(0), Some(3), Some(0), Some(0), None]);
    }
}
