//! From raw counts to features worth comparing.
//!
//! First stage of the pipeline: a matrix of counts (spots × genes, proteins or peaks) becomes a few dozen
//! coordinates per spot in which distance means dissimilarity. Matrices stay sparse all the way; nothing here
//! needs `n_obs × n_vars` numbers.
//!
//! [`preprocess()`] chains the steps with defaults for each modality; each step is public on its own.
//!
//! * [`rows`]: rows in blocks, from memory or a file; every statistic is a fold over them.
//! * [`feature_map`]: counts to what a network sees, and back.
//! * [`recipe`]: all steps in order, for RNA, proteins or peaks.
//! * [`modality`]: which of the three a matrix is, guessed from names.
//! * [`coexpression`]: modules of genes that are expressed together, eigengenes and hub genes.
//! * [`detect`]: raw counts or already normalised? The checks every step relies on.
//! * [`column_stats`]: means and variances of columns, totals of rows.
//! * [`filter_genes()`]: genes seen in too few spots.
//! * [`normalize_total()`]: the same total in every spot.
//! * [`log1p()`]: `ln(1 + x)`.
//! * [`highly_variable_genes()`]: genes that carry structure (three flavours).
//! * [`select_genes()`]: genes by variability, space, modules or redundancy, behind one door.
//! * [`scale()`]: unit variance, described rather than written out.
//! * [`pca()`]: principal components of the implicitly centred and scaled matrix.
//! * [`clr()`]: centred log-ratio of proteins.
//! * [`pca_dense()`]: principal components of a dense table, an embedding for instance.
//! * [`pca_sums`]: principal components of rows that lie in several places.
//! * [`qc`]: counts, genes and mitochondrial share of each spot.
//! * [`tfidf_lsi()`]: TF-IDF and latent semantic indexing of peaks.
//! * `survey`: the first pass over counts.
//! * `svd`: the truncated decomposition under PCA and LSI.

pub mod clr;
pub mod coexpression;
pub mod column_stats;
pub mod detect;
mod error;
pub mod feature_map;
pub mod filter_genes;
pub mod highly_variable_genes;
pub mod log1p;
pub mod modality;
pub mod normalize_total;
pub mod pca;
pub mod pca_dense;
pub mod pca_sums;
pub mod qc;
pub mod recipe;
pub mod rows;
pub mod scale;
pub mod select_genes;
mod survey;
pub(crate) mod svd;
pub mod tfidf_lsi;

#[cfg(test)]
mod tests;

pub use clr::clr;
pub use coexpression::{Coexpression, CoexpressionOptions, coexpression_modules};
pub(crate) use column_stats::slices_of;
pub use column_stats::{ColumnMoments, column_moments, row_totals};
pub use detect::{Detected, MatrixContent, check_counts, check_finite, check_non_negative, detect_content};
pub use error::PreprocessError;
pub use feature_map::{FeatureMap, FeatureOptions};
pub use filter_genes::{FilterCellsOptions, FilterGenesOptions, FilteredGenes, filter_cells, filter_genes};
pub use highly_variable_genes::{
    HvgFlavor, HvgOptions, HvgSelection, HvgTable, highly_variable_genes, intersect_highly_variable,
};
pub use log1p::{log1p, log1p_to_base, to_natural};
pub use modality::{Modality, guess_modality};
pub use normalize_total::{
    NormalizeTotalOptions, SizeFactors, check_amounts, highly_expressed, normalize_total,
    normalize_total_excluding, size_factors,
};
pub use pca::{Pca, PcaOptions, pad_components, pca, pca_by_slice};
pub use pca_dense::pca_dense;
pub use pca_sums::{PcaAxes, PcaSums};
pub use qc::{GeneMetrics, SpotMetrics, mitochondrial, spot_and_gene_metrics, spot_metrics};
pub use recipe::{Normalization, PreprocessOptions, Preprocessed, preprocess, preprocess_rows};
pub use rows::{RowBlock, RowSource, Visit};
pub use scale::{ScaleOptions, Scaling, scale};
pub use select_genes::{Evidence, GeneSelection, SelectedGenes, select_genes};
pub use svd::SvdMethod;
pub(crate) use tfidf_lsi::log_tfidf_by;
pub use tfidf_lsi::{Lsi, LsiOptions, log_tfidf, tfidf, tfidf_lsi};
