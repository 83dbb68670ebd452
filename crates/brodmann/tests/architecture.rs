//! The import rules of ARCHITECTURE.md, held by a test: which crate may use which, and which module which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crate → the crates of this workspace it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("brodmann-features", &[]),
    ("brodmann-kernels", &["brodmann-features"]),
    ("brodmann-data", &["brodmann-kernels"]),
    ("brodmann", &["brodmann-kernels", "brodmann-data"]),
    ("brodmann-cli", &["brodmann-kernels", "brodmann-data", "brodmann", "brodmann-networks"]),
    ("brodmann-py", &["brodmann-kernels", "brodmann-data", "brodmann"]),
];

/// Module of the crate `brodmann` → its sibling modules it may use. `pipeline` may use all of them.
const MODULES: &[(&str, &[&str])] = &[
    ("preprocess", &["stats"]),
    ("graph", &[]),
    ("nn", &[]),
    ("models", &["nn", "graph", "preprocess"]),
    ("cluster", &["graph", "metrics"]),
    ("embedding", &["cluster", "graph", "preprocess"]),
    ("stats", &["graph"]),
    ("metrics", &["graph", "stats"]),
    ("simulate", &[]),
    ("histology", &["nn"]),
    ("plot", &[]),
    ("report", &["plot"]),
];

/// Crates that must not leak out of their one owner.
const OWNED: &[(&str, &[&str])] = &[
    ("clap", &["brodmann-cli"]),
    ("indicatif", &["brodmann-cli"]),
    ("ctrlc", &["brodmann-cli"]),
    ("pyo3", &["brodmann-py"]),
    ("numpy", &["brodmann-py"]),
    ("parquet", &["brodmann-data"]),
    ("csv", &["brodmann-data"]),
    ("flate2", &["brodmann-data"]),
    ("gemm", &["brodmann-kernels"]),
];

fn crates_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in crates/").to_path_buf()
}

/// Names on the left of `=` (or `.workspace`) in the `[dependencies]` table.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifest).expect("every crate has a manifest");
    text.split("\n[dependencies]")
        .nth(1)
        .unwrap_or("")
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable source folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Code lines of a file: comments and documentation may name anything.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("readable source");
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn crates_depend_only_downwards() {
    let mut seen = 0;
    for entry in std::fs::read_dir(crates_folder()).expect("crates folder") {
        let folder = entry.expect("entry").path();
        let name = folder.file_name().expect("named").to_string_lossy().into_owned();
        let (_, allowed) =
            CRATES.iter().find(|(c, _)| *c == name).unwrap_or_else(|| panic!("{name} is not in the rules"));
        for dependency in dependencies(&folder.join("Cargo.toml")) {
            if dependency.starts_with("brodmann") {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
            }
            if let Some((_, owners)) = OWNED.iter().find(|(c, _)| *c == dependency) {
                assert!(owners.contains(&name.as_str()), "{dependency} belongs to {owners:?}, not to {name}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, CRATES.len(), "a crate of the rules is missing");
}

#[test]
fn modules_of_the_science_crate_use_only_what_the_map_allows() {
    let source = crates_folder().join("brodmann/src");
    for (module, allowed) in MODULES {
        let mut files = Vec::new();
        if source.join(module).is_dir() {
            rust_files(&source.join(module), &mut files);
        }
        // Tests may take their data from anywhere, a simulated tissue for instance.
        files.retain(|file| !file.iter().any(|part| part == "tests" || part == "tests.rs"));
        for file in files {
            let code = code(&file);
            for (other, _) in MODULES.iter().filter(|(other, _)| other != module && !allowed.contains(other))
            {
                assert!(
                    !code.contains(&format!("crate::{other}")),
                    "{} uses `{other}`, which `{module}` may not",
                    file.display()
                );
            }
            assert!(!code.contains("crate::pipeline"), "{}: nothing uses the pipeline", file.display());
            assert!(
                !code.contains("brodmann_data"),
                "{}: containers meet algorithms in `pipeline` alone",
                file.display()
            );
        }
    }
}

#[test]
fn hand_written_unsafe_lives_in_one_folder() {
    let mut files = Vec::new();
    rust_files(&crates_folder(), &mut files);
    for file in files {
        let in_arch = file.components().any(|c| c.as_os_str() == "arch");
        let this_test = file.ends_with("tests/architecture.rs");
        let has_unsafe = code(&file).contains("unsafe {") || code(&file).contains("unsafe fn");
        assert!(in_arch || this_test || !has_unsafe, "{} has `unsafe` outside arch/", file.display());
    }
}

/// `cargo run` and `pip install` build what they share once, if it has the same features in both.
#[test]
fn command_and_python_package_ask_for_the_same_features() {
    let features = |package: &str| -> BTreeMap<String, BTreeSet<String>> {
        let words = ["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none"];
        let done = Command::new(env!("CARGO"))
            .args(words)
            .args(["--package", package, "--format", "{p}\t{f}"])
            .current_dir(crates_folder())
            .output()
            .expect("cargo runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let lines = String::from_utf8(done.stdout).expect("names are text");
        // A package that is built for macros as well may have other features there.
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, features) in lines.lines().filter_map(|line| line.split_once('\t')) {
            let own = features.trim_end_matches(" (*)").to_owned();
            found.entry(name.to_owned()).or_default().insert(own);
        }
        found
    };
    let (command, package) = (features("brodmann-cli"), features("brodmann-py"));
    let shared: Vec<&String> = command.keys().filter(|name| package.contains_key(*name)).collect();
    assert!(shared.len() > 50, "{shared:?}");
    for name in shared {
        assert_eq!(command[name], package[name], "{name}: say in crates/brodmann-features what both need");
    }
}
