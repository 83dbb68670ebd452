//! Opens the numbers of the reference tools kept in `tests/oracles/`; its README says what each file holds.

use std::fs::File;
use std::path::Path;

use ndarray_npy::NpzReader;

/// The arrays of `tests/oracles/<name>.npz`.
pub fn open(name: &str) -> NpzReader<File> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles"));
    let path = folder.join(name).with_extension("npz");
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    NpzReader::new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
