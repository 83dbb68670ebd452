//! HDF5 behind [`crate::store`]: how bytes of a `.h5ad`, `.h5mu` or 10x `.h5` become arrays and back.
//!
//! # The library: `rust-hdf5`, pure Rust
//!
//! * `rust-hdf5` 0.7.9, tried on every fixture: it read all 33 HDF5 files and edited all `.h5ad` and `.h5mu` ones (a
//!   categorical `obs` column added, `column-order` extended, elements added to `obsm`, `obsp`, `uns`; AnnData 0.7 to
//!   0.12, while 0.5, whose `obs` is a record array, is converted by us), with every other object unchanged as h5py,
//!   anndata and mudata read it. It decodes gzip, shuffle and lzf, which the fixtures use, and by its features zstd,
//!   blosc and lz4 (bzip2 is left out for its licence). No C compiler, no CMake. Its public reader returns only a group's
//!   single-text attributes; `column-order` and `shape` are therefore read in `headers` with the library's public
//!   decoders of on-disk records, and chunks are decoded in parallel in `chunks`.
//! * `hdf5-pure` 0.47, not tried here: an earlier probe edited 5 of 8 files with it; it has no zstd or blosc, and by its
//!   changelog mirrors a file with an old superblock (every `.h5ad`) whole in memory to edit it.
//! * `hdf5-metno` 0.15.1 (the C library), built here but not run on the fixtures, since the pure one passed: needs
//!   CMake, and its features name zstd only inside blosc.
//!
//! # Contents
//! * `headers`: object headers, links, attributes.
//! * `chunk_index`: where the chunks of an array lie.
//! * `chunks`: array layouts; chunks decoded in parallel, straight into the wanted type.
//! * `reader`: [`Store`](crate::store::Store).
//! * `records`: an array of records piece by piece, in order.
//! * `sequence`: one array piece by piece, in order.
//! * `survey`: whether the groups form a tree.
//! * `writer`: [`StoreWriter`](crate::store::StoreWriter).

mod chunk_index;
mod chunks;
mod headers;
mod reader;
mod records;
mod sequence;
mod survey;
mod writer;

pub(crate) use reader::Hdf5Reader;
pub(crate) use records::Records;
pub(crate) use sequence::Sequence;
pub(crate) use writer::Hdf5Writer;
