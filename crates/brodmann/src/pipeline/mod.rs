//! Where containers meet algorithms: from a file to domains and back into a file.
//!
//! Everything else in this crate takes arrays. Here, and only here, keys of AnnData and MuData are read and written,
//! defaults that depend on the data are chosen (and said), and stages are timed.
//!
//! ```text
//! Tissue (read) → Method::solve (features, graphs, model) → domains → scores → RunRecord, Additions (write)
//! ```
//!
//! The spine, which every method goes through:
//! * [`method`]: what a method is. [`drive`]: the one way to run it, on files or in memory.
//! * [`run`]: what accompanies every step: seed, monitor, clock, additions. [`scene`]: the tissue with its slices.
//! * [`said`]: options by name, laid over the defaults of a preset.
//! * [`request`]: the sections that requests are made of.
//! * [`clustering`], [`domains`]: from embeddings to domains. [`known`]: to those of a saved model.
//! * [`scores`]: how good they are.
//! * [`record`]: what a run did, for `uns`, as JSON and as lines.
//! * [`forecast`]: memory and time of a run, before it. [`memory`]: how much memory there is.
//!
//! The methods:
//! * [`leiden`]: Leiden and SpatialLeiden.
//! * [`spami`]: several omics in one embedding, and denoised expression.
//! * [`staig`]: one slice, or many without alignment, by a graph network. [`histology`]: the picture it may see.
//! * [`agreed`]: domains that several methods agree on. [`banksy`]: expression beside that of its surroundings.
//! * [`smoothed_pca`], [`mixture`]: the baselines, with space and without. [`from_embedding`]: what is in the file.
//!
//! What they share:
//! * [`apart`]: slices that lie in several places.
//! * [`tissue`]: a file opened, whatever its format, and where results go. [`cohort`]: several files as one tissue.
//! * [`embedding`], [`graphs`]: counts to components and neighbour graphs. [`expression`]: counts to features.
//! * [`tensor_file`]: models and checkpoints as files. [`checkpoint`]: training saved on the way.
//! * `saved_map`: feature maps in model files.
//! * [`fingerprint`]: are these the same data?
//! * `doubts`: coordinates that are probably not what they are taken for.
//! * `align`: columns matched by name. `count_rows`: the counts of a file, block by block.
//!
//! The other commands:
//! * [`qc`]: the quality of spots, by itself and beside their neighbours. [`explain`]: what is in a domain.
//! * [`outputs`]: where the results of these commands go.
//! * [`preprocess_file`], [`neighbors_file`], [`evaluation`], [`describe`], [`simulated`], [`picture`].

pub mod agreed;
mod align;
pub mod apart;
pub mod banksy;
pub mod checkpoint;
pub mod clustering;
pub mod cohort;
mod count_rows;
pub mod describe;
pub mod domains;
mod doubts;
pub mod drive;
pub mod embedding;
pub mod error;
pub mod evaluation;
pub mod explain;
pub mod expression;
pub mod fingerprint;
pub mod forecast;
pub mod from_embedding;
pub mod graphs;
pub mod histology;
pub mod known;
pub mod leiden;
pub mod memory;
pub mod method;
pub mod mixture;
pub mod near;
pub mod neighbors_file;
pub mod outputs;
pub mod picture;
pub mod preprocess_file;
pub mod qc;
pub mod record;
pub mod report;
pub mod request;
pub mod run;
pub mod said;
mod saved_map;
pub mod scene;
pub mod scores;
pub mod simulated;
pub mod smoothed_pca;
pub mod spami;
pub mod staig;
pub mod tensor_file;
pub mod tissue;

pub use drive::{forecast_files, run_files, run_tissue};
pub use error::PipelineError;
pub use method::Method;
pub use outputs::Outputs;
pub use record::RunRecord;
pub use run::Seconds;
pub use said::Said;
pub use tissue::{Destination, Inputs, Opening, Tissue};
