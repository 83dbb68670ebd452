//! Links as tables, and as a genome browser reads them.

use brodmann_data::{Column, DataFrame, Value};
use ndarray::ArrayView1;

use super::Found;
use crate::pipeline::outputs::Table;
use crate::stats::links::{ExportedLink, scaled_by_gene};

/// One row per pair of a peak and a gene: where they lie, how strong the link is in all and in each domain, how specific, and
/// what correlation and distance say of it.
pub(super) fn links(found: &Found) -> Table {
    let (pairs, names) = (&found.pairs, &found.groups.names);
    let text = |of: &dyn Fn(usize) -> Option<String>| Column::String((0..pairs.len()).map(of).collect());
    let whole = |of: &dyn Fn(usize) -> i64| Column::Int((0..pairs.len()).map(of).collect());
    let numbers = |column: ArrayView1<'_, f64>| Column::Float64(column.to_vec());
    let gene = |k: usize| pairs.genes()[k] as usize;
    let peak = |k: usize| pairs.peaks()[k] as usize;
    let place = |k: usize| found.genes.positions[gene(k)].as_ref();
    let mut columns: Table = Vec::new();
    let mut put = |name: String, column: Column| columns.push((name, column));
    put("gene".to_owned(), text(&|k| Some(found.genes.names[gene(k)].clone())));
    put("peak".to_owned(), text(&|k| Some(found.peaks.names[peak(k)].clone())));
    put("chromosome".to_owned(), text(&|k| place(k).map(|p| p.chromosome.clone())));
    put("tss".to_owned(), whole(&|k| place(k).map_or(-1, |p| p.tss as i64)));
    put("distance".to_owned(), whole(&|k| pairs.distances()[k]));
    put("strength".to_owned(), numbers(found.strengths.total.view()));
    put("pearson".to_owned(), numbers(found.correlations.pearson.view()));
    put("spearman".to_owned(), numbers(found.correlations.spearman.view()));
    put("pearson_smoothed".to_owned(), numbers(found.correlations.smoothed.view()));
    let scaled = scaled_by_gene(&found.strengths, pairs);
    for (d, name) in names.iter().enumerate() {
        put(format!("strength:{name}"), numbers(found.strengths.by_domain.column(d)));
        put(format!("share:{name}"), numbers(scaled.column(d)));
        put(format!("z:{name}"), numbers(found.specific.z_score.column(d)));
        put(format!("p_value:{name}"), numbers(found.specific.p_value.column(d)));
        put(format!("p_adjusted:{name}"), numbers(found.specific.p_adjusted.column(d)));
        put(format!("pearson:{name}"), numbers(found.correlations.by_domain.column(d)));
    }
    columns
}

/// A table as `uns` holds it.
pub(super) fn frame(table: Table) -> Value {
    let n = table.first().map_or(0, |(_, column)| column.len());
    let index = (0..n).map(|i| i.to_string()).collect();
    Value::Frame(DataFrame { index, columns: table.into_iter().collect(), ..DataFrame::default() })
}

/// A pair as a browser shows it.
fn exported(found: &Found, k: usize, score: f64, more: Vec<String>) -> Option<ExportedLink<'_>> {
    let peak = found.peaks.positions[found.pairs.peaks()[k] as usize].as_ref()?;
    let gene = found.genes.positions[found.pairs.genes()[k] as usize].as_ref()?;
    Some(ExportedLink { peak, gene, name: &gene.name, score, more })
}

/// Every pair in every domain that anything moves in, scored by its share of the gene's strongest.
pub(super) fn by_domain(found: &Found) -> Vec<ExportedLink<'_>> {
    let scaled = scaled_by_gene(&found.strengths, &found.pairs);
    let of = |k: usize| {
        let scaled = scaled.row(k).to_vec();
        let link = move |(d, score): (usize, f64)| {
            let p = found.specific.p_adjusted[(k, d)];
            exported(found, k, score, vec![found.groups.names[d].clone(), format!("{p:.3e}")])
        };
        scaled.into_iter().enumerate().filter(|(_, score)| *score > 0.0).filter_map(link).collect::<Vec<_>>()
    };
    (0..found.pairs.len()).flat_map(of).collect()
}

/// Every pair that anything moves in, of all domains together.
pub(super) fn of_all(found: &Found) -> Vec<ExportedLink<'_>> {
    let total = &found.strengths.total;
    (0..found.pairs.len())
        .filter(|&k| total[k] > 0.0)
        .filter_map(|k| exported(found, k, total[k], Vec::new()))
        .collect()
}
