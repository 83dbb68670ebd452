//! Which spots belong together.
//!
//! Graphs or embeddings in, one label per spot out: the last step before evaluation and pictures.
//!
//! * [`mod@leiden`]: communities of one or many graphs (multiplex Leiden), and the search for their resolution.
//! * [`kmeans()`]: compact clusters of an embedding.
//! * [`gmm()`]: clusters that have a shape; Gaussian mixtures as mclust's.
//! * [`select_n_clusters()`]: how many clusters?
//! * [`refine_labels()`]: a vote of the neighbourhood.
//! * [`consensus()`]: one partition from many runs, and how far they agree.
//! * [`members()`]: one from several methods, with the probability of each domain.

pub mod consensus;
pub mod gmm;
pub mod kmeans;
pub mod leiden;
pub mod members;
pub mod refine;
pub mod select_n_clusters;

pub use consensus::{Consensus, ConsensusError, consensus};
pub use gmm::{
    Assigned, CovarianceModel, GaussianMixture, Gaussians, GmmError, GmmInit, GmmOptions, Hierarchy, gmm,
    hierarchy,
};
pub use kmeans::{KMeans, KMeansError, KMeansOptions, kmeans};
pub use leiden::limits::{
    check_layer_weights, check_n_clusters, check_resolutions, is_cluster_count, is_layer_weight,
    is_resolution,
};
pub use leiden::{
    ClusterCountSearch, EntryEdges, GraphView, LatentSpatialSearch, Layer, LeidenError, LeidenOptions,
    Partition, Quality, ResolutionSearch, SearchOptions, Unreached, entry_edges, leiden, leiden_multiplex,
    leiden_multiplex_with, move_difference, quality, search_n_clusters, search_n_clusters_by_seed,
    search_resolution, search_resolution_latent_spatial, unreached_warning,
};
pub use members::{MemberVotes, Members, MembersError, agreeing_runs, member_votes, members};
pub use refine::{NO_NEIGHBOR, RefineError, majority_vote, refine_labels};
pub use select_n_clusters::{
    Candidate, Clusterer, SelectError, SelectOptions, Selection, SelectionCriterion, select_n_clusters,
};
