//! Blocks together are the matrix that the whole reader gives, and refuse what it refuses.

use brodmann_kernels::proofread::flaw;
use std::path::{Path, PathBuf};

use super::*;
use crate::hdf5::Hdf5Writer;
use crate::store::{ArrayData, Attribute, StoreWriter};
use crate::{AnnData, DataFrame, Matrix, ReadOptions, Select, WriteOptions, read_h5ad, write_h5ad};

#[path = "../../../../../tests/shared.rs"]
mod shared;

fn joined(rows: &MatrixRows) -> Result<CsrMatrix<f32>, DataError> {
    let mut all = CsrMatrix::with_capacity(rows.n_cols(), 0, 0);
    for block in rows.blocks()? {
        let block = block?;
        assert_eq!(block.first, all.n_rows());
        all.append(block.rows.view());
    }
    Ok(all)
}

fn whole(path: &Path, layer: Option<&str>) -> CsrMatrix<f32> {
    let mut options = ReadOptions::names_only();
    match layer {
        None => options.x = true,
        Some(layer) => options.layers = Select::only([layer]),
    }
    let adata = read_h5ad(path, &options).expect("readable");
    adata.matrix(layer).expect("there").to_csr_f32().into_owned()
}

/// Enough entries for several blocks, of rising and of falling rows.
fn large() -> CsrMatrix<f32> {
    let mut x = CsrMatrix::with_capacity(3000, 3000, 0);
    for i in 0..3000usize {
        let step = 2 + i % 7;
        let n = if i % 100 == 0 { 0 } else { 3000 };
        x.push_row((i % step..n).step_by(step).map(|j| (j as u32, ((i * 31 + j) % 97) as f32)));
    }
    x
}

fn names(n: usize) -> DataFrame {
    DataFrame::new((0..n).map(|i| i.to_string()).collect())
}

#[test]
fn blocks_together_are_the_matrix() {
    let folder = tempfile::tempdir().expect("folder");
    let x = large();
    let mut adata = AnnData::new(x.clone(), names(3000), names(3000)).expect("fits");
    let few = ndarray::Array2::from_shape_fn((3000, 3000), |(i, j)| {
        if (i + j) % 9 == 0 { (i % 50) as f64 + 0.25 } else { 0.0 }
    });
    adata.layers.insert("dense".into(), few.into());
    adata.layers.insert("double".into(), x.view().map(|v| f64::from(v) + 0.1).into());
    for gzip in [0, 1] {
        let path = folder.path().join(format!("{gzip}.h5ad"));
        write_h5ad(&adata, &path, &WriteOptions { gzip, overwrite: true }).expect("written");
        for layer in [None, Some("dense"), Some("double")] {
            let rows = MatrixRows::open(&path, None, layer).expect("opens").expect("in order");
            assert_eq!((rows.n_rows(), rows.n_cols()), (3000, 3000));
            assert!(rows.blocks().expect("opens").count() > 1);
            assert_eq!(joined(&rows).expect("readable"), whole(&path, layer), "{layer:?}");
        }
        assert!(MatrixRows::open(&path, None, Some("none")).expect("opens").is_none());
        assert!(MatrixRows::open(&path, Some("rna"), None).expect("opens").is_none());
    }
}

#[test]
fn matrices_without_entries_have_rows() {
    let folder = tempfile::tempdir().expect("folder");
    for (n, f) in [(0, 3), (4, 0), (4, 3)] {
        let path = folder.path().join(format!("{n}{f}.h5ad"));
        let x = CsrMatrix::<f32>::from_rows(f, &vec![Vec::new(); n]);
        write_h5ad(
            &AnnData::new(x.clone(), names(n), names(f)).expect("fits"),
            &path,
            &WriteOptions::default(),
        )
        .expect("written");
        let rows = MatrixRows::open(&path, None, None).expect("opens").expect("in order");
        assert_eq!(joined(&rows).expect("readable"), x);
    }
}

/// A `.h5ad` whose `X` is made of these arrays.
fn raw(path: &Path, format: &str, indptr: &[i64], indices: &[i32], data: &[f32]) {
    let adata = AnnData { obs: names(3), var: names(4), ..AnnData::default() };
    write_h5ad(&adata, path, &WriteOptions::default()).expect("written");
    let writer = Hdf5Writer::edit(path, path).expect("opens");
    writer.create_group("X").expect("group");
    let text = |t: &str| Attribute::String(t.to_owned());
    writer.group_attribute("X", "encoding-type", &text(format)).expect("attribute");
    writer.group_attribute("X", "encoding-version", &text("0.1.0")).expect("attribute");
    writer.group_attribute("X", "shape", &Attribute::Ints(vec![3, 4])).expect("attribute");
    writer.write_array("X/indptr", ArrayData::I64(indptr), &[indptr.len()], 0, &[]).expect("array");
    writer.write_array("X/indices", ArrayData::I32(indices), &[indices.len()], 0, &[]).expect("array");
    writer.write_array("X/data", ArrayData::F32(data), &[data.len()], 0, &[]).expect("array");
    writer.close().expect("closes");
}

#[test]
fn unsorted_rows_and_duplicates_are_read_as_the_whole_reader_does() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.h5ad");
    raw(&path, "csr_matrix", &[0, 3, 3, 5], &[2, 0, 2, 3, 1], &[1.0, 2.0, 4.0, 8.0, 16.0]);
    let rows = MatrixRows::open(&path, None, None).expect("opens").expect("in order");
    assert_eq!(joined(&rows).expect("readable"), whole(&path, None));
}

#[test]
fn damage_is_refused_in_the_same_words() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.h5ad");
    let options = ReadOptions { x: true, ..ReadOptions::names_only() };
    let message = |path: &PathBuf| read_h5ad(path, &options).expect_err("damaged").to_string();
    // A column that does not exist is met on the way, with its row counted from the first of the matrix.
    for bad in [4, -1] {
        raw(&path, "csr_matrix", &[0, 1, 2, 3], &[2, 0, bad], &[1.0; 3]);
        let rows = MatrixRows::open(&path, None, None).expect("opens").expect("in order");
        assert_eq!(joined(&rows).expect_err("damaged").to_string(), message(&path));
    }
    // Damaged row starts, arrays of unequal length: left to the whole reader, which refuses them.
    for (indptr, indices) in
        [(&[0i64, 2, 1, 3][..], &[0i32, 1, 2][..]), (&[0, 1, 2], &[0, 1, 2]), (&[0, 1, 2, 3], &[0, 1])]
    {
        raw(&path, "csr_matrix", indptr, indices, &[1.0; 3]);
        assert!(MatrixRows::open(&path, None, None).expect("opens").is_none());
        message(&path);
    }
    // By column: whole.
    raw(&path, "csc_matrix", &[0, 1, 2, 3, 3], &[2, 0, 1], &[1.0; 3]);
    assert!(MatrixRows::open(&path, None, None).expect("opens").is_none());
}

#[test]
fn a_file_cut_short_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.h5ad");
    write_h5ad(
        &AnnData::new(large(), names(3000), names(3000)).expect("fits"),
        &path,
        &WriteOptions::default(),
    )
    .expect("written");
    let rows = MatrixRows::open(&path, None, None).expect("opens").expect("in order");
    let bytes = std::fs::metadata(&path).expect("there").len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
    file.set_len(bytes / 2).expect("cut");
    let error = joined(&rows).expect_err("cut");
    assert!(error.to_string().contains("was written to while it was worked on"), "{error}");
    assert_eq!(flaw(&error), None);
}

#[test]
fn real_files_give_the_same_in_blocks() {
    let Some(folder) = shared::shared("data") else { return };
    let mut stack = vec![folder];
    let mut compared = 0;
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                stack.push(path);
                continue;
            }
            let small = entry.metadata().is_ok_and(|m| m.len() < 50 << 20);
            if !small || path.extension().is_none_or(|e| e != "h5ad") {
                continue;
            }
            let Ok(Some(rows)) = MatrixRows::open(&path, None, None) else { continue };
            let expected = whole(&path, None);
            assert_eq!(joined(&rows).expect("readable"), expected, "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared > 0, "no file to compare");
}

#[test]
fn a_modality_is_read_by_its_key() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.h5mu");
    let x = CsrMatrix::from_rows(4, &[vec![(1, 2.0f32)], vec![], vec![(0, 1.0), (3, 5.0)]]);
    let adata = AnnData::new(x.clone(), names(3), names(4)).expect("fits");
    let mut modalities = indexmap::IndexMap::new();
    modalities.insert("rna".to_owned(), adata);
    let mdata = crate::MuData::new(modalities).expect("aligned");
    crate::write_h5mu(&mdata, &path, &WriteOptions::default()).expect("written");
    let rows = MatrixRows::open(&path, Some("rna"), None).expect("opens").expect("in order");
    assert_eq!(joined(&rows).expect("readable"), x);
    assert_eq!(Matrix::CsrF32(x).nnz(), rows.nnz());
}
