//! Files whose structure is hostile: refused in words, at once, and without the memory they ask for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brodmann_data::{
    AnnData, Column, DataError, DataFrame, Matrix, OpenOptions, ReadOptions, WriteOptions, open_any, read,
    read_h5ad, write_h5ad,
};
use brodmann_kernels::Silent;
use ndarray::Array2;
use rust_hdf5::{H5File, H5Group};

/// An AnnData of three spots to which `change` adds what it will, in `uns`.
fn changed(folder: &Path, change: impl FnOnce(&H5File, &H5Group)) -> PathBuf {
    let path = folder.join("a.h5ad");
    let names = |n: usize| DataFrame::new((0..n).map(|i| format!("n{i}")).collect());
    let adata = AnnData::new(Matrix::DenseF32(Array2::ones((3, 2))), names(3), names(2)).expect("fits");
    write_h5ad(&adata, &path, &WriteOptions::default()).expect("written");
    let file = H5File::options().no_locking().open_rw(&path).expect("opens");
    change(&file, &file.root_group().group("uns").expect("there"));
    file.close().expect("closed");
    path
}

fn refusal(path: &Path) -> DataError {
    let start = Instant::now();
    let refused = read(path, &ReadOptions::default()).expect_err("refused");
    assert!(start.elapsed() < Duration::from_secs(10), "{refused}");
    refused
}

#[test]
fn chunks_that_were_never_written_are_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = changed(folder.path(), |_, uns| {
        let builder = uns.new_dataset::<f32>().shape([200_000_000]).chunk(&[65_536]);
        builder.create("empty").expect("made");
    });
    assert!(std::fs::metadata(&path).expect("there").len() < 1 << 20);
    let refused = refusal(&path);
    assert!(matches!(refused, DataError::TooLarge { stored: Some(_), .. }), "{refused}");
    // What is not asked for is not looked at.
    let spots = read(&path, &ReadOptions::names_only()).expect("the rest is in order");
    assert_eq!(spots.n_obs(), 3);
}

#[test]
fn groups_that_are_linked_twice_each_or_nested_without_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = changed(folder.path(), |_, uns| {
        let mut at = "uns".to_owned();
        let mut group = uns.create_group("top").expect("made");
        at.push_str("/top");
        for _ in 0..30 {
            let below = group.create_group("a").expect("made");
            at.push_str("/a");
            group.link("b", &format!("/{at}")).expect("linked");
            group = below;
        }
    });
    assert!(matches!(refusal(&path), DataError::Tangled { .. }));

    let path = changed(folder.path(), |_, uns| {
        let mut group = uns.create_group("g").expect("made");
        for _ in 0..200 {
            group = group.create_group("g").expect("made");
        }
    });
    assert!(matches!(refusal(&path), DataError::Tangled { .. }));
}

#[test]
fn a_soft_link_to_a_group_above_is_refused_and_one_beside_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    for (target, refused) in [("/uns", true), ("/", true), ("/obs", false), ("/nowhere", false)] {
        let path = changed(folder.path(), |_, uns| uns.create_soft_link("loop", target).expect("linked"));
        let answer = read(&path, &ReadOptions::default());
        assert_eq!(matches!(answer, Err(DataError::Tangled { .. })), refused, "{target}: {:?}", answer.err());
    }
}

#[test]
fn many_keys_are_read_in_time_that_is_in_proportion() {
    let folder = tempfile::tempdir().expect("a folder");
    let seconds = [500, 4000].map(|n| {
        let path = changed(folder.path(), |_, uns| {
            for k in 0..n {
                uns.new_dataset::<f64>().scalar().create(&format!("k{k}")).expect("made");
            }
        });
        let start = Instant::now();
        read(&path, &ReadOptions::default()).expect("read");
        start.elapsed().as_secs_f64()
    });
    // Eight times as many: 64 times as long where each key is looked for among all.
    assert!(seconds[1] < 25.0 * seconds[0] + 0.5, "{seconds:?}");
}

#[test]
fn a_column_whose_name_has_a_slash_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.h5ad");
    let names = |n: usize| DataFrame::new((0..n).map(|i| format!("n{i}")).collect());
    let mut adata = AnnData::new(Matrix::DenseF32(Array2::ones((3, 2))), names(3), names(2)).expect("fits");
    adata.obs.columns.insert("CD3/CD4".to_owned(), Column::Float64(vec![1.0, 2.0, 3.0]));
    write_h5ad(&adata, &path, &WriteOptions::default()).expect("written");
    let back = read_h5ad(&path, &ReadOptions::default()).expect("read");
    assert_eq!(back.obs.columns, adata.obs.columns);
    // Where the first part is a column itself, a file has no place for it.
    adata.obs.columns.insert("CD3".to_owned(), Column::Float64(vec![0.0; 3]));
    assert!(write_h5ad(&adata, &path, &WriteOptions::default()).is_err());
}

fn table(folder: &Path, name: &str, content: &[u8]) -> Result<(), DataError> {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    open_any(&path, &OpenOptions::default(), &ReadOptions::default(), &Silent).map(drop)
}

#[test]
fn what_is_no_count_is_refused_in_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |content: &str| table(folder.path(), "t.csv", content.as_bytes());
    of("spot,x,y,g0,g1\ns0,0,1,2,3\ns1,4,5,6,0\n").expect("a table");
    for wrong in [
        "spot,x,y,g0,g1\ns0,0,1,nan,3\ns1,4,5,6,0\n",
        "spot,x,y,g0,g1\ns0,0,1,1e400,3\ns1,4,5,6,0\n",
        "spot,x,y,g0,g1\ns0,0,1,2,3\ns0,4,5,6,0\n",
        "gene,1x1,1x2,1x1\ng0,1,2,3\ng1,4,5,6\n",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    let mtx = folder.path().join("mtx");
    std::fs::create_dir(&mtx).expect("made");
    std::fs::write(mtx.join("barcodes.tsv"), "s0\ns1\n").expect("written");
    std::fs::write(mtx.join("features.tsv"), "i0\tg0\ni1\tg1\n").expect("written");
    let of = |kind: &str, entry: &str| {
        let text = format!("%%MatrixMarket matrix coordinate {kind} general\n2 2 1\n1 1 {entry}\n");
        std::fs::write(mtx.join("matrix.mtx"), text).expect("written");
        open_any(&mtx, &OpenOptions::default(), &ReadOptions::default(), &Silent).map(drop)
    };
    of("real", "3").expect("a matrix");
    of("pattern", "").expect("a matrix");
    for (kind, entry) in
        [("complex", "3 4"), ("real", "3 4"), ("real", "nan"), ("real", "1e400"), ("real", "inf")]
    {
        assert!(of(kind, entry).is_err(), "{kind} {entry}");
    }
}

#[test]
fn a_cell_of_gigabytes_in_a_small_archive_is_refused() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    for filling in [b"x".as_slice(), b"x\n"] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"\"").expect("packed");
        let block = filling.repeat((1 << 20) / filling.len());
        for _ in 0..160 {
            gz.write_all(&block).expect("packed");
        }
        let packed = gz.finish().expect("packed");
        assert!(packed.len() < 4 << 20);
        let refused = table(folder.path(), "bomb.csv.gz", &packed).expect_err("refused");
        assert!(matches!(refused, DataError::TooLarge { .. }), "{refused}");
    }
}
