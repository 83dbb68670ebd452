//! How good is a partition or an embedding.
//!
//! The last step of the pipeline before the report. [`evaluate()`] computes every score the data at hand allow;
//! each score is also a function of its own. No score ever makes an N×N matrix.
//!
//! Against a truth:
//! * [`adjusted_rand_index()`]: agreement on pairs.
//! * [`normalized_mutual_information()`], [`adjusted_mutual_information()`]: shared information.
//! * [`homogeneity_completeness_v()`]: pure clusters, whole classes.
//! * [`Contingency`], [`paired()`]: the table behind them; observations without truth.
//!
//! In an embedding:
//! * [`silhouette()`], [`davies_bouldin()`], [`calinski_harabasz()`]: tight and separate clusters.
//! * [`lisi()`]: the effective number of batches or domains around an observation.
//! * [`batch_kl()`]: batches around an observation against batches overall.
//! * [`exact_neighbors()`]: the neighbourhoods of the last two.
//!
//! In space:
//! * [`percentage_of_abnormal_spots()`], [`chaos()`]: stray spots, scattered domains.
//! * Moran's I of domains: [`crate::stats::morans_i_of_labels`].

pub mod adjusted_mutual_information;
pub mod adjusted_rand_index;
pub mod batch_kl;
pub mod calinski_harabasz;
mod centroids;
pub mod chaos;
pub mod coherence_graph;
pub mod contingency;
pub mod davies_bouldin;
mod error;
pub mod evaluate;
pub mod exact_neighbors;
pub mod homogeneity_completeness_v;
pub mod lisi;
pub mod normalized_mutual_information;
mod paired_labels;
pub mod pas;
mod points;
pub mod silhouette;
#[cfg(test)]
mod tests;

pub use adjusted_mutual_information::{
    adjusted_mutual_information, adjusted_mutual_information_of, expected_mutual_information,
};
pub use adjusted_rand_index::{adjusted_rand_index, adjusted_rand_index_of};
pub use batch_kl::{BatchKl, batch_kl, batch_kl_of_embedding};
pub use calinski_harabasz::calinski_harabasz;
pub use chaos::chaos;
pub use coherence_graph::coherence_graph;
pub use contingency::Contingency;
pub use davies_bouldin::davies_bouldin;
pub use error::MetricsError;
pub use evaluate::{Evaluation, EvaluationInputs, EvaluationOptions, evaluate};
pub use exact_neighbors::{Neighbors, exact_neighbors};
pub use homogeneity_completeness_v::{
    HomogeneityCompletenessV, homogeneity_completeness_v, homogeneity_completeness_v_of,
};
pub use lisi::{Lisi, LisiOptions, lisi, lisi_of_embedding};
pub use normalized_mutual_information::{normalized_mutual_information, normalized_mutual_information_of};
pub(crate) use paired_labels::Codes;
pub use paired_labels::{PairedLabels, paired};
pub use pas::percentage_of_abnormal_spots;
pub use silhouette::{Silhouette, SilhouetteOptions, silhouette};
