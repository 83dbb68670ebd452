//! SpaMI's training as a checkpoint: its losses are rows of numbers there.

use std::path::Path;

use ndarray::Array2;
use serde_json::Value as Json;

use crate::models::spami::{SpamiCheckpoint, SpamiEpoch};
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::{CheckpointFile, TrainingState};

/// The file in the folder.
pub(super) fn file() -> CheckpointFile {
    CheckpointFile {
        name: "spami.checkpoint.safetensors".to_owned(),
        kind: "spami-checkpoint",
        expected: "a checkpoint of SpaMI",
    }
}

/// Writes a checkpoint in place of the one before; `run` says what it is a checkpoint of.
pub(super) fn write(folder: &Path, run: &Json, state: SpamiCheckpoint) -> Result<(), PipelineError> {
    let n_modalities = state.epochs.first().map_or(0, |e| e.contrast.len());
    let mut epochs = Array2::<f64>::zeros((state.epochs.len(), 2 + 2 * n_modalities));
    for (mut row, epoch) in epochs.rows_mut().into_iter().zip(&state.epochs) {
        let values = [epoch.loss, epoch.cosine].into_iter().chain(epoch.contrast.iter().copied());
        for (slot, v) in row.iter_mut().zip(values.chain(epoch.reconstruction.iter().copied())) {
            *slot = v;
        }
    }
    let SpamiCheckpoint { parameters, first_moments, second_moments, .. } = state;
    file().write(folder, run, TrainingState { parameters, first_moments, second_moments, epochs })
}

/// Reads the checkpoint of a folder, if it is one of `run`.
///
/// # Errors
/// As [`CheckpointFile::read`].
pub(super) fn read(folder: &Path, run: &Json, n_modalities: usize) -> Result<SpamiCheckpoint, PipelineError> {
    let state = file().read(folder, run, 2 + 2 * n_modalities)?;
    let epochs = state
        .epochs
        .rows()
        .into_iter()
        .map(|row| SpamiEpoch {
            loss: row[0],
            cosine: row[1],
            contrast: row.iter().skip(2).take(n_modalities).copied().collect(),
            reconstruction: row.iter().skip(2 + n_modalities).copied().collect(),
        })
        .collect();
    let TrainingState { parameters, first_moments, second_moments, .. } = state;
    Ok(SpamiCheckpoint { parameters, first_moments, second_moments, epochs })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_reads_back_to_the_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = |v: f32| vec![("a.b".to_owned(), ndarray::array![[v, 2.0 * v]])];
        let state = SpamiCheckpoint {
            parameters: named(0.1),
            first_moments: named(0.2),
            second_moments: named(1e-30),
            epochs: vec![SpamiEpoch {
                loss: 1.0 / 3.0,
                contrast: vec![0.1, 0.2],
                reconstruction: vec![0.3, 0.7],
                cosine: 0.9,
            }],
        };
        let run = json!({ "seed": 1 });
        write(folder.path(), &run, state.clone()).expect("written");
        assert_eq!(read(folder.path(), &run, 2).expect("readable"), state);
        assert!(read(folder.path(), &run, 3).is_err());
    }
}
