//! Training saved on the way, so that an interrupted one goes on as if nothing had happened.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::step::{Architecture, Snapshot};
use crate::error::{HistologyError, WeightsError};
use crate::state::StateDict;
use crate::weights::{fit_to, read_weights, write_weights};

const KIND: &str = "byol_checkpoint";
const FILE: &str = "byol.safetensors";
const PARTS: [&str; 4] = ["online.", "target.", "first_moments.", "second_moments."];

/// Where training is saved on the way, and whether it goes on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByolCheckpoints {
    /// Folder of the checkpoint; made where it does not exist.
    pub folder: PathBuf,
    /// Epochs between checkpoints.
    pub every: usize,
    /// Go on from the checkpoint there.
    pub resume: bool,
}

impl ByolCheckpoints {
    /// The file in the folder.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Makes the folder, before any work.
    pub(super) fn prepare(&self) -> Result<(), HistologyError> {
        std::fs::create_dir_all(&self.folder).map_err(|source| {
            HistologyError::Weights(WeightsError::Write { path: self.folder.clone(), source })
        })
    }

    /// Writes the state after an epoch in place of the one before.
    pub(super) fn write(&self, run: &Json, snapshot: Snapshot, losses: &[f64]) -> Result<(), HistologyError> {
        let [first, second] = snapshot.moments;
        let mut state = StateDict::new();
        for (prefix, arrays) in PARTS.iter().zip([snapshot.online, snapshot.target, first, second]) {
            state.extend(arrays.into_iter().map(|(name, a)| (format!("{prefix}{name}"), a)));
        }
        let card = json!({ "kind": KIND, "run": run, "n_steps": snapshot.n_steps, "losses": losses });
        Ok(write_weights(&self.path(), &state, &card)?)
    }

    /// The state to go on from and the losses so far, if it is one of `run`.
    pub(super) fn read(
        &self,
        run: &Json,
        architecture: &Architecture,
    ) -> Result<(Snapshot, Vec<f64>), HistologyError> {
        let path = self.path();
        if !path.exists() {
            return Err(HistologyError::NoCheckpoint { path });
        }
        let (mut state, card) = read_weights(&path)?;
        if card["kind"] != KIND {
            return Err(unreadable(&path, "its card does not say that it is a checkpoint".to_owned()));
        }
        let differences = differences(&card["run"], run);
        if !differences.is_empty() {
            return Err(HistologyError::OtherTraining { path, differences: differences.join(", ") });
        }
        let losses: Option<Vec<f64>> =
            card["losses"].as_array().and_then(|list| list.iter().map(Json::as_f64).collect());
        let (Some(losses), Some(n_steps)) = (losses, card["n_steps"].as_u64()) else {
            return Err(unreadable(&path, "its card does not say how far it is".to_owned()));
        };
        let slots = architecture.slots();
        let mut parts = PARTS.map(|prefix| {
            let all = std::mem::take(&mut state);
            let (mine, rest) =
                all.into_iter().partition::<StateDict, _>(|(name, _)| name.starts_with(prefix));
            state = rest;
            let bare = mine.into_iter().map(|(name, a)| (name[prefix.len()..].to_owned(), a));
            bare.collect::<StateDict>()
        });
        for (part, arrays) in parts.iter_mut().enumerate() {
            let wanted = slots.iter().filter(|slot| match part {
                0 => true,
                1 => Architecture::is_averaged(slot),
                _ => slot.role.is_trained(),
            });
            let wanted: Vec<_> = wanted.cloned().collect();
            *arrays = fit_to(&wanted, std::mem::take(arrays), "tensors of this training", &path)?;
        }
        let [online, target, first, second] = parts;
        Ok((Snapshot { online, target, moments: [first, second], n_steps }, losses))
    }
}

fn unreadable(path: &Path, detail: String) -> HistologyError {
    let expected = "a checkpoint of this version";
    HistologyError::Weights(WeightsError::Unreadable { path: path.to_path_buf(), detail, expected })
}

/// The options two trainings do not share.
fn differences(found: &Json, expected: &Json) -> Vec<String> {
    let (Some(a), Some(b)) = (found.as_object(), expected.as_object()) else {
        return if found == expected { Vec::new() } else { vec!["its card is damaged".to_owned()] };
    };
    let differing = b.iter().filter(|(key, value)| a.get(*key) != Some(value));
    differing
        .map(|(key, value)| format!("{key} {} there, {value} here", a.get(key).unwrap_or(&Json::Null)))
        .collect()
}
