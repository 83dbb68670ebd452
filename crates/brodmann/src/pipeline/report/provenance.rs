//! How the domains were made, what there is to know before believing them, and how to repeat it.

use std::path::Path;

use brodmann_data::{Array, Value};

use super::{ReportRequest, n_labelled};
use crate::pipeline::explain::markers::Explained;
use crate::pipeline::histology::SlideOptions;
use crate::pipeline::tissue::{Inputs, Tissue};
use crate::report::{Note, Report, Severity, Table, TableColumn};
use crate::stats::Thresholds;

/// Agreement of members below which the map is in doubt.
const FEW_AGREE: f64 = 0.4;
/// Values of a list that are shown.
const SHOWN: usize = 12;

/// Adds summary, notes and provenance.
pub(super) fn tell(
    tissue: &Tissue,
    explained: &Explained<'_>,
    inputs: &Inputs,
    (request, thresholds): (&ReportRequest, &Thresholds),
    report: &mut Report,
) {
    let groups = &explained.groups;
    let n_slices = report.slices.len();
    let n_found = groups.sizes().iter().filter(|n| **n > 0).count();
    report.subtitle = format!("{n_found} domains of {} spots (obs[{:?}])", tissue.n_obs(), groups.key);
    let record = tissue.uns(&groups.key).filter(|record| record.get("method").is_some());
    let method = record.and_then(|r| r.get("method")?.as_str());
    let by =
        method.map_or(String::new(), |method| format!(", found by `brodmann {}`", method.replace('_', "-")));
    let on = if n_slices > 1 { format!(" on {n_slices} slices") } else { String::new() };
    report.summary.push(format!(
        "{} of {} spots{on} lie in {n_found} domains{by}.",
        n_labelled(groups),
        tissue.n_obs()
    ));
    let unlabelled = groups.n_unlabelled();
    if unlabelled > 0 {
        report.notes.push(Note {
            severity: Severity::Remark,
            text: format!(
                "{unlabelled} spot(s) have no domain: they were set aside, or nobody labelled them."
            ),
        });
    }
    if let Some(record) = record {
        of_record(record, report);
    }
    for input in &inputs.paths {
        let size = std::fs::metadata(input).map_or(0, |m| m.len());
        let name =
            input.file_name().map_or_else(|| input.display().to_string(), |n| n.to_string_lossy().into());
        let size =
            if input.is_dir() { "a folder".to_owned() } else { format!("{:.1} MB", size as f64 / 1e6) };
        report.provenance.inputs.push((name, size));
    }
    let values =
        explained.found.iter().map(|f| (format!("values of {}", f.modality.name), f.values().to_owned()));
    report.provenance.parameters.extend(values);
    report.provenance.parameters.push((
        "markers".to_owned(),
        format!(
            "rank sums against the rest; log2 fold change above {}, adjusted p below {}, in most slices",
            thresholds.log2_fold_change, thresholds.p_value
        ),
    ));
    report
        .provenance
        .versions
        .push(("brodmann (this report)".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    let names: Vec<String> = inputs
        .paths
        .iter()
        .map(|path| path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned()))
        .collect();
    if let Some(method) = method {
        report.provenance.commands.push(format!(
            "brodmann {} INPUT --out {} (with the parameters below)",
            method.replace('_', "-"),
            quoted(names.first().map_or("", String::as_str))
        ));
    }
    let files: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let library = request
        .place
        .library_key
        .as_ref()
        .map_or(String::new(), |key| format!(" --library-key {}", quoted(key)));
    report.provenance.commands.push(format!(
        "brodmann report {} --groupby {}{library}{} --out report.html",
        files.join(" "),
        quoted(&groups.key),
        slides(&request.slide)
    ));
}

/// The options of the slides, with the names of files and not their folders: a report is forwarded.
fn slides(slide: &SlideOptions) -> String {
    if !slide.is_asked_for() {
        return String::new();
    }
    let name = |path: &Path| path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let names: Vec<String> = slide.image.iter().map(|image| name(Path::new(image))).collect();
    let mut words = vec![("image", quoted(&names.join(",")))];
    words.extend(slide.image_transform.iter().map(|matrix| ("image-transform", quoted(&name(matrix)))));
    let patch_size = (slide.patch_size != SlideOptions::default().patch_size).then_some(slide.patch_size);
    let lengths = [
        ("image-scale", slide.image_scale),
        ("spot-diameter", slide.spot_diameter),
        ("patch-size", patch_size),
    ];
    words.extend(lengths.into_iter().filter_map(|(flag, value)| Some((flag, value?.to_string()))));
    words.iter().flat_map(|(flag, value)| [" --", *flag, " ", value.as_str()]).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What a method left in `uns`.
fn of_record(record: &Value, report: &mut Report) {
    if let Some(version) = record.get("version").and_then(Value::as_str) {
        report.provenance.versions.push(("brodmann (the domains)".to_owned(), version.to_owned()));
    }
    if let Some(Value::Dict(params)) = record.get("params") {
        for (key, value) in params {
            flatten(key, value, &mut report.provenance.parameters);
        }
    }
    let seeds = |(name, _): &(String, String)| name == "random_state" || name == "seed";
    let own: Vec<(String, String)> =
        report.provenance.parameters.iter().filter(|p| seeds(p)).cloned().collect();
    report.provenance.parameters.retain(|p| !seeds(p));
    report.provenance.seeds.extend(own);
    if let Some(Value::Dict(seconds)) = record.get("seconds") {
        for (stage, value) in seconds {
            report.provenance.timings.extend(value.as_f64().map(|v| (stage.clone(), v)));
        }
    }
    let reached = record.get("n_clusters_reached").and_then(Value::as_f64);
    if reached == Some(0.0) {
        report.notes.push(Note {
            severity: Severity::Warning,
            text: "The number of domains that was asked for was not reached.".to_owned(),
        });
    }
    agreement(record, report);
}

/// What the members of a consensus agree on.
fn agreement(record: &Value, report: &mut Report) {
    let names = record.get("members").and_then(Value::as_array).and_then(Array::to_strings);
    let matrix = record.get("agreement").and_then(Value::to_matrix_f64);
    let (Some(names), Some(matrix)) = (names, matrix) else { return };
    let n = names.len();
    if matrix.dim() != (n, n) || n < 2 {
        return;
    }
    let pairs: Vec<f64> = (0..n).flat_map(|i| (0..i).map(move |j| [i, j])).map(|at| matrix[at]).collect();
    let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
    report.summary.push(format!(
        "{n} methods drew this map together; two of them agree by an adjusted Rand index of {mean:.2} on average."
    ));
    if mean < FEW_AGREE {
        report.notes.push(Note {
            severity: Severity::Doubt,
            text: format!(
                "The methods agree little (mean adjusted Rand index {mean:.2}): other maps are as good."
            ),
        });
    }
    let mut columns = vec![TableColumn::text("member", names.iter().cloned())];
    for (j, name) in names.iter().enumerate() {
        columns.push(TableColumn::numbers(name, (0..n).map(|i| matrix[[i, j]])));
    }
    if let Some(weights) = record.get("weights").and_then(Value::as_array).and_then(Array::to_f64) {
        columns.push(TableColumn::shares("weight", weights.iter().copied()));
    }
    report.provenance.tables.push(Table {
        title: "How the members agree".to_owned(),
        about: "Adjusted Rand index of each pair of members: 1 the same map, 0 no more than by chance."
            .to_owned(),
        columns,
    });
}

/// Entries of nested dictionaries by their path.
fn flatten(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Dict(entries) => {
            for (key, entry) in entries {
                flatten(&format!("{name} · {key}"), entry, out);
            }
        }
        other => out.extend(in_words(other).map(|text| (name.to_owned(), text))),
    }
}

/// A value in words; `None` for what has none.
fn in_words(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(v) => if *v { "yes" } else { "no" }.to_owned(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::String(v) => v.clone(),
        Value::Array(array) => {
            let all: Vec<String> = array
                .to_strings()
                .or_else(|| Some(array.to_f64()?.iter().map(ToString::to_string).collect()))
                .unwrap_or_default();
            let mut shown: Vec<String> = all.iter().take(SHOWN).cloned().collect();
            if all.len() > SHOWN {
                shown.push(format!("… ({} in all)", all.len()));
            }
            shown.join(", ")
        }
        other => other.kind(),
    })
}
