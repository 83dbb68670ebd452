//! Maps of the metrics with the local outliers ringed, a map of what stands out, and histograms with the thresholds.

use std::sync::Arc;

use brodmann_kernels::{Opt, Slices};
use ndarray::{Array2, Axis};

use super::report::{quantile, sorted};
use super::{Found, QcRequest, Spots};
use crate::pipeline::picture::{library, spot, spot_diameter};
use crate::pipeline::tissue::Tissue;
use crate::plot::{Color, ColorMap, Figure, Histogram, Panel, Part, Rgb, Sheet};
use crate::preprocess::Modality;

/// What the metrics of a modality are called, in their order.
fn titles(kind: Modality) -> [&'static str; 3] {
    let features = match kind {
        Modality::Rna => "Genes",
        Modality::Adt => "Proteins",
        Modality::Atac => "Peaks",
    };
    ["Counts", features, "Mitochondrial counts, %"]
}

/// What a spot may be, and in which colour.
const VERDICTS: [(&str, Rgb); 4] = [
    ("in order", Rgb(0xC9, 0xCF, 0xD4)),
    ("local outlier", Rgb(0xD5, 0x1E, 0x00)),
    ("beyond a threshold", Rgb(0x00, 0x72, 0xB2)),
    ("off the tissue", Rgb(0xEF, 0xEF, 0xEF)),
];
/// The quantiles that have the end colours.
const SHOWN: [f64; 2] = [0.01, 0.99];
/// Longest side of a map in pixels.
const MAP: f64 = 250.0;

/// The page: for each modality its maps, slice by slice, and histograms of all spots under tissue.
pub(super) fn sheet(
    tissue: &Tissue,
    coordinates: &Array2<f64>,
    spots: &Spots,
    found: &[Found<'_>],
    request: &QcRequest,
) -> Sheet {
    let mut parts = Vec::new();
    for of_modality in found {
        let name = if found.len() > 1 { of_modality.modality.name.as_str() } else { "" };
        let values = metrics(of_modality);
        parts.push(Part::Maps(Box::new(maps(
            tissue,
            coordinates,
            spots,
            of_modality,
            &values,
            name,
            request,
        ))));
        parts.push(Part::Histograms(histograms(spots, of_modality, &values, request)));
    }
    if found.iter().any(|f| f.local.is_some()) {
        let (k, t) = (request.local.n_neighbors, request.local.threshold);
        parts.push(Part::Caption(format!(
            "Rings and red marks: local outliers, z beyond {t} among the {k} nearest spots. Colours end at 1 and 99 % of the spots."
        )));
    }
    Sheet { parts, ..Sheet::default() }
}

/// The metrics there are, as numbers.
fn metrics(found: &Found<'_>) -> Vec<Vec<f64>> {
    let spots = &found.spots;
    let n_genes = spots.n_genes.iter().map(|&n| f64::from(n)).collect();
    [Some(spots.total.clone()), Some(n_genes), spots.pct_mt.clone()].into_iter().flatten().collect()
}

fn maps(
    tissue: &Tissue,
    coordinates: &Array2<f64>,
    spots: &Spots,
    found: &Found<'_>,
    values: &[Vec<f64>],
    modality: &str,
    request: &QcRequest,
) -> Figure {
    let slices = spots.slices.clone().unwrap_or_else(|| Slices::one(tissue.n_obs()));
    let verdicts = verdicts(spots, found, request);
    let used: Vec<usize> =
        (0..VERDICTS.len()).filter(|v| *v == 0 || verdicts.contains(&(*v as u32))).collect();
    let titles = titles(found.modality.kind);
    // One colour, one number in all slices; a few extreme spots take the end colours instead of all others' contrast.
    let limits: Vec<Option<(f64, f64)>> = values
        .iter()
        .map(|column| {
            let sorted = sorted((0..column.len()).filter(|&i| spots.counts(i)).map(|i| column[i]));
            let (low, high) = (quantile(&sorted, SHOWN[0]), quantile(&sorted, SHOWN[1]));
            (low < high).then_some((low, high))
        })
        .collect();
    let mut panels = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let own = Arc::new(coordinates.select(Axis(0), &rows));
        let name = if slices.count() > 1 { slices.label(slice) } else { String::new() };
        let title = |what: &str| {
            [modality, &name, what]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" · ")
        };
        let diameter = spot_diameter(library(tissue, &name));
        let panel = |what: &str, color: Color| Panel {
            title: title(what),
            coordinates: Arc::clone(&own),
            spot: spot(None, diameter, &own),
            color,
            ..Panel::default()
        };
        for (k, column) in values.iter().enumerate() {
            let ringed = |local: &crate::stats::LocalOutliers| -> Vec<u32> {
                (0..rows.len()).filter(|&r| local.outliers[k][rows[r]]).map(|r| r as u32).collect()
            };
            // What lies off the tissue would decide where the colours begin.
            let shown = |i: usize| if spots.counts(i) { column[i] } else { f64::NAN };
            let color = Color::Continuous {
                values: rows.iter().map(|&i| shown(i)).collect(),
                name: String::new(),
                limits: limits[k],
                colormap: ColorMap::default(),
                note: String::new(),
            };
            panels.push(Panel {
                log: k < 2,
                ringed: found.local.as_ref().map(ringed).unwrap_or_default(),
                ..panel(titles[k], color)
            });
        }
        let place = |i: usize| used.iter().position(|v| *v as u32 == verdicts[i]).map(|p| p as u32);
        let color = Color::Categorical {
            codes: rows.iter().map(|&i| place(i)).collect(),
            names: used.iter().map(|&v| VERDICTS[v].0.to_owned()).collect(),
            palette: Some(used.iter().map(|&v| VERDICTS[v].1).collect()),
        };
        panels.push(Panel { counts: true, ..panel("What stands out", color) });
    }
    Figure { panels, columns: Some(values.len() + 1), panel_size: MAP, ..Figure::default() }
}

/// Which of [`VERDICTS`] each spot is.
fn verdicts(spots: &Spots, found: &Found<'_>, request: &QcRequest) -> Vec<u32> {
    let n_obs = found.spots.total.len();
    let kept = if found.thresholds { request.options.kept(&found.spots) } else { vec![true; n_obs] };
    let outlier = found.local.as_ref().map_or_else(|| vec![false; n_obs], crate::stats::LocalOutliers::any);
    (0..n_obs)
        .map(|i| match (spots.counts(i), kept[i], outlier[i]) {
            (false, ..) => 3,
            (_, false, _) => 2,
            (_, _, true) => 1,
            _ => 0,
        })
        .collect()
}

fn histograms(spots: &Spots, found: &Found<'_>, values: &[Vec<f64>], request: &QcRequest) -> Vec<Histogram> {
    let options = &request.options;
    let titles = titles(found.modality.kind);
    let thresholds = [
        options.min_counts.map(|v| (v, Opt("min_counts").set(v))),
        options.min_genes.map(|v| (v as f64, Opt("min_genes").set(v))),
        options.max_mt.map(|v| (v, Opt("max_mt").set(v))),
    ];
    values
        .iter()
        .zip(thresholds)
        .enumerate()
        .map(|(k, (column, threshold))| {
            let of = |keep: &dyn Fn(usize) -> bool| -> Vec<f64> {
                (0..column.len()).filter(|&i| spots.counts(i) && keep(i)).map(|i| column[i]).collect()
            };
            Histogram {
                title: format!("Spots by {}", titles[k].to_lowercase()),
                values: of(&|_| true),
                log: k < 2,
                lines: threshold
                    .filter(|_| found.thresholds)
                    .map(|(v, text)| (v, text.to_string()))
                    .into_iter()
                    .collect(),
                marked: found.local.as_ref().map(|local| of(&|i| local.outliers[k][i])).unwrap_or_default(),
            }
        })
        .collect()
}
