//! The page from its first to its last byte.

use std::io::{self, Write};

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;
use serde::Serialize;

use super::ReportError;
use super::check::check;
use super::content::{
    Graphic, Illustration, Note, Provenance, Report, Section, Severity, SpotColumn, SpotValues,
};
use super::html::{
    clean, count, escape, escape_json, name, number, picture_kind, prose, shorten, swatch, write_base64,
    write_data_url,
};
use super::pack::{Packed, Places, pack_column, pack_steps, places};
use super::panels::{Counts, share_cell, write_overview, write_panel};
use super::sha256::sha256;
use super::table::{Cells, Table, TableColumn};
use crate::plot::{ColorMap, Rgb, SpotShape, detect_shape, svg};

const STYLE: &str = include_str!("assets/report.css");
/// In the order they run: each may use those before it.
const SCRIPTS: [&str; 4] = [
    include_str!("assets/data.js"),
    include_str!("assets/map.js"),
    include_str!("assets/tables.js"),
    include_str!("assets/report.js"),
];
/// Characters of a paragraph that are shown; the rest is in the tooltip.
const PARAGRAPH_LENGTH: usize = 1200;
/// Characters of a spot's name that are kept.
const SPOT_NAME_LENGTH: usize = 200;
/// Colours sent of a scale; the page draws straight lines between them.
const COLOR_STOPS: usize = 33;

/// Writes a report as one HTML file.
///
/// The bytes depend on the report alone, not on time, threads or machine.
///
/// # Errors
/// [`ReportError`]: no slice, lengths that differ, categories without names, pictures that are none, and what `out` says.
/// Nothing is written before all is checked.
/// # Cost
/// O(spots · columns) time, most of it deflating, in parallel over columns. Memory beside the report: 4 bytes per spot, 32
/// per spot of one slice while its places are sorted, 8 per spot and thread while columns are packed; the page itself is
/// never held.
/// # Example
///
/// ```
/// use brodmann::report::{Report, Slice, write_report};
/// use ndarray::array;
///
/// let slice = Slice { name: "A".into(), coordinates: array![[0.0, 0.0], [1.0, 0.0]], ..Slice::default() };
/// let mut page = Vec::new();
/// write_report(&Report { title: "Two spots".into(), slices: vec![slice], ..Report::default() }, &mut page)?;
/// assert!(page.starts_with(b"<!DOCTYPE html>"));
/// # Ok::<(), brodmann::report::ReportError>(())
/// ```
pub fn write_report(report: &Report, out: &mut impl Write) -> Result<(), ReportError> {
    let n_obs = check(report)?;
    write_head(report, out)?;
    write_header(report, out)?;
    out.write_all(b"<main id=\"content\">\n")?;
    write_maps(report, out)?;
    write_domains(report, out)?;
    for (k, section) in report.sections.iter().enumerate() {
        write_section(section, k, out)?;
    }
    write_provenance(&report.provenance, out)?;
    out.write_all(b"</main>\n")?;
    write_data(report, n_obs, out)?;
    for script in SCRIPTS {
        writeln!(out, "<script>{script}</script>")?;
    }
    out.write_all(b"</body>\n</html>\n")?;
    out.flush()?;
    Ok(())
}

/// `'sha256-…'`, as a Content-Security-Policy names an inline script or style.
fn policy_hash(text: &str) -> String {
    let mut hash = "'sha256-".to_owned();
    svg::base64(&sha256(text.as_bytes()), &mut hash);
    hash.push('\'');
    hash
}

fn write_head(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let scripts: Vec<String> = SCRIPTS.iter().map(|script| policy_hash(script)).collect();
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src {}; \
         script-src {}; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"brodmann\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        policy_hash(STYLE),
        scripts.join(" "),
        escape(&shorten(title(report), 100))
    )
}

fn title(report: &Report) -> &str {
    if report.title.trim().is_empty() { "Spatial domains" } else { &report.title }
}

fn write_header(report: &Report, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header>\n")?;
    writeln!(out, "<h1>{}</h1>", prose(title(report), 160))?;
    if !report.subtitle.is_empty() {
        writeln!(out, "<p class=\"subtitle\">{}</p>", prose(&report.subtitle, PARAGRAPH_LENGTH))?;
    }
    write_notes(&report.notes, out)?;
    write_paragraphs(&report.summary, out)?;
    out.write_all(b"<nav aria-label=\"Contents\"><ul>\n")?;
    let mut link = |target: &str, text: &str| {
        writeln!(out, "<li><a href=\"#{target}\">{}</a></li>", escape(&shorten(text, 60)))
    };
    link("maps", "Maps")?;
    if !report.domain_names().is_empty() {
        link("domains", "Domains")?;
    }
    for (k, section) in report.sections.iter().enumerate().filter(|(_, section)| !section.is_empty()) {
        link(&format!("section-{k}"), &section.title)?;
    }
    if !report.provenance.is_empty() {
        link("how", "How it was made")?;
    }
    out.write_all(b"</ul></nav>\n</header>\n")
}

/// Notes, the gravest first.
pub(super) fn write_notes(notes: &[Note], out: &mut impl Write) -> io::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&Note> = notes.iter().collect();
    sorted.sort_by_key(|note| std::cmp::Reverse(note.severity));
    out.write_all(b"<ul class=\"notes\">\n")?;
    for note in sorted {
        let (class, word) = match note.severity {
            Severity::Remark => ("remark", "Note"),
            Severity::Doubt => ("doubt", "Doubt"),
            Severity::Warning => ("warning", "Warning"),
        };
        writeln!(
            out,
            "<li class=\"{class}\"><strong>{word}:</strong> {}</li>",
            prose(&note.text, PARAGRAPH_LENGTH)
        )?;
    }
    out.write_all(b"</ul>\n")
}

pub(super) fn write_paragraphs(paragraphs: &[String], out: &mut impl Write) -> io::Result<()> {
    for text in paragraphs.iter().filter(|text| !text.is_empty()) {
        writeln!(out, "<p>{}</p>", prose(text, PARAGRAPH_LENGTH))?;
    }
    Ok(())
}

/// The place of the maps. The script fills it; what there is without one are the names of the slices.
fn write_maps(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let heading = if report.domains.is_some() { "Where the domains are" } else { "Maps" };
    writeln!(
        out,
        "<section id=\"maps\" aria-labelledby=\"maps-name\">\n<h2 id=\"maps-name\">{heading}</h2>"
    )?;
    out.write_all(
        b"<noscript><p>The maps are drawn by a script, which is switched off here. Tables and figures below do without.\
          </p></noscript>\n<div id=\"map-area\">\n",
    )?;
    for (k, slice) in report.slices.iter().enumerate() {
        writeln!(
            out,
            "<figure class=\"slice\" data-slice=\"{k}\"><figcaption>{} <span class=\"faint\">{} spots</span></figcaption>",
            name(&slice.name),
            count(slice.coordinates.nrows() as u64)
        )?;
        if let Some(picture) = &slice.picture {
            write!(out, "<img class=\"tissue\" hidden alt=\"\" src=\"")?;
            write_data_url(&picture.bytes, picture_kind(&picture.bytes).unwrap_or("image/png"), out)?;
            out.write_all(b"\">\n")?;
        }
        out.write_all(b"</figure>\n")?;
    }
    out.write_all(b"</div>\n</section>\n")
}

fn write_domains(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Some((codes, names, colors)) = report.domain_categories().filter(|(_, names, _)| !names.is_empty())
    else {
        return Ok(());
    };
    let counts = Counts::new(report, codes, names.len());
    out.write_all(
        b"<section id=\"domains\" aria-labelledby=\"domains-name\">\n<h2 id=\"domains-name\">Domains</h2>\n",
    )?;
    write_overview(report, &counts, out)?;
    out.write_all(b"<nav class=\"domain-list\" aria-label=\"Domains\"><ul>\n")?;
    for (d, (text, &color)) in names.iter().zip(colors).enumerate() {
        writeln!(
            out,
            "<li><a href=\"#domain-{d}\" data-domain=\"{d}\">{} {}</a></li>",
            swatch(color),
            name(text)
        )?;
    }
    out.write_all(b"</ul></nav>\n")?;
    for d in 0..names.len() {
        write_panel(report, &counts, d, out)?;
    }
    out.write_all(b"</section>\n")
}

impl Section {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.illustrations.is_empty() && self.tables.is_empty()
    }
}

fn write_section(section: &Section, k: usize, out: &mut impl Write) -> io::Result<()> {
    if section.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<section id=\"section-{k}\" aria-labelledby=\"section-{k}-name\">\n<h2 id=\"section-{k}-name\">{}</h2>",
        name(&section.title)
    )?;
    write_paragraphs(&section.text, out)?;
    if !section.illustrations.is_empty() {
        out.write_all(b"<div class=\"charts\">\n")?;
        section.illustrations.iter().try_for_each(|chart| write_chart(chart, out))?;
        out.write_all(b"</div>\n")?;
    }
    for table in &section.tables {
        write_table(table, None, "h3", out)?;
    }
    out.write_all(b"</section>\n")
}

/// SVG is shown as an image too: its ids and styles stay its own, and nothing in it can run.
fn write_chart(chart: &Illustration, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"<figure class=\"chart\">\n")?;
    if !chart.title.is_empty() {
        writeln!(out, "<h3>{}</h3>", name(&chart.title))?;
    }
    write!(out, "<img alt=\"{}\" src=\"", escape(&chart.alt))?;
    match &chart.graphic {
        Graphic::Svg(text) => write_data_url(text.as_bytes(), "image/svg+xml", out)?,
        Graphic::Bytes(bytes) => write_data_url(bytes, picture_kind(bytes).unwrap_or("image/png"), out)?,
    }
    out.write_all(b"\">\n</figure>\n")
}

/// A table with its heading; `swatches`: colours of the first column's cells.
pub(super) fn write_table(
    table: &Table,
    swatches: Option<&[Rgb]>,
    heading: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let n_rows = table.n_rows();
    if n_rows == 0 {
        return Ok(());
    }
    out.write_all(b"<div class=\"table\">\n")?;
    if !table.title.is_empty() {
        writeln!(out, "<{heading}>{}</{heading}>", name(&table.title))?;
    }
    if !table.about.is_empty() {
        writeln!(out, "<p class=\"faint\">{}</p>", prose(&table.about, PARAGRAPH_LENGTH))?;
    }
    writeln!(
        out,
        "<div class=\"scroll\"><table data-name=\"{}\"><thead><tr>",
        escape(&shorten(&table.title, 60))
    )?;
    for column in &table.columns {
        let class = if matches!(column.cells, Cells::Text(_)) { "" } else { " class=\"n\"" };
        let tip = if column.about.is_empty() {
            String::new()
        } else {
            format!(" title=\"{}\"", escape(&column.about))
        };
        writeln!(out, "<th scope=\"col\"{class}{tip}>{}</th>", name(&column.name))?;
    }
    out.write_all(b"</tr></thead><tbody>\n")?;
    for row in 0..n_rows {
        out.write_all(b"<tr>")?;
        for (k, column) in table.columns.iter().enumerate() {
            let colored =
                swatches.filter(|_| k == 0).and_then(|colors| colors.get(row)).map(|&color| swatch(color));
            write_cell(&column.cells, row, k == 0, colored.as_deref().unwrap_or(""), out)?;
        }
        out.write_all(b"</tr>\n")?;
    }
    out.write_all(b"</tbody></table></div>\n</div>\n")
}

/// `data-v` holds what is sorted by and saved: the whole text, all digits.
fn write_cell(
    cells: &Cells,
    row: usize,
    is_head: bool,
    swatch: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    match cells {
        Cells::Text(cells) => {
            let text = cells[row].as_str();
            let (open, close) = if is_head { ("th scope=\"row\"", "th") } else { ("td", "td") };
            let shown = if text.is_empty() { String::new() } else { name(text) };
            write!(out, "<{open} data-v=\"{}\">{swatch}{shown}</{close}>", escape(text))
        }
        Cells::Numbers(cells) => write_number(cells[row], &number(cells[row]), out),
        Cells::Counts(cells) => {
            write!(out, "<td class=\"n\" data-v=\"{}\">{}</td>", cells[row], count(cells[row]))
        }
        Cells::Shares(cells) => write_number(cells[row], &share_cell(cells[row]), out),
    }
}

fn write_number(v: f64, shown: &str, out: &mut impl Write) -> io::Result<()> {
    if v.is_nan() {
        write!(out, "<td class=\"n\" data-v=\"\"></td>")
    } else {
        write!(out, "<td class=\"n\" data-v=\"{v}\">{shown}</td>")
    }
}

impl Provenance {
    fn is_empty(&self) -> bool {
        let Self { commands, inputs, parameters, seeds, versions, timings, tables } = self;
        commands.is_empty()
            && [inputs, parameters, seeds, versions].iter().all(|list| list.is_empty())
            && timings.is_empty()
            && tables.is_empty()
    }
}

fn write_provenance(provenance: &Provenance, out: &mut impl Write) -> io::Result<()> {
    if provenance.is_empty() {
        return Ok(());
    }
    out.write_all(
        b"<section id=\"how\" aria-labelledby=\"how-name\">\n<h2 id=\"how-name\">How it was made</h2>\n",
    )?;
    if !provenance.commands.is_empty() {
        let commands = escape(&provenance.commands.join("\n"));
        writeln!(out, "<h3>To repeat it</h3>\n<pre tabindex=\"0\"><code>{commands}</code></pre>")?;
    }
    out.write_all(b"<div class=\"cards\">\n")?;
    let lists = [
        ("Inputs", &provenance.inputs),
        ("Parameters", &provenance.parameters),
        ("Seeds", &provenance.seeds),
        ("Versions", &provenance.versions),
    ];
    for (title, list) in lists {
        let columns = vec![
            TableColumn::text("name", list.iter().map(|(name, _)| name.as_str())),
            TableColumn::text("value", list.iter().map(|(_, value)| value.as_str())),
        ];
        write_table(&Table::new(title, columns), None, "h3", out)?;
    }
    let timings = &provenance.timings;
    let columns = vec![
        TableColumn::text("step", timings.iter().map(|(step, _)| step.as_str())),
        TableColumn::numbers("seconds", timings.iter().map(|(_, seconds)| *seconds)),
    ];
    write_table(&Table::new("Times", columns), None, "h3", out)?;
    for table in &provenance.tables {
        write_table(table, None, "h3", out)?;
    }
    out.write_all(b"</div>\n</section>\n")
}

/// What the scripts are told: everything but the values, which lie in blocks of their own (`#places-0-x`, `#column-3`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MapData<'a> {
    slices: Vec<MapSlice<'a>>,
    columns: Vec<MapColumn<'a>>,
    color_maps: Vec<(String, Vec<String>)>,
    domains: Option<usize>,
    confidence: Option<usize>,
    compare_with: Option<usize>,
    /// The foremost genes of each domain, where there are any.
    markers: Vec<Vec<&'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MapSlice<'a> {
    name: &'a str,
    /// Spots that have a place.
    n: usize,
    n_without_place: usize,
    grid: usize,
    bits: u32,
    axes: [(f64, f64); 2],
    /// `circle`, `square` or `hexagon`; the diameter, side or pitch; the angle.
    shape: (&'static str, f64, f64),
    um_per_unit: Option<f64>,
    y_up: bool,
    placement: Option<[f64; 6]>,
    has_names: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MapColumn<'a> {
    name: std::borrow::Cow<'a, str>,
    group: &'a str,
    width: usize,
    sparse: bool,
    /// Of categories.
    names: Option<&'a [String]>,
    colors: Option<Vec<String>>,
    /// Of numbers.
    unit: Option<&'a str>,
    color_map: Option<usize>,
    limits: (f32, f32),
    clipped: (bool, bool),
}

/// Blocks of packed numbers, then the description of them.
fn write_data(report: &Report, n_obs: usize, out: &mut impl Write) -> io::Result<()> {
    let mut order: Vec<u32> = Vec::with_capacity(n_obs);
    let mut slices = Vec::with_capacity(report.slices.len());
    let mut start = 0;
    for (k, slice) in report.slices.iter().enumerate() {
        let shape = shape(slice.spot, slice);
        let Places { order: of_slice, grid, bits, axes, steps } = places(&slice.coordinates, shape.1);
        for (axis, steps) in ["x", "y"].iter().zip(&steps) {
            write_block(&format!("places-{k}-{axis}"), &pack_steps(steps, bits), out)?;
        }
        if !slice.spot_names.is_empty() {
            let mut text = String::new();
            for &i in &of_slice {
                // A line per name; a name that has lines itself becomes one.
                text.push_str(
                    &clean(&shorten(&slice.spot_names[i as usize], SPOT_NAME_LENGTH)).replace('\n', " "),
                );
                text.push('\n');
            }
            write_block(
                &format!("names-{k}"),
                &miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6),
                out,
            )?;
        }
        let n = slice.coordinates.nrows();
        slices.push(MapSlice {
            name: &slice.name,
            n: of_slice.len(),
            n_without_place: n - of_slice.len(),
            grid,
            bits,
            axes,
            shape,
            um_per_unit: slice.um_per_unit.filter(|um| um.is_finite() && *um > 0.0),
            y_up: slice.y_up,
            placement: slice.picture.as_ref().map(|picture| picture.placement),
            has_names: !slice.spot_names.is_empty(),
        });
        order.extend(of_slice.iter().map(|&i| start + i));
        start += n as u32;
    }

    let mut columns = Vec::with_capacity(report.columns.len());
    let mut color_maps: Vec<ColorMap> = Vec::new();
    // As many at a time as there are threads: packed columns are small, what they are packed from is not.
    let at_once = rayon::current_num_threads().max(1);
    for batch in report.columns.chunks(at_once) {
        let packed: Vec<Packed> =
            batch.par_iter().map(|column| pack_column(&column.values, &order, n_obs)).collect_vec();
        for (column, packed) in batch.iter().zip(packed) {
            write_block(&format!("column-{}", columns.len()), &packed.bytes, out)?;
            columns.push(describe(column, &packed, &mut color_maps));
        }
    }
    let data = MapData {
        slices,
        columns,
        color_maps: color_maps.iter().map(|&map| (format!("{map:?}"), stops(map))).collect(),
        domains: report.domains,
        confidence: report.confidence.map(|c| c.column),
        compare_with: report.compare_with,
        markers: report
            .domain_panels
            .iter()
            .map(|panel| panel.markers.iter().take(6).map(|marker| marker.gene.as_str()).collect())
            .collect(),
    };
    let json = serde_json::to_string(&data).map_err(io::Error::other)?;
    writeln!(out, "<script type=\"application/json\" id=\"data\">{}</script>", escape_json(&json))
}

fn write_block(id: &str, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    write!(out, "<script type=\"application/octet-stream\" id=\"{id}\">")?;
    write_base64(bytes, out)?;
    out.write_all(b"</script>\n")
}

fn describe<'a>(column: &'a SpotColumn, packed: &Packed, color_maps: &mut Vec<ColorMap>) -> MapColumn<'a> {
    let (names, colors, scale) = match &column.values {
        SpotValues::Categories { names, colors, .. } => {
            (Some(names.as_slice()), Some(colors.iter().map(|c| c.to_hex()).collect()), None)
        }
        SpotValues::Numbers { scale, .. } | SpotValues::Sparse { scale, .. } => (None, None, Some(scale)),
    };
    let color_map = scale.map(|scale| {
        color_maps.iter().position(|&map| map == scale.color_map).unwrap_or_else(|| {
            color_maps.push(scale.color_map);
            color_maps.len() - 1
        })
    });
    MapColumn {
        name: clean(&column.name),
        group: &column.group,
        width: packed.width,
        sparse: packed.sparse,
        names,
        colors,
        unit: scale.map(|scale| scale.unit.as_str()),
        color_map,
        limits: packed.limits,
        clipped: packed.clipped,
    }
}

fn stops(map: ColorMap) -> Vec<String> {
    (0..COLOR_STOPS).map(|k| map.at(k as f64 / (COLOR_STOPS - 1) as f64).to_hex()).collect()
}

fn shape(given: SpotShape, slice: &super::Slice) -> (&'static str, f64, f64) {
    let found = if given == SpotShape::Auto { detect_shape(slice.coordinates.view()) } else { given };
    let (kind, size, angle) = match found {
        SpotShape::Hexagon { pitch, angle } => ("hexagon", pitch, angle),
        SpotShape::Square { side, angle } => ("square", side, angle),
        SpotShape::Circle { diameter } => ("circle", diameter, 0.0),
        SpotShape::Auto => ("circle", 1.0, 0.0),
    };
    (
        kind,
        if size.is_finite() && size > 0.0 { size } else { 1.0 },
        if angle.is_finite() { angle } else { 0.0 },
    )
}
