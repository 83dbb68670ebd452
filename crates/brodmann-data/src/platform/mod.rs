//! Files of measuring platforms: what a machine or a database hands out becomes a container.
//!
//! * [`read_any`]: whatever it is, found out by looking ([`Format`]).
//! * [`read_tenx_h5`]: 10x feature-barcode matrices in HDF5, versions 2 and 3.
//! * [`read_tenx_mtx`]: the same as a folder of text files.
//! * [`read_visium`]: Space Ranger folders with positions, scale factors and pictures.
//! * [`read_table`]: counts and coordinates as text tables or Parquet.

mod detect;
mod mtx;
mod parquet_table;
mod picture;
mod table;
mod tenx;
mod text;
mod visium;

pub use detect::{Format, open_any, read_any};
pub use mtx::read_tenx_mtx;
pub use table::{Orientation, TableOptions, read_table};
pub use tenx::read_tenx_h5;
pub use visium::read_visium;
