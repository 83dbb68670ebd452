//! `.h5ad`, `.h5mu` and `.zarr`: how scverse's containers are laid out in a hierarchical file.
//!
//! * `read`: every layout from AnnData 0.5 to 0.13, and MuData.
//! * `open`: a file held open, for all that is read of it and for the copy.
//! * `rows`: one matrix of a file, a block of rows at a time.
//! * `write`: both from scratch, as AnnData 0.12 and MuData 0.3 write them.
//! * `append`: from scratch, `X` in blocks of rows.
//! * `edit`: our elements added to a copy, all else untouched.
//!
//! Specification: <https://anndata.readthedocs.io/en/latest/fileformat-prose.html>

mod append;
mod edit;
mod legacy;
mod open;
mod read;
mod rows;
mod verify;
mod write;

pub use append::RowAppender;
pub use edit::write_with_additions;
pub use open::OpenFile;
pub use read::{Container, element_names, is_scverse, layer_names, read, read_h5ad, read_h5mu};
pub(crate) use read::{array_to_column, column as column_of, value as value_of};
pub use rows::{MatrixRows, RowBlock, RowBlocks, stored_entries};
pub use write::{write_h5ad, write_h5mu, write_zarr};

pub(crate) const ENCODING_TYPE: &str = "encoding-type";
pub(crate) const ENCODING_VERSION: &str = "encoding-version";
pub(crate) const COLUMN_ORDER: &str = "column-order";
pub(crate) const INDEX: &str = "_index";

/// `parent/name`.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}
