//! Containers (AnnData, MuData) and the files they come from and go to.
//!
//! Where do the numbers live, and how do results get back beside them without anything else changing? This crate
//! is the first and the last stage of every run; no other crate knows a file format.
//!
//! * [`AnnData`], [`MuData`]: the containers; [`DataFrame`], [`Column`], [`Matrix`], [`Array`], [`Value`]: their parts.
//! * [`concat()`]: several slices as one container.
//! * [`keys`]: the names of keys, written once.
//! * [`ReadOptions`], [`WriteOptions`], [`Additions`]: what is read and written.
//! * [`RowAppender`]: a file written while its rows come.
//! * [`OpenFile`]: a file or a Zarr store held open; a table of a SpatialData store with its coordinates.
//! * [`MatrixRows`]: a matrix too large to hold, a block of rows at a time.
//! * [`write_table`]: results as a table of their own.
//! * [`read_npy`]: arrays beside containers.
//! * [`picture`]: slides, read by region.

mod additions;
mod anndata;
mod array;
mod backend;
mod concat;
mod error;
mod frame;
mod guarded;
mod hdf5;
mod identity;
mod input;
pub mod keys;
mod matrix;
pub mod memory;
mod mudata;
mod npy;
mod options;
mod output;
pub mod picture;
mod platform;
mod reservation;
mod scverse;
mod spatialdata;
mod store;
mod table_file;
mod temporary;
mod value;
mod whole;
mod wkb;
mod zarr;

pub use additions::{Additions, ElementAdditions};
pub use anndata::{AnnData, Raw};
pub use array::Array;
pub use concat::{Part, concat};
pub use error::{DataError, NameMismatch};
pub use frame::{Categorical, CategoryKind, Column, DataFrame};
pub use guarded::silence_guarded_panics;
pub use input::{follow_external, open_input, set_follow_external};
pub use matrix::Matrix;
pub use mudata::MuData;
pub use npy::read_npy;
pub use options::{ReadOptions, Select, WriteOptions};
pub use output::{check_new_folder, check_output, check_writable, write_bytes};
pub use platform::{
    Bin, OpenOptions, Opened, Orientation, TableOptions, coordinate_columns, formats, open_any, open_text,
    read_any, read_named_rows, read_table, read_tenx_h5, read_tenx_mtx, read_text, sample_name, samples,
};
pub use reservation::Reservation;
pub use scverse::{
    Container, MatrixRows, OpenFile, RowAppender, RowBlock, RowBlocks, element_names, is_scverse,
    layer_names, read, read_h5ad, read_h5mu, stored_entries, write_h5ad, write_h5mu, write_with_additions,
    write_zarr,
};
pub use spatialdata::{Rings, Shapes, write_shapes};
pub use table_file::{is_table_ending, write_table};
pub use temporary::cleanup_temporary_files;
pub use value::Value;
pub use whole::Whole;
