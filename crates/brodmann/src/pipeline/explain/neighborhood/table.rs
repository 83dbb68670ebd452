//! What was found, as tables.

use brodmann_data::{Column, DataFrame, Value};

use super::Found;
use crate::pipeline::outputs::Table;

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

/// A table as an element of `uns`.
pub(super) fn frame(columns: Table) -> Value {
    let n = columns.first().map_or(0, |(_, column)| column.len());
    let index = (0..n).map(|i| i.to_string()).collect();
    Value::Frame(DataFrame { index, columns: columns.into_iter().collect(), ..DataFrame::default() })
}
