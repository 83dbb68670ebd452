//! Arrays of records: what HDF5 keeps as it is, and what becomes a table elsewhere.

use brodmann_data::{
    AnnData, Array, Container, DataFrame, Matrix, ReadOptions, Value, WriteOptions, read, read_h5ad,
    write_h5ad, write_zarr,
};
use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;

fn with(fields: IndexMap<String, Array>) -> AnnData {
    AnnData {
        x: Some(Matrix::CsrF32(CsrMatrix::from_rows(1, &[vec![(0, 1.0)], vec![]]))),
        obs: DataFrame::new(vec!["a".to_owned(), "b".to_owned()]),
        var: DataFrame::new(vec!["g".to_owned()]),
        uns: IndexMap::from([("records".to_owned(), Value::Records(fields))]),
        ..AnnData::default()
    }
}

fn texts(texts: &[&str]) -> Array {
    texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>().into()
}

#[test]
fn records_of_every_type_and_length_come_back() {
    let folder = tempfile::tempdir().expect("folder");
    for n in [0_usize, 1, 5] {
        let numbers = |k: f64| (0..n).map(|i| i as f64 * k).collect::<Vec<f64>>();
        let fields = IndexMap::from([
            ("Layer 2/3".to_owned(), Array::from(numbers(0.5))),
            ("é".to_owned(), numbers(1.0).iter().map(|v| *v as f32).collect::<Vec<f32>>().into()),
            ("whole".to_owned(), numbers(3.0).iter().map(|v| *v as i64).collect::<Vec<i64>>().into()),
            ("truth".to_owned(), numbers(1.0).iter().map(|v| *v > 1.0).collect::<Vec<bool>>().into()),
            ("text".to_owned(), texts(&["", "MBP", "a longer name", "x", "y"][..n])),
        ]);
        let path = folder.path().join(format!("{n}.h5ad"));
        write_h5ad(&with(fields.clone()), &path, &WriteOptions::default()).expect("written");
        let back = read_h5ad(&path, &ReadOptions::default()).expect("read");
        assert_eq!(back.uns["records"], Value::Records(fields), "{n} records");
    }
}

#[test]
fn records_that_not_every_reader_opens_become_a_table() {
    let folder = tempfile::tempdir().expect("folder");
    let fields = IndexMap::from([
        ("a".to_owned(), texts(&["Ähre", "MBP"])),
        ("b/c".to_owned(), Array::from(vec![1.5, f64::NAN])),
    ]);
    let adata = with(fields);
    let (h5ad, zarr) = (folder.path().join("t.h5ad"), folder.path().join("t.zarr"));
    write_h5ad(&adata, &h5ad, &WriteOptions::default()).expect("written");
    write_zarr(&Container::AnnData(adata), &zarr, &WriteOptions::default()).expect("written");
    for path in [h5ad, zarr] {
        let back = read(&path, &ReadOptions::default()).expect("read").into_anndata().expect("one modality");
        let Value::Frame(table) = &back.uns["records"] else { panic!("{:?}", back.uns["records"]) };
        assert_eq!(table.columns["a"].to_strings(), [Some("Ähre".to_owned()), Some("MBP".to_owned())]);
        assert_eq!(table.columns["b_c"].to_f64().map(|v| v[0]), Some(1.5));
    }
}
