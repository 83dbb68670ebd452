//! The file as keys and values, each with the line it stands in. What they mean is for the plan.

use std::fmt::{self, Display, Formatter};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Problems, did_you_mean};

/// Where something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a line of the file, from 1.
    Line(usize),
    /// On the command line.
    Set,
}

impl Place {
    /// `, line 7`.
    pub fn after_a_file(self) -> String {
        match self {
            Self::Line(line) => format!(", line {line}"),
            Self::Set => " with --set".to_owned(),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// A value; numbers as they were typed, so that a flag gets what the file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Bool(bool),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

impl Value {
    /// A text, or a list of texts.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::text).collect(),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is there, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// With every `{}` replaced.
    pub fn with(&self, item: &str) -> Self {
        let of = |list: &[Self]| list.iter().map(|v| v.with(item)).collect();
        match self {
            Self::Text(text) => Self::Text(text.replace("{}", item)),
            Self::Bool(value) => Self::Bool(*value),
            Self::List(list) => Self::List(of(list)),
            Self::Table(table) => {
                Self::Table(table.iter().map(|(key, v)| (key.clone(), v.with(item))).collect())
            }
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub value: Value,
    pub place: Place,
}

/// Keys with values.
#[derive(Clone, Debug)]
pub struct Table {
    pub place: Place,
    pub entries: Vec<Entry>,
}

impl Table {
    fn new() -> Self {
        Self { place: Place::Line(1), entries: Vec::new() }
    }

    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// Sets a key anew; `-` and `_` are one.
    fn set(&mut self, key: &str, value: Value) {
        let plain = |key: &str| key.replace('_', "-");
        let entry = Entry { key: key.to_owned(), value, place: Place::Set };
        match self.entries.iter_mut().find(|e| plain(&e.key) == plain(key)) {
            Some(there) => *there = entry,
            None => self.entries.push(entry),
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct Document {
    pub study: Table,
    pub inputs: Table,
    pub steps: Vec<Table>,
}

/// Tables of the file.
const STUDY: &str = "study";
const INPUTS: &str = "inputs";
const STEP: &str = "step";

impl Document {
    /// Reads a file; what is wrong with it goes to `problems`. Nothing where it is no TOML.
    pub fn parse(text: &str, problems: &mut Problems) -> Option<Self> {
        let line = |offset: usize| Place::Line(1 + text[..offset.min(text.len())].matches('\n').count());
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(Place::Line(1), |span| line(span.start));
            problems.add(at, format!("it is not TOML: {}", error.message().replace('\n', ", ")));
        }
        if !errors.is_empty() {
            return None;
        }
        let mut document = Self { study: Table::new(), inputs: Table::new(), steps: Vec::new() };
        for (key, value) in root.get_ref() {
            let place = line(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                (STUDY, DeValue::Table(table)) => document.study = read_table(table, place, &line),
                (INPUTS, DeValue::Table(table)) => document.inputs = read_table(table, place, &line),
                (STEP, DeValue::Array(list)) if list.iter().all(|step| step.get_ref().is_table()) => {
                    for step in list {
                        let DeValue::Table(table) = step.get_ref() else { continue };
                        document.steps.push(read_table(table, line(step.span().start), &line));
                    }
                }
                (name @ (STUDY | INPUTS), _) => {
                    problems.add(place, format!("{name} is no table; expected [{name}]"));
                }
                (STEP, _) => problems.add(place, "step is no list of tables; expected [[step]]"),
                (other, _) => problems.add(
                    place,
                    format!(
                        "{other} is unknown; expected [study], [inputs] and [[step]]{}",
                        did_you_mean(other, [STUDY, INPUTS, STEP])
                    ),
                ),
            }
        }
        Some(document)
    }

    /// Lays `STEP.KEY=VALUE` over what the file says.
    pub fn set(&mut self, said: &str, problems: &mut Problems) {
        let parted = said.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
        let Some(((step, key), value)) = parted else {
            problems.add(Place::Set, format!("{said:?} sets nothing; expected STEP.KEY=VALUE"));
            return;
        };
        let (step, key, value) = (step.trim(), key.trim(), value_of(value.trim()));
        match step {
            STUDY => self.study.set(key, value),
            INPUTS => self.inputs.set(key, value),
            _ => {
                let names: Vec<String> = self.steps.iter().filter_map(step_name).map(str::to_owned).collect();
                match self.steps.iter_mut().find(|table| step_name(table) == Some(step)) {
                    Some(table) => table.set(key, value),
                    None => problems.add(
                        Place::Set,
                        format!(
                            "{step} is no step; expected one of {}{}",
                            names.join(", "),
                            did_you_mean(step, names.iter().map(String::as_str))
                        ),
                    ),
                }
            }
        }
    }
}

/// What a step is called: by its name, else by its command.
pub fn step_name(step: &Table) -> Option<&str> {
    step.get("name").or_else(|| step.get("command"))?.value.text()
}

fn read_table(table: &DeTable<'_>, place: Place, line: &impl Fn(usize) -> Place) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        Entry {
            key: key.get_ref().to_string(),
            value: read_value(value.get_ref()),
            place: line(key.span().start),
        }
    };
    Table { place, entries: table.iter().map(entry).collect() }
}

fn read_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // In the base it was written in, a flag would not know it.
        DeValue::Integer(number) if number.radix() != 10 => {
            let whole = i128::from_str_radix(number.as_str(), number.radix());
            Value::Text(whole.map_or_else(|_| number.to_string(), |n| n.to_string()))
        }
        DeValue::Integer(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|v| read_value(v.get_ref())).collect()),
        DeValue::Table(table) => Value::Table(
            table.iter().map(|(key, v)| (key.get_ref().to_string(), read_value(v.get_ref()))).collect(),
        ),
    }
}

/// A value as the file would have it, or the bare text that a shell leaves of one.
fn value_of(text: &str) -> Value {
    match DeValue::parse(text) {
        Ok(value) => read_value(value.get_ref()),
        Err(_) => Value::Text(text.to_owned()),
    }
}
