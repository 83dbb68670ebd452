//! What a caller said: options by name, laid over the defaults of a preset, in one place for all doors.
//!
//! The command line and Python both come down to a [`Said`]: the options that were given, under the library's names,
//! as JSON. A request is made of *sections*, plain structs with defaults; [`Sections::take`] lays what was said over
//! one of them, and [`Sections::finish`] refuses what no section knows. So an option is a field, and nothing has to be
//! copied from one struct to another by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use brodmann_kernels::{Opt, OptionError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::PipelineError;

/// Options that were given, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    options: Map<String, Json>,
}

impl Said {
    /// Of an object; anything else says nothing.
    pub fn new(options: Json) -> Self {
        match options {
            Json::Object(options) => Self { options },
            _ => Self::default(),
        }
    }

    /// With one more option.
    pub fn set(&mut self, name: &str, value: Json) {
        self.options.insert(name.to_owned(), value);
    }

    /// With an option's value written another way, where it was given.
    #[must_use]
    pub fn rewritten(mut self, name: &str, rewrite: impl Fn(Json) -> Json) -> Self {
        if let Some(value) = self.options.get_mut(name) {
            *value = rewrite(value.take());
        }
        self
    }

    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The names that were given, in the order of the alphabet.
    pub fn names(&self) -> BTreeSet<String> {
        self.options.keys().cloned().collect()
    }

    /// The options given of which `is` holds.
    pub(super) fn which(&self, is: impl Fn(&str) -> bool) -> Vec<Opt> {
        self.names().iter().filter(|name| is(name)).map(|name| Opt(interned(name))).collect()
    }

    /// Those of which `is` holds, and the others.
    #[must_use]
    pub fn parted(self, is: impl Fn(&str) -> bool) -> (Self, Self) {
        let (those, others) = self.options.into_iter().partition(|(name, _)| is(name));
        (Self { options: those }, Self { options: others })
    }

    /// Begins to take sections out.
    pub fn sections(&self) -> Sections<'_> {
        Sections { said: self, known: BTreeMap::new() }
    }
}

/// Sections on their way from what was said.
pub struct Sections<'a> {
    said: &'a Said,
    /// Names of options, and the section that has them.
    known: BTreeMap<String, &'static str>,
}

impl Sections<'_> {
    /// `base` with what was said of its fields in their place.
    ///
    /// # Errors
    /// [`PipelineError::Option`] for a value that the field cannot have.
    pub fn take<T: Serialize + DeserializeOwned>(&mut self, base: &T) -> Result<T, PipelineError> {
        self.take_but(base, &[])
    }

    /// [`Sections::take`], with some fields left as they are: they are read under the same names elsewhere.
    ///
    /// # Errors
    /// As [`Sections::take`].
    pub fn take_but<T: Serialize + DeserializeOwned>(
        &mut self,
        base: &T,
        left: &[&str],
    ) -> Result<T, PipelineError> {
        let mut fields = fields_of(base);
        let section = std::any::type_name::<T>();
        let own: Vec<String> = fields.keys().filter(|name| !left.contains(&name.as_str())).cloned().collect();
        for name in own {
            if let Some(value) = self.said.options.get(&name) {
                let before = fields.insert(name.clone(), value.clone());
                // One at a time, so that the refusal names the option.
                if let Err(error) = serde_json::from_value::<T>(Json::Object(fields.clone())) {
                    fields.insert(name.clone(), before.unwrap_or(Json::Null));
                    return Err(unfit(&name, value, &error).into());
                }
            }
            let first = *self.known.entry(name.clone()).or_insert(section);
            debug_assert!(first == section, "{name} is an option of {first} and of {section}");
        }
        serde_json::from_value(Json::Object(fields))
            .map_err(|error| OptionError::new("options", "inconsistent", error.to_string()).into())
    }

    /// The value of one option, or `default`.
    ///
    /// # Errors
    /// [`PipelineError::Option`] for a value that it cannot have.
    pub fn one<T: DeserializeOwned>(&mut self, name: &'static str, default: T) -> Result<T, PipelineError> {
        self.known.insert(name.to_owned(), "itself");
        match self.said.options.get(name) {
            None => Ok(default),
            Some(value) => {
                serde_json::from_value(value.clone()).map_err(|error| unfit(name, value, &error).into())
            }
        }
    }

    /// Refuses options that no section knows.
    ///
    /// # Errors
    /// [`PipelineError::UnknownOption`].
    pub fn finish(self, method: &'static str) -> Result<(), PipelineError> {
        match self.said.options.keys().find(|name| !self.known.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(PipelineError::UnknownOption {
                method,
                name: name.clone(),
                known: self.known.into_keys().collect(),
            }),
        }
    }
}

/// The fields of a section with their values.
pub fn fields_of<T: Serialize>(section: &T) -> Map<String, Json> {
    match serde_json::to_value(section) {
        Ok(Json::Object(fields)) => fields,
        // Sections are structs of plain data under string keys, which always serialise to an object.
        _ => Map::new(),
    }
}

fn unfit(name: &str, value: &Json, error: &serde_json::Error) -> OptionError {
    let text = error.to_string();
    // serde says "invalid type: string "x", expected f64": what comes after is what we lack.
    let expected = text.rsplit_once("expected ").map_or(text.as_str(), |(_, expected)| expected);
    let expected = match expected {
        "f64" | "f32" => "a number",
        "usize" | "u64" | "u32" => "a whole number of 0 or more",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "fewer elements in array" => "fewer values",
        other => other,
    };
    let found = match value {
        Json::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    OptionError::new(interned(name), found, expected.replace('`', ""))
}

/// A name that lives as long as the program: names of options are few.
pub(super) fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Widths {
        hidden: usize,
        dropout: f64,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Keys {
        spatial_key: Option<String>,
    }

    #[test]
    fn what_was_said_is_laid_over_the_preset() {
        let said = Said::new(json!({ "hidden": 3, "spatial_key": "xy", "preset": "small" }));
        let mut sections = said.sections();
        assert_eq!(sections.one("preset", String::new()).expect("text"), "small");
        let widths = sections.take(&Widths { hidden: 9, dropout: 0.5 }).expect("fits");
        assert_eq!(widths, Widths { hidden: 3, dropout: 0.5 });
        let keys = sections.take(&Keys::default()).expect("fits");
        assert_eq!(keys.spatial_key.as_deref(), Some("xy"));
        sections.finish("method").expect("all known");
        assert!(said.has("hidden") && !said.has("dropout"));
    }

    #[test]
    fn unfit_and_unknown_options_are_refused_by_name() {
        let said = Said::new(json!({ "hidden": "wide" }));
        let error = said.sections().take(&Widths::default()).expect_err("a text").to_string();
        assert_eq!(error, "`hidden` is \"wide\"; expected a whole number of 0 or more");
        let said = Said::new(json!({ "hiden": 3 }));
        let mut sections = said.sections();
        sections.take(&Widths::default()).expect("nothing said of these");
        let error = sections.finish("spami").expect_err("a slip").to_string();
        assert!(error.contains("hiden") && error.contains("hidden"), "{error}");
    }

    #[test]
    fn numbers_arrive_to_the_bit() {
        let value: f64 = 0.1 + 0.2;
        let said = Said::new(json!({ "dropout": value }));
        let widths = said.sections().take(&Widths::default()).expect("a number");
        assert_eq!(widths.dropout.to_bits(), value.to_bits());
    }
}
