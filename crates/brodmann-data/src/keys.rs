//! The names of keys in files, each written once: as scanpy, squidpy and spatialleiden write them, then ours.

use brodmann_kernels::diagnosis::OptionError;

/// `obsm`: spot centres, `(n_obs, 2 or 3)`; for Visium pixels of the full-resolution image.
pub const SPATIAL: &str = "spatial";
/// `obsm`: principal components.
pub const X_PCA: &str = "X_pca";
/// `obsm`: latent semantic indexing of peaks.
pub const X_LSI: &str = "X_lsi";
/// `obsm`: two-dimensional embedding for pictures.
pub const X_UMAP: &str = "X_umap";
/// `varm`: loadings of the principal components.
pub const PCS: &str = "PCs";
/// `uns`: parameters and explained variance of the principal components.
pub const PCA: &str = "pca";
/// `uns`: parameters of latent semantic indexing.
pub const LSI: &str = "lsi";
/// `uns`: parameters of the two-dimensional embedding.
pub const UMAP: &str = "umap";
/// `uns`: base of the logarithm applied to `X`.
pub const LOG1P: &str = "log1p";
/// `uns`: how variables were selected.
pub const HVG: &str = "hvg";

/// `obsp`: latent graph weights.
pub const CONNECTIVITIES: &str = "connectivities";
/// `obsp`: latent graph distances.
pub const DISTANCES: &str = "distances";
/// `uns`: parameters of the latent graph.
pub const NEIGHBORS: &str = "neighbors";
/// `obsp`: spatial graph weights.
pub const SPATIAL_CONNECTIVITIES: &str = "spatial_connectivities";
/// `obsp`: spatial graph distances.
pub const SPATIAL_DISTANCES: &str = "spatial_distances";
/// `uns`: parameters of the spatial graph.
pub const SPATIAL_NEIGHBORS: &str = "spatial_neighbors";

/// `obs` and `uns`: Leiden domains and their parameters.
pub const LEIDEN: &str = "leiden";
/// `obs` and `uns`: SpatialLeiden domains and their parameters.
pub const SPATIALLEIDEN: &str = "spatialleiden";
/// `obs` and `uns`: k-means domains and their parameters.
pub const KMEANS: &str = "kmeans";
/// `obs` and `uns`: domains of a Gaussian mixture and its parameters.
pub const GMM: &str = "gmm";
/// `obs` and `uns`: SpaMI domains and their parameters; `obsm`: prefixed and suffixed, its results.
pub const SPAMI: &str = "spami";
/// `obs` and `uns`: STAIG domains and their parameters; `obsm`: prefixed, its embedding.
pub const STAIG: &str = "staig";
/// `obs` and `uns`: domains from smoothed expression and their parameters; `obsm`: prefixed, the embedding.
pub const SMOOTHED_PCA: &str = "smoothed_pca";
/// `obs` and `uns`: domains from expression beside that of its surroundings; `obsm`: prefixed, the embedding.
pub const BANKSY: &str = "banksy";
/// `obs` and `uns`: domains that several methods agree on; prefixed, the members' labels, entropy and probabilities.
pub const DOMAINS: &str = "domains";
/// Domains of principal components and a mixture, without space.
pub const MIXTURE: &str = "mixture";
/// `obs`: annotated or simulated truth.
pub const GROUND_TRUTH: &str = "ground_truth";

/// `var`: whether a variable was selected.
pub const HIGHLY_VARIABLE: &str = "highly_variable";
/// `var`: rank of a selected variable.
pub const HIGHLY_VARIABLE_RANK: &str = "highly_variable_rank";
/// `var`: mean expression.
pub const MEANS: &str = "means";
/// `var`: dispersion.
pub const DISPERSIONS: &str = "dispersions";
/// `var`: normalised dispersion.
pub const DISPERSIONS_NORM: &str = "dispersions_norm";
/// `var`: variance.
pub const VARIANCES: &str = "variances";
/// `var`: standardised variance.
pub const VARIANCES_NORM: &str = "variances_norm";
/// `layers`: raw counts kept beside a transformed `X`.
pub const COUNTS: &str = "counts";

/// `obs`: whether a Visium spot lies under tissue.
pub const IN_TISSUE: &str = "in_tissue";
/// `obs`: row of a spot on the slide.
pub const ARRAY_ROW: &str = "array_row";
/// `obs`: column of a spot on the slide.
pub const ARRAY_COL: &str = "array_col";
/// `uns["spatial"][library]`: pictures.
pub const IMAGES: &str = "images";
/// `uns["spatial"][library]`: scale factors and the spot diameter.
pub const SCALEFACTORS: &str = "scalefactors";
/// `uns["spatial"][library]`: chemistry and software.
pub const METADATA: &str = "metadata";
/// `metadata`: what one unit of the coordinates is, `micrometre` or `pixel` (of the full picture).
pub const COORDINATE_UNIT: &str = "coordinate_unit";
/// `uns["spatial"][library]`: outlines of cells (`ids`, `starts`, `vertices`).
pub const CELL_BOUNDARIES: &str = "cell_boundaries";
/// `uns["spatial"][library]`: outlines of nuclei, as those of cells.
pub const NUCLEUS_BOUNDARIES: &str = "nucleus_boundaries";
/// `images`: the high-resolution picture.
pub const HIRES: &str = "hires";
/// `images`: the low-resolution picture.
pub const LOWRES: &str = "lowres";
/// `scalefactors`: full-resolution pixels to `hires` pixels.
pub const TISSUE_HIRES_SCALEF: &str = "tissue_hires_scalef";
/// `scalefactors`: full-resolution pixels to `lowres` pixels.
pub const TISSUE_LOWRES_SCALEF: &str = "tissue_lowres_scalef";
/// `scalefactors`: spot diameter in full-resolution pixels.
pub const SPOT_DIAMETER_FULLRES: &str = "spot_diameter_fullres";

/// `obs`: the slice a spot belongs to, as several datasets name it.
pub const LIBRARY_ID: &str = "library_id";
/// `var`: stable gene identifiers.
pub const GENE_IDS: &str = "gene_ids";
/// `var`: kind of each feature (`Gene Expression`, `Antibody Capture`, `Peaks`, ...).
pub const FEATURE_TYPES: &str = "feature_types";
/// `var`: reference genome of each feature.
pub const GENOME: &str = "genome";

/// Modality name: gene expression.
pub const RNA: &str = "rna";
/// Modality name: antibody-derived tags.
pub const ADT: &str = "adt";
/// Modality name: open chromatin.
pub const ATAC: &str = "atac";

/// Entries of `uns` that mean something else to scanpy, squidpy or a run of our own: no name for a result.
pub const RESERVED_UNS: [&str; 8] = [SPATIAL, NEIGHBORS, SPATIAL_NEIGHBORS, PCA, LSI, HVG, LOG1P, UMAP];

/// Refuses a name for a result that cannot be written, would replace a record of something else, or is that of
/// a column the run itself reads.
///
/// # Errors
/// [`OptionError`] of `key_added`.
pub fn check_key_added(key: &str, columns_read: &[Option<&str>]) -> Result<(), OptionError> {
    let refuse = |found| Err(OptionError::new("key_added", found, "a name of its own for the result"));
    if key.is_empty() {
        return refuse("empty".to_owned());
    }
    if key.contains('/') {
        return refuse(format!("{key:?}, which holds a '/'"));
    }
    if RESERVED_UNS.contains(&key) {
        return refuse(format!("{key:?}, which uns keeps for something else"));
    }
    if columns_read.contains(&Some(key)) {
        return refuse(format!("{key:?}, a column this run reads"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_takes_no_name_that_means_something_else() {
        for key in RESERVED_UNS.into_iter().chain(["a/b", "layer"]) {
            let error = check_key_added(key, &[None, Some("layer")]).expect_err("refused").to_string();
            assert!(error.starts_with(&format!("`key_added` is {key:?}, ")), "{error}");
        }
        assert!(check_key_added("", &[]).is_err());
        assert_eq!(check_key_added("spatialleiden", &[None, Some("layer")]), Ok(()));
    }
}
