//! Rows appended in blocks make the file that a whole matrix makes.

use brodmann_data::{
    AnnData, Container, DataError, DataFrame, Matrix, MuData, ReadOptions, RowAppender, WriteOptions, read,
    read_h5ad, write_h5ad, write_h5mu,
};
use brodmann_kernels::{CsrMatrix, Seed};
use indexmap::IndexMap;

fn counts(n_obs: usize, n_vars: usize, every: u64) -> CsrMatrix<f32> {
    let rows: Vec<Vec<(u32, f32)>> = (0..n_obs)
        .map(|i| {
            (0..n_vars)
                .map(|j| (j, Seed(3).word((i * n_vars + j) as u64)))
                .filter(|(_, word)| word.is_multiple_of(every))
                .map(|(j, word)| (j as u32, (word >> 60) as f32 + 1.0))
                .collect()
        })
        .collect();
    CsrMatrix::from_rows(n_vars, &rows)
}

fn names(kind: &str, n: usize) -> DataFrame {
    DataFrame::new((0..n).map(|i| format!("{kind}{i}")).collect())
}

fn container(x: Option<CsrMatrix<f32>>, n_obs: usize, n_vars: usize) -> AnnData {
    let mut adata = AnnData::new(
        x.map_or_else(|| Matrix::CsrF32(CsrMatrix::from_rows(n_vars, &vec![vec![]; n_obs])), Matrix::CsrF32),
        names("spot", n_obs),
        names("gene", n_vars),
    )
    .expect("shapes fit");
    adata.uns.insert("seed".to_owned(), brodmann_data::Value::Int(3));
    adata
}

fn without_x(n_obs: usize, n_vars: usize) -> AnnData {
    AnnData { x: None, ..container(None, n_obs, n_vars) }
}

fn appended(path: &std::path::Path, x: &CsrMatrix<f32>, block: usize, gzip: u8) {
    let options = WriteOptions { gzip, ..WriteOptions::default() };
    let mut file = RowAppender::h5ad(path, x.n_cols(), &options).expect("begun");
    for from in (0..x.n_rows()).step_by(block.max(1)) {
        let rows: Vec<usize> = (from..x.n_rows().min(from + block)).collect();
        file.append(0, x.view().select_rows(&rows).view()).expect("appended");
    }
    assert_eq!((file.n_obs(), file.nnz()), (x.n_rows(), x.nnz()));
    file.finish(&Container::AnnData(without_x(x.n_rows(), x.n_cols()))).expect("finished");
}

#[test]
fn blocks_of_any_size_give_the_file_of_the_whole_matrix() {
    let folder = tempfile::tempdir().expect("a folder");
    let (streamed, whole) = (folder.path().join("streamed.h5ad"), folder.path().join("whole.h5ad"));
    // Nothing; fewer values than are chunked; a part of a chunk; several batches of chunks and a part of one.
    for (n_obs, n_vars, every, block) in
        [(0, 4, 1, 1), (5, 4, u64::MAX, 2), (30, 20, 2, 7), (300, 40, 2, 300), (2600, 500, 1, 333)]
    {
        let x = counts(n_obs, n_vars, every);
        for gzip in [0, 1] {
            appended(&streamed, &x, block, gzip);
            let options = WriteOptions { gzip, ..WriteOptions::default() };
            write_h5ad(&container(Some(x.clone()), n_obs, n_vars), &whole, &options).expect("written");
            let ours = read_h5ad(&streamed, &ReadOptions::default()).expect("read");
            assert_eq!(ours, read_h5ad(&whole, &ReadOptions::default()).expect("read"));
            assert_eq!(ours.x, Some(Matrix::CsrF32(x.clone())));
        }
    }
}

#[test]
fn modalities_grow_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let (streamed, whole) = (folder.path().join("streamed.h5mu"), folder.path().join("whole.h5mu"));
    let (rna, adt) = (counts(900, 100, 3), counts(900, 7, 1));
    let both = |with_x: bool| {
        let part = |x: &CsrMatrix<f32>| {
            if with_x {
                container(Some(x.clone()), x.n_rows(), x.n_cols())
            } else {
                without_x(x.n_rows(), x.n_cols())
            }
        };
        let mut modalities = IndexMap::from([("rna".to_owned(), part(&rna)), ("adt".to_owned(), part(&adt))]);
        modalities["adt"].var = names("protein", 7);
        MuData::new(modalities).expect("the same observations")
    };
    let options = WriteOptions::default();
    let mut file = RowAppender::h5mu(&streamed, &[("rna", 100), ("adt", 7)], &options).expect("begun");
    for from in (0..900).step_by(100) {
        let rows: Vec<usize> = (from..from + 100).collect();
        file.append(0, rna.view().select_rows(&rows).view()).expect("appended");
        file.append(1, adt.view().select_rows(&rows).view()).expect("appended");
    }
    file.finish(&Container::MuData(both(false))).expect("finished");
    write_h5mu(&both(true), &whole, &options).expect("written");
    let read = |path| read(path, &ReadOptions::default()).expect("read");
    assert_eq!(read(&streamed), read(&whole));
    assert!(std::fs::read(&streamed).expect("bytes").starts_with(b"MuData"));
}

#[test]
fn an_unfinished_file_leaves_nothing_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tissue.h5ad");
    std::fs::write(&path, "the old file").expect("written");
    let mut file = RowAppender::h5ad(&path, 500, &WriteOptions::default()).expect("begun");
    file.append(0, counts(2600, 500, 1).view()).expect("appended");
    drop(file);
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "the old file");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tissue.h5ad");
    let begun = || RowAppender::h5ad(&path, 4, &WriteOptions::default()).expect("begun");
    assert!(matches!(begun().append(0, counts(3, 5, 1).view()), Err(DataError::Shape { .. })));
    assert!(matches!(begun().append(1, counts(3, 4, 1).view()), Err(DataError::Shape { .. })));
    let finished = |adata: AnnData| {
        let mut file = begun();
        file.append(0, counts(3, 4, 1).view()).expect("appended");
        file.finish(&Container::AnnData(adata))
    };
    assert!(matches!(finished(without_x(2, 4)), Err(DataError::Shape { .. })));
    assert!(matches!(finished(container(None, 3, 4)), Err(DataError::Kind { .. })));
    let mudata = MuData::new(IndexMap::from([("rna".to_owned(), without_x(3, 4))])).expect("one modality");
    assert!(matches!(begun().finish(&Container::MuData(mudata)), Err(DataError::Kind { .. })));
    assert!(!path.exists());
}
