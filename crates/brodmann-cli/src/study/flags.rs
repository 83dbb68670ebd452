//! What the command line knows of a command, for keys in a file: nothing here is written for one command.

use std::any::TypeId;
use std::path::PathBuf;

use brodmann::pipeline::describe::quoted;
use brodmann_kernels::Spelling;
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::document::Value;
use crate::args::Cli;
use crate::spelling::CommandLine;

/// Commands that are no step of a study.
const NO_STEPS: &[&str] = &["run", "bench", "completions", "help"];
/// Flags that name a file or folder that is written, by their own name in whatever command they are.
const WRITTEN: &[&str] = &[
    "out",
    "table",
    "shapes",
    "plot",
    "patches",
    "bedpe",
    "longrange",
    "regulation",
    "save_encoder",
    "save_model",
];
/// Flags that name a folder for what lies there until the step is finished.
const KEPT: &[&str] = &[CHECKPOINT, "encoder_checkpoint"];
/// All others that name a file read it. Listed for a test, so that nobody adds one without a thought.
#[cfg(test)]
pub const READ: &[&str] =
    &["coordinates", "gene_sets", "genes", "image_transform", "load_model", "prior", "weights"];

/// The output that stands for a step.
pub const OUT: &str = "out";
/// Flags with a part in running a study.
pub const IN_PLACE: &str = "in_place";
pub const CHECKPOINT: &str = "checkpoint";
pub const RESUME: &str = "resume";
pub const RESTART: &str = "restart";
pub const FORCE: &str = "force";
pub const SEED: &str = "seed";

/// What a flag has to do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Value,
    /// A key of the input, or a file to be read.
    MayRead,
    Reads,
    Writes,
    /// A folder for the time being.
    Keeps,
}

/// All commands.
pub struct Commands(Command);

/// What clap knows of one command.
#[derive(Clone, Copy)]
pub struct Flags<'a>(&'a Command);

/// A flag as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Switch,
    Values(Vec<String>),
}

impl Commands {
    pub fn new() -> Self {
        Self::of(Cli::command())
    }

    /// From a tree that was built already.
    pub fn of(mut all: Command) -> Self {
        all.build();
        Self(all)
    }

    /// Names of those that can be steps.
    pub fn names(&self) -> Vec<&str> {
        self.0.get_subcommands().map(Command::get_name).filter(|name| !NO_STEPS.contains(name)).collect()
    }

    /// A command by its name, hyphens or underscores.
    pub fn find(&self, name: &str) -> Option<Flags<'_>> {
        let name = name.replace('_', "-");
        self.names().contains(&name.as_str()).then(|| self.0.find_subcommand(&name).map(Flags)).flatten()
    }
}

impl<'a> Flags<'a> {
    pub fn command(self) -> &'a str {
        self.0.get_name()
    }

    /// All flags, and what is given without one.
    pub fn args(self) -> impl Iterator<Item = &'a Arg> {
        self.0.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
    }

    /// The flag that a key means: its name, another of its names, its letter, or what the library calls the option.
    pub fn find(self, key: &str) -> Option<&'a Arg> {
        let plain = key.replace('_', "-");
        let by_library = CommandLine.option(key);
        self.args().find(|arg| {
            let id = arg.get_id().as_str();
            arg.get_long().is_some_and(|long| long == plain || by_library == format!("--{long}"))
                || arg.get_all_aliases().is_some_and(|all| all.contains(&plain.as_str()))
                || arg.get_short().is_some_and(|short| key.chars().eq([short]))
                || id.replace('_', "-") == plain
                || (matches!(key, "input" | "inputs")
                    && self.input().is_some_and(|i| i.get_id() == arg.get_id()))
        })
    }

    /// By the name that the program itself has for it.
    pub fn by_id(self, id: &str) -> Option<&'a Arg> {
        self.args().find(|arg| arg.get_id() == id)
    }

    /// Keys that a step may have.
    pub fn keys(self) -> Vec<&'a str> {
        let key = |arg: &'a Arg| {
            let hidden = arg.is_hide_set() || (arg.is_global_set() && arg.get_id() != SEED);
            (!hidden && arg.get_id() != IN_PLACE).then(|| self.key(arg))
        };
        self.args().filter_map(key).collect()
    }

    /// What a flag is called in the file.
    pub fn key(self, arg: &'a Arg) -> &'a str {
        match arg.get_long() {
            Some(long) => long,
            None if self.input().is_some_and(|input| input.get_id() == arg.get_id()) => "input",
            None => arg.get_id().as_str(),
        }
    }

    /// The files it works on.
    pub fn input(self) -> Option<&'a Arg> {
        self.0.get_positionals().find(|arg| names_file(arg))
    }

    /// The name of its output where none is given: that of the step, ending as the help says, or as the input does.
    pub fn default_output(self, step: &str, input: Option<&str>) -> Option<String> {
        let out = self.by_id(OUT)?;
        if names_folder(out) {
            return Some(step.to_owned());
        }
        let help = out.get_help().map(ToString::to_string).unwrap_or_default();
        let said = help.split_whitespace().find_map(|word| {
            let ending = word.strip_prefix('.')?.trim_end_matches(|c: char| !c.is_alphanumeric());
            (!ending.is_empty()).then(|| ending.to_owned())
        });
        let like_input = input.filter(|ending| matches!(*ending, "h5ad" | "h5mu" | "zarr"));
        let ending = said.or_else(|| like_input.map(str::to_owned)).unwrap_or_else(|| "h5ad".to_owned());
        Some(format!("{step}.{ending}"))
    }
}

/// What a flag has to do with files.
pub fn role(arg: &Arg) -> Role {
    let id = arg.get_id().as_str();
    if !names_file(arg) {
        let may = value_name(arg).contains("FILE");
        return if may { Role::MayRead } else { Role::Value };
    }
    if WRITTEN.contains(&id) {
        Role::Writes
    } else if KEPT.contains(&id) {
        Role::Keeps
    } else {
        Role::Reads
    }
}

/// Whether the program takes the value for a path.
fn names_file(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

/// Whether what it names is a folder in any case.
pub fn names_folder(arg: &Arg) -> bool {
    value_name(arg).contains("DIR")
}

fn value_name(arg: &Arg) -> String {
    arg.get_value_names().unwrap_or_default().iter().map(clap::builder::Str::as_str).collect()
}

/// Fewest and most values of one flag.
fn n_values(arg: &Arg) -> (usize, usize) {
    arg.get_num_args().map_or((1, 1), |range| (range.min_values(), range.max_values()))
}

/// Whether a flag takes several values, together or one after the other.
pub fn takes_several(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append) || n_values(arg).1 > 1
}

/// A value of the file as a flag takes it; nothing where the flag is not to be given.
pub fn given(arg: &Arg, value: &Value) -> Result<Option<Given>, String> {
    let (fewest, most) = n_values(arg);
    let one = |text: String| {
        if most == 0 {
            return Err(format!("{text:?} is given to a switch; expected true or false"));
        }
        Ok(Some(Given::Values(vec![text])))
    };
    match value {
        Value::Bool(false) if most == 0 => Ok(None),
        Value::Bool(true) if fewest == 0 => Ok(Some(Given::Switch)),
        Value::Bool(value) => one(value.to_string()),
        Value::Text(text) => one(text.clone()),
        Value::Table(table) => {
            let pair = |(key, value): &(String, Value)| match value {
                Value::Text(text) => Ok(format!("{key}={text}")),
                Value::Bool(value) => Ok(format!("{key}={value}")),
                other => Err(format!("{key} is {}; expected one value", other.kind())),
            };
            one(table.iter().map(pair).collect::<Result<Vec<_>, _>>()?.join(","))
        }
        Value::List(list) if list.is_empty() => Ok(None),
        Value::List(list) => {
            let text = |value: &Value| match value {
                Value::Text(text) => Ok(text.clone()),
                other => Err(format!("{} is in the list; expected texts or numbers", other.kind())),
            };
            let texts: Vec<String> = list.iter().map(text).collect::<Result<_, _>>()?;
            match texts.as_slice() {
                [text] => one(text.clone()),
                _ if takes_several(arg) => Ok(Some(Given::Values(texts))),
                _ => Err(format!("{} values are given; expected one", texts.len())),
            }
        }
    }
}

/// As words of a command line, each with its own meaning whatever it begins with.
pub fn words(arg: &Arg, given: &Given) -> Vec<String> {
    let Given::Values(values) = given else {
        return vec![format!("--{}", arg.get_long().unwrap_or_default())];
    };
    let Some(long) = arg.get_long() else { return values.clone() };
    let (fewest, most) = n_values(arg);
    let is_plain = |text: &String| !text.is_empty() && !text.starts_with('-');
    if most > 1 && values.iter().all(is_plain) {
        return [&[format!("--{long}")], values.as_slice()].concat();
    }
    let mut words = Vec::new();
    for value in values {
        if fewest == 1 && is_plain(value) {
            words.extend([format!("--{long}"), value.clone()]);
        } else {
            words.push(format!("--{long}={value}"));
        }
    }
    words
}

/// A command line that can be pasted into a shell.
pub fn shell(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
