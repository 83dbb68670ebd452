//! From the file to steps that can run: names become files, keys become flags, and all that is wrong is found before
//! anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};
use indexmap::IndexMap;

use super::document::{Document, Entry, Place, Table, Value, step_name};
use super::existing::refuse_existing;
use super::flags::{self, Commands, Flags, Given, Role};
use super::problems::{Problems, did_you_mean};
use super::words::in_words;
use crate::args::{Cli, Command, Global, SEED};
use crate::commands::{Foresight, foresee};
use crate::failure::Failure;

/// Where a study's files go, where it does not say.
const DEFAULT_OUT: &str = "results";
/// Keys of `[study]`, and those of a step that are no flags.
const STUDY_KEYS: [&str; 4] = ["out", "seed", "threads", "strict"];
const STEP_KEYS: [&str; 4] = ["name", "command", "for", "json"];

/// A study that can run.
#[derive(Debug)]
pub struct Study {
    pub file: PathBuf,
    /// Folder of everything the steps write.
    pub out: PathBuf,
    pub threads: Option<usize>,
    pub strict: bool,
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    pub command: String,
    pub place: Place,
    pub seed: u64,
    /// What decides its result, beside its seed and the content of its inputs; paths from the file's folder.
    pub options: IndexMap<String, Vec<String>>,
    /// The command line, without the program.
    pub words: Vec<String>,
    pub reads: Vec<Read>,
    /// What it writes, by key.
    pub writes: IndexMap<String, PathBuf>,
    /// Its report, as a file.
    pub json: Option<PathBuf>,
    /// Where it keeps its state on the way, if it can go on from there.
    pub checkpoint: Option<PathBuf>,
    /// Whether it has to be told to replace its output.
    pub asks_to_replace: bool,
}

/// A file that a step reads.
#[derive(Clone, Debug)]
pub struct Read {
    pub path: PathBuf,
    /// The step that writes it.
    pub maker: Option<usize>,
}

impl Step {
    /// All its outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.writes.values().chain(&self.json)
    }

    /// Steps it stands on.
    pub fn makers(&self) -> BTreeSet<usize> {
        self.reads.iter().filter_map(|read| read.maker).collect()
    }

    /// The command line with more said.
    pub fn words_with(&self, more: &[&str]) -> Vec<String> {
        self.words.iter().cloned().chain(more.iter().map(|word| format!("--{word}"))).collect()
    }

    /// As the program takes it.
    pub fn parse(&self, more: &[&str]) -> Result<Command, Failure> {
        parse(&self.words_with(more)).map_err(|e| Failure::run(in_words(&e).0))
    }

    /// The same right before it runs: refused where it would write over what is there.
    pub fn parse_to_run(&self, more: &[&str]) -> Result<Command, Failure> {
        let matches = matches_of(&self.words_with(more)).map_err(|e| Failure::run(in_words(&e).0))?;
        refuse_existing(&Commands::new(), &matches, &format!("brodmann run --force {}", self.name))?;
        let cli = Cli::from_arg_matches(&matches).map_err(|e| Failure::run(in_words(&e).0))?;
        Ok(cli.command)
    }
}

impl Study {
    /// Reads a study and refuses it with all that is wrong.
    pub fn read(file: &Path, set: &[String], global: &Global) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            Failure::input(format!("the study {} cannot be read ({e})", file.display()))
                .hint("name a .toml file; `brodmann run --init FILE` writes one")
        })?;
        let mut problems = Problems::default();
        let study = Self::of(&text, file, set, global, &mut problems);
        problems.refuse(file)?;
        Ok(study)
    }

    /// As far as the text allows.
    pub fn of(text: &str, file: &Path, set: &[String], global: &Global, problems: &mut Problems) -> Self {
        let base = file.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut study = Self {
            file: file.to_path_buf(),
            out: base.join(DEFAULT_OUT),
            threads: None,
            strict: global.strict,
            steps: Vec::new(),
        };
        // Of what is no TOML nobody can say more.
        let Some(mut document) = Document::parse(text, problems) else { return study };
        for said in set {
            document.set(said, problems);
        }
        let mut seed = SEED;
        for entry in &document.study.entries {
            let refuse = |expected: &str| {
                format!("{} of [study] is {}; expected {expected}", entry.key, shown_value(&entry.value))
            };
            match (entry.key.as_str(), &entry.value) {
                ("out", Value::Text(out)) if !out.is_empty() => study.out = base.join(out),
                ("seed", Value::Text(text)) => match text.parse::<u64>() {
                    Ok(own) if i64::try_from(own).is_ok() => seed = own,
                    _ => problems.add(entry.place, refuse("a whole number of 0 or more")),
                },
                ("threads", Value::Text(text)) => match text.parse() {
                    Ok(n) if n > 0 => study.threads = Some(n),
                    _ => problems.add(entry.place, refuse("a whole number of at least 1")),
                },
                ("strict", Value::Bool(strict)) => study.strict |= strict,
                ("out", _) => problems.add(entry.place, refuse("a folder")),
                ("seed" | "threads", _) => problems.add(entry.place, refuse("a whole number")),
                ("strict", _) => problems.add(entry.place, refuse("true or false")),
                (key, _) => problems.add(
                    entry.place,
                    format!(
                        "{key} is no key of [study]; expected {}{}",
                        STUDY_KEYS.join(", "),
                        did_you_mean(key, STUDY_KEYS)
                    ),
                ),
            }
        }
        let commands = Commands::new();
        let mut planner = Planner {
            base,
            out: study.out.clone(),
            // What is said with a command counts for this run.
            seed: global.seed.unwrap_or(seed),
            commands: &commands,
            inputs: IndexMap::new(),
            drafts: Vec::new(),
            made: Vec::new(),
        };
        planner.read_inputs(&document.inputs, problems);
        planner.draft(&document, problems);
        for index in 0..planner.drafts.len() {
            let made = planner.step(index, problems);
            planner.made.push(made);
        }
        planner.check_outputs(file, problems);
        study.steps = planner.made.into_iter().flatten().collect();
        study
    }

    /// Where it is written down what is finished.
    pub fn state_file(&self) -> PathBuf {
        state_file(&self.out, &self.file)
    }

    /// A path from the folder of the file, as the file would say it.
    pub fn shown(&self, path: &Path) -> String {
        shown(self.file.parent().unwrap_or(Path::new("")), path)
    }
}

fn state_file(out: &Path, file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or(OsStr::new("study")).to_string_lossy();
    out.join(format!("{stem}.state.json"))
}

/// A step before its names are files.
struct Draft {
    name: String,
    /// The name it shares with the others of one table.
    group: String,
    table: Table,
}

struct Planner<'a> {
    base: PathBuf,
    out: PathBuf,
    seed: u64,
    commands: &'a Commands,
    inputs: IndexMap<String, Vec<PathBuf>>,
    drafts: Vec<Draft>,
    /// One for each draft so far; nothing where it is wrong.
    made: Vec<Option<Step>>,
}

/// What a name stands for.
enum Found {
    Files(Vec<Read>),
    /// What a wrong step writes: nobody knows, and one refusal is enough.
    Unknown,
}

impl Planner<'_> {
    fn read_inputs(&mut self, table: &Table, problems: &mut Problems) {
        for Entry { key, value, place } in &table.entries {
            check_name(key, *place, problems);
            let Some(files) = value.texts().filter(|list| !list.is_empty()) else {
                problems.add(
                    *place,
                    format!("the input {key} is {}; expected a path or a list of paths", value.kind()),
                );
                continue;
            };
            let paths: Vec<PathBuf> = files.iter().map(|file| self.base.join(file)).collect();
            for path in paths.iter().filter(|path| !path.exists()) {
                problems
                    .add(*place, format!("the input {key} is missing: {} does not exist", path.display()));
            }
            self.inputs.insert(key.clone(), paths);
        }
    }

    /// Names of all steps, those of a table with `for` one by one.
    fn draft(&mut self, document: &Document, problems: &mut Problems) {
        if document.steps.is_empty() && problems.is_empty() {
            problems.add(Place::Line(1), "there is no step; expected [[step]] with a command");
        }
        let mut taken: BTreeMap<String, Place> = BTreeMap::new();
        for table in &document.steps {
            let place = table.get("name").map_or(table.place, |e| e.place);
            let Some(name) = step_name(table) else {
                // What has no command is told when the step is made; it still needs a name.
                problems.add(table.place, "a step has no command; expected command = \"NAME\"");
                continue;
            };
            // A command that is not known is told as that, not as a name.
            if table.get("name").is_some() {
                check_name(&name.replace("{}", ""), place, problems);
            }
            let items = match table.get("for").map(|e| (e.place, e.value.texts())) {
                None => vec![None],
                Some((_, Some(items))) if !items.is_empty() => items.into_iter().map(Some).collect(),
                Some((place, _)) => {
                    problems.add(
                        place,
                        format!(
                            "step {name}: for is no list of texts; expected one, e.g. for = [\"a\", \"b\"]"
                        ),
                    );
                    continue;
                }
            };
            for item in items {
                let own = match item {
                    None => name.to_owned(),
                    Some(item) if name.contains("{}") => name.replace("{}", item),
                    Some(item) => format!("{name}-{item}"),
                };
                if let Some(item) = item.filter(|item| !is_name(item, true)) {
                    let what = format!(
                        "step {name}: {item:?} is in for; expected letters, digits, -, _ and . as in names of files"
                    );
                    problems.add(place, what);
                }
                if self.inputs.contains_key(&own) {
                    problems
                        .add(place, format!("step {own}: an input has this name; give one of them another"));
                } else if let Some(first) = taken.get(&own) {
                    problems.add(
                        place,
                        format!(
                            "step {own}: {first} has a step of this name; give one of them another with name"
                        ),
                    );
                }
                taken.entry(own.clone()).or_insert(place);
                let mut expanded = table.clone();
                if let Some(item) = item {
                    expanded.entries.iter_mut().for_each(|e| e.value = e.value.with(item));
                    let has_input = expanded.get("input").or_else(|| expanded.get("inputs")).is_some();
                    let is_source = self.inputs.contains_key(item) || taken.contains_key(item);
                    if !has_input && is_source {
                        let (key, value) = ("input".to_owned(), Value::Text(item.to_owned()));
                        expanded.entries.push(Entry { key, value, place });
                    }
                }
                self.drafts.push(Draft { name: own, group: name.replace("{}", ""), table: expanded });
            }
        }
    }

    /// What a text stands for: an input, an earlier step, one output of it (`qc.table`), or a path.
    fn find(&self, text: &str) -> Result<Found, String> {
        if let Some(paths) = self.inputs.get(text) {
            return Ok(Found::Files(paths.iter().map(|path| self.read(path.clone())).collect()));
        }
        let at = self.made.len();
        let position = |name: &str| self.drafts.iter().position(|d| d.name == name);
        if let Some(index) = position(text) {
            if index == at {
                return Err("it stands on itself; expected an input or an earlier step".to_owned());
            }
            if index > at {
                return Err(format!("{text} comes after it; expected an earlier step: change their order"));
            }
            return self.outputs_of(&[index], None);
        }
        if let Some((name, key)) = text.rsplit_once('.')
            && let Some(index) = position(name).filter(|index| *index < at)
            && let found @ Ok(_) = self.outputs_of(&[index], Some(key))
        {
            return found;
        }
        let group: Vec<usize> = (0..at).filter(|i| self.drafts[*i].group == text).collect();
        if !group.is_empty() {
            return self.outputs_of(&group, None);
        }
        let read = self.read(self.base.join(text));
        if read.maker.is_some() || read.path.exists() {
            return Ok(Found::Files(vec![read]));
        }
        let known: Vec<&str> = self
            .inputs
            .keys()
            .map(String::as_str)
            .chain(self.drafts[..at].iter().map(|d| d.name.as_str()))
            .collect();
        let near = did_you_mean(text, known.iter().copied());
        let near = if near.is_empty() && !known.is_empty() {
            format!("; expected one of {}, or a path", known.join(", "))
        } else {
            near
        };
        Err(format!("{text:?} is no input, no earlier step and no file{near}"))
    }

    fn outputs_of(&self, indices: &[usize], key: Option<&str>) -> Result<Found, String> {
        let mut files = Vec::new();
        for &index in indices {
            let Some(step) = self.made[index].as_ref() else { return Ok(Found::Unknown) };
            let own = match key {
                Some(key) => step.writes.get(&key.replace('_', "-")),
                None => step.writes.get(flags::OUT),
            };
            let Some(path) = own else {
                let others: Vec<String> =
                    step.writes.keys().map(|key| format!("{}.{key}", step.name)).collect();
                let expected =
                    if others.is_empty() { "one that does".to_owned() } else { others.join(" or ") };
                return Err(format!("the step {} writes no file with out; expected {expected}", step.name));
            };
            files.push(Read { path: path.clone(), maker: Some(index) });
        }
        Ok(Found::Files(files))
    }

    /// A path with the step that writes it, or the folder around it.
    fn read(&self, path: PathBuf) -> Read {
        let own = place(&path);
        let writes = |step: &Option<Step>| {
            step.as_ref().is_some_and(|step| step.outputs().any(|out| own.starts_with(place(out))))
        };
        let maker = self.made.iter().rposition(writes);
        Read { path, maker }
    }

    /// A draft as a step; nothing where something is wrong with it.
    fn step(&self, index: usize, problems: &mut Problems) -> Option<Step> {
        let Draft { name, table, .. } = &self.drafts[index];
        let Some(Entry { value, place, .. }) = table.get("command") else {
            problems.add(table.place, format!("step {name}: it has no command; expected command = \"NAME\""));
            return None;
        };
        let mut problems = Told { step: name, problems, any: false };
        let Some(command) = value.text().and_then(|text| self.commands.find(text)) else {
            let names = self.commands.names();
            let found = shown_value(value);
            let near = did_you_mean(value.text().unwrap_or_default(), names.iter().copied());
            let near = if near.is_empty() { format!("; expected one of {}", names.join(", ")) } else { near };
            problems.add(*place, format!("{found} is no command that can be a step{near}"));
            return None;
        };
        let mut making = Making {
            planner: self,
            command,
            given: Vec::new(),
            step: Step {
                name: name.clone(),
                command: command.command().to_owned(),
                place: table.place,
                seed: self.seed,
                options: IndexMap::new(),
                words: Vec::new(),
                reads: Vec::new(),
                writes: IndexMap::new(),
                json: None,
                checkpoint: None,
                asks_to_replace: false,
            },
            unknown: false,
        };
        for entry in &table.entries {
            making.take(entry, &mut problems);
        }
        making.name_output();
        making.finish(&mut problems)
    }

    /// Refuses outputs that would replace what they must not.
    fn check_outputs(&self, file: &Path, problems: &mut Problems) {
        let mut inputs: BTreeMap<PathBuf, String> = BTreeMap::new();
        for (name, paths) in &self.inputs {
            inputs.extend(paths.iter().map(|path| (place(path), format!("the input {name}"))));
        }
        for step in self.made.iter().flatten() {
            for read in step.reads.iter().filter(|read| read.maker.is_none()) {
                inputs
                    .entry(place(&read.path))
                    .or_insert_with(|| format!("an input of the step {}", step.name));
            }
        }
        inputs.insert(place(file), "the study itself".to_owned());
        inputs.insert(place(&state_file(&self.out, file)), "the state of the study".to_owned());
        let mut taken: BTreeMap<PathBuf, &str> = BTreeMap::new();
        for step in self.made.iter().flatten() {
            for output in step.outputs() {
                let (own, path) = (place(output), shown(&self.base, output));
                if let Some(what) = inputs.get(&own) {
                    problems.add(
                        step.place,
                        format!(
                            "step {}: its output {path} is {what}; expected a file of its own",
                            step.name
                        ),
                    );
                }
                if let Some(other) = taken.insert(own, &step.name) {
                    let what = if other == step.name {
                        format!("step {}: two of its outputs are {path}; expected a file for each", step.name)
                    } else {
                        format!(
                            "step {}: its output {path} is that of the step {other}; expected a file of its own",
                            step.name
                        )
                    };
                    problems.add(step.place, what);
                }
            }
        }
    }
}

/// Problems of one step.
struct Told<'a> {
    step: &'a str,
    problems: &'a mut Problems,
    any: bool,
}

impl Told<'_> {
    fn add(&mut self, place: Place, what: impl AsRef<str>) {
        self.any = true;
        self.problems.add(place, format!("step {}: {}", self.step, what.as_ref()));
    }
}

/// A step on its way.
struct Making<'a> {
    planner: &'a Planner<'a>,
    command: Flags<'a>,
    given: Vec<(&'a Arg, Given, Place)>,
    step: Step,
    /// Whether it stands on a step of which nothing is known.
    unknown: bool,
}

impl<'a> Making<'a> {
    /// One key of the step.
    fn take(&mut self, entry: &Entry, problems: &mut Told<'_>) {
        let Entry { key, value, place } = entry;
        match (key.as_str(), value) {
            ("name" | "command" | "for", _) => return,
            ("json", Value::Text(file)) => {
                self.step.json = Some(self.planner.out.join(file));
                self.step.options.insert("json".to_owned(), vec![file.clone()]);
                return;
            }
            ("json", _) => {
                problems
                    .add(*place, format!("json is {}; expected a file for the report", shown_value(value)));
                return;
            }
            _ => {}
        }
        let Some(arg) = self.command.find(key) else {
            let keys = self.command.keys();
            let near = did_you_mean(key, keys.iter().copied().chain(STEP_KEYS));
            let near = if near.is_empty() {
                format!("; `brodmann {} --help` lists what there is", self.command.command())
            } else {
                near
            };
            problems
                .add(*place, format!("{key} is no option of `brodmann {}`{near}", self.command.command()));
            return;
        };
        let id = arg.get_id().as_str();
        let refused = match id {
            flags::IN_PLACE => Some("a step writes a file of its own; leave it out"),
            flags::RESUME | flags::RESTART => {
                Some("a study goes on from the checkpoint by itself; leave it out")
            }
            flags::SEED => None,
            _ if arg.is_global_set() => {
                Some("it belongs to the whole study; give it in [study] or with the command")
            }
            _ => None,
        };
        if let Some(why) = refused {
            problems.add(*place, format!("{key} is given; {why}"));
            return;
        }
        if self.given.iter().any(|(other, ..)| other.get_id() == arg.get_id()) {
            problems.add(
                *place,
                format!("{key} says again what another key of the step says; expected one of them"),
            );
            return;
        }
        match flags::given(arg, value) {
            Err(what) => problems.add(*place, format!("{key}: {what}")),
            Ok(None) => {}
            Ok(Some(given)) => self.give(arg, given, entry, problems),
        }
    }

    /// A flag with its values; names become files on the way.
    fn give(&mut self, arg: &'a Arg, given: Given, entry: &Entry, problems: &mut Told<'_>) {
        let key = self.command.key(arg).to_owned();
        let planner = self.planner;
        let shown = |path: &PathBuf| shown(&planner.base, path);
        let Given::Values(values) = &given else {
            if flags::role(arg) == Role::Value {
                self.step.options.insert(key, vec!["true".to_owned()]);
                self.given.push((arg, given, entry.place));
            } else {
                problems.add(entry.place, format!("{key} is true; expected a file"));
            }
            return;
        };
        let mut words = Vec::new();
        let mut said = Vec::new();
        match flags::role(arg) {
            Role::Value => {
                words.clone_from(values);
                said.clone_from(values);
            }
            Role::MayRead => {
                for value in values {
                    let read = planner.read(planner.base.join(value));
                    let is_file = read.maker.is_some() || read.path.is_file();
                    said.push(if is_file { shown(&read.path) } else { value.clone() });
                    words.push(if is_file { in_text(&read.path) } else { value.clone() });
                    self.step.reads.extend(is_file.then_some(read));
                }
            }
            Role::Reads => {
                for value in values {
                    match planner.find(value) {
                        Ok(Found::Files(files)) => {
                            said.extend(files.iter().map(|read| shown(&read.path)));
                            words.extend(files.iter().map(|read| in_text(&read.path)));
                            self.step.reads.extend(files);
                        }
                        Ok(Found::Unknown) => self.unknown = true,
                        Err(what) => problems.add(entry.place, format!("{key}: {what}")),
                    }
                }
                if words.len() > 1 && !flags::takes_several(arg) {
                    let what =
                        format!("{key} is {} files; expected one, or a step for each with for", words.len());
                    problems.add(entry.place, what);
                }
            }
            role @ (Role::Writes | Role::Keeps) => {
                let [value] = values.as_slice() else {
                    problems.add(entry.place, format!("{key} is {} files; expected one", values.len()));
                    return;
                };
                let path = planner.out.join(value);
                said.push(shown(&path));
                words.push(in_text(&path));
                if role == Role::Writes {
                    self.step.writes.insert(key.clone(), path);
                } else if arg.get_id() == flags::CHECKPOINT {
                    self.step.checkpoint = self.command.by_id(flags::RESUME).map(|_| path);
                }
            }
        }
        if arg.get_id() == flags::SEED {
            if let Some(seed) = words.first().and_then(|word| word.parse().ok()) {
                self.step.seed = seed;
            }
        } else if words.is_empty() {
            return;
        } else {
            self.step.options.insert(key, said);
        }
        self.given.push((arg, Given::Values(words), entry.place));
    }

    /// Names the output of a command that has one.
    fn name_output(&mut self) {
        if self.given.iter().any(|(arg, ..)| arg.get_id() == flags::OUT) {
            return;
        }
        let Some(arg) = self.command.by_id(flags::OUT).filter(|arg| flags::role(arg) == Role::Writes) else {
            return;
        };
        // Who asks for a table alone wants no copy of the input beside it.
        if !self.step.writes.is_empty() && parse(&self.line(&self.given)).is_ok() {
            return;
        }
        let ending = self.step.reads.first().and_then(|read| read.path.extension()?.to_str());
        let Some(file) = self.command.default_output(&self.step.name, ending) else { return };
        let path = self.planner.out.join(file);
        let key = self.command.key(arg).to_owned();
        self.step.options.insert(key.clone(), vec![shown(&self.planner.base, &path)]);
        self.given.push((arg, Given::Values(vec![in_text(&path)]), self.step.place));
        self.step.writes.insert(key, path);
    }

    /// The words of so much of the step.
    fn line(&self, given: &[(&Arg, Given, Place)]) -> Vec<String> {
        let mut words = vec![self.command.command().to_owned()];
        // Inputs first: a flag with several values would take them for its own.
        let (inputs, options): (Vec<_>, Vec<_>) = given.iter().partition(|(arg, ..)| arg.is_positional());
        words.extend(inputs.iter().chain(&options).flat_map(|(arg, given, _)| flags::words(arg, given)));
        words.extend(["--seed".to_owned(), self.step.seed.to_string()]);
        words
    }

    /// The step, once the program takes its command line.
    fn finish(mut self, problems: &mut Told<'_>) -> Option<Step> {
        let has_input = self.given.iter().any(|(arg, ..)| arg.is_positional());
        if let Some(input) = self.command.input().filter(|arg| arg.is_required_set() && !has_input) {
            if !problems.any && !self.unknown {
                problems.add(self.step.place, "it has no input; expected input = \"NAME\"");
            }
            // So that all else can be looked at.
            self.unknown = true;
            self.given.push((input, Given::Values(vec!["FILE".to_owned()]), self.step.place));
        }
        self.given.retain(|(arg, ..)| arg.get_id() != flags::SEED);
        self.step.words = self.line(&self.given);
        // The parser tells one mistake at a time: what it refuses is left out until it refuses nothing new.
        let mut left = self.given.clone();
        let mut parsed = None;
        while parsed.is_none() {
            match parse(&self.line(&left)) {
                Ok(command) => parsed = Some(command),
                Err(error) => {
                    let (what, flag) = in_words(&error);
                    let is = |arg: &Arg| {
                        flag.as_deref().is_some_and(|flag| {
                            arg.get_long().is_some_and(|long| flag.trim_start_matches('-') == long)
                        })
                    };
                    let refused = left.iter().position(|(arg, ..)| is(arg));
                    // What is missing only because it was left out here is not told.
                    if refused.is_some() || left.len() == self.given.len() {
                        let at = refused.map_or(self.step.place, |index| left[index].2);
                        problems.add(at, what.trim_start_matches("--"));
                    }
                    match refused {
                        Some(index) => drop(left.remove(index)),
                        None => break,
                    }
                }
            }
        }
        if left.len() == self.given.len()
            && let Some(command) = &parsed
            && let Err(failure) = foresee(command, &Foresight { open: false })
        {
            problems.add(self.step.place, failure.message());
        }
        let is_given = |id: &str| self.given.iter().any(|(arg, ..)| arg.get_id() == id);
        self.step.asks_to_replace = self.command.by_id(flags::FORCE).is_some() && !is_given(flags::FORCE);
        (!problems.any && !self.unknown).then_some(self.step)
    }
}

fn parse(words: &[String]) -> Result<Command, clap::Error> {
    Ok(Cli::from_arg_matches(&matches_of(words)?)?.command)
}

fn matches_of(words: &[String]) -> Result<ArgMatches, clap::Error> {
    let line = std::iter::once("brodmann").chain(words.iter().map(String::as_str));
    Cli::command().try_get_matches_from(line)
}

fn check_name(name: &str, place: Place, problems: &mut Problems) {
    if ["study", "inputs"].contains(&name) {
        problems.add(place, format!("{name} is a name that means something else here; expected another"));
    } else if !is_name(name, false) && !name.is_empty() {
        problems.add(place, format!("{name:?} is no name; expected letters, digits, - and _"));
    }
}

fn is_name(text: &str, with_dots: bool) -> bool {
    let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || (with_dots && c == '.');
    !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(fits)
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Bool(value) => value.to_string(),
        other => other.kind().to_owned(),
    }
}

/// A path as a word of a command line: none begins like a flag.
fn in_text(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    if text.starts_with('-') { format!("./{text}") } else { text }
}

fn shown(base: &Path, path: &Path) -> String {
    let own = if base.as_os_str().is_empty() { path } else { path.strip_prefix(base).unwrap_or(path) };
    let mut out = PathBuf::new();
    for part in own.components() {
        // `results/../x` is x for whoever reads it.
        if part == Component::ParentDir && matches!(out.components().next_back(), Some(Component::Normal(_)))
        {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out.display().to_string()
}

/// Where a path leads, whether anything is there or not.
fn place(path: &Path) -> PathBuf {
    if let Ok(there) = path.canonicalize() {
        return there;
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut out = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    match (out.parent().map(Path::canonicalize), out.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => out,
    }
}
