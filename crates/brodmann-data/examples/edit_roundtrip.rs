//! Reads a file and writes it again, for `tests/python/check_files.py` to compare.
//!
//! * `edit_roundtrip edit IN OUT`: a copy with elements added everywhere they can be.
//! * `edit_roundtrip rewrite IN OUT`: read whole, written from scratch; what cannot be is dropped and named.
//! * `edit_roundtrip convert IN OUT`: any format into a `.h5ad` or `.h5mu`.
//! * `edit_roundtrip edit-table IN TABLE OUT`: as `edit`, of a table of a SpatialData store.
//! * `edit_roundtrip table IN TABLE SYSTEM OUT`: a table of a SpatialData store with its coordinates; `-` for the only one.
//!
//! An OUT that ends in `.zarr` becomes a Zarr store.
//! * `edit_roundtrip bench IN OUT GZIP`: reads and writes at a gzip level, and says how long each took.

use std::process::ExitCode;
use std::time::Instant;

use brodmann_data::{
    Additions, AnnData, Array, Categorical, Column, Container, DataError, ElementAdditions, MuData, OpenFile,
    OpenOptions, ReadOptions, Value, WriteOptions, read, read_any, write_h5ad, write_h5mu,
    write_with_additions, write_zarr,
};
use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;
use ndarray::Array2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["edit", input, output] => edit(input, output),
        ["rewrite", input, output] => rewrite(input, output),
        ["convert", input, output] => convert(input, output),
        ["edit-table", input, table, output] => edit_table(input, table, output),
        ["table", input, table, system, output] => table_of(input, table, system, output),
        ["bench", input, output, gzip] => bench(input, output, gzip.parse().unwrap_or(1)),
        _ => {
            eprintln!(
                "usage: edit_roundtrip edit|rewrite|convert IN OUT, edit-table IN TABLE OUT, table IN TABLE SYSTEM OUT, or bench IN OUT GZIP"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Labels, an embedding, a graph and parameters for `n` observations and `v` variables.
fn elements(n: usize, v: usize) -> ElementAdditions {
    let labels: Vec<Option<String>> =
        (0..n).map(|i| (i % 5 != 4).then(|| format!("domain {}", i % 3))).collect();
    let rows: Vec<Vec<(u32, f64)>> = (0..n).map(|i| vec![(((i + 1) % n) as u32, 0.5 + i as f64)]).collect();
    let mut additions = ElementAdditions::default();
    additions.obs.insert("ours_label".into(), Column::Categorical(Categorical::from_strings(&labels)));
    additions.obs.insert("ours_score".into(), Column::Float64((0..n).map(|i| i as f64 / 7.0).collect()));
    additions.obs.insert("ours_text".into(), Column::String((0..n).map(|i| Some(format!("é{i}"))).collect()));
    additions.obs.insert("ours_flag".into(), Column::Bool((0..n).map(|i| i % 2 == 0).collect()));
    additions.var.insert("ours_rank".into(), Column::Int((0..v as i64).collect()));
    let embedding = Array2::from_shape_fn((n, 3), |(i, j)| i as f64 - 0.25 * j as f64);
    additions.obsm.insert("X_ours".into(), embedding.into());
    if n > 0 {
        additions.obsp.insert("ours_connectivities".into(), CsrMatrix::from_rows(n, &rows).into());
    }
    let nested: Value = [("seed", Value::Int(42)), ("method", "leiden".into()), ("none", Value::Null)].into();
    additions.uns.insert(
        "ours".into(),
        [
            ("params", nested),
            ("loss", Value::Array(vec![3.0f64, 2.5, f64::NAN].into())),
            ("names", Value::Array(Array::from(vec!["a".to_owned(), "β".to_owned()]))),
            ("converged", Value::Bool(true)),
            ("quality", Value::Float(0.1 + 0.2)),
        ]
        .into(),
    );
    additions
}

fn edit(input: &str, output: &str) -> Result<(), DataError> {
    let mut additions = Additions::default();
    match read(input, &ReadOptions::names_only())? {
        Container::AnnData(a) => additions.root = elements(a.n_obs(), a.n_vars()),
        Container::MuData(m) => {
            additions.root = elements(m.n_obs(), m.n_vars());
            for (name, a) in &m.modalities {
                additions.modalities.insert(name.clone(), elements(a.n_obs(), a.n_vars()));
            }
        }
    }
    write_with_additions(input, output, &additions, false)
}

fn edit_table(input: &str, table: &str, output: &str) -> Result<(), DataError> {
    let opened = OpenFile::open_table(input, Some(table), None)?;
    let adata = opened.read(&ReadOptions::names_only())?.into_anndata()?;
    let additions = Additions { root: elements(adata.n_obs(), adata.n_vars()), ..Additions::default() };
    opened.write_with_additions(output, &additions, false)
}

fn rewrite(input: &str, output: &str) -> Result<(), DataError> {
    let mut container = read(input, &ReadOptions::default())?;
    match &mut container {
        Container::AnnData(a) => drop_opaque(a),
        Container::MuData(m) => {
            let MuData { modalities, uns, .. } = m;
            drop_entries("uns", uns);
            modalities.values_mut().for_each(drop_opaque);
        }
    }
    write(&container, output)
}

fn write(container: &Container, output: &str) -> Result<(), DataError> {
    if std::path::Path::new(output).extension().is_some_and(|e| e == "zarr") {
        return write_zarr(container, output, &WriteOptions::default());
    }
    match container {
        Container::AnnData(a) => write_h5ad(a, output, &WriteOptions::default()),
        Container::MuData(m) => write_h5mu(m, output, &WriteOptions::default()),
    }
}

fn table_of(input: &str, table: &str, system: &str, output: &str) -> Result<(), DataError> {
    let [table, system] = [table, system].map(|name| Some(name).filter(|name| *name != "-"));
    let opened = OpenFile::open_table(input, table, system)?;
    write(&opened.read(&ReadOptions::default())?, output)
}

fn convert(input: &str, output: &str) -> Result<(), DataError> {
    match read_any(input, &OpenOptions::default(), &brodmann_kernels::Silent)? {
        Container::AnnData(a) => write_h5ad(&a, output, &WriteOptions::default()),
        Container::MuData(m) => write_h5mu(&m, output, &WriteOptions::default()),
    }
}

fn bench(input: &str, output: &str, gzip: u8) -> Result<(), DataError> {
    let start = Instant::now();
    let adata = read(input, &ReadOptions::default())?.into_anndata()?;
    let read_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    write_h5ad(&adata, output, &WriteOptions { gzip, ..WriteOptions::default() })?;
    println!("read {read_seconds:.4} write {:.4}", start.elapsed().as_secs_f64());
    Ok(())
}

fn drop_opaque(adata: &mut AnnData) {
    drop_entries("uns", &mut adata.uns);
    drop_entries("obsm", &mut adata.obsm);
    drop_entries("varm", &mut adata.varm);
}

fn drop_entries(path: &str, entries: &mut IndexMap<String, Value>) {
    entries.retain(|key, value| match value {
        Value::Opaque { .. } => {
            println!("dropped {path}/{key}");
            false
        }
        Value::Dict(inner) => {
            drop_entries(&format!("{path}/{key}"), inner);
            true
        }
        _ => true,
    });
}
