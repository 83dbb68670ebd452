//! The domains: a table of all of them, and a panel for each.

use std::io::{self, Write};

use super::content::{DomainPanel, Report, SpotValues};
use super::html::{bar, escape, name, per_cent, picture_kind, swatch, write_data_url};
use super::page::{write_notes, write_paragraphs, write_table};
use super::table::{Cells, Table, TableColumn};
use crate::plot::Rgb;

/// Slices whose spots get a column of their own in the table of all domains.
const MAX_SLICE_COLUMNS: usize = 8;

/// What is counted of the domains.
pub(super) struct Counts {
    /// Spots of each slice in each domain: by slice, then by domain.
    pub by_slice: Vec<Vec<u64>>,
    /// Spots of each domain.
    pub of_domain: Vec<u64>,
    /// All spots, with a domain or without.
    pub n_obs: u64,
    /// Mean confidence of each domain's spots, where there is any.
    pub confidence: Option<Vec<f64>>,
}

impl Counts {
    /// O(n_obs).
    pub fn new(report: &Report, codes: &[Option<u32>], n_domains: usize) -> Self {
        let mut by_slice = Vec::with_capacity(report.slices.len());
        let mut start = 0;
        for slice in &report.slices {
            let end = start + slice.coordinates.nrows();
            by_slice.push(tally(codes[start..end].iter().copied(), n_domains));
            start = end;
        }
        let of_domain = (0..n_domains).map(|d| by_slice.iter().map(|counts| counts[d]).sum()).collect();
        let confidence =
            report.confidence.and_then(|c| means(&report.columns[c.column].values, codes, n_domains));
        Self { by_slice, of_domain, n_obs: codes.len() as u64, confidence }
    }
}

fn tally(codes: impl Iterator<Item = Option<u32>>, n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    for code in codes.flatten() {
        counts[code as usize] += 1;
    }
    counts
}

/// Mean of numbers over each domain, leaving out what is not finite; `None` for categories.
fn means(values: &SpotValues, codes: &[Option<u32>], n: usize) -> Option<Vec<f64>> {
    let mut sums = vec![(0.0, 0u64); n];
    let mut add = |i: usize, value: f32| {
        if let Some(code) = codes[i].filter(|_| value.is_finite()) {
            let (sum, n) = &mut sums[code as usize];
            *sum += f64::from(value);
            *n += 1;
        }
    };
    match values {
        SpotValues::Categories { .. } => return None,
        SpotValues::Numbers { values, .. } => values.iter().enumerate().for_each(|(i, &v)| add(i, v)),
        SpotValues::Sparse { rows, values, .. } => {
            let mut stored = rows.iter().zip(values).peekable();
            for i in 0..codes.len() {
                let value = stored.next_if(|(row, _)| **row as usize == i).map_or(0.0, |(_, &value)| value);
                add(i, value);
            }
        }
    }
    Some(sums.into_iter().map(|(sum, n)| sum / n as f64).collect())
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// All domains, one per row.
pub(super) fn write_overview(report: &Report, counts: &Counts, out: &mut impl Write) -> io::Result<()> {
    let names = report.domain_names();
    let mut columns = vec![
        TableColumn::text("domain", names.iter().map(String::as_str)),
        TableColumn::counts("spots", counts.of_domain.iter().copied()),
        TableColumn::shares("share", counts.of_domain.iter().map(|&n| share(n, counts.n_obs)))
            .about("of all spots"),
    ];
    if report.slices.len() > 1 && report.slices.len() <= MAX_SLICE_COLUMNS {
        for (slice, of_slice) in report.slices.iter().zip(&counts.by_slice) {
            let n = slice.coordinates.nrows() as u64;
            columns.push(
                TableColumn::shares(&slice.name, of_slice.iter().map(|&k| share(k, n)))
                    .about("share of this slice's spots"),
            );
        }
    }
    if let (Some(means), Some(confidence)) = (&counts.confidence, report.confidence) {
        let about = format!("mean of {} over the domain's spots", report.columns[confidence.column].name);
        columns.push(TableColumn::numbers("confidence", means.iter().copied()).about(&about));
    }
    if report.domain_panels.iter().any(|panel| !panel.markers.is_empty()) {
        let foremost = |panel: &DomainPanel| {
            panel.markers.iter().take(4).map(|marker| marker.gene.as_str()).collect::<Vec<_>>().join(", ")
        };
        columns.push(TableColumn::text("foremost markers", report.domain_panels.iter().map(foremost)));
    }
    if report.domain_panels.iter().any(|panel| !panel.notes.is_empty()) {
        columns.push(TableColumn::counts("notes", report.domain_panels.iter().map(|p| p.notes.len() as u64)));
    }
    let colors = report.domain_categories().map_or(&[][..], |(_, _, colors)| colors);
    write_table(&Table::new("All domains", columns), Some(colors), "h3", out)
}

/// The panel of one domain.
pub(super) fn write_panel(
    report: &Report,
    counts: &Counts,
    d: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some((codes, names, colors)) = report.domain_categories() else { return Ok(()) };
    let empty = DomainPanel::default();
    let panel = report.domain_panels.get(d).unwrap_or(&empty);
    writeln!(
        out,
        "<section class=\"domain\" id=\"domain-{d}\" data-domain=\"{d}\" aria-labelledby=\"domain-{d}-name\">\n\
         <h3 id=\"domain-{d}-name\" tabindex=\"-1\">{} {}</h3>",
        swatch(colors[d]),
        name(&names[d])
    )?;
    writeln!(
        out,
        "<p class=\"size\">{} of {} spots, {}.</p>",
        super::html::count(counts.of_domain[d]),
        super::html::count(counts.n_obs),
        per_cent(share(counts.of_domain[d], counts.n_obs))
    )?;
    write_notes(&panel.notes, out)?;
    write_paragraphs(&panel.summary, out)?;
    out.write_all(b"<div class=\"cards\">\n")?;
    for (table, swatches) in panel_tables(report, counts, panel, d, codes) {
        write_table(&table, swatches.as_deref(), "h4", out)?;
    }
    for table in &panel.tables {
        write_table(table, None, "h4", out)?;
    }
    out.write_all(b"</div>\n")?;
    if !panel.patches.is_empty() {
        out.write_all(b"<h4>Tissue</h4>\n<div class=\"patches\">\n")?;
        for patch in &panel.patches {
            let caption = escape(&patch.caption);
            write!(out, "<figure><img alt=\"{caption}\" src=\"")?;
            write_data_url(&patch.bytes, picture_kind(&patch.bytes).unwrap_or("image/png"), out)?;
            writeln!(out, "\"><figcaption>{caption}</figcaption></figure>")?;
        }
        out.write_all(b"</div>\n")?;
    }
    out.write_all(b"</section>\n")
}

type WithSwatches = (Table, Option<Vec<Rgb>>);

/// Everything of a panel that is a table; none is empty.
fn panel_tables(
    report: &Report,
    counts: &Counts,
    panel: &DomainPanel,
    d: usize,
    codes: &[Option<u32>],
) -> Vec<WithSwatches> {
    let mut tables = Vec::new();
    if !panel.markers.is_empty() {
        tables.push((markers(panel), None));
    }
    if !panel.gene_sets.is_empty() {
        tables.push((gene_sets(panel), None));
    }
    if !panel.neighbors.is_empty() {
        tables.push(neighbors(report, panel));
    }
    if report.slices.len() > 1 {
        let of_slice: Vec<u64> = counts.by_slice.iter().map(|counts| counts[d]).collect();
        let sizes = report.slices.iter().map(|slice| slice.coordinates.nrows() as u64);
        let columns = vec![
            TableColumn::text("slice", report.slices.iter().map(|slice| slice.name.as_str())),
            TableColumn::counts("spots", of_slice.iter().copied()),
            TableColumn::shares("of the slice", of_slice.iter().zip(sizes).map(|(&k, n)| share(k, n))),
            TableColumn::shares("of the domain", of_slice.iter().map(|&k| share(k, counts.of_domain[d]))),
        ];
        tables.push((Table::new("Slices", columns), None));
    }
    if !panel.shapes.is_empty() {
        tables.push((shapes(report, panel), None));
    }
    for &index in &report.composition_by {
        let column = &report.columns[index];
        if let Some((others, names, colors)) = column.categories().filter(|_| report.domains != Some(index)) {
            tables.push(composition(&column.name, (others, names, colors), codes, d as u32));
        }
    }
    tables
}

fn markers(panel: &DomainPanel) -> Table {
    let all = &panel.markers;
    let mut columns = vec![
        TableColumn::text("gene", all.iter().map(|m| m.gene.as_str())),
        TableColumn::numbers("log2 FC", all.iter().map(|m| m.log2_fold_change))
            .about("log2 of the fold change, inside to outside"),
        TableColumn::shares("inside", all.iter().map(|m| m.fraction))
            .about("share of the domain's spots with the gene"),
        TableColumn::shares("outside", all.iter().map(|m| m.fraction_reference))
            .about("share of the other spots with the gene"),
        TableColumn::numbers("p adjusted", all.iter().map(|m| m.p_adjusted)),
        TableColumn::numbers("AUC", all.iter().map(|m| m.auc))
            .about("how well the gene alone tells the domain from the rest; 0.5: not at all"),
    ];
    columns.retain(|column| !column.is_blank());
    if all.iter().any(|m| m.slices.is_some()) {
        let held = |m: &super::Marker| m.slices.map_or(String::new(), |(hold, of)| format!("{hold} of {of}"));
        columns.push(TableColumn::text("slices", all.iter().map(held)).about("slices in which it holds"));
    }
    Table::new("Markers", columns)
}

fn gene_sets(panel: &DomainPanel) -> Table {
    let all = &panel.gene_sets;
    let score_name = all.first().map_or("score", |set| set.score_name.as_str());
    let mut columns = vec![
        TableColumn::text("gene set", all.iter().map(|s| s.name.as_str())),
        TableColumn::numbers(score_name, all.iter().map(|s| s.score)),
        TableColumn::numbers("p adjusted", all.iter().map(|s| s.p_adjusted)),
        TableColumn::counts("size", all.iter().map(|s| s.size as u64))
            .about("genes of the set that were measured"),
        TableColumn::text("foremost genes", all.iter().map(|s| s.genes.join(", "))),
    ];
    columns.retain(|column| !column.is_blank());
    Table::new("Gene sets", columns)
}

fn neighbors(report: &Report, panel: &DomainPanel) -> WithSwatches {
    let all = &panel.neighbors;
    let Some((_, names, colors)) = report.domain_categories() else { return (Table::default(), None) };
    let mut columns = vec![
        TableColumn::text("neighbour", all.iter().map(|n| names[n.domain].as_str())),
        TableColumn::counts("contacts", all.iter().map(|n| n.contacts))
            .about("pairs of neighbouring spots, one in each"),
        TableColumn::shares("of the boundary", all.iter().map(|n| n.boundary_share))
            .about("share of this domain's boundary that faces it"),
        TableColumn::numbers("z", all.iter().map(|n| n.z))
            .about("contacts beyond those of chance, in standard deviations"),
    ];
    columns.retain(|column| !column.is_blank());
    (Table::new("Neighbours", columns), Some(all.iter().map(|n| colors[n.domain]).collect()))
}

fn shapes(report: &Report, panel: &DomainPanel) -> Table {
    let all = &panel.shapes;
    let unit = &report.shape_unit;
    let (length, area) = if unit.is_empty() {
        ("boundary".to_owned(), "area".to_owned())
    } else {
        (format!("boundary ({unit})"), format!("area ({unit}²)"))
    };
    let mut columns = vec![
        TableColumn::text("slice", all.iter().map(|s| report.slices[s.slice].name.as_str())),
        TableColumn::numbers(&area, all.iter().map(|s| s.area)),
        TableColumn::numbers(&length, all.iter().map(|s| s.boundary_length)),
        TableColumn::numbers("compactness", all.iter().map(|s| s.compactness))
            .about("1: a disc; 0: all boundary"),
        TableColumn::numbers("elongation", all.iter().map(|s| s.elongation)).about("1: as wide as long"),
        TableColumn::counts("pieces", all.iter().map(|s| s.n_components as u64)),
        TableColumn::counts("spots of the largest", all.iter().map(|s| s.largest_component as u64)),
    ];
    columns.retain(|column| !column.is_blank());
    Table::new("Shape", columns)
}

/// The categories found in a domain, the most frequent first.
fn composition(
    title: &str,
    (others, names, colors): super::content::Categories<'_>,
    codes: &[Option<u32>],
    d: u32,
) -> WithSwatches {
    let inside = codes.iter().zip(others).filter(|(code, _)| **code == Some(d)).map(|(_, other)| *other);
    let inside = tally(inside, names.len());
    let overall = tally(others.iter().copied(), names.len());
    let n: u64 = inside.iter().sum();
    let mut found: Vec<usize> = (0..names.len()).filter(|&k| inside[k] > 0).collect();
    found.sort_by_key(|&k| (std::cmp::Reverse(inside[k]), k));
    let columns = vec![
        TableColumn::text(title, found.iter().map(|&k| names[k].as_str())),
        TableColumn::counts("spots", found.iter().map(|&k| inside[k])),
        TableColumn::shares("of the domain", found.iter().map(|&k| share(inside[k], n)))
            .about("share of the domain's spots with a category"),
        TableColumn {
            name: "its spots".into(),
            about: "share of all spots of this category that lie in this domain".into(),
            cells: Cells::Shares(found.iter().map(|&k| share(inside[k], overall[k])).collect()),
        },
    ];
    (
        Table::new(&format!("Composition by {title}"), columns),
        Some(found.iter().map(|&k| colors[k]).collect()),
    )
}

/// A share with its bar.
pub(super) fn share_cell(share: f64) -> String {
    if share.is_nan() { String::new() } else { format!("{}{}", bar(share), per_cent(share)) }
}
