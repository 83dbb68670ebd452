//! What is wrong with a study: all of it at once, each with its line.

use std::path::Path;

use brodmann::pipeline::near::nearest;

use super::document::Place;
use crate::failure::Failure;

/// What is wrong, in the order of the file.
#[derive(Debug, Default)]
pub struct Problems(Vec<(Place, String)>);

impl Problems {
    pub fn add(&mut self, place: Place, what: impl Into<String>) {
        self.0.push((place, what.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The refusal, where there is something to refuse.
    pub fn refuse(mut self, file: &Path) -> Result<(), Failure> {
        // Stable: what was found together stays together.
        self.0.sort_by_key(|(place, _)| *place);
        let file = file.display();
        let message = match self.0.as_slice() {
            [] => return Ok(()),
            [(place, what)] => format!("{file}{}: {what}", place.after_a_file()),
            list => {
                let lines: Vec<String> =
                    list.iter().map(|(place, what)| format!("  {place}: {what}")).collect();
                format!("{file} has {} mistakes; expected none\n{}", list.len(), lines.join("\n"))
            }
        };
        Err(Failure::input(message).hint("mend the file; no step was run"))
    }

    #[cfg(test)]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(place, what)| format!("{place}: {what}")).collect()
    }
}

/// `; did you mean X?`, where something known is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}
