//! For tests: arrays of `resnet.npz` and how far a tensor is from one.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn_tensor::{DType, Device, Tensor, TensorData};
use ndarray::{ArrayD, IxDyn};
use zip::ZipArchive;

use crate::state::{Slot, StateDict};

/// The numbers of PyTorch.
pub struct Oracle(BTreeMap<String, ArrayD<f64>>);

impl Oracle {
    pub fn open() -> Self {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracles/resnet.npz"));
        let mut archive =
            ZipArchive::new(std::fs::File::open(path).expect("the oracle")).expect("an archive");
        let mut arrays = BTreeMap::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).expect("an entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("an entry that is stored");
            arrays.insert(entry.name().trim_end_matches(".npy").to_owned(), array(&bytes));
        }
        Self(arrays)
    }

    pub fn f64(&self, name: &str) -> ArrayD<f64> {
        self.0.get(name).unwrap_or_else(|| panic!("the oracle has {name}")).clone()
    }

    pub fn f32(&self, name: &str) -> ArrayD<f32> {
        self.f64(name).mapv(|v| v as f32)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The arrays of `slots`, called `prefix` + name there.
    pub fn state(&self, prefix: &str, slots: &[Slot]) -> StateDict {
        slots.iter().map(|s| (s.name.clone(), self.f32(&format!("{prefix}{}", s.name)))).collect()
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device, dtype: DType) -> Tensor<D> {
        let array = self.f64(name);
        let shape = array.shape().to_vec();
        Tensor::from_data(
            TensorData::new(array.iter().copied().collect::<Vec<f64>>(), shape),
            (device, dtype),
        )
    }

    /// The largest distance of `found` from the array, over the largest magnitude in it.
    pub fn distance<const D: usize>(&self, found: &Tensor<D>, name: &str) -> f64 {
        let data = found.clone().without_autodiff().into_data_dtype(DType::F64);
        let found = data.try_into_vec::<f64>().expect("converted");
        let expected = self.f64(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
        let far = found.iter().zip(&expected).fold(0f64, |m, (a, b)| {
            let d = (a - b).abs();
            if d.is_nan() { f64::INFINITY } else { m.max(d) }
        });
        far / largest.max(f64::MIN_POSITIVE)
    }
}

/// An array in NumPy's format, version 1, in the order of C.
fn array(bytes: &[u8]) -> ArrayD<f64> {
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("a header");
    let between = |open: &str, close: &str| {
        let from = header.find(open).expect("a field") + open.len();
        &header[from..from + header[from..].find(close).expect("its end")]
    };
    assert!(header.contains("'fortran_order': False"));
    let shape: Vec<usize> =
        between("'shape': (", ")").split(',').filter_map(|d| d.trim().parse().ok()).collect();
    let data = &bytes[10 + length..];
    let values = match between("'descr': '", "'") {
        "<f8" => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        "<f4" => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
        "<i8" => data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        other => panic!("{other}"),
    };
    ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many numbers as the shape says")
}

/// A folder of a test's own, removed with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("brodmann-histology-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
