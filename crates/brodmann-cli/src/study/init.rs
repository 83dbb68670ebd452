//! A study written for a file: what `info` finds in it decides the steps.

use std::path::Path;

use brodmann::pipeline::describe::{Description, describe};
use brodmann_data::OpenOptions;
use brodmann_kernels::Monitor;

use crate::failure::Failure;

/// Columns that tell slices apart, and columns that hold known domains, by their usual names, the best first.
const SLICES: &[&str] =
    &["library_id", "slice", "slice_id", "section", "section_id", "sample", "sample_id", "batch"];
const TRUTHS: &[&str] =
    &["ground_truth", "truth", "domain", "region", "layer", "layer_guess", "annotation", "label", "labels"];
/// More domains than these are cell types, or the names of spots.
const MOST_DOMAINS: usize = 40;

/// What was written.
#[derive(Debug, serde::Serialize)]
pub struct InitReport {
    pub out: String,
    pub steps: Vec<String>,
}

impl InitReport {
    pub fn lines(&self) -> Vec<String> {
        vec![format!("{}: {}", self.out, self.steps.join(", ")), format!("next: brodmann run {}", self.out)]
    }
}

/// Writes a study for `input` to `out`.
pub fn write(input: &Path, out: &Path, replace: bool, monitor: &dyn Monitor) -> Result<InitReport, Failure> {
    if out.exists() && !replace {
        return Err(Failure::input(format!("the study {} exists already", out.display()))
            .hint("name another with --out, or replace it with --force"));
    }
    let samples = brodmann_data::samples(input);
    let first = samples.first().map_or(input, |sample| sample.as_path());
    let description = describe(first, &OpenOptions::default(), None, monitor)?;
    let from_here = out.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let path = |path: &Path| {
        // Paths in the file start from its folder.
        let own =
            if from_here { path.to_path_buf() } else { std::path::absolute(path).unwrap_or(path.into()) };
        own.display().to_string()
    };
    let files: Vec<String> =
        if samples.is_empty() { vec![path(input)] } else { samples.iter().map(|s| path(s)).collect() };
    let (text, steps) = text(&description, &files);
    brodmann_data::write_bytes(out, text.as_bytes())?;
    Ok(InitReport { out: out.display().to_string(), steps })
}

/// The study, and the names of its steps.
fn text(found: &Description, files: &[String]) -> (String, Vec<String>) {
    let about = About::of(found, files.len());
    let input = if let [file] = files { quoted(file) } else { list(files) };
    let name = input_name(files);
    let mut text: Vec<String> = [
        "# Written by `brodmann run --init`. Run it with `brodmann run`, see what it would do with --dry-run. Steps that",
        "# are finished are not repeated. Keys are the flags of the commands: `brodmann domains --help` lists them.",
        "#",
    ]
    .map(str::to_owned)
    .into();
    for line in found.lines().iter().filter(|line| !line.starts_with("next: ")) {
        // Names in a file may hold anything; a comment is one line.
        text.push(format!("# {}", line.replace(char::is_control, " ")));
    }
    let head = [
        "",
        "[study]",
        "out = \"results\"    # folder of everything below",
        "seed = 42",
        "# threads = 4       # all cores",
        "# strict = true     # warnings are an error",
        "",
        "[inputs]",
    ];
    text.extend(head.map(str::to_owned));
    text.push(format!("{name} = {input}"));
    let mut steps = Vec::new();
    let mut step = |command: &str, lines: &[String]| {
        steps.push(command.to_owned());
        text.extend([String::new(), "[[step]]".to_owned(), format!("command = \"{command}\"")]);
        text.extend_from_slice(lines);
    };
    let is_multi = found.container == "MuData";
    let ending = if is_multi { "h5mu" } else { "h5ad" };
    let n_clusters = about.truth.as_ref().map_or_else(
        || "# n-clusters = 7    # how many domains; without it their number is found".to_owned(),
        |(truth, k)| {
            format!("n-clusters = {k}      # as in obs[{truth:?}]; without it their number is found")
        },
    );
    let slices = about.slices.iter().map(|key| format!("library-key = {}", quoted(key)));
    let slices: Vec<String> = slices.collect();
    if found.space.is_none() {
        let own = [format!("input = {}", quoted(&name)), n_clusters, format!("out = \"leiden.{ending}\"")];
        step("leiden", &own);
        step("evaluate", &about.evaluation("leiden"));
        return (text.join("\n") + "\n", steps);
    }
    if files.len() == 1 {
        let mut own = vec![format!("input = {}", quoted(&name)), "plot = \"qc.png\"".to_owned()];
        own.extend(slices.clone());
        step("qc", &own);
    }
    let mut own = vec![format!("input = {}", quoted(&name)), n_clusters.clone()];
    own.extend(slices.clone());
    own.push(format!("out = \"domains.{ending}\""));
    step("domains", &own);
    let mut last = "domains";
    if is_multi {
        let mut own = vec!["input = \"domains\"".to_owned(), n_clusters];
        own.extend(slices.clone());
        own.push("# epochs = 300      # passes over the tissue; fewer are faster".to_owned());
        own.push("# checkpoint = \"spami-checkpoint\"    # a stopped training goes on from here".to_owned());
        own.push("out = \"spami.h5mu\"".to_owned());
        step("spami", &own);
        last = "spami";
    }
    step("evaluate", &about.evaluation(last));
    let mut colors: Vec<String> = about.truth.iter().map(|(truth, _)| truth.clone()).collect();
    colors.extend(["domains", "domains_entropy"].map(str::to_owned));
    colors.extend((last != "domains").then(|| last.to_owned()));
    let mut own = vec![format!("input = \"{last}\""), format!("color = {}", list(&colors))];
    own.extend(slices.clone());
    own.push("out = \"domains.png\"".to_owned());
    step("plot", &own);
    let mut own = vec![format!("input = \"{last}\""), format!("groupby = \"{last}\"")];
    own.extend(slices);
    let mut of_markers = own.clone();
    of_markers.extend(["table = \"markers.csv\"", "plot = \"markers.png\""].map(str::to_owned));
    step("markers", &of_markers);
    own.extend(about.truth.iter().map(|(truth, _)| format!("truth = {}", quoted(truth))));
    own.push(
        "# gene-sets = [\"hallmark.gmt\"]    # known sets of genes to look for behind the markers".to_owned(),
    );
    own.push("out = \"report.html\"".to_owned());
    step("report", &own);
    (text.join("\n") + "\n", steps)
}

/// What decides the keys.
struct About {
    /// The column of the known domains, and how many there are.
    truth: Option<(String, usize)>,
    slices: Option<String>,
}

impl About {
    fn of(found: &Description, n_files: usize) -> Self {
        let categories = |name: &str| {
            let (_, kind) = found.elements.obs.iter().find(|(column, _)| column == name)?;
            kind.strip_suffix(" categories")?.parse::<usize>().ok().filter(|n| *n > 1)
        };
        let first = |names: &[&'static str], most: usize| {
            names.iter().find_map(|name| Some((*name, categories(name).filter(|n| *n <= most)?)))
        };
        let truth = first(TRUTHS, MOST_DOMAINS);
        let slices = if n_files > 1 {
            Some(brodmann_data::keys::LIBRARY_ID.to_owned())
        } else {
            first(SLICES, usize::MAX).map(|(name, _)| name.to_owned())
        };
        Self { truth: truth.map(|(name, n)| (name.to_owned(), n)), slices }
    }

    fn evaluation(&self, of: &str) -> Vec<String> {
        let mut lines = vec![format!("input = \"{of}\""), format!("pred = \"{of}\"")];
        match &self.truth {
            Some((truth, _)) => lines.push(format!("truth = {}", quoted(truth))),
            None => lines.push("# truth = \"layer\"   # obs column of the known domains".to_owned()),
        }
        lines.extend(self.slices.iter().map(|key| format!("batch-key = {}", quoted(key))));
        lines.push("json = \"evaluation.json\"".to_owned());
        lines
    }
}

/// A name for the input, after the file.
fn input_name(files: &[String]) -> String {
    let [file] = files else { return "slices".to_owned() };
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let is_taken =
        ["study", "inputs", "qc", "domains", "leiden", "spami", "evaluate", "plot", "markers", "report"]
            .contains(&name.as_str());
    if is_taken || name.is_empty() || name.starts_with('-') { "tissue".to_owned() } else { name }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::document::{Document, Value};
    use crate::study::problems::Problems;

    #[test]
    fn any_name_is_a_text_of_the_file() {
        for name in ["plain", "a \"b\" \\ c", "line\nbreak\u{7f}\u{85}", "größe"] {
            let text = format!("[inputs]\na = {}\n", quoted(name));
            let document = Document::parse(&text, &mut Problems::default()).expect("TOML");
            assert_eq!(document.inputs.entries[0].value, Value::Text(name.to_owned()));
        }
        assert_eq!(input_name(&["x/my tissue.1.h5ad".to_owned()]), "my_tissue_1");
        assert_eq!(input_name(&["domains.h5ad".to_owned()]), "tissue");
    }
}
