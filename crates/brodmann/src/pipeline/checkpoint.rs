//! Training saved on the way, so that an interrupted run goes on as if nothing had happened.
//!
//! One file per training, whatever the network: its parameters, the optimiser's running means and one row of numbers per
//! epoch, with a card that says which run it belongs to.

use std::path::{Path, PathBuf};

use brodmann_data::{DataError, Reservation};
use brodmann_kernels::Monitor;
use serde_json::{Value as Json, json};

use super::PipelineError;
use super::tensor_file::TensorFile;
use crate::nn::{Progress, TrainingState};

const PARAMETERS: &str = "parameters.";
const FIRST: &str = "first_moments.";
const SECOND: &str = "second_moments.";
const MEMORY: &str = "memory.";
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
    /// Begin anew, in place of a checkpoint there.
    pub restart: bool,
}

impl CheckpointRequest {
    /// Makes the folder, finds out whether `files`, one per network, can be written to it, before any work, and reserves the folder for
    /// this training: two in one folder would each resume from what the other saved. A checkpoint that is there is hours
    /// of work: it is gone on from, or replaced when that was said.
    ///
    /// # Errors
    /// [`DataError::Write`]; [`DataError::Busy`]; [`PipelineError::CheckpointThere`].
    pub fn prepare(&self, files: &[CheckpointFile]) -> Result<Reservation, PipelineError> {
        let unwritable = |path: &Path, source| DataError::Write { path: path.to_owned(), source };
        std::fs::create_dir_all(&self.folder).map_err(|source| unwritable(&self.folder, source))?;
        let reserved = Reservation::of(self.folder.join("checkpoint"))?;
        for file in files {
            let path = file.path_in(&self.folder);
            if !self.resume && path.exists() {
                if !self.restart {
                    let read = TensorFile::read(&path, file.kind, file.expected).ok();
                    let epoch = read.and_then(|read| Some(read.f64(EPOCHS, None).ok()?.nrows()));
                    return Err(PipelineError::CheckpointThere { path, epoch });
                }
                // Left there, it would be gone on from should this training end before it saves its own.
                std::fs::remove_file(&path).map_err(|source| unwritable(&path, source))?;
            }
            brodmann_data::check_writable(&path)?;
        }
        Ok(reserved)
    }

    /// Whether the state after `epoch` of `last` is to be saved.
    pub fn is_due(&self, epoch: usize, last: usize) -> bool {
        epoch.is_multiple_of(self.every) || epoch == last
    }
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
        for (prefix, list) in [
            (PARAMETERS, state.parameters),
            (FIRST, state.first_moments),
            (SECOND, state.second_moments),
            (MEMORY, state.memory),
        ] {
            for (name, values) in list {
                file.insert_f32(format!("{prefix}{name}"), values);
            }
        }
        // Numbers, not text in the card: to the bit.
        file.insert_f64(EPOCHS, state.history);
        file.write(&self.path_in(folder))?;
        Ok(())
    }

    /// Reads the checkpoint of a folder, if it is one of `run` and has `width` numbers per epoch.
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
        let history = file.f64(EPOCHS, None)?.clone();
        if history.ncols() != width {
            return Err(file.invalid(format!("its losses have {} columns", history.ncols())).into());
        }
        let below = |prefix| file.f32_below(prefix).map(|(n, a)| (n.to_owned(), a.clone())).collect();
        Ok(TrainingState {
            parameters: below(PARAMETERS),
            first_moments: below(FIRST),
            second_moments: below(SECOND),
            history,
            memory: below(MEMORY),
        })
    }
}

/// The checkpoints of one training: read before it, written on the way.
pub(super) struct Checkpoints<'a> {
    /// Where, if they were asked for.
    pub request: Option<&'a CheckpointRequest>,
    /// What they are called.
    pub file: CheckpointFile,
    /// What must be the same for one to be continued.
    pub run: Json,
    /// Numbers per epoch.
    pub width: usize,
    /// Epochs of the whole training.
    pub last: usize,
}

impl Checkpoints<'_> {
    /// The state to go on from, if that was asked for.
    ///
    /// # Errors
    /// As [`CheckpointFile::read`].
    pub(super) fn resume(&self, monitor: &dyn Monitor) -> Result<Option<TrainingState>, PipelineError> {
        let Some(request) = self.request.filter(|r| r.resume) else { return Ok(None) };
        let state = self.file.read(&request.folder, &self.run, self.width)?;
        monitor.note(&format!("going on after epoch {}", state.history.nrows()));
        Ok(Some(state))
    }

    /// Writes the state after an epoch where it is due.
    ///
    /// # Errors
    /// As [`CheckpointFile::write`].
    pub(super) fn after_epoch(&self, progress: &Progress<'_>) -> Result<(), PipelineError> {
        match self.request {
            Some(request) if request.is_due(progress.epoch, self.last) => {
                self.file.write(&request.folder, &self.run, progress.checkpoint())
            }
            _ => Ok(()),
        }
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
        Json::String(text) => text.clone(),
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
            history: ndarray::array![[1.0 / 3.0, 0.1], [0.2, 0.3]],
            memory: named(0.3),
        };
        let run = json!({ "seed": 1 });
        let file = CheckpointFile { name: "a.safetensors".to_owned(), kind: "test", expected: "a test" };
        let path = folder.path();
        assert!(matches!(file.read(path, &run, 2), Err(PipelineError::NoCheckpoint { .. })));
        let request = CheckpointRequest { folder: path.join("new"), every: 2, resume: false, restart: false };
        let files = std::slice::from_ref(&file);
        let reserved = request.prepare(files).expect("a folder");
        request.prepare(files).expect_err("the folder of a training that runs");
        drop(reserved);
        file.write(&request.folder, &run, state.clone()).expect("written");
        let there = request.prepare(files).expect_err("there is one").to_string();
        assert!(there.contains("a.safetensors, saved after epoch 2, is there already"), "{there}");
        let resumed = CheckpointRequest { resume: true, ..request.clone() };
        drop(resumed.prepare(files).expect("goes on from it"));
        assert!(file.path_in(&request.folder).exists());
        let anew = CheckpointRequest { restart: true, ..request.clone() };
        drop(anew.prepare(files).expect("begins in its place"));
        assert!(!file.path_in(&request.folder).exists());
        assert!(request.is_due(2, 5) && request.is_due(5, 5) && !request.is_due(3, 5));
        file.write(path, &run, state.clone()).expect("written");
        assert_eq!(file.read(path, &run, 2).expect("readable"), state);
        assert!(file.read(path, &run, 3).is_err());
        let other = file.read(path, &json!({ "seed": 2 }), 2).expect_err("another run").to_string();
        assert!(other.contains("seed 1 there, 2 here"), "{other}");
    }
}
