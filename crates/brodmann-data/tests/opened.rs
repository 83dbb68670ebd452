//! A file held open: what is read and written belongs to the file that was opened, or is refused.

use std::fs;
use std::path::{Path, PathBuf};

use brodmann_data::{
    Additions, AnnData, Column, DataError, DataFrame, Matrix, OpenFile, ReadOptions, WriteOptions, read_h5ad,
    write_h5ad,
};
use ndarray::Array2;

fn file(path: &Path, n_obs: usize) {
    let names = |n: usize, p: &str| DataFrame::new((0..n).map(|i| format!("{p}{i}")).collect());
    let x = Matrix::DenseF32(Array2::from_elem((n_obs, 2), n_obs as f32));
    let adata = AnnData::new(x, names(n_obs, "spot"), names(2, "gene")).expect("fits");
    write_h5ad(&adata, path, &WriteOptions::default()).expect("written");
}

fn labels(n_obs: usize) -> Additions {
    let mut additions = Additions::default();
    additions.root.obs.insert("label".to_owned(), Column::Int(vec![1; n_obs]));
    additions
}

/// The folder, the input of three spots, the output that is not there yet.
fn scene() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (input, output) = (folder.path().join("in.h5ad"), folder.path().join("out.h5ad"));
    file(&input, 3);
    (folder, input, output)
}

fn refuses(opened: &OpenFile, input: &Path, output: &Path, how: &str) {
    let folder = input.parent().expect("a folder");
    let before = fs::read_dir(folder).expect("folder").count();
    let content = fs::read(input).ok();
    for (target, in_place) in [(output, false), (input, true)] {
        let error = opened.write_with_additions(target, &labels(3), in_place).expect_err("refused");
        assert!(matches!(error, DataError::Changed { .. }), "{error}");
        assert!(error.to_string().contains(how), "{error}");
    }
    assert!(!output.exists());
    assert_eq!(fs::read(input).ok(), content);
    assert_eq!(fs::read_dir(folder).expect("folder").count(), before);
}

#[test]
fn a_replaced_input_is_refused_and_still_read_as_it_was() {
    let (folder, input, output) = scene();
    let opened = OpenFile::open(&input).expect("opens");
    let other = folder.path().join("other.h5ad");
    file(&other, 5);
    fs::rename(&other, &input).expect("replaced");
    let read = opened.read(&ReadOptions::default()).expect("the old file").into_anndata().expect("one");
    assert_eq!(read.n_obs(), 3);
    refuses(&opened, &input, &output, "was replaced");
}

#[test]
fn an_input_that_is_written_to_truncated_or_removed_is_refused() {
    let (_folder, input, output) = scene();
    let bytes = fs::read(&input).expect("bytes");
    let opened = OpenFile::open(&input).expect("opens");
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&input, &bytes).expect("rewritten with the same bytes");
    refuses(&opened, &input, &output, "was written to");
    let opened = OpenFile::open(&input).expect("opens");
    fs::File::options().write(true).open(&input).and_then(|f| f.set_len(100)).expect("cut");
    refuses(&opened, &input, &output, "was written to");
    fs::write(&input, &bytes).expect("whole again");
    let opened = OpenFile::open(&input).expect("opens");
    let rows = opened.matrix_rows(None, None).expect("headers").expect("a matrix");
    fs::remove_file(&input).expect("removed");
    assert!(matches!(rows.blocks().map(drop), Err(DataError::Changed { .. })));
    assert!(matches!(opened.check_unchanged(), Err(DataError::Changed { .. })));
}

#[test]
fn an_input_left_alone_takes_results_again_and_again() {
    let (_folder, input, output) = scene();
    let opened = OpenFile::open(&input).expect("opens");
    opened.write_with_additions(&output, &labels(3), false).expect("a copy");
    opened.write_with_additions(&output, &labels(3), false).expect("replaced");
    opened.write_with_additions(&input, &labels(3), true).expect("in place");
    // It is another file by now.
    assert!(opened.check_unchanged().is_err());
    let read = read_h5ad(&input, &ReadOptions::default()).expect("reads");
    assert_eq!(read.obs.columns["label"], Column::Int(vec![1; 3]));
}

#[cfg(unix)]
#[test]
fn a_copy_has_no_more_readers_than_the_input() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, input, output) = scene();
    fs::set_permissions(&input, fs::Permissions::from_mode(0o600)).expect("set");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let write = |output: &Path, in_place| {
        let opened = OpenFile::open(&input).expect("opens");
        opened.write_with_additions(output, &labels(3), in_place).expect("written");
    };
    write(&output, false);
    assert_eq!(mode(&output), 0o600);
    write(&input, true);
    assert_eq!(mode(&input), 0o600);
    // What is replaced keeps its own.
    fs::set_permissions(&output, fs::Permissions::from_mode(0o640)).expect("set");
    write(&output, false);
    assert_eq!(mode(&output), 0o640);
}
