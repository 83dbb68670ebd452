//! What was found as a table of its own, and as scanpy keeps it in `uns`.

use brodmann_data::{Array, Column, DataFrame, Value};
use brodmann_kernels::Monitor;
use indexmap::IndexMap;
use serde_json::json;

use super::{Explained, Found, MarkersRequest};
use crate::pipeline::outputs::Table;
use crate::pipeline::record::without_nulls;
use crate::pipeline::tissue::Tissue;
use crate::stats::{GroupMarkers, MarkerTest};

/// What scanpy calls a test.
fn method(test: MarkerTest) -> &'static str {
    match test {
        MarkerTest::Wilcoxon => "wilcoxon",
        MarkerTest::Welch => "t-test",
        MarkerTest::OverestimatedVariance => "t-test_overestim_var",
    }
}

/// The name of a group as that of a field: one without a name has none otherwise.
fn field(name: &str) -> String {
    if name.is_empty() { "(no name)".to_owned() } else { name.to_owned() }
}

/// `uns["rank_genes_groups"]`: records by group, genes by falling score.
pub(super) fn rank_genes_groups(
    tissue: &Tissue,
    found: &Found<'_>,
    explained: &Explained<'_>,
    request: &MarkersRequest,
    monitor: &dyn Monitor,
) -> Value {
    let names = tissue.var_names(found.modality);
    let by_group = |of: &dyn Fn(&GroupMarkers, &[u32]) -> Array| {
        let entry = |markers: &GroupMarkers| {
            (field(&explained.groups.names[markers.group as usize]), of(markers, &markers.order()))
        };
        Value::Records(found.markers.iter().map(entry).collect())
    };
    let single = |of: fn(&GroupMarkers) -> &[f64]| {
        by_group(&|markers, order| {
            order.iter().map(|&j| of(markers)[j as usize] as f32).collect::<Vec<f32>>().into()
        })
    };
    let double = |of: fn(&GroupMarkers) -> &[f64]| {
        by_group(&|markers, order| {
            order.iter().map(|&j| of(markers)[j as usize]).collect::<Vec<f64>>().into()
        })
    };
    let ranked = |_: &GroupMarkers, order: &[u32]| -> Array {
        order.iter().map(|&j| names[j as usize].clone()).collect::<Vec<String>>().into()
    };
    let params = json!({
        "groupby": explained.groups.key,
        "reference": request.comparison.reference,
        "method": method(request.options.test),
        "use_raw": false,
        "layer": request.values.layer,
        "corr_method": "benjamini-hochberg",
        "tie_correct": request.options.tie_correct,
        "values": found.values(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut entries: IndexMap<String, Value> = IndexMap::new();
    entries.insert("params".to_owned(), without_nulls(params).into());
    entries.insert("names".to_owned(), by_group(&ranked));
    entries.insert("scores".to_owned(), single(|m| &m.score));
    entries.insert("pvals".to_owned(), double(|m| &m.p_value));
    entries.insert("pvals_adj".to_owned(), double(|m| &m.p_adjusted));
    entries.insert("logfoldchanges".to_owned(), single(|m| &m.log2_fold_change));
    entries.insert("auc".to_owned(), single(|m| &m.auc));
    if found.markers.iter().any(|m| m.slices.is_some()) {
        let hold = |markers: &GroupMarkers, order: &[u32]| -> Array {
            let hold = markers.slices.as_ref().map_or(&[][..], |slices| &slices.hold);
            order
                .iter()
                .map(|&j| hold.get(j as usize).copied().unwrap_or(0) as i32)
                .collect::<Vec<i32>>()
                .into()
        };
        entries.insert("slices_hold".to_owned(), by_group(&hold));
    }
    // A slash in the name of a column would be read as a group.
    if found.markers.iter().any(|m| explained.groups.names[m.group as usize].contains('/')) {
        monitor.note(&format!(
            "groups with a slash in their name: uns[{:?}] has no fractions of spots, which the table has",
            request.key()
        ));
        return Value::Dict(entries);
    }
    let fractions = |of: fn(&GroupMarkers) -> &[f64]| {
        let column = |markers: &GroupMarkers| {
            let name = field(&explained.groups.names[markers.group as usize]);
            (name, Column::Float64(of(markers).to_vec()))
        };
        let columns = found.markers.iter().map(column).collect();
        Value::Frame(DataFrame { index: names.to_vec(), columns, ..DataFrame::default() })
    };
    entries.insert("pts".to_owned(), fractions(|m| &m.fraction));
    entries.insert("pts_rest".to_owned(), fractions(|m| &m.fraction_reference));
    Value::Dict(entries)
}

/// One row per modality, group and gene; groups in their order, genes by falling score.
pub(super) fn columns(tissue: &Tissue, explained: &Explained<'_>, request: &MarkersRequest) -> Table {
    let mut texts: [Vec<Option<String>>; 4] = Default::default();
    let mut numbers: [Vec<f64>; 11] = Default::default();
    let mut slices: [Vec<Option<i64>>; 2] = Default::default();
    let mut is_marker = Vec::new();
    let (mut any_names, mut any_slices) = (false, false);
    for found in &explained.found {
        let ids = tissue.var_names(found.modality);
        for markers in &found.markers {
            let chosen: std::collections::HashSet<u32> =
                markers.select(&request.thresholds).into_iter().collect();
            for j in markers.order() {
                let at = j as usize;
                texts[0].push(Some(found.modality.name.clone()));
                texts[1].push(Some(explained.groups.names[markers.group as usize].clone()));
                texts[2].push(Some(ids[at].clone()));
                texts[3].push(found.names.as_ref().map(|names| names[at].clone()));
                let support = markers.slices.as_ref();
                let values = [
                    markers.score[at],
                    markers.log2_fold_change[at],
                    markers.p_value[at],
                    // p = 0 below the smallest number: its logarithm still tells genes apart.
                    markers.ln_p_value[at] / std::f64::consts::LN_10,
                    markers.p_adjusted[at],
                    markers.mean[at],
                    markers.mean_reference[at],
                    markers.fraction[at],
                    markers.fraction_reference[at],
                    markers.auc[at],
                    support.map_or(f64::NAN, |s| s.p_adjusted[at]),
                ];
                for (column, value) in numbers.iter_mut().zip(values) {
                    column.push(value);
                }
                slices[0].push(support.map(|s| i64::from(s.hold[at])));
                slices[1].push(support.map(|s| s.n_judged as i64));
                is_marker.push(chosen.contains(&j));
                any_names |= found.names.is_some();
                any_slices |= support.is_some();
            }
        }
    }
    let [modality, group, gene, name] = texts;
    let mut table = Vec::new();
    let mut put = |name: &str, column: Column| table.push((name.to_owned(), column));
    if explained.found.len() > 1 {
        put("modality", Column::String(modality));
    }
    put("group", Column::String(group));
    put("feature", Column::String(gene));
    if any_names {
        put("name", Column::String(name));
    }
    put("marker", Column::Bool(is_marker));
    let names = [
        "score",
        "log2_fold_change",
        "p_value",
        "log10_p_value",
        "p_adjusted",
        "mean",
        "mean_reference",
        "fraction",
        "fraction_reference",
        "auc",
        "p_adjusted_slices",
    ];
    let [hold, judged] = slices;
    for (name, column) in names.into_iter().zip(numbers) {
        if name != "p_adjusted_slices" || any_slices {
            put(name, Column::Float64(column));
        }
    }
    if any_slices {
        put("slices_hold", Column::NullableInt(hold));
        put("slices_judged", Column::NullableInt(judged));
    }
    table
}
