//! Ctrl-C at any moment: exit code 130, and the output is the old one, a whole new one, or none.
#![cfg(unix)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brodmann_data::{Container, ReadOptions, read};
use common::Folder;

const SIGINT: i32 = 2;

fn parts(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("")).expect("the folder").flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.ends_with("brodmann-part")).collect()
}

/// Runs the program and interrupts it when `now` says so; its exit code as a shell sees it, and what it said.
fn interrupt(folder: &Folder, args: &[&str], mut now: impl FnMut() -> bool) -> (i32, String) {
    let mut command = folder.command(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    while child.try_wait().expect("waits").is_none() && !now() {
        std::thread::sleep(Duration::from_micros(200));
    }
    // After its end the signal finds nobody.
    let pid = child.id().to_string();
    let _ = Command::new("sh").args(["-c", &format!("kill -INT {pid} 2>/dev/null")]).status();
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8(output.stderr).expect("text");
    match output.status.signal() {
        None => (output.status.code().expect("no signal, so a code"), stderr),
        // Before the program's first line the system ends it, without a word: nothing has happened yet.
        Some(signal) => (128 + signal, "error: interrupted\n\nhint: no output was written".to_owned()),
    }
}

fn after(delay: Duration) -> impl FnMut() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= delay
}

/// While the output is being written: its temporary file has the size given.
fn while_writing(folder: &Folder, at_least: u64) -> impl FnMut() -> bool + '_ {
    move || {
        let size = |name: &String| std::fs::metadata(folder.path(name)).map_or(0, |m| m.len());
        parts(folder).iter().any(|name| size(name) >= at_least)
    }
}

fn has_domains(folder: &Folder, name: &str) -> bool {
    match read(folder.path(name), &ReadOptions::default()).expect("a whole file") {
        Container::MuData(mdata) => mdata.obs.columns.contains_key("spatialleiden"),
        Container::AnnData(adata) => adata.obs.columns.contains_key("spatialleiden"),
    }
}

/// What holds after every interruption.
fn check(folder: &Folder, code: i32, stderr: &str) {
    assert!(code == 0 || code == 128 + SIGINT, "exit code {code}: {stderr}");
    assert_eq!(parts(folder), Vec::<String>::new(), "left behind");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(stderr.matches("error: ").count(), usize::from(code != 0), "one error, if any: {stderr}");
}

#[test]
fn ctrl_c_during_work_and_during_writing() {
    let folder = Folder::new();
    folder.simulate("tissue.h5mu", 60, &["--n-genes", "300"]);
    let input = std::fs::read(folder.path("tissue.h5mu")).expect("read");
    let args = ["spatialleiden", "tissue.h5mu", "--out", "out.h5mu", "--quiet"];
    let start = Instant::now();
    folder.run(&args).succeeded();
    let whole = start.elapsed();
    std::fs::remove_file(folder.path("out.h5mu")).expect("removed");

    let mut interrupted = 0;
    let mut try_once = |now: &mut dyn FnMut() -> bool| {
        let (code, stderr) = interrupt(&folder, &args, now);
        check(&folder, code, &stderr);
        if code != 0 {
            interrupted += 1;
            assert!(stderr.contains("error: interrupted\n\nhint: "), "{stderr}");
        }
        let written = folder.path("out.h5mu").exists();
        assert_eq!(stderr.contains("no output was written"), !written, "{stderr}");
        if written {
            assert!(has_domains(&folder, "out.h5mu"));
            std::fs::remove_file(folder.path("out.h5mu")).expect("removed");
        }
        assert!(std::fs::read(folder.path("tissue.h5mu")).expect("read") == input, "the input was changed");
    };
    // From the first moments to past the end. The handler stands after a few milliseconds.
    for share in [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2] {
        try_once(&mut after(whole.mul_f64(share).max(Duration::from_millis(20))));
    }
    for at_least in [0, 1, 100_000, input.len() as u64, input.len() as u64 + 1] {
        try_once(&mut while_writing(&folder, at_least));
    }
    assert!(interrupted > 0, "no run was still going");
}

#[test]
fn ctrl_c_while_the_input_is_rewritten() {
    let folder = Folder::new();
    folder.simulate("tissue.h5ad", 50, &["--n-genes", "500"]);
    let old = std::fs::read(folder.path("tissue.h5ad")).expect("read");
    let args = ["spatialleiden", "tissue.h5ad", "--in-place", "--quiet"];
    for at_least in [0, 1, 100_000, old.len() as u64, old.len() as u64 + 1, u64::MAX] {
        let (code, stderr) = interrupt(&folder, &args, while_writing(&folder, at_least));
        check(&folder, code, &stderr);
        let is_new = has_domains(&folder, "tissue.h5ad");
        if !is_new {
            assert!(std::fs::read(folder.path("tissue.h5ad")).expect("read") == old, "neither old nor new");
        }
        assert_eq!(stderr.contains("no output was written"), !is_new, "{stderr}");
        std::fs::write(folder.path("tissue.h5ad"), &old).expect("restored");
    }
}

#[test]
fn ctrl_c_during_a_simulation() {
    let folder = Folder::new();
    let args = ["simulate", "--out", "big.h5mu", "--side", "150", "--quiet"];
    for now in
        [&mut after(Duration::from_millis(60)) as &mut dyn FnMut() -> bool, &mut while_writing(&folder, 1)]
    {
        let (code, stderr) = interrupt(&folder, &args, now);
        check(&folder, code, &stderr);
        if code != 0 && stderr.contains("no output") {
            assert!(folder.files().is_empty());
        }
    }
}
