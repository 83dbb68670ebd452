//! What is in a domain: markers, gene sets, genes that vary in space, neighbours and shapes.
//!
//! These commands find no domains: they take labels that are in the file, be they domains, cell types or a
//! pathologist's, and say what tells them apart. Each writes keys that scanpy and squidpy know, where they
//! know any, a table, and a picture.
//!
//! * [`markers`]: which genes tell a domain from the rest. [`enrich`]: which gene sets are behind them.
//! * [`gene_modules`]: which genes rise and fall together.
//! * [`spatial_genes`]: which genes vary in space. [`neighborhood`]: which labels lie beside which, and what shape they have.
//! * [`links`]: which peaks regulate which genes.
//! * [`export`]: domains as other programs show them.
//! * [`values`]: what genes are compared by. `groups`: the labels, slices and graph that all of them share.
//!   `charts`: their pictures.

pub(super) mod charts;
pub mod enrich;
pub mod export;
pub mod gene_modules;
pub(super) mod groups;
pub mod links;
pub mod markers;
pub mod neighborhood;
pub mod spatial_genes;
pub mod values;

pub use groups::GroupsRequest;
