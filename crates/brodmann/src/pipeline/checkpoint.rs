//! Training saved on the way, so that an interrupted run goes on as if nothing had happened.
//!
//! One file a training, whatever the network: its parameters, the optimiser's running means and one row of numbers an
//! epoch, with a card that says which run it belongs to.

use std::path::{Path, PathBuf};

use brodmann_data::DataError;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::PipelineError;
use super::tensor_file::TensorFile;

const PARAMETERS: &str = "parameters.";
const FIRST: &str = "first_moments.";
const SECOND: &str = "second_moments.";
const EPOCHS: &str = "epochs";

/// Where training is saved on the way, and whether it goes on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRequest {
    /// Folder of the checkpoint; made where it does not exist.
    pub folder: PathBuf,
    /// Epochs between checkpoints.
    pub every: usize,
    /// Go on from the checkpoint there.
    pub resume: bool,
}

impl CheckpointRequest {
    /// Refuses intervals of no length.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub fn check(&self) -> Result<(), PipelineError> {
        if self.every > 0 {
            return Ok(());
        }
        Err(PipelineError::Option {
            option: "--checkpoint-every",
            found: "0".to_owned(),
            expected: "at least 1",
        })
    }

    /// Makes the folder, and finds out whether `file` can be written to it, before any work.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn prepare(&self, file: &CheckpointFile) -> Result<(), PipelineError> {
        std::fs::create_dir_all(&self.folder).map_err(|source| DataError::Write {
            path: self.folder.clone(),
            source,
            hint: "choose a folder you may write to with --checkpoint",
        })?;
        brodmann_data::check_writable(&file.path_in(&self.folder))?;
        Ok(())
    }

    /// Whether the state after `epoch` of `last` is to be saved.
    pub fn is_due(&self, epoch: usize, last: usize) -> bool {
        epoch.is_multiple_of(self.every) || epoch == last
    }
}

/// The state of a training as plain numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// Every parameter under its name.
    pub parameters: Vec<(String, Array2<f32>)>,
    /// Running mean of each gradient.
    pub first_moments: Vec<(String, Array2<f32>)>,
    /// Running mean of each squared gradient.
    pub second_moments: Vec<(String, Array2<f32>)>,
    /// One row an epoch.
    pub epochs: Array2<f64>,
}

/// What checkpoints of a method are called, and what their card says they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Name of the file in the folder.
    pub name: String,
    /// What its card says it is.
    pub kind: &'static str,
    /// The same for people.
    pub expected: &'static str,
}

impl CheckpointFile {
    /// The checkpoint of a folder.
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    /// Writes a checkpoint in place of the one before; `run` says what it is a checkpoint of.
    ///
    /// # Errors
    /// [`PipelineError::TensorFile`].
    pub fn write(&self, folder: &Path, run: &Json, state: TrainingState) -> Result<(), PipelineError> {
        let mut file = TensorFile::new(json!({ "kind": self.kind, "run": run }));
        for (prefix, list) in
            [(PARAMETERS, state.parameters), (FIRST, state.first_moments), (SECOND, state.second_moments)]
        {
            for (name, values) in list {
                file.insert_f32(format!("{prefix}{name}"), values);
            }
        }
        // Numbers, not text in the card: to the bit.
        file.insert_f64(EPOCHS, state.epochs);
        file.write(&self.path_in(folder))?;
        Ok(())
    }

    /// Reads the checkpoint of a folder, if it is one of `run` and has `width` numbers an epoch.
    ///
    /// # Errors
    /// [`PipelineError::NoCheckpoint`], [`PipelineError::CheckpointOfAnotherRun`] naming what differs, and the file's
    /// own.
    pub fn read(&self, folder: &Path, run: &Json, width: usize) -> Result<TrainingState, PipelineError> {
        let path = self.path_in(folder);
        if !path.exists() {
            return Err(PipelineError::NoCheckpoint { path });
        }
        let file = TensorFile::read(&path, self.kind, self.expected)?;
        let mut differences = Vec::new();
        differ("", &file.card["run"], run, &mut differences);
        if !differences.is_empty() {
            return Err(PipelineError::CheckpointOfAnotherRun { path, differences });
        }
        let epochs = file.f64(EPOCHS, None)?.clone();
        if epochs.ncols() != width {
            return Err(file.invalid(format!("its losses have {} columns", epochs.ncols())).into());
        }
        let below = |prefix| file.f32_below(prefix).map(|(n, a)| (n.to_owned(), a.clone())).collect();
        Ok(TrainingState {
            parameters: below(PARAMETERS),
            first_moments: below(FIRST),
            second_moments: below(SECOND),
            epochs,
        })
    }
}

/// What two descriptions of a run say differently, one line each.
fn differ(at: &str, found: &Json, expected: &Json, out: &mut Vec<String>) {
    let place = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match (found, expected) {
        (Json::Object(a), Json::Object(b)) => {
            for key in b.keys().chain(a.keys().filter(|k| !b.contains_key(*k))) {
                differ(
                    &place(key),
                    a.get(key).unwrap_or(&Json::Null),
                    b.get(key).unwrap_or(&Json::Null),
                    out,
                );
            }
        }
        _ if found == expected => {}
        _ => out.push(format!("{at} {} there, {} here", in_words(found), in_words(expected))),
    }
}

fn in_words(value: &Json) -> String {
    match value {
        Json::Null => "not set".to_owned(),
        Json::String(text) => text.replace("; ", ", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_with_both_values() {
        let mut out = Vec::new();
        let run = |lr: f64| json!({ "seed": 1, "options": { "learning_rate": lr, "stop": null } });
        differ("", &run(0.1), &run(0.2), &mut out);
        assert_eq!(out, ["options.learning_rate 0.1 there, 0.2 here"]);
        out.clear();
        differ("", &run(0.1), &run(0.1), &mut out);
        assert!(out.is_empty());
        differ("", &Json::Null, &run(0.1), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_state_reads_back_to_the_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = |v: f32| vec![("a.b".to_owned(), ndarray::array![[v, 2.0 * v]])];
        let state = TrainingState {
            parameters: named(0.1),
            first_moments: named(0.2),
            second_moments: named(1e-30),
            epochs: ndarray::array![[1.0 / 3.0, 0.1], [0.2, 0.3]],
        };
        let run = json!({ "seed": 1 });
        let file = CheckpointFile { name: "a.safetensors".to_owned(), kind: "test", expected: "a test" };
        let path = folder.path();
        assert!(matches!(file.read(path, &run, 2), Err(PipelineError::NoCheckpoint { .. })));
        let request = CheckpointRequest { folder: path.join("new"), every: 2, resume: false };
        request.prepare(&file).expect("a folder");
        assert!(request.is_due(2, 5) && request.is_due(5, 5) && !request.is_due(3, 5));
        file.write(path, &run, state.clone()).expect("written");
        assert_eq!(file.read(path, &run, 2).expect("readable"), state);
        assert!(file.read(path, &run, 3).is_err());
        let other = file.read(path, &json!({ "seed": 2 }), 2).expect_err("another run").to_string();
        assert!(other.contains("seed 1 there, 2 here") && other.matches("; ").count() == 1, "{other}");
    }
}
