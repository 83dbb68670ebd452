//! A run that is stopped while it writes: the old output stays, nothing half-written is visible.
//!
//! Alone in its process, because cleaning up concerns every temporary file of a process.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brodmann_data::{
    AnnData, Container, DataFrame, ReadOptions, WriteOptions, cleanup_temporary_files, read, read_h5ad,
    write_h5ad, write_zarr,
};
use brodmann_kernels::CsrMatrix;

const OUTPUT: &str = "BRODMANN_TEST_OUTPUT";
const CLEAN: &str = "BRODMANN_TEST_CLEAN";

fn adata(n: usize) -> AnnData {
    let rows: Vec<Vec<(u32, f32)>> =
        (0..n).map(|i| (0..20).map(|j| (j, ((i * 31 + j as usize * 17) % 251) as f32)).collect()).collect();
    let name = |i: usize| i.to_string();
    let x = CsrMatrix::from_rows(20, &rows);
    AnnData::new(x, DataFrame::new((0..n).map(name).collect()), DataFrame::new((0..20).map(name).collect()))
        .expect("fits")
}

fn parts(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("folder").flatten();
    entries.filter(|e| e.file_name().to_string_lossy().ends_with("brodmann-part")).count()
}

/// The process that is stopped; idle unless started by the tests below.
#[test]
fn child_writes() {
    let Some(output) = std::env::var_os(OUTPUT) else { return };
    if std::env::var_os(CLEAN).is_some() {
        // What the command line's signal handler does: another thread removes the files, then the process ends.
        let folder = Path::new(&output).parent().expect("folder").to_path_buf();
        std::thread::spawn(move || {
            while parts(&folder) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            cleanup_temporary_files();
            std::process::exit(130);
        });
    }
    let slow = WriteOptions { gzip: 9, ..WriteOptions::default() };
    if Path::new(&output).extension().is_some_and(|e| e == "zarr") {
        write_zarr(&Container::AnnData(adata(300_000)), output, &slow).expect("writes");
    } else {
        write_h5ad(&adata(300_000), output, &slow).expect("writes");
    }
}

fn child(output: &Path, clean: bool) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child_writes"]).env(OUTPUT, output).stdout(Stdio::null()).stderr(Stdio::null());
    if clean {
        command.env(CLEAN, "1");
    }
    command.spawn().expect("starts")
}

#[test]
fn a_killed_run_leaves_the_old_output() {
    let folder = tempfile::tempdir().expect("folder");
    let output = folder.path().join("out.h5ad");
    write_h5ad(&adata(10), &output, &WriteOptions::default()).expect("writes");
    let old = fs::read(&output).expect("there");
    let mut child = child(&output, false);
    let start = Instant::now();
    while parts(folder.path()) == 0 && start.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("stops");
    child.wait().expect("ends");
    assert_eq!(fs::read(&output).expect("there"), old);
    assert_eq!(read_h5ad(&output, &ReadOptions::default()).expect("reads").n_obs(), 10);
}

#[test]
fn an_interrupted_run_cleans_up() {
    let folder = tempfile::tempdir().expect("folder");
    let output = folder.path().join("out.h5ad");
    write_h5ad(&adata(10), &output, &WriteOptions::default()).expect("writes");
    let old = fs::read(&output).expect("there");
    let status = child(&output, true).wait().expect("ends");
    assert_eq!(status.code(), Some(130));
    assert_eq!(fs::read(&output).expect("there"), old);
    assert_eq!(parts(folder.path()), 0);
}

#[test]
fn an_old_store_outlives_a_killed_run_and_one_that_cleans_up() {
    let folder = tempfile::tempdir().expect("folder");
    let output = folder.path().join("out.zarr");
    let small = Container::AnnData(adata(10));
    write_zarr(&small, &output, &WriteOptions::default()).expect("writes");
    let mut killed = child(&output, false);
    let start = Instant::now();
    while parts(folder.path()) == 0 && start.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().expect("stops");
    killed.wait().expect("ends");
    assert_eq!(parts(folder.path()), 1);
    assert_eq!(read(&output, &ReadOptions::default()).expect("reads"), small);
    write_zarr(&small, &output, &WriteOptions::default()).expect("nobody holds it");
    // What the killed run left is gone.
    assert_eq!(parts(folder.path()), 0);
    let status = child(&output, true).wait().expect("ends");
    assert_eq!(status.code(), Some(130));
    assert_eq!(parts(folder.path()), 0);
    assert_eq!(read(&output, &ReadOptions::default()).expect("reads"), small);
    write_zarr(&small, &output, &WriteOptions::default()).expect("nobody holds it");
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
}
