//! Errors read as sentences, for tests: a message is put together from parts, and what one part ends with the next
//! may begin with.

use crate::diagnosis::{Diagnosis, Spelling, speaking};

/// As the command line spells.
struct Flags;

impl Spelling for Flags {
    fn option(&self, name: &str) -> String {
        format!("--{}", name.replace('_', "-"))
    }

    fn setting(&self, name: &str, value: &str) -> String {
        format!("{} {value}", self.option(name))
    }

    fn step(&self, name: &str) -> String {
        format!("`brodmann {name}`")
    }
}

/// As Python spells.
struct Keywords;

impl Spelling for Keywords {
    fn option(&self, name: &str) -> String {
        name.to_owned()
    }

    fn setting(&self, name: &str, value: &str) -> String {
        format!("{name}={value}")
    }

    fn step(&self, name: &str) -> String {
        format!("bm.tl.{name}")
    }
}

/// What is wrong with the sentences of `error`, in each of three spellings; `None` where all read well.
pub fn flaw(error: &dyn Diagnosis) -> Option<String> {
    let own = read(error, |text| text.contains(" --").then_some("a flag in the library's own words"));
    own.or_else(|| {
        speaking(&Flags, || {
            read(error, |text| has_keyword(text).then_some("a keyword argument on the command line"))
        })
    })
    .or_else(|| {
        speaking(&Keywords, || read(error, |text| text.contains(" --").then_some("a flag in Python")))
    })
}

fn read(error: &dyn Diagnosis, foreign: impl Fn(&str) -> Option<&'static str>) -> Option<String> {
    let message = error.to_string();
    let advice = error.advice();
    let texts = [Some(&message), advice.as_ref()];
    let flaws = texts
        .into_iter()
        .flatten()
        .filter_map(|text| blemish(text).or_else(|| foreign(text)).map(|flaw| format!("{flaw}: {text}")));
    flaws.into_iter().next()
}

/// Whether `text` holds `name=value` as Python writes it.
fn has_keyword(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        word.split_once('=').is_some_and(|(name, value)| {
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            !name.is_empty() && name.chars().all(is_name) && !value.is_empty()
        })
    })
}

/// What makes `text`, a message or an advice, less than a sentence; `None` for one that reads well.
pub fn blemish(text: &str) -> Option<&'static str> {
    const DOUBLED: [(&str, &str); 9] = [
        (",,", "two commas"),
        ("; ;", "two semicolons"),
        (";;", "two semicolons"),
        (", ;", "a comma before a semicolon"),
        (",;", "a comma before a semicolon"),
        ("..", "two full stops"),
        ("  ", "two spaces"),
        (" ,", "a space before a comma"),
        (" ;", "a space before a semicolon"),
    ];
    if let Some((_, flaw)) = DOUBLED.iter().find(|(marks, _)| text.contains(marks)) {
        return Some(flaw);
    }
    let stray = |c: char| c.is_whitespace() || ",;:".contains(c);
    if text.is_empty() {
        Some("no words")
    } else if text.starts_with(stray) {
        Some("a stray mark at the beginning")
    } else if text.ends_with(|c| stray(c) || c == '.') {
        Some("a stray mark at the end")
    } else if text.matches("; expected ").count() > 1 || text.contains(" was expected") {
        Some("two wordings of what was expected")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptionError;

    #[test]
    fn blemishes_are_found() {
        assert_eq!(blemish("`k` is 0; expected at least 1"), None);
        for bad in
            ["", "a,, b", "a; ; b", "a,", "it ends.", " a", "`k` is 0, at least 1 was expected", "a  b"]
        {
            assert!(blemish(bad).is_some(), "{bad:?}");
        }
        let with = |found: &str| flaw(&OptionError::new("k", found, "at least 1"));
        assert_eq!(with("0"), None);
        assert!(
            with("0,").is_some() && with("given with --other").is_some() && with("given with a=1").is_some()
        );
    }
}
