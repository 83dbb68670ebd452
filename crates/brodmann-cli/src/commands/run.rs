//! `brodmann run`: a study, step by step, each by the function that its command calls.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use brodmann::pipeline::forecast::{Forecast, time_in_words};
use brodmann::pipeline::memory::in_words;
use brodmann_data::Reservation;
use brodmann_kernels::{Monitor, Seed};
use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Context, Foresight, Kept, dispatch, foresee, peak_rss_bytes, reset_peak_rss};
use crate::args::run::RunArgs;
use crate::failure::Failure;
use crate::study::content::{Content, Contents};
use crate::study::flags::shell;
use crate::study::init;
use crate::study::plan::{Step, Study};
use crate::study::problems::{Problems, did_you_mean};
use crate::study::state::{Record, State};

/// What is to be said of a study that is interrupted now.
static ON_THE_WAY: Mutex<Option<String>> = Mutex::new(None);

/// What an interruption leaves of a study; nothing where none is running.
pub fn on_the_way() -> Option<String> {
    ON_THE_WAY.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set_on_the_way(said: Option<String>) {
    *ON_THE_WAY.lock().unwrap_or_else(PoisonError::into_inner) = said;
}

/// What is to be done about a step.
#[derive(Clone, Debug)]
enum Verdict {
    Finished,
    /// With the reasons.
    Runs(Vec<String>),
}

/// What is known of memory and time before a step.
#[derive(Clone, Copy, Debug)]
enum Outlook {
    Known(Forecast),
    /// Its input is not there yet.
    Later,
    /// Its command does not tell.
    Untold,
}

#[derive(serde::Serialize)]
struct StudyReport {
    study: String,
    out: String,
    seconds: f64,
    steps: Vec<StepReport>,
}

#[derive(serde::Serialize)]
struct StepReport {
    name: String,
    command: String,
    /// `run`, `finished earlier`, or in a dry run `would run`.
    status: &'static str,
    why: Vec<String>,
    command_line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast_seconds: Option<f64>,
    seconds: Option<f64>,
    peak_rss_bytes: Option<u64>,
    outputs: Vec<String>,
    warnings: Vec<String>,
    report: Json,
}

pub fn run(context: &Context<'_>, args: &RunArgs) -> Result<(), Failure> {
    if let Some(input) = &args.init {
        let out = args.out.as_deref().unwrap_or(Path::new("pipeline.toml"));
        let replace = !args.force.is_empty();
        let report = init::write(input, out, replace, context.terminal)?;
        return context.print(&report, || report.lines());
    }
    let (Some(file), false) = (&args.study, args.force.iter().any(String::is_empty)) else {
        return Err(Failure::input("--force names no step; expected --force STEP")
            .hint("name the step to run again, or run all again with --restart"));
    };
    let study = Study::read(file, &args.set, context.global)?;
    if let (None, Some(threads)) = (context.global.threads, study.threads) {
        super::use_threads(threads)?;
    }
    let mut runner = Runner::new(context, args, &study)?;
    if args.dry_run {
        return runner.tell();
    }
    make_folder(&study.out)?;
    // Of two runs of one study the second would undo what the first has just done.
    let _reserved = Reservation::of(study.state_file())?;
    let result = runner.run();
    set_on_the_way(None);
    result
}

struct Runner<'a> {
    context: &'a Context<'a>,
    study: &'a Study,
    state: State,
    contents: Contents,
    verdicts: Vec<Verdict>,
    outlooks: Vec<Option<Outlook>>,
    started: Instant,
}

impl<'a> Runner<'a> {
    /// Finds out what is to be done, and whether it can be.
    fn new(context: &'a Context<'a>, args: &RunArgs, study: &'a Study) -> Result<Self, Failure> {
        let (state, said) = State::read(&study.state_file());
        if let Some(said) = said {
            context.terminal.warn(&said);
        }
        let mut contents = Contents::default();
        for step in &study.steps {
            let Some(record) = state.steps.get(&step.name) else { continue };
            let paths = step.reads.iter().map(|read| &read.path).chain(step.outputs());
            for path in paths {
                let shown = study.shown(path);
                if let Some(content) = record.inputs.get(&shown).or_else(|| record.outputs.get(&shown)) {
                    contents.know(path.clone(), content.clone());
                }
            }
        }
        let started = Instant::now();
        let (verdicts, outlooks) = (Vec::new(), Vec::new());
        let mut this = Self { context, study, state, contents, verdicts, outlooks, started };
        this.context.terminal.stage("comparing files with those of earlier runs", 0);
        this.judge(args)?;
        this.look_ahead()?;
        this.context.terminal.finish();
        Ok(this)
    }

    /// What is to be done about each step, as far as that can be told beforehand.
    fn judge(&mut self, args: &RunArgs) -> Result<(), Failure> {
        let steps = &self.study.steps;
        if let Some(unknown) = args.force.iter().find(|name| steps.iter().all(|step| step.name != **name)) {
            let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            let near = did_you_mean(unknown, names.iter().copied());
            let message = format!("--force is {unknown:?}; expected one of {}{near}", names.join(", "));
            return Err(Failure::input(message).hint("name a step of the study"));
        }
        for step in steps {
            let before = step.makers().into_iter().filter(|i| matches!(self.verdicts[*i], Verdict::Runs(_)));
            let mut why: Vec<String> = before.map(|i| format!("{} runs", steps[i].name)).collect();
            if args.restart {
                why.push("--restart".to_owned());
            } else if args.force.contains(&step.name) {
                why.push("--force".to_owned());
            }
            // What is not there yet cannot be compared.
            let own = if why.is_empty() { self.why(step)? } else { Vec::new() };
            why.extend(own);
            self.verdicts.push(if why.is_empty() { Verdict::Finished } else { Verdict::Runs(why) });
        }
        Ok(())
    }

    /// Why a step whose inputs are all there is to run; nothing where it is finished.
    fn why(&mut self, step: &Step) -> Result<Vec<String>, Failure> {
        let now = Record::start(step, self.inputs(step)?);
        let Some(record) = self.state.steps.get(&step.name) else {
            return Ok(vec!["it has not run yet".to_owned()]);
        };
        let mut why = record.differences(&now);
        if !record.finished && why.is_empty() {
            why.push("it did not come to its end".to_owned());
        }
        if why.is_empty() {
            let expected = record.outputs.clone();
            for path in step.outputs() {
                let shown = self.study.shown(path);
                let there = self.contents.of(path);
                match (expected.get(&shown), there) {
                    (_, Err(_)) => why.push(format!("{shown} is not there")),
                    (Some(old), Ok(new)) if old.hash == new.hash => {}
                    (_, Ok(_)) => why.push(format!("{shown} was changed since")),
                }
            }
        }
        Ok(why)
    }

    fn inputs(&mut self, step: &Step) -> Result<IndexMap<String, Content>, Failure> {
        let mut inputs = IndexMap::new();
        for read in &step.reads {
            let content = self.contents.of(&read.path).map_err(|e| {
                Failure::input(format!("step {}: {} cannot be read ({e})", step.name, read.path.display()))
                    .hint("name a file you may read")
            })?;
            inputs.insert(self.study.shown(&read.path), content);
        }
        Ok(inputs)
    }

    /// Memory and time of what is to run; refuses what could not.
    fn look_ahead(&mut self) -> Result<(), Failure> {
        let mut problems = Problems::default();
        for (step, verdict) in self.study.steps.iter().zip(&self.verdicts) {
            if matches!(verdict, Verdict::Finished) {
                self.outlooks.push(None);
                continue;
            }
            let waits = step.makers().into_iter().any(|i| matches!(self.verdicts[i], Verdict::Runs(_)));
            // What an instrument wrote is opened once, when it is worked on: that may take minutes.
            let is_container = |path: &Path| {
                path.extension().is_some_and(|ending| ["h5ad", "h5mu"].iter().any(|own| ending == *own))
            };
            let open = !waits && step.reads.iter().all(|read| is_container(&read.path));
            let outlook = match foresee(&step.parse(&[])?, &Foresight { open }) {
                Ok(Some(forecast)) => Outlook::Known(forecast),
                Ok(None) if waits => Outlook::Later,
                Ok(None) => Outlook::Untold,
                Err(failure) => {
                    problems.add(step.place, format!("step {}: {}", step.name, failure.told()));
                    Outlook::Untold
                }
            };
            self.outlooks.push(Some(outlook));
        }
        problems.refuse(&self.study.file)
    }

    /// What is known of memory and time, in one line.
    fn outlook(&self) -> Option<String> {
        let steps = || self.study.steps.iter().zip(&self.outlooks).filter_map(|(s, o)| Some((s, (*o)?)));
        let known: Vec<(&Step, Forecast)> = steps()
            .filter_map(|(s, o)| if let Outlook::Known(f) = o { Some((s, f)) } else { None })
            .collect();
        let later: Vec<&str> =
            steps().filter(|(_, o)| matches!(o, Outlook::Later)).map(|(s, _)| s.name.as_str()).collect();
        let most = known.iter().max_by_key(|(_, forecast)| forecast.bytes);
        let mut parts = Vec::new();
        if let Some((step, forecast)) = most {
            let seconds: f64 = known.iter().filter_map(|(_, f)| f.seconds).sum();
            let time =
                if seconds > 0.0 { format!(" and about {}", time_in_words(seconds)) } else { String::new() };
            parts.push(format!("{} of memory (step {}){time}", in_words(forecast.bytes), step.name));
        }
        if !later.is_empty() {
            parts.push(format!("not known before their inputs are there: {}", later.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("forecast: {}", parts.join("; ")))
    }

    /// What would run.
    fn tell(&self) -> Result<(), Failure> {
        let steps = self.study.steps.iter().enumerate().map(|(index, step)| self.report(index, step, None));
        let report = StudyReport {
            study: self.study.file.display().to_string(),
            out: self.study.out.display().to_string(),
            seconds: 0.0,
            steps: steps.collect(),
        };
        self.context.print(&report, || {
            let mut lines: Vec<String> = self.outlook().map(|line| format!("# {line}")).into_iter().collect();
            let mut folders: Vec<String> = Vec::new();
            for (index, (step, told)) in self.study.steps.iter().zip(&report.steps).enumerate() {
                let title = self.title(index, step);
                if told.status == FINISHED {
                    lines.push(format!("# {title}: finished earlier"));
                    lines.push(format!("# {}", told.command_line));
                    continue;
                }
                let known = match self.outlooks[index] {
                    Some(Outlook::Known(forecast)) => format!(" ({} forecast)", in_words(forecast.bytes)),
                    _ => String::new(),
                };
                lines.push(format!("# {title}: {}{known}", told.why.join("; ")));
                for folder in step.outputs().filter_map(|path| path.parent()) {
                    let folder = folder.to_string_lossy().into_owned();
                    if !folder.is_empty() && !Path::new(&folder).exists() && !folders.contains(&folder) {
                        lines.push(shell(&["mkdir".to_owned(), "-p".to_owned(), folder.clone()]));
                        folders.push(folder);
                    }
                }
                lines.push(told.command_line.clone());
            }
            lines
        })
    }

    fn title(&self, index: usize, step: &Step) -> String {
        format!("step {} of {}: {}", index + 1, self.study.steps.len(), step.name)
    }

    /// One step as it stands; `why` where it ran just now.
    fn report(&self, index: usize, step: &Step, why: Option<Vec<String>>) -> StepReport {
        let (status, why, did_run) = match (why, &self.verdicts[index]) {
            (Some(why), _) => (RUN, why, true),
            (None, Verdict::Finished) => (FINISHED, Vec::new(), true),
            (None, Verdict::Runs(why)) => (WOULD_RUN, why.clone(), false),
        };
        let record = self.state.steps.get(&step.name).filter(|_| did_run);
        let forecast = match self.outlooks[index] {
            Some(Outlook::Known(forecast)) => Some(forecast),
            _ => None,
        };
        let asked = matches!(&self.verdicts[index], Verdict::Runs(why) if is_asked(why));
        let more = if did_run { Vec::new() } else { self.more(step, asked) };
        let words = [vec!["brodmann".to_owned()], step.words_with(&more)].concat();
        StepReport {
            name: step.name.clone(),
            command: step.command.clone(),
            status,
            why,
            command_line: shell(&words),
            forecast_bytes: forecast.map(|f| f.bytes),
            forecast_seconds: forecast.and_then(|f| f.seconds),
            seconds: record.map(|r| r.seconds),
            peak_rss_bytes: record.and_then(|r| r.peak_rss_bytes),
            outputs: step.outputs().map(|path| path.display().to_string()).collect(),
            warnings: record.map(|r| r.warnings.clone()).unwrap_or_default(),
            report: record.map_or(Json::Null, |r| r.report.clone()),
        }
    }

    /// What a step that ran before must be told beside its own flags.
    fn more(&self, step: &Step, asked: bool) -> Vec<&'static str> {
        let mut more = Vec::new();
        // An output that this study has not made is not its to replace, unless it was told to run the step.
        let is_ours = self.state.steps.contains_key(&step.name);
        if step.asks_to_replace && (is_ours || asked) && step.outputs().any(|path| path.exists()) {
            more.push("force");
        }
        more
    }

    /// Where there is a checkpoint: `restart`, if the step was asked to run again (`asked`) or ran otherwise before; `resume`, if a
    /// training of just this kind was stopped after it. One that this study has not made is not its to replace.
    fn resume(&self, step: &Step, now: &Record, asked: bool) -> Option<&'static str> {
        let folder = step.checkpoint.as_ref()?;
        let is_saved = |entry: std::fs::DirEntry| {
            entry.path().extension().is_some_and(|ending| ending == "safetensors")
                && !entry.file_name().to_string_lossy().starts_with('.')
        };
        if !std::fs::read_dir(folder).ok()?.flatten().any(is_saved) {
            return None;
        }
        if asked {
            return Some("restart");
        }
        let before = self.state.steps.get(&step.name)?;
        let is_same = !before.finished && before.differences(now).is_empty();
        Some(if is_same { "resume" } else { "restart" })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let (context, study) = (self.context, self.study);
        let n_finished = self.verdicts.iter().filter(|v| matches!(v, Verdict::Finished)).count();
        context.terminal.say(&format!(
            "study {}: {} steps, {n_finished} finished earlier",
            study.file.display(),
            study.steps.len()
        ));
        if let Some(line) = self.outlook() {
            context.terminal.say(&line);
        }
        let mut reports = Vec::new();
        for (index, step) in study.steps.iter().enumerate() {
            let title = self.title(index, step);
            // A step may come out as before, and those that stand on it are finished then.
            let why = match &self.verdicts[index] {
                Verdict::Finished => Vec::new(),
                Verdict::Runs(why) => {
                    if is_asked(why) {
                        why.clone()
                    } else {
                        self.why(step)?
                    }
                }
            };
            if why.is_empty() {
                self.verdicts[index] = Verdict::Finished;
                context.terminal.say(&format!("{title}: finished earlier"));
                let warnings =
                    self.state.steps.get(&step.name).map(|r| r.warnings.clone()).unwrap_or_default();
                for warning in warnings {
                    context.terminal.warn(&format!("{}, finished earlier: {warning}", step.name));
                }
                reports.push(self.report(index, step, None));
                continue;
            }
            context.terminal.say(&format!("{title} ({})", why.join("; ")));
            set_on_the_way(Some(format!(
                "in {title}; what is finished stays, and the same command goes on there"
            )));
            let go_on = "the steps before it stay finished, and the same command goes on there";
            self.work(step, is_asked(&why)).map_err(|failure| failure.in_step(&title, go_on))?;
            reports.push(self.report(index, step, Some(why)));
        }
        let report = StudyReport {
            study: study.file.display().to_string(),
            out: study.out.display().to_string(),
            seconds: self.started.elapsed().as_secs_f64(),
            steps: reports,
        };
        context.print(&report, || summary(&report))?;
        let warnings = context.warnings();
        if study.strict && !warnings.is_empty() {
            return Err(Failure::warned(&warnings));
        }
        Ok(())
    }

    /// Runs one step and writes down that it is finished.
    fn work(&mut self, step: &Step, asked: bool) -> Result<(), Failure> {
        let (context, state_file) = (self.context, self.study.state_file());
        let mut record = Record::start(step, self.inputs(step)?);
        let mut more = self.more(step, asked);
        more.extend(self.resume(step, &record, asked));
        let command = step.parse_to_run(&more)?;
        for folder in step.outputs().chain(&step.checkpoint).filter_map(|path| path.parent()) {
            make_folder(folder)?;
        }
        self.state.steps.insert(step.name.clone(), record.clone());
        self.state.write(&state_file)?;

        let (kept, before) = (Kept::default(), peak_rss_bytes());
        let is_own_peak = reset_peak_rss();
        let own = context.of_step(Seed(step.seed), &kept);
        let start = Instant::now();
        dispatch(&own, command)?;
        context.terminal.finish();
        record.seconds = start.elapsed().as_secs_f64();
        // Of a process that cannot forget, a mark that has not moved says nothing of this step.
        record.peak_rss_bytes = peak_rss_bytes().filter(|peak| is_own_peak || Some(*peak) > before);

        let report = kept.take();
        report.lines.iter().for_each(|line| context.terminal.say(&format!("{}: {line}", step.name)));
        if let Some(file) = &step.json {
            let text = serde_json::to_string_pretty(&report.json)
                .map_err(|e| Failure::run(format!("the report cannot be written as JSON ({e})")))?;
            brodmann_data::write_bytes(file, (text + "\n").as_bytes())?;
        }
        for path in step.outputs() {
            match self.contents.of(path) {
                Ok(content) => drop(record.outputs.insert(self.study.shown(path), content)),
                Err(e) => context.terminal.warn(&format!("{} was not written ({e})", path.display())),
            }
        }
        (record.finished, record.warnings, record.report) = (true, own.warnings(), report.json);
        self.state.steps.insert(step.name.clone(), record);
        self.state.write(&state_file)?;
        Ok(())
    }
}

const RUN: &str = "run";
const FINISHED: &str = "finished earlier";
const WOULD_RUN: &str = "would run";

/// One line per step: what came of it, and what it took.
fn summary(report: &StudyReport) -> Vec<String> {
    let heading = ["step", "status", "seconds", "memory", "warnings", "outputs"].map(str::to_owned);
    let mut rows = vec![heading];
    for step in &report.steps {
        rows.push([
            step.name.clone(),
            step.status.to_owned(),
            step.seconds.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}")),
            step.peak_rss_bytes.map_or_else(|| "-".to_owned(), in_words),
            step.warnings.len().to_string(),
            step.outputs.join(", "),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    rows.iter()
        .map(|row| {
            let cell = |column: usize| {
                let (text, width) = (&row[column], widths[column]);
                if column < 2 { format!("{text:<width$}") } else { format!("{text:>width$}") }
            };
            let cells: Vec<String> = (0..5).map(cell).collect();
            format!("{}  {}", cells.join("  "), row[5]).trim_end().to_owned()
        })
        .chain([format!("{:.1} s in all, in {}", report.seconds, report.out)])
        .collect()
}

/// Whether it was said on the command line that a step is to run.
fn is_asked(why: &[String]) -> bool {
    why.iter().any(|reason| reason.starts_with("--"))
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|e| {
        Failure::input(format!("the folder {} cannot be made ({e})", folder.display()))
            .hint("name one you may write to with out in [study]")
    })
}
