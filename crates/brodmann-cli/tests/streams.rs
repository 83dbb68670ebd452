//! Streams that are closed or full: progress is never worth a result, a result that cannot be delivered is an error.

#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::process::{Command, Stdio};

use common::Folder;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("a device that is always full").into()
}

/// The writing end of a pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn leiden(folder: &Folder, more: &[&str]) -> Command {
    folder.command(&[&["spatialleiden", "tissue.h5ad", "--out", "out.h5ad"], more].concat())
}

#[test]
fn nobody_reads_the_progress() {
    let folder = Folder::with_tissue("tissue.h5ad", 12);
    for stderr in [full(), closed()] {
        let done = leiden(&folder, &["--json"]).stderr(stderr).output().expect("runs");
        assert_eq!(done.status.code(), Some(0));
        serde_json::from_slice::<serde_json::Value>(&done.stdout).expect("the report");
        std::fs::remove_file(folder.path("out.h5ad")).expect("the result");
    }
    let refused = folder.command(&["info", "none.h5ad"]).stderr(full()).output().expect("runs");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_report_that_cannot_be_delivered_is_told_and_the_file_is_there() {
    let folder = Folder::with_tissue("tissue.h5ad", 12);
    for (stdout, more) in [(full(), &["--json"][..]), (closed(), &["--json"]), (full(), &[])] {
        let done = leiden(&folder, more).stdout(stdout).stderr(Stdio::piped()).output().expect("runs");
        let words = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{words}");
        assert!(words.contains("cannot be written to stdout"), "{words}");
        std::fs::remove_file(folder.path("out.h5ad")).expect("the result");
    }
    // `| head` has what it wanted of the lines for people.
    let done = leiden(&folder, &[]).stdout(closed()).output().expect("runs");
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn of_two_runs_in_place_no_result_is_lost() {
    let folder = Folder::with_tissue("tissue.h5ad", 16);
    let run = |key: &str| {
        let args = ["spatialleiden", "tissue.h5ad", "--in-place", "--key-added", key];
        folder.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")
    };
    let both = [run("one"), run("two")];
    let info = || {
        String::from_utf8_lossy(&folder.command(&["info", "tissue.h5ad"]).output().expect("runs").stdout)
            .into_owned()
    };
    let outcomes = both.map(|child| child.wait_with_output().expect("ends"));
    let there = info();
    for (key, done) in ["one", "two"].iter().zip(&outcomes) {
        let words = String::from_utf8_lossy(&done.stderr);
        if done.status.success() {
            assert!(there.contains(key), "{there}");
        } else {
            assert_eq!(done.status.code(), Some(2), "{words}");
            assert!(
                words.contains("is being written by") || words.contains("while it was worked on"),
                "{words}"
            );
        }
    }
    assert!(outcomes.iter().any(|done| done.status.success()));
}
