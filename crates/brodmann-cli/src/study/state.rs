//! What is finished, written down in the study's folder after every step; and why a step is to run.

use std::io::ErrorKind;
use std::path::Path;

use brodmann_data::DataError;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::content::Content;
use super::plan::Step;

/// Layout of the file; another is not read.
const FORMAT: u32 = 1;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Steps by name, as they last ran.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    format: u32,
    pub steps: IndexMap<String, Record>,
}

/// One step as it last ran.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// False from its start to its end: a run that was killed leaves that.
    pub finished: bool,
    pub version: String,
    pub command: String,
    pub seed: u64,
    pub options: IndexMap<String, Vec<String>>,
    /// By path from the folder of the study's file.
    pub inputs: IndexMap<String, Content>,
    pub outputs: IndexMap<String, Content>,
    pub seconds: f64,
    pub peak_rss_bytes: Option<u64>,
    pub warnings: Vec<String>,
    pub report: Json,
}

impl Default for State {
    fn default() -> Self {
        Self { format: FORMAT, steps: IndexMap::new() }
    }
}

impl State {
    /// What was written down, and what there is to say where it cannot be read.
    pub fn read(path: &Path) -> (Self, Option<String>) {
        let not = |why: &str| {
            let said = format!("{} {why}: every step runs again", path.display());
            (Self::default(), Some(said))
        };
        match std::fs::read_to_string(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => (Self::default(), None),
            Err(e) => not(&format!("cannot be read ({e})")),
            Ok(text) => match serde_json::from_str::<Self>(&text) {
                Ok(state) if state.format == FORMAT => (state, None),
                Ok(_) => not("is of another version of this program"),
                Err(_) => not("is damaged"),
            },
        }
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| DataError::Write { path: path.to_path_buf(), source: e.into() })?;
        brodmann_data::write_bytes(path, (text + "\n").as_bytes())
    }
}

impl Record {
    /// Of a step that starts on these inputs.
    pub fn start(step: &Step, inputs: IndexMap<String, Content>) -> Self {
        Self {
            version: VERSION.to_owned(),
            command: step.command.clone(),
            seed: step.seed,
            options: step.options.clone(),
            inputs,
            ..Self::default()
        }
    }

    /// Why a step that starts like `now` is not what this one was; nothing where it is.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut why = Vec::new();
        if self.version != now.version {
            why.push(format!("brodmann was {} and is {}", self.version, now.version));
        }
        if self.command != now.command {
            why.push(format!("command was {} and is {}", self.command, now.command));
            return why;
        }
        if self.seed != now.seed {
            why.push(format!("seed was {} and is {}", self.seed, now.seed));
        }
        for (key, value) in &now.options {
            match self.options.get(key) {
                None => why.push(format!("{key} is new: {}", value.join(", "))),
                Some(old) if old != value => {
                    why.push(format!("{key} was {} and is {}", old.join(", "), value.join(", ")));
                }
                Some(_) => {}
            }
        }
        let gone = self.options.keys().filter(|key| !now.options.contains_key(*key));
        why.extend(gone.map(|key| format!("{key} is no longer given")));
        for (path, content) in &now.inputs {
            match self.inputs.get(path) {
                Some(old) if old.hash == content.hash => {}
                Some(_) => why.push(format!("{path} has changed")),
                // A new name is told with the option that names it.
                None if why.is_empty() => why.push(format!("{path} is a new input")),
                None => {}
            }
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_by_name() {
        let record = |k: &str, seed| Record {
            seed,
            version: VERSION.to_owned(),
            command: "domains".to_owned(),
            options: IndexMap::from([
                ("n-clusters".to_owned(), vec![k.to_owned()]),
                ("out".to_owned(), vec!["a.h5ad".to_owned()]),
            ]),
            ..Record::default()
        };
        assert!(record("7", 1).differences(&record("7", 1)).is_empty());
        let mut now = record("8", 2);
        now.options.shift_remove("out");
        now.options.insert("umap".to_owned(), vec!["true".to_owned()]);
        let why = record("7", 1).differences(&now);
        let expected = [
            "seed was 1 and is 2",
            "n-clusters was 7 and is 8",
            "umap is new: true",
            "out is no longer given",
        ];
        assert_eq!(why, expected);
        now.command = "leiden".to_owned();
        assert_eq!(record("7", 1).differences(&now), ["command was domains and is leiden"]);
    }

    #[test]
    fn a_state_reads_back_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.state.json");
        assert!(State::read(&path).1.is_none());
        let mut state = State::default();
        state.steps.insert("a".to_owned(), Record { finished: true, seconds: 0.1, ..Record::default() });
        state.write(&path).expect("written");
        let (read, said) = State::read(&path);
        assert!(read.steps["a"].finished && said.is_none());
        std::fs::write(&path, "{").expect("written");
        let (read, said) = State::read(&path);
        assert!(read.steps.is_empty() && said.is_some_and(|text| text.contains("is damaged")));
    }
}
