//! Zarr behind [`crate::store`]: how the files of a `.zarr` folder or a `.zarr.zip` become arrays and back.
//!
//! Versions 2 and 3, sharded or not, with or without consolidated metadata. The metadata of each node are read where
//! they lie, never from the consolidated copy: that may be older than the store.
//!
//! # Read
//! Numbers, truth values, fixed-length and variable-length texts; gzip, zlib, zstd, blosc, lz4, shuffle, crc32c, transpose,
//! `sharding_indexed`. A chunk that is not there is the fill value, as the specification has it: writers leave out
//! chunks of zeros, so a chunk that was lost cannot be told from one that never was.
//!
//! # Written
//! [`write_zarr`](crate::write_zarr) makes version 2, which every AnnData from 0.7 on reads (0.12 still writes it by
//! default, 0.13 reads it), chunks compressed with zlib; a store that is edited keeps its version.
//!
//! # Libraries: none of its own
//! * Codecs are those that HDF5 and Parquet bring already (see `codec`), archives are read by `zip`; no package is added to
//!   the lock file.
//! * `zarrs` 0.23.14 was built with `filesystem`, `gzip`, `zlib`, `zstd`, `blosc`, `crc32c`, `sharding` and `transpose`: 132
//!   crates, 60 of them new here, three C libraries (blosc, lz4, snappy) that are here in Rust already, 282 s of
//!   processor time for a release build. A chunk that is missing it makes whole from the fill value, as large as
//!   its metadata say, so a file's claims would have had to be checked before each call in any case.
//!
//! Specifications: <https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html>,
//! <https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html>,
//! <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html>
//!
//! # Contents
//! * `place`: a folder or an archive as keys and bytes.
//! * `json`: metadata documents, Python's `NaN` included.
//! * `meta`: what they say of an array.
//! * `codec`: stored bytes of a chunk to its elements' bytes.
//! * `grid`: which chunk lies where; chunks decoded in parallel.
//! * `reader`: [`Store`](crate::store::Store).
//! * `sequence`: one array piece by piece, in order.
//! * `blocks`: any part of one array.
//! * `writer`: [`StoreWriter`](crate::store::StoreWriter).
//! * `consolidated`: the second copy of metadata that some stores keep.
//! * `copy`: a whole store beside another.

mod blocks;
mod codec;
mod consolidated;
mod copy;
mod grid;
mod json;
mod meta;
mod place;
mod reader;
mod sequence;
mod writer;

pub(crate) use blocks::Blocks;
pub(crate) use copy::{Method, copy_store};
pub(crate) use place::{exact, is_store_folder, is_zip};
pub(crate) use reader::ZarrReader;
pub(crate) use sequence::Sequence;
pub(crate) use writer::{Version, ZarrWriter};
