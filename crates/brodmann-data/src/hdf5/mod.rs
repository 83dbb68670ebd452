//! HDF5 behind [`crate::store`]: how bytes of a `.h5ad`, `.h5mu` or 10x `.h5` become arrays and back.
//!
//! # The library: `rust-hdf5`, pure Rust
//!
//! Three were tried on every fixture, read and edited (a categorical `obs` column added, `column-order` extended,
//! elements added to `obsm`, `obsp`, `uns`), then compared from Python with anndata, mudata and h5py:
//!
//! * `rust-hdf5` 0.7.9 read all 33 HDF5 fixtures and edited all of the `.h5ad`/`.h5mu` ones (AnnData 0.7 to 0.12;
//!   0.5, whose `obs` is a record array, is converted by us) with every other object unchanged. It decodes gzip,
//!   shuffle, lzf, zstd, blosc, lz4, bzip2 and needs no C compiler, let alone CMake. Its public reader returns
//!   only a group's single-text attributes; `column-order` and `shape` are therefore read in `headers`, through
//!   the library's public decoders of on-disk records, and chunks are decoded in parallel in `chunks`.
//! * `hdf5-pure` 0.47 mirrors a whole pre-1.10 file (every `.h5ad`) in memory to edit it and has no zstd or blosc.
//! * `hdf5-metno` 0.15.1 (the C library) needs CMake to build, a global lock, and `unsafe` for record types known
//!   only when the file is open; it has no zstd.
//!
//! # Contents
//! * `headers`: object headers, links, attributes.
//! * `chunks`: array layouts; chunks decoded in parallel, straight into the wanted type.
//! * `reader`: [`Store`](crate::store::Store).
//! * `writer`: [`StoreWriter`](crate::store::StoreWriter).

mod chunks;
mod headers;
mod reader;
mod writer;

pub(crate) use reader::Hdf5Reader;
pub(crate) use writer::Hdf5Writer;
