//! Reports of made-up tissue, for the tests in a browser: `report_cases FOLDER [SPOTS GENES]`.
//!
//! Writes `plain.html` (two slices, everything there is), `hostile.html` (names that are no names), `bare.html` (only what
//! is needed) and, when asked, `large.html` (one slice of as many spots and genes).

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use brodmann::plot::{ColorMap, SpotShape, palette};
use brodmann::report::{
    Confidence, DomainPanel, DomainShapeRow, GeneSet, Graphic, Illustration, Marker, Neighbor, Note,
    NumberBits, NumberScale, Patch, Picture, Provenance, Report, Section, Severity, Slice, SpotColumn,
    SpotValues, Table, TableColumn, write_report,
};
use ndarray::Array2;

/// A red pixel and a blue one.
const TWO_PIXELS: &[u8] = &[
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 2, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x7B, 0x40, 0xE8, 0xDD, 0, 0, 0, 0x0F, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9C, 0x63,
    0xF8, 0xCF, 0xC0, 0xC0, 0xC0, 0xF0, 0x1F, 0, 0x07, 0xFD, 0x01, 0xFF, 0x5E, 0xFC, 0x55, 0x5C, 0, 0, 0, 0,
    0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
];

/// Names that must stay names.
const HOSTILE: [&str; 10] = [
    "<script>window.struck = 1</script>",
    "</script><img src=x onerror=\"window.struck = 2\">",
    "\"' onmouseover='window.struck = 3' x=\"",
    "<!-- <script> --> &lt;b&gt; &amp;",
    "皮层第三层",
    "טבלה \u{202E}desrever",
    "tab\tnew\nline\u{0}\u{7}\u{1b}[31m",
    "",
    "=HYPERLINK(\"https://example.org\",\"x\")",
    "__proto__",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        return Err("name a folder".into());
    };
    write(&plain(), &folder.join("plain.html"))?;
    write(&hostile(), &folder.join("hostile.html"))?;
    write(&bare(), &folder.join("bare.html"))?;
    if let [_, spots, genes] = arguments.as_slice() {
        write(&large(spots.parse()?, genes.parse()?), &folder.join("large.html"))?;
    }
    Ok(())
}

fn write(report: &Report, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    write_report(report, &mut out)?;
    out.flush()?;
    Ok(())
}

/// A lattice of spots and, as domains, rings around its middle.
fn lattice(side: usize) -> (Array2<f64>, Vec<u32>) {
    let place = |i: usize| [(i % side) as f64 * 100.0, (i / side) as f64 * 100.0];
    let middle = (side - 1) as f64 * 50.0;
    let coordinates = Array2::from_shape_fn((side * side, 2), |(i, axis)| place(i)[axis]);
    let ring = |i: usize| {
        let [x, y] = place(i);
        ((x - middle).hypot(y - middle) / (side as f64 * 50.0) * 3.0).min(2.0) as u32
    };
    (coordinates, (0..side * side).map(ring).collect())
}

fn slice(name: &str, coordinates: Array2<f64>) -> Slice {
    let spot_names = (0..coordinates.nrows()).map(|i| format!("{name}-{i}")).collect();
    let spot = SpotShape::Circle { diameter: 80.0 };
    Slice { name: name.into(), coordinates, spot, um_per_unit: Some(0.5), spot_names, ..Slice::default() }
}

fn categories(name: &str, group: &str, codes: &[u32], names: &[&str]) -> SpotColumn {
    let values = SpotValues::Categories {
        codes: codes.iter().map(|&code| Some(code)).collect(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        colors: palette(names.len()),
    };
    SpotColumn { name: name.into(), group: group.into(), values }
}

fn numbers(name: &str, group: &str, values: Vec<f32>, scale: NumberScale) -> SpotColumn {
    SpotColumn { name: name.into(), group: group.into(), values: SpotValues::Numbers { values, scale } }
}

fn plain() -> Report {
    let names = ["rim", "shell", "core"];
    let (first, codes) = lattice(30);
    let (second, more) = lattice(20);
    let codes: Vec<u32> = codes.into_iter().chain(more).map(|ring| 2 - ring).collect();
    let n = codes.len();
    let truth: Vec<u32> =
        codes.iter().enumerate().map(|(i, &c)| if i % 17 == 0 { (c + 1) % 3 } else { c }).collect();
    let probability = (0..n).map(|i| 1.0 - (i % 10) as f32 / 20.0).collect();
    let of_core: Vec<u32> = (0..n as u32).filter(|&i| codes[i as usize] == 2 && i % 3 != 0).collect();
    let gene = SpotValues::Sparse {
        values: of_core.iter().map(|&i| 1.0 + (i % 4) as f32).collect(),
        rows: of_core,
        scale: NumberScale {
            unit: "log counts".into(),
            color_map: ColorMap::Magma,
            ..NumberScale::default()
        },
    };
    let picture = Picture { bytes: TWO_PIXELS.into(), placement: [1500.0, 0.0, 0.0, 0.0, 3000.0, 0.0] };
    let fine = NumberScale { bits: NumberBits::Sixteen, limits: Some((0.0, 1.0)), ..NumberScale::default() };
    let panel = |d: usize| DomainPanel {
        summary: vec![format!("The {} of the disc.", names[d])],
        notes: if d == 0 {
            vec![note(Severity::Doubt, "It touches the edge of the tissue.")]
        } else {
            Vec::new()
        },
        markers: (0..14)
            .map(|k| marker(if d == 2 && k == 0 { "CORE1".into() } else { format!("G{d}{k}") }, k))
            .collect(),
        gene_sets: vec![GeneSet {
            name: "A set of genes".into(),
            score_name: "NES".into(),
            score: 1.9,
            p_adjusted: 2e-5,
            size: 40,
            genes: vec!["CORE1".into(), "CORE2".into()],
        }],
        neighbors: (0..3)
            .filter(|&e| e != d)
            .map(|e| neighbor(e, if e + d == 2 { 0 } else { 120 }))
            .collect(),
        shapes: (0..2).map(shape).collect(),
        patches: vec![Patch { bytes: TWO_PIXELS.into(), caption: "Two pixels".into() }],
        tables: Vec::new(),
    };
    let chart = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"100\"><rect width=\"200\" \
                 height=\"100\" fill=\"#56b4e9\"/></svg>";
    Report {
        title: "A disc of three rings".into(),
        subtitle: "Simulated, two slices".into(),
        summary: vec!["Three domains, each in one piece, in both slices.".into()],
        notes: vec![
            note(Severity::Remark, "Spots without counts were left out."),
            note(Severity::Warning, "One slice is smaller than the other."),
        ],
        slices: vec![Slice { picture: Some(picture), ..slice("first", first) }, slice("second", second)],
        columns: vec![
            categories("domains", "Domains", &codes, &names),
            categories("truth", "Truth", &truth, &names),
            numbers("probability", "Uncertainty", probability, fine),
            SpotColumn { name: "CORE1".into(), group: "Genes".into(), values: gene },
        ],
        domains: Some(0),
        confidence: Some(Confidence { column: 2 }),
        composition_by: vec![1],
        domain_panels: (0..3).map(panel).collect(),
        shape_unit: "µm".into(),
        sections: vec![Section {
            title: "Do the slices agree?".into(),
            text: vec!["They do.".into()],
            illustrations: vec![Illustration {
                title: "A chart".into(),
                alt: "A blue field".into(),
                graphic: Graphic::Svg(chart.into()),
            }],
            tables: vec![Table::new(
                "Agreement",
                vec![
                    TableColumn::text("pair", ["first, second", "second, \"first\""]),
                    TableColumn::numbers("ARI", [0.5, f64::NAN]),
                ],
            )],
        }],
        provenance: Provenance {
            commands: vec!["brodmann domains disc.h5ad --n-clusters 3".into()],
            inputs: vec![("file".into(), "disc.h5ad".into())],
            parameters: vec![("n_clusters".into(), "3".into())],
            seeds: vec![("seed".into(), "0".into())],
            versions: vec![("brodmann".into(), "0.1.0".into())],
            timings: vec![("features".into(), 1.25)],
            tables: Vec::new(),
        },
        ..Report::default()
    }
}

fn note(severity: Severity, text: &str) -> Note {
    Note { severity, text: text.into() }
}

fn marker(gene: String, k: u32) -> Marker {
    Marker {
        gene,
        log2_fold_change: 3.0 - f64::from(k) / 5.0,
        fraction: 0.9,
        fraction_reference: 0.1,
        p_adjusted: 10f64.powi(k as i32 - 20),
        auc: 0.9,
        slices: Some((2, 2)),
    }
}

fn neighbor(domain: usize, contacts: u64) -> Neighbor {
    let boundary_share = if contacts > 0 { 1.0 } else { 0.0 };
    Neighbor { domain, contacts, boundary_share, z: if contacts > 0 { 3.2 } else { -8.0 } }
}

fn shape(slice: usize) -> DomainShapeRow {
    DomainShapeRow {
        slice,
        area: 1.2e6,
        boundary_length: 4000.0,
        compactness: 0.9,
        elongation: 1.0,
        n_components: 1,
        largest_component: 100,
    }
}

/// Every text is hostile.
fn hostile() -> Report {
    let long = "loooong ".repeat(1250);
    let names: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    let n = 15 * 15;
    let (coordinates, _) = lattice(15);
    let codes: Vec<u32> = (0..n).map(|i| i % names.len() as u32).collect();
    let all = names.join(" ");
    let of_names = |k: usize| names[k % names.len()].to_owned();
    let mut columns = vec![categories(names[0], names[1], &codes, &names)];
    for name in &names {
        let values = (0..n).map(|i| if i % 7 == 0 { f32::NAN } else { i as f32 }).collect();
        columns.push(numbers(
            name,
            names[2],
            values,
            NumberScale { unit: names[1].into(), ..NumberScale::default() },
        ));
    }
    let pairs: Vec<(String, String)> = names.iter().map(|&name| (name.to_owned(), name.to_owned())).collect();
    let table = || Table {
        title: names[1].into(),
        about: all.clone(),
        columns: vec![
            TableColumn::text(names[0], names.iter().copied()).about(names[2]),
            TableColumn::numbers(names[2], (0..names.len()).map(|k| k as f64)),
        ],
    };
    let panel = |d: usize| DomainPanel {
        summary: names.iter().map(|&name| name.to_owned()).collect(),
        notes: names.iter().map(|name| note(Severity::Doubt, name)).collect(),
        markers: (0..names.len()).map(|k| marker(of_names(k + d), k as u32)).collect(),
        gene_sets: vec![GeneSet {
            name: of_names(d),
            score_name: of_names(d + 1),
            score: 1.0,
            p_adjusted: 0.0,
            size: 1,
            genes: names.iter().map(|&name| name.to_owned()).collect(),
        }],
        patches: vec![Patch { bytes: TWO_PIXELS.into(), caption: of_names(d) }],
        tables: vec![table()],
        ..DomainPanel::default()
    };
    Report {
        title: all.clone(),
        subtitle: all.clone(),
        summary: vec![all.clone()],
        notes: vec![note(Severity::Warning, &all)],
        slices: vec![Slice {
            spot_names: (0..n as usize).map(of_names).collect(),
            ..slice(names[0], coordinates)
        }],
        columns,
        domains: Some(0),
        confidence: Some(Confidence { column: 1 }),
        composition_by: vec![0],
        domain_panels: (0..names.len()).map(panel).collect(),
        shape_unit: names[0].into(),
        sections: vec![Section {
            title: names[1].into(),
            text: vec![all.clone()],
            illustrations: vec![Illustration {
                title: names[2].into(),
                alt: names[2].into(),
                graphic: Graphic::Svg(format!(
                    "<svg xmlns=\"http://www.w3.org/2000/svg\">{}</svg>",
                    names[0]
                )),
            }],
            tables: vec![table()],
        }],
        provenance: Provenance {
            commands: names.iter().map(|&name| name.to_owned()).collect(),
            inputs: pairs.clone(),
            parameters: pairs.clone(),
            seeds: pairs.clone(),
            versions: pairs,
            timings: vec![(names[0].into(), 1.0)],
            tables: vec![table()],
        },
        ..Report::default()
    }
}

/// Only what is needed, a slice without spots, and one with spots that have no place.
fn bare() -> Report {
    let mut lost = lattice(6).0;
    lost[[3, 0]] = f64::NAN;
    let of = |coordinates| Slice { coordinates, ..Slice::default() };
    Report {
        title: "Bare".into(),
        slices: vec![of(Array2::zeros((0, 2))), of(lost), of(Array2::zeros((1, 2)))],
        ..Report::default()
    }
}

/// A slice of many spots: domains of bent layers, genes that are mostly zero.
fn large(n: usize, n_genes: usize) -> Report {
    // Numbers that look random, the same ones every time.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 40) as f64 / (1u64 << 24) as f64
    };
    let side = (n as f64).sqrt() * 10.0;
    let places: Vec<f64> = (0..2 * n).map(|_| next() * side).collect();
    let coordinates = Array2::from_shape_fn((n, 2), |(i, axis)| places[2 * i + axis]);
    let n_domains = 12;
    let depth: Vec<f64> = (0..n)
        .map(|i| {
            let [x, y] = [places[2 * i] / side, places[2 * i + 1] / side];
            ((y + 0.12 * (x * 7.0).sin()) * 0.8 + 0.1).clamp(0.0, 0.999) * n_domains as f64
        })
        .collect();
    let codes: Vec<u32> =
        depth.iter().map(|d| ((d + 0.15 * (next() - 0.5)).max(0.0) as u32).min(n_domains - 1)).collect();
    let names: Vec<String> = (0..n_domains).map(|d| format!("domain {d}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let entropy = depth.iter().map(|d| (1.0 - 2.0 * (d.fract() - 0.5).abs()) as f32).collect();
    let mut columns = vec![
        categories("domains", "Domains", &codes, &names),
        numbers("entropy", "Uncertainty", entropy, NumberScale::default()),
    ];
    for gene in 0..n_genes {
        let peak = gene as f64 / n_genes as f64 * f64::from(n_domains);
        let density = 0.02 + 0.3 * next();
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for i in 0..n {
            let near = (-((depth[i] - peak) / 2.0).powi(2)).exp();
            if next() < density * (0.2 + near) {
                rows.push(i as u32);
                values.push((1.0 + near * 3.0 + next()) as f32);
            }
        }
        let values = SpotValues::Sparse { rows, values, scale: NumberScale::default() };
        columns.push(SpotColumn { name: format!("GENE{gene}"), group: "Genes".into(), values });
    }
    Report {
        title: format!("{n} spots"),
        slices: vec![Slice {
            um_per_unit: Some(1.0),
            spot: SpotShape::Circle { diameter: 9.0 },
            ..slice("simulated", coordinates)
        }],
        columns,
        domains: Some(0),
        ..Report::default()
    }
}
