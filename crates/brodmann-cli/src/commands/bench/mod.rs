//! `brodmann bench`: how long and how much memory our side takes on this machine, on simulated tissue.
//!
//! * this file: processes, repeats, the table, the JSON (the schema of `benches/`).
//! * `folder`: the tissues, made once a size.
//! * `stages`: what one process measures.
//!
//! Each run is a process of its own, so that its peak memory is its own.

pub mod folder;
mod machine;
mod stages;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use brodmann_kernels::{Monitor, OptionError};
use clap::ValueEnum;
use indexmap::IndexMap;
use serde_json::{Value, json};

use self::folder::Folder;
use super::Context;
use crate::args::bench::{BenchArgs, BenchName};
use crate::failure::Failure;

/// Median, least and most of the repeats.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
    n: usize,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max, n) = (*sorted.first()?, *sorted.last()?, sorted.len());
        Some(Self { median: f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]), min, max, n })
    }

    fn shown(self, digits: usize) -> String {
        let Self { median, min, max, n } = self;
        if n == 1 || min == max {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} [{min:.digits$}–{max:.digits$}]")
    }
}

/// One side of a comparison; here there is only ours.
#[derive(Clone, Debug, serde::Serialize)]
struct Side {
    tool: &'static str,
    command: String,
    seconds: Option<Spread>,
    cpu_seconds: Option<Spread>,
    peak_mib: Option<Spread>,
    quality: BTreeMap<String, Spread>,
}

/// One line of the table.
#[derive(Clone, Debug, serde::Serialize)]
struct Row {
    bench: String,
    case: String,
    n: usize,
    ours: Side,
    peer: Option<Side>,
    ratio: Option<Spread>,
    memory_ratio: Option<f64>,
}

/// What one process says of one step.
#[derive(Clone, Debug, Default)]
struct Step {
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
    quality: BTreeMap<String, Vec<f64>>,
}

pub fn run(context: &Context<'_>, args: &BenchArgs) -> Result<(), Failure> {
    if args.list {
        return list(context);
    }
    if let Some(folder) = &args.child {
        return stages::run(context, args, &Folder::existing(folder));
    }
    for (option, value) in [("--repeats", args.repeats), ("--genes", args.genes)] {
        if value == 0 {
            return Err(
                Failure::input(format!("{option} is 0; expected at least 1")).hint("give a positive number")
            );
        }
    }
    if let Some(size) = args.sizes.iter().find(|s| **s < 100) {
        return Err(OptionError::new("sizes", size, "at least 100 spots").into());
    }
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(|e| {
            Failure::input(format!("the folder {} cannot be made ({e})", out.display()))
                .hint("name one you may write to with --out")
        })?;
    }
    let parts = args.name.parts();
    let total = parts.len() * args.sizes.len() * args.repeats;
    context.terminal.stage("measure", total as u64);
    let mut rows = Vec::new();
    for &size in &args.sizes {
        let side = (size as f64).sqrt().round() as usize;
        let folder = Folder::new()?;
        prepare(context, args, &folder, side, &parts)?;
        for &part in &parts {
            rows.extend(measure(context, args, &folder, side, part)?);
        }
    }
    context.terminal.finish();
    let reports = reports(args, &parts, &rows);
    if let Some(out) = &args.out {
        for (name, report) in &reports {
            let path = out.join(format!("{name}.json"));
            let text = serde_json::to_vec_pretty(report).map_err(Failure::run)?;
            brodmann_data::write_bytes(&path, &text)?;
        }
    }
    let report = match reports.len() {
        1 => reports.into_values().next().unwrap_or_default(),
        _ => json!({ "benches": reports.into_values().collect::<Vec<_>>() }),
    };
    context.print(&report, || table(&rows))
}

fn list(context: &Context<'_>) -> Result<(), Failure> {
    let names: Vec<(String, String)> = BenchName::value_variants().iter().map(|n| n.words()).collect();
    let report: Vec<Value> = names.iter().map(|(name, what)| json!({ "name": name, "what": what })).collect();
    context.print(&report, || names.iter().map(|(name, what)| format!("{name:<14} {what}")).collect())
}

/// Makes the files that the parts read: counts, and where needed components and graphs.
fn prepare(
    context: &Context<'_>,
    args: &BenchArgs,
    folder: &Folder,
    side: usize,
    parts: &[BenchName],
) -> Result<(), Failure> {
    let needs = |names: &[BenchName]| parts.iter().any(|p| names.contains(p));
    let path = |p: &Path| p.display().to_string();
    if parts != [BenchName::Simulate] {
        let (side, genes, density) = (side.to_string(), args.genes.to_string(), args.density.to_string());
        let words = ["--side", &side, "--genes", &genes, "--density", &density];
        child(context, &[&["simulate", "--out", &path(&folder.counts())], words.as_slice()].concat())?;
    }
    if needs(&[BenchName::Knn, BenchName::Leiden, BenchName::Spami, BenchName::Metrics]) {
        child(context, &["preprocess", &path(&folder.counts()), "--out", &path(&folder.components())])?;
    }
    if needs(&[BenchName::Leiden]) {
        child(context, &["neighbors", &path(&folder.components()), "--out", &path(&folder.graphs())])?;
    }
    Ok(())
}

fn measure(
    context: &Context<'_>,
    args: &BenchArgs,
    folder: &Folder,
    side: usize,
    part: BenchName,
) -> Result<Vec<Row>, Failure> {
    let (name, _) = part.words();
    let n = side * side;
    let mut steps: IndexMap<String, Step> = IndexMap::new();
    let mut peaks = Vec::new();
    let (n_text, genes, density) = (n.to_string(), args.genes.to_string(), args.density.to_string());
    for _ in 0..args.repeats {
        let words = ["bench", &name, "--child", &folder.path().display().to_string(), "--sizes", &n_text];
        let made_of = ["--genes", &genes, "--density", &density];
        let report = child(context, &[words.as_slice(), made_of.as_slice()].concat())?;
        peaks.extend(report["peak_rss_bytes"].as_f64().map(|bytes| bytes / f64::from(1 << 20)));
        for values in report["steps"].as_array().into_iter().flatten() {
            let step = values["name"].as_str().unwrap_or_default();
            let into = steps.entry(step.to_owned()).or_default();
            into.seconds.extend(values["seconds"].as_f64());
            into.cpu_seconds.extend(values["cpu_seconds"].as_f64());
            for (what, value) in values["quality"].as_object().into_iter().flatten() {
                into.quality.entry(what.clone()).or_default().extend(value.as_f64());
            }
        }
        context.terminal.advance(1);
    }
    let command = format!(
        "brodmann bench {name} --sizes {n} --genes {genes} --density {density} --repeats {}",
        args.repeats
    );
    Ok(steps
        .into_iter()
        .map(|(step, values)| Row {
            bench: name.clone(),
            case: step,
            n,
            ours: Side {
                tool: "brodmann",
                command: command.clone(),
                seconds: Spread::of(&values.seconds),
                cpu_seconds: Spread::of(&values.cpu_seconds),
                peak_mib: Spread::of(&peaks),
                quality: values
                    .quality
                    .into_iter()
                    .filter_map(|(what, v)| Some((what, Spread::of(&v)?)))
                    .collect(),
            },
            peer: None,
            ratio: None,
            memory_ratio: None,
        })
        .collect())
}

/// Runs this program, and returns its report.
fn child(context: &Context<'_>, words: &[&str]) -> Result<Value, Failure> {
    let program =
        std::env::current_exe().map_err(|e| Failure::run(format!("this program cannot be found ({e})")))?;
    let output = Command::new(program)
        .args(words)
        .args(["--json", "--quiet", "--seed", &context.seed.0.to_string()])
        .args(["--threads", &rayon::current_num_threads().to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::run(format!("{} cannot be started ({e})", words.join(" "))))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or("no message").trim_start_matches("error: ").to_owned();
        return Err(Failure::run(format!("`brodmann {}` failed: {first}", words.join(" "))));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Failure::run(format!("the report of {} cannot be read ({e})", words.join(" "))))
}

/// One report per bench, as `benches/common.py` writes them.
fn reports(args: &BenchArgs, parts: &[BenchName], rows: &[Row]) -> IndexMap<String, Value> {
    let machine = machine::describe();
    let one = |part: &BenchName| {
        let (name, title) = part.words();
        let sizes: Vec<String> = args.sizes.iter().map(ToString::to_string).collect();
        let of: Vec<&Row> = rows.iter().filter(|r| r.bench == name).collect();
        let report = json!({
            "schema": 1,
            "name": name,
            "title": title,
            "reading": "Our side alone: medians [least–most] over processes of their own; peak memory is that of the \
                        whole process, reading its input included.",
            "date": machine::today(),
            "command": format!(
                "brodmann bench {name} --sizes {} --genes {} --density {} --repeats {}",
                sizes.join(","), args.genes, args.density, args.repeats
            ),
            "machine": machine,
            "versions": { "brodmann": env!("CARGO_PKG_VERSION") },
            "threads": rayon::current_num_threads(),
            "rows": of,
            "notes": [],
        });
        (name, report)
    };
    parts.iter().map(one).collect()
}

fn table(rows: &[Row]) -> Vec<String> {
    let head = ["bench", "step", "spots", "seconds", "CPU s", "peak MiB", "quality"];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        let shown = |s: Option<Spread>, digits| s.map_or_else(|| "–".to_owned(), |s| s.shown(digits));
        let quality: Vec<String> = row
            .ours
            .quality
            .iter()
            .map(|(what, s)| format!("{what} {}", s.shown(if what == "clusters" { 0 } else { 3 })))
            .collect();
        lines.push([
            row.bench.clone(),
            row.case.clone(),
            row.n.to_string(),
            shown(row.ours.seconds, 3),
            shown(row.ours.cpu_seconds, 3),
            shown(row.ours.peak_mib, 0),
            quality.join(", "),
        ]);
    }
    let width = |k: usize| lines.iter().map(|l| l[k].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    lines
        .iter()
        .map(|line| {
            let cells: Vec<String> = line.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_of_what_is_finite() {
        let spread = Spread::of(&[3.0, f64::NAN, 1.0, 2.0]).expect("three values");
        assert_eq!((spread.median, spread.min, spread.max, spread.n), (2.0, 1.0, 3.0, 3));
        assert_eq!(Spread::of(&[4.0, 2.0]).expect("two values").median, 3.0);
        assert_eq!(Spread::of(&[f64::NAN]), None);
        assert_eq!(spread.shown(1), "2.0 [1.0–3.0]");
    }
}
