//! Training saved on the way, so that an interrupted run goes on as if nothing had happened.

use std::path::{Path, PathBuf};

use brodmann_data::DataError;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use crate::models::spami::{SpamiCheckpoint, SpamiEpoch};
use crate::pipeline::PipelineError;
use crate::pipeline::tensor_file::TensorFile;

/// Name of the file in the folder.
const FILE: &str = "spami.checkpoint.safetensors";
/// What its card says it is.
const KIND: &str = "spami-checkpoint";
const EXPECTED: &str = "a checkpoint of SpaMI";
const PARAMETERS: &str = "parameters.";
const FIRST: &str = "first_moments.";
const SECOND: &str = "second_moments.";
const EPOCHS: &str = "epochs";

/// The checkpoint of a folder.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Makes the folder, and finds out whether it can be written to, before any work.
pub(super) fn prepare(folder: &Path) -> Result<(), PipelineError> {
    std::fs::create_dir_all(folder).map_err(|source| DataError::Write {
        path: folder.to_path_buf(),
        source,
        hint: "choose a folder you may write to with --checkpoint",
    })?;
    brodmann_data::check_writable(&path_in(folder))?;
    Ok(())
}

/// Writes a checkpoint in place of the one before; `run` says what it is a checkpoint of.
pub(super) fn write(folder: &Path, run: &Json, state: &SpamiCheckpoint) -> Result<(), PipelineError> {
    let mut file = TensorFile::new(json!({ "kind": KIND, "run": run }));
    for (prefix, list) in
        [(PARAMETERS, &state.parameters), (FIRST, &state.first_moments), (SECOND, &state.second_moments)]
    {
        for (name, values) in list {
            file.insert_f32(format!("{prefix}{name}"), values.clone());
        }
    }
    // Numbers, not text in the card: to the bit.
    let n_modalities = state.epochs.first().map_or(0, |e| e.contrast.len());
    let mut epochs = Array2::<f64>::zeros((state.epochs.len(), 2 + 2 * n_modalities));
    for (mut row, epoch) in epochs.rows_mut().into_iter().zip(&state.epochs) {
        let values = [epoch.loss, epoch.cosine].into_iter().chain(epoch.contrast.iter().copied());
        for (slot, v) in row.iter_mut().zip(values.chain(epoch.reconstruction.iter().copied())) {
            *slot = v;
        }
    }
    file.insert_f64(EPOCHS, epochs);
    file.write(&path_in(folder))?;
    Ok(())
}

/// Reads the checkpoint of a folder, if it is one of `run`.
///
/// # Errors
/// [`PipelineError::NoCheckpoint`], [`PipelineError::CheckpointOfAnotherRun`] naming what differs, and the file's own.
pub(super) fn read(folder: &Path, run: &Json, n_modalities: usize) -> Result<SpamiCheckpoint, PipelineError> {
    let path = path_in(folder);
    if !path.exists() {
        return Err(PipelineError::NoCheckpoint { path });
    }
    let file = TensorFile::read(&path, KIND, EXPECTED)?;
    let mut differences = Vec::new();
    differ("", &file.card["run"], run, &mut differences);
    if !differences.is_empty() {
        return Err(PipelineError::CheckpointOfAnotherRun { path, differences });
    }
    let history = file.f64(EPOCHS, None)?;
    if history.ncols() != 2 + 2 * n_modalities {
        return Err(file.invalid(format!("its losses have {} columns", history.ncols())).into());
    }
    let epochs = history
        .rows()
        .into_iter()
        .map(|row| SpamiEpoch {
            loss: row[0],
            cosine: row[1],
            contrast: row.iter().skip(2).take(n_modalities).copied().collect(),
            reconstruction: row.iter().skip(2 + n_modalities).copied().collect(),
        })
        .collect();
    let below = |prefix| file.f32_below(prefix).map(|(n, a)| (n.to_owned(), a.clone())).collect();
    Ok(SpamiCheckpoint {
        parameters: below(PARAMETERS),
        first_moments: below(FIRST),
        second_moments: below(SECOND),
        epochs,
    })
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
        assert!(matches!(read(folder.path(), &run, 2), Err(PipelineError::NoCheckpoint { .. })));
        prepare(folder.path()).expect("a folder");
        write(folder.path(), &run, &state).expect("written");
        assert_eq!(read(folder.path(), &run, 2).expect("readable"), state);
        assert!(read(folder.path(), &run, 3).is_err());
        let other = read(folder.path(), &json!({ "seed": 2 }), 2).expect_err("another run").to_string();
        assert!(other.contains("seed 1 there, 2 here") && other.matches("; ").count() == 1, "{other}");
    }
}
