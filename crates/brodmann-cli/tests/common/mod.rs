//! A folder, the program run in it, and what every refusal owes the user.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use brodmann_data::{AnnData, Container, MuData, ReadOptions, WriteOptions, read, read_h5ad, write_h5ad};

/// A folder of its own for a test; every run has it as its working directory.
pub struct Folder(tempfile::TempDir);

/// How a run ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// With a simulated tissue of `side × side` spots in `name`.
    pub fn with_tissue(name: &str, side: usize) -> Self {
        let folder = Self::new();
        folder.simulate(name, side, &[]);
        folder
    }

    /// With a simulated tissue in `tissue.h5ad` on which `change` has been at work.
    pub fn with_changed(side: usize, change: impl FnOnce(&mut AnnData)) -> Self {
        let folder = Self::with_tissue("tissue.h5ad", side);
        folder.change("tissue.h5ad", change);
        folder
    }

    pub fn simulate(&self, name: &str, side: usize, more: &[&str]) {
        let side = side.to_string();
        let mut args = vec!["simulate", "--out", name, "--side", &side, "--quiet"];
        if !more.contains(&"--n-genes") {
            args.extend(["--n-genes", "200", "--n-proteins", "40", "--n-peaks", "200"]);
        }
        args.extend(more);
        self.run(&args).succeeded();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brodmann"));
        command.args(args).current_dir(self.0.path());
        command
    }

    /// Runs a command, with `--force` where an output is there already: tests use their names again.
    pub fn run(&self, args: &[&str]) -> Outcome {
        const WRITTEN: [&str; 5] = ["--out", "-o", "--table", "--plot", "--save-model"];
        let is_there = |pair: &[&str]| WRITTEN.contains(&pair[0]) && self.path(pair[1]).exists();
        let may_be = args.first().is_some_and(|command| *command != "run")
            && !["--in-place", "--force"].iter().any(|flag| args.contains(flag));
        let mut args = args.to_vec();
        if may_be && args.windows(2).any(is_there) {
            args.push("--force");
        }
        self.run_as_typed(&args)
    }

    /// The same, no word added.
    pub fn run_as_typed(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    pub fn adata(&self, name: &str) -> AnnData {
        read_h5ad(self.path(name), &ReadOptions::default()).expect("an AnnData")
    }

    pub fn mdata(&self, name: &str) -> MuData {
        match read(self.path(name), &ReadOptions::default()).expect("a container") {
            Container::MuData(mdata) => mdata,
            Container::AnnData(_) => panic!("{name} is an AnnData"),
        }
    }

    pub fn write(&self, name: &str, adata: &AnnData) {
        write_h5ad(adata, self.path(name), &WriteOptions::default()).expect("written");
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut AnnData)) {
        let mut adata = self.adata(name);
        change(&mut adata);
        self.write(name, &adata);
    }

    /// Label of every observation by its name.
    pub fn labels(&self, name: &str, key: &str) -> BTreeMap<String, String> {
        let obs = match read(self.path(name), &ReadOptions::default()).expect("a container") {
            Container::AnnData(adata) => adata.obs,
            Container::MuData(mdata) => mdata.obs,
        };
        let column = obs.columns.get(key).unwrap_or_else(|| panic!("obs[{key:?}] of {name}"));
        let labels = column.to_categorical();
        let label = |i| labels.get(i).map(str::to_owned).expect("a label for every spot");
        obs.index.iter().enumerate().map(|(i, name)| (name.clone(), label(i))).collect()
    }

    /// Every file below the folder with its bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, files);
                } else {
                    let bytes = fs::read(&path).expect("a readable file");
                    files.insert(path, bytes);
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(self.0.path(), &mut files);
        files
    }

    /// Runs what must be refused: exit code 2, `error:` and `hint:` that name what was found, nothing written,
    /// nothing lost, nothing left behind.
    pub fn refuses(&self, args: &[&str], names: &[&str]) -> Outcome {
        let before = self.files();
        let mut quiet = args.to_vec();
        quiet.push("--quiet");
        let outcome = self.run(&quiet);
        outcome.is_refusal(names);
        self.unchanged(&before);
        outcome
    }

    /// The folder holds what it held, byte for byte.
    pub fn unchanged(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let after = self.files();
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(before), "files appeared or vanished");
        for (path, bytes) in before {
            assert!(after[path] == *bytes, "{} was changed", path.display());
        }
    }
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(std::process::Stdio::null()).output().expect("the program starts");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    pub fn is_refusal(&self, names: &[&str]) {
        let text = &self.stderr;
        assert_eq!(self.code, Some(2), "exit code; stderr: {text}");
        assert!(self.stdout.is_empty(), "stdout: {}", self.stdout);
        assert!(text.starts_with("error: "), "{text}");
        let (_, hint) = text.split_once("\n\nhint: ").unwrap_or_else(|| panic!("no hint: {text}"));
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        for sentence in [message, hint.trim_end()] {
            assert_eq!(brodmann_kernels::proofread::blemish(sentence), None, "{text}");
        }
        // `n_clusters` is how the library calls what is typed as --n-clusters.
        let own_name = |word: &str| word.contains('_');
        let quoted = text.split('`').skip(1).step_by(2).filter(|q| !q.starts_with("brodmann "));
        assert!(quoted.into_iter().all(|q| !own_name(q)), "a name of the library: {text}");
        assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
        for name in names {
            assert!(text.contains(name), "{name:?} is not named: {text}");
        }
    }

    /// The report; stdout holds it and nothing else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.stdout))
    }
}

/// Says on the terminal that a check could not be made here.
pub fn skipped(what: &str, why: &str) {
    eprintln!("SKIPPED: {what}: {why}");
}
