//! Embeddings as a plot of their own: axes, points as large as their number allows, no tissue.

use std::path::Path;
use std::sync::Arc;

use brodmann_data::{DataError, element_names};
use brodmann_kernels::Opt;
use ndarray::{Axis, stack};

use super::{PictureRequest, axes_of};
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Color, Part, Plot, Scatter, Sheet};

/// Plots side by side where nobody says how many.
const ABREAST: usize = 4;

/// The key of `obsm` that a basis means, where a file says so before it is read: itself, with `X_` before it, or the only
/// one that ends so. `None` where all tables have to be read: those of modalities, or of an instrument's folder.
pub(super) fn key_in_file(basis: &str, input: &Path) -> Option<String> {
    resolved(basis, &element_names(input, None, "obsm").unwrap_or_default())
}

fn resolved(basis: &str, there: &[String]) -> Option<String> {
    let prefixed = format!("X_{basis}");
    if let Some(key) = [basis, &prefixed].into_iter().find(|key| there.iter().any(|k| k == key)) {
        return Some(key.to_owned());
    }
    let ending = format!("_{basis}");
    let mut ends = there.iter().filter(|key| key.ends_with(&ending));
    let only = ends.next().filter(|_| !basis.is_empty());
    only.filter(|_| ends.next().is_none()).cloned()
}

/// One plot for each colour.
///
/// # Errors
/// [`DataError::MissingKey`] naming the tables there are; [`PipelineError::Option`] where one has too few columns.
pub(super) fn sheet(
    tissue: &Tissue,
    basis: &str,
    colors: Vec<(String, Color)>,
    request: &PictureRequest,
) -> Result<Sheet, PipelineError> {
    let there = tissue.tables_read();
    let found = resolved(basis, &there).and_then(|key| Some((tissue.table(&key)?.1, key)));
    let Some((table, key)) = found else {
        let advice = format!("lay an embedding out in the plane: a method with {}", Opt("umap"));
        return Err(DataError::MissingKey {
            container: "obsm".to_owned(),
            key: basis.to_owned(),
            place: "the input".to_owned(),
            existing: there,
            named_by: Some(Opt("basis")),
            otherwise: vec![advice],
        }
        .into());
    };
    let [a, b] = request.components;
    if a.max(b) >= table.ncols() {
        let found = format!("{},{}, while {key} has {} columns", a + 1, b + 1, table.ncols());
        return Err(PipelineError::option("components", found, "two columns it has, the first being 1"));
    }
    let plane = stack(Axis(1), &[table.column(a), table.column(b)])
        .map_err(|_| PipelineError::option("components", key.as_str(), "two columns of one length"))?;
    let plane = Arc::new(plane);
    let (axis_names, with_numbers) = axes_of(&key, request.components);
    let plots: Vec<Plot> = colors
        .into_iter()
        .map(|(title, color)| {
            Plot::Scatter(Scatter {
                title,
                axis_names: axis_names.clone(),
                coordinates: Arc::clone(&plane),
                color,
                names_inside: true,
                with_numbers,
                plot_size: request.panel_px,
            })
        })
        .collect();
    let square = (plots.len() as f64).sqrt().ceil() as usize;
    let columns = request
        .columns
        .unwrap_or_else(|| if plots.len() <= ABREAST { plots.len() } else { square.min(ABREAST) });
    Ok(Sheet { title: request.title.clone(), parts: vec![Part::Grid(plots, columns)], ..Sheet::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basis_is_found_by_its_short_name() {
        let there = ["spatial", "X_pca", "X_staig_umap"].map(str::to_owned);
        let found = |basis: &str| resolved(basis, &there);
        assert_eq!(found("pca").as_deref(), Some("X_pca"));
        assert_eq!(found("X_pca").as_deref(), Some("X_pca"));
        assert_eq!(found("umap").as_deref(), Some("X_staig_umap"), "the only one");
        assert_eq!(found("tsne"), None);
        assert_eq!(found(""), None);
        let two = ["X_spami_umap", "X_staig_umap"].map(str::to_owned);
        assert_eq!(resolved("umap", &two), None, "which of them?");
        assert_eq!(resolved("staig_umap", &two).as_deref(), Some("X_staig_umap"));
    }
}
