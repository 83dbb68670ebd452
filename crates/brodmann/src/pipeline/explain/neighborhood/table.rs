//! What was found, as tables.

use brodmann_data::{Column, DataFrame, Value};

use super::Found;
use crate::pipeline::outputs::Table;
use crate::stats::Ripley;

/// One row per ordered pair of groups: their contacts, what chance would give, and the share of the first's border.
pub(super) fn pairs(found: &Found) -> Table {
    let names = &found.groups.names;
    let n = names.len();
    let all: Vec<[usize; 2]> = (0..n * n).map(|k| [k / n, k % n]).collect();
    let text = |k: usize| Column::String(all.iter().map(|pair| Some(names[pair[k]].clone())).collect());
    let numbers = |of: &ndarray::Array2<f64>| Column::Float64(all.iter().map(|pair| of[*pair]).collect());
    let enrichment = &found.enrichment;
    let columns = [
        ("group", text(0)),
        ("neighbor", text(1)),
        ("contacts", numbers(&enrichment.counts)),
        ("expected", numbers(&enrichment.expected)),
        ("z", numbers(&enrichment.z_score)),
        ("p_value", numbers(&enrichment.p_value)),
        ("p_adjusted", numbers(&enrichment.p_adjusted)),
        ("boundary_share", numbers(&found.adjacency.boundary_shares)),
    ];
    columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect()
}

/// One row per slice and group that has spots there.
pub(super) fn shapes(found: &Found) -> Option<Table> {
    let shapes = &found.shapes.as_ref()?.domains;
    let numbers =
        |of: &dyn Fn(&crate::stats::DomainShape) -> f64| Column::Float64(shapes.iter().map(of).collect());
    let whole = |of: &dyn Fn(&crate::stats::DomainShape) -> usize| {
        Column::Int(shapes.iter().map(|s| of(s) as i64).collect())
    };
    let mut columns = Vec::new();
    let mut put = |name: &str, column: Column| columns.push((name.to_owned(), column));
    if let Some(slices) = found.slices.as_ref().filter(|slices| slices.count() > 1) {
        let label = |code: u32| slices.codes().iter().position(|c| *c == code).map(|at| slices.label(at));
        put("slice", Column::String(shapes.iter().map(|s| label(s.slice)).collect()));
    }
    let names = &found.groups.names;
    put("group", Column::String(shapes.iter().map(|s| names.get(s.label as usize).cloned()).collect()));
    put("n_spots", whole(&|s| s.n_spots));
    put("area", numbers(&|s| s.area));
    put("boundary_length", numbers(&|s| s.boundary_length));
    put("outer_length", numbers(&|s| s.outer_length));
    put("compactness", numbers(&|s| s.compactness));
    put("elongation", numbers(&|s| s.elongation));
    put("n_components", whole(&|s| s.n_components));
    put("largest_component", whole(&|s| s.largest_component));
    put("centroid_x", numbers(&|s| s.centroid[0]));
    put("centroid_y", numbers(&|s| s.centroid[1]));
    Some(columns)
}

/// One row per group that has spots and radius: L, what it would be without a pattern and without edges, and its range by
/// chance.
pub(super) fn ripley(found: &Found, ripley: &Ripley) -> Table {
    let sizes = found.groups.sizes();
    let all: Vec<[usize; 2]> = (0..sizes.len())
        .filter(|&group| sizes[group] > 0)
        .flat_map(|group| (0..ripley.radii.len()).map(move |k| [group, k]))
        .collect();
    let numbers = |of: &ndarray::Array2<f64>| Column::Float64(all.iter().map(|at| of[*at]).collect());
    let name = |[group, _]: &[usize; 2]| Some(found.groups.names[*group].clone());
    let mut columns = vec![
        ("group".to_owned(), Column::String(all.iter().map(name).collect())),
        ("radius".to_owned(), Column::Float64(all.iter().map(|[_, k]| ripley.radii[*k]).collect())),
        ("l".to_owned(), numbers(&ripley.statistic)),
        ("expected".to_owned(), numbers(&ripley.expected)),
    ];
    let ends = [("low", &ripley.low), ("high", &ripley.high)];
    columns.extend(ends.into_iter().filter_map(|(name, of)| Some((name.to_owned(), numbers(of.as_ref()?)))));
    columns
}

/// The same under squidpy's names.
pub(super) fn squidpy_ripley(found: &Found, ripley: &Ripley) -> Table {
    self::ripley(found, ripley)
        .into_iter()
        .map(|(name, column)| match name.as_str() {
            "group" => (found.groups.key.clone(), column),
            "radius" => ("bins".to_owned(), column),
            "l" => ("stats".to_owned(), column),
            _ => (name, column),
        })
        .collect()
}

/// A table as an element of `uns`.
pub(super) fn frame(columns: Table) -> Value {
    let n = columns.first().map_or(0, |(_, column)| column.len());
    let index = (0..n).map(|i| i.to_string()).collect();
    Value::Frame(DataFrame { index, columns: columns.into_iter().collect(), ..DataFrame::default() })
}
