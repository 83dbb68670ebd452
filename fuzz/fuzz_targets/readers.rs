//! Bytes to every reader that takes a single file, the first byte saying which.
#![no_main]

#[path = "../src/targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;

const READERS: [(&str, targets::Target); 8] = [
    ("a.h5ad", targets::container),
    ("a.csv", targets::container),
    ("a.csv.gz", targets::container),
    ("a.parquet", targets::named_rows),
    ("a.npy", targets::npy),
    ("a.safetensors", targets::tensors),
    ("a.png", targets::slide),
    ("a.gem", targets::container),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let (name, target) = READERS[usize::from(*which) % READERS.len()];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let _ = target(&path);
});
