//! Pictures of what is in a domain: what the commands draw, and the report shows.

use std::sync::Arc;

use ndarray::Array2;

use super::enrich::{Behind, EnrichmentMethod};
use super::groups::Groups;
use super::markers::{Explained, Found, MarkersRequest};
use super::neighborhood;
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;
use crate::plot::{
    Bar, Bars, Bracket, ColorMap, Curve, Curves, Distance, DotPlot, HeatMap, Limits, Plot, StackedBars,
    ViolinKind, ViolinRow, Violins, Volcano, VolcanoPanel,
};
use crate::preprocess::Modality;

/// Features of a dot plot, of all groups together.
const DOTS: usize = 60;
/// Rows of violins.
const VIOLINS: usize = 10;
/// Groups whose volcano is drawn.
const VOLCANOES: usize = 12;
/// Sets of each group as bars.
const BARS: usize = 8;
/// Groups of which curves are drawn.
const CURVES: usize = 6;
/// Beyond this −log10 p says no more: a bar of 300 would leave no room for the others.
const LONGEST: f64 = 50.0;

/// Names and colours, as pictures take them.
fn drawn(groups: &Groups) -> crate::plot::Groups {
    crate::plot::Groups { names: groups.names.clone(), colors: groups.colors.clone() }
}

/// Some of them, by their codes.
fn some(groups: &Groups, codes: impl Iterator<Item = u32>) -> crate::plot::Groups {
    let (names, colors) =
        codes.map(|code| (groups.names[code as usize].clone(), groups.colors[code as usize])).unzip();
    crate::plot::Groups { names, colors }
}

/// What the values are called beside an axis.
fn value_name(found: &Found<'_>) -> &'static str {
    if found.modality.kind == Modality::Adt { "CLR" } else { "logs" }
}

/// The title of a picture of one modality, where there are several.
fn titled(what: &str, found: &Found<'_>, explained: &Explained<'_>) -> String {
    if explained.found.len() > 1 { format!("{what} · {}", found.modality.name) } else { what.to_owned() }
}

/// The first markers of each group, each once, and where those of a group lie among them.
fn first_markers(
    found: &Found<'_>,
    request: &MarkersRequest,
    n_each: usize,
    most: usize,
) -> (Vec<usize>, Vec<Bracket>) {
    let (mut genes, mut brackets) = (Vec::new(), Vec::new());
    let each = n_each.min((most / found.markers.len().max(1)).max(1));
    for (place, markers) in found.markers.iter().enumerate() {
        let from = genes.len();
        for j in markers.select(&request.thresholds) {
            if genes.len() - from == each || genes.len() == most {
                break;
            }
            if !genes.contains(&(j as usize)) {
                genes.push(j as usize);
            }
        }
        if genes.len() > from {
            brackets.push(Bracket { group: place as u32, from, to: genes.len() });
        }
    }
    (genes, brackets)
}

/// Groups x `genes`.
fn means(found: &Found<'_>, genes: &[usize]) -> Array2<f64> {
    Array2::from_shape_fn((found.markers.len(), genes.len()), |(g, k)| found.markers[g].mean[genes[k]])
}

/// The first markers of each group in all groups: how many spots express them, and how much.
pub(in crate::pipeline) fn dot_plot(
    tissue: &Tissue,
    found: &Found<'_>,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Option<Plot> {
    let (genes, brackets) = first_markers(found, request, request.comparison.n_top.min(5), DOTS);
    if genes.is_empty() {
        return None;
    }
    let size = (found.markers.len(), genes.len());
    Some(Plot::DotPlot(DotPlot {
        title: titled("Markers", found, explained),
        groups: some(&explained.groups, found.markers.iter().map(|m| m.group)),
        features: genes.iter().map(|&j| found.name(tissue, j).to_owned()).collect(),
        fractions: Array2::from_shape_fn(size, |(g, k)| found.markers[g].fraction[genes[k]]),
        means: means(found, &genes),
        scaled: true,
        value_name: format!("mean of {}, by feature", value_name(found)),
        brackets,
        ..DotPlot::default()
    }))
}

/// The same as a table of colours, each feature in standard deviations from its mean over the groups, which are ordered by how
/// alike they are.
pub(in crate::pipeline) fn heat_map(
    tissue: &Tissue,
    found: &Found<'_>,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Option<Plot> {
    let (genes, _) = first_markers(found, request, request.comparison.n_top.min(5), DOTS);
    let n = found.markers.len();
    if genes.is_empty() || n < 2 {
        return None;
    }
    let mut values = means(found, &genes);
    for mut column in values.columns_mut() {
        let mean = column.sum() / n as f64;
        let spread = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        column.mapv_inplace(|v| if spread > 0.0 { (v - mean) / spread } else { 0.0 });
    }
    Some(Plot::HeatMap(HeatMap {
        title: titled("Groups that are alike", found, explained),
        values,
        row_names: some(&explained.groups, found.markers.iter().map(|m| m.group)).names,
        column_names: genes.iter().map(|&j| found.name(tissue, j).to_owned()).collect(),
        value_name: "z of the mean, by feature".to_owned(),
        colormap: ColorMap::BlueRed,
        limits: Limits::Symmetric,
        row_tree: Some(Distance::Correlation),
        ..HeatMap::default()
    }))
}

/// The first marker of each group, as it is distributed in all.
pub(in crate::pipeline) fn violins(
    tissue: &Tissue,
    found: &Found<'_>,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Result<Option<Plot>, PipelineError> {
    let (genes, _) = first_markers(found, request, 1, VIOLINS);
    if genes.is_empty() {
        return Ok(None);
    }
    let rows = genes
        .iter()
        .zip(found.rows.dense_columns(&genes)?)
        .map(|(&j, values)| ViolinRow { name: found.name(tissue, j).to_owned(), values });
    Ok(Some(Plot::Violins(Violins {
        title: titled("First markers", found, explained),
        groups: drawn(&explained.groups),
        group_of: Arc::new(explained.groups.codes.clone()),
        rows: rows.collect(),
        value_name: value_name(found).to_owned(),
        kind: ViolinKind::Violins,
    })))
}

/// Fold change against p, group by group.
pub(in crate::pipeline) fn volcano(
    tissue: &Tissue,
    found: &Found<'_>,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Plot {
    let shown: Vec<_> = found.markers.iter().filter(|m| m.n_reference > 0).take(VOLCANOES).collect();
    let thresholds = &request.thresholds;
    let n_vars = tissue.var_names(found.modality).len();
    let panel = |markers: &&crate::stats::GroupMarkers| {
        // The largest p as measured whose adjusted one passes.
        let passing = markers.p_value.iter().zip(&markers.p_adjusted);
        let passing = passing.filter(|(_, adjusted)| **adjusted < thresholds.p_value).map(|(p, _)| *p);
        let max_p = if thresholds.adjusted { Some(passing.fold(0.0, f64::max)) } else { None };
        VolcanoPanel {
            log2_fold: markers.log2_fold_change.clone(),
            ln_p: markers.ln_p_value.clone(),
            max_p: max_p.filter(|p| *p > 0.0),
        }
    };
    Plot::Volcano(Volcano {
        title: titled("Fold change and p", found, explained),
        features: (0..n_vars).map(|j| found.name(tissue, j).to_owned()).collect(),
        groups: some(&explained.groups, shown.iter().map(|m| m.group)),
        panels: shown.iter().map(panel).collect(),
        min_fold: thresholds.log2_fold_change,
        max_p: thresholds.p_value,
        p_name: "p".to_owned(),
        n_named: 5,
    })
}

/// Gene sets behind each group.
pub(in crate::pipeline) fn set_bars(behind: &Behind<'_>, method: EnrichmentMethod) -> Option<Plot> {
    let with_genes = |group: &&super::enrich::Enriched| group.rows.iter().any(|row| !row.genes.is_empty());
    let told: Vec<_> = behind.groups.iter().filter(with_genes).collect();
    if told.is_empty() {
        return None;
    }
    let bar = |row: &super::enrich::Row| Bar {
        name: behind.sets.names()[row.set].clone(),
        value: (-row.p_adjusted.log10()).clamp(0.0, LONGEST),
        note: format!("{} of {}", row.genes.len(), row.size),
        shade: row.effect,
    };
    let shade_name = match method {
        EnrichmentMethod::Ora => None,
        EnrichmentMethod::Gsea => Some("NES".to_owned()),
    };
    Some(Plot::Bars(Bars {
        title: "Gene sets".to_owned(),
        value_name: "−log10 adjusted p".to_owned(),
        groups: some(&behind.explained.groups, told.iter().map(|group| group.group)),
        bars: told
            .iter()
            .map(|group| group.rows.iter().filter(|row| !row.genes.is_empty()).take(BARS).map(bar).collect())
            .collect(),
        shade_name,
        reference: Some((-(0.05_f64.log10()), "p .05".to_owned())),
    }))
}

/// Contacts of each pair of groups against chance.
pub(in crate::pipeline) fn contact_matrix(found: &neighborhood::Found) -> Plot {
    Plot::HeatMap(HeatMap {
        title: "Contacts against chance".to_owned(),
        values: found.enrichment.z_score.clone(),
        row_names: found.groups.names.clone(),
        column_names: found.groups.names.clone(),
        value_name: "z".to_owned(),
        colormap: ColorMap::BlueRed,
        limits: Limits::Symmetric,
        decimals: Some(0),
        ..HeatMap::default()
    })
}

/// Which groups border on which.
pub(in crate::pipeline) fn border_matrix(found: &neighborhood::Found) -> Plot {
    Plot::HeatMap(HeatMap {
        title: "Share of the row's border".to_owned(),
        values: found.adjacency.boundary_shares.clone(),
        row_names: found.groups.names.clone(),
        column_names: found.groups.names.clone(),
        value_name: "share".to_owned(),
        colormap: ColorMap::Greys,
        limits: Limits::Given(0.0, 1.0),
        decimals: Some(2),
        ..HeatMap::default()
    })
}

/// What the groups are made up of.
pub(in crate::pipeline) fn composition_bars(found: &neighborhood::Found) -> Vec<Plot> {
    let bars = |(parts, composition): &(Groups, crate::stats::Composition)| {
        Plot::StackedBars(StackedBars {
            title: format!("{} by {}", found.groups.key, parts.key),
            wholes: drawn(&found.groups),
            categories: drawn(parts),
            amounts: composition.counts.mapv(|n| n as f64),
            with_sums: true,
        })
    };
    found.compositions.iter().map(bars).collect()
}

/// Whether the spots of each group are clustered, radius by radius: L less the radius, over its range by chance.
pub(in crate::pipeline) fn ripley_curves(found: &neighborhood::Found) -> Vec<Plot> {
    let Some(ripley) = &found.ripley else { return Vec::new() };
    let (names, colors, sizes) = (&found.groups.names, &found.groups.colors, found.groups.sizes());
    let unit = found.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}s"));
    let plot = |group: usize| {
        let at = |table: &Array2<f64>, k: usize| table[[group, k]] - ripley.radii[k];
        let places = 0..ripley.radii.len();
        let band = match (&ripley.low, &ripley.high) {
            (Some(low), Some(high)) => {
                places.clone().map(|k| [ripley.radii[k], at(low, k), at(high, k)]).collect()
            }
            _ => Vec::new(),
        };
        Plot::Curves(Curves {
            title: format!("{}: clustered or spread out", names[group]),
            x_name: format!("radius{unit}"),
            y_name: "L less the radius".to_owned(),
            curves: vec![Curve {
                name: names[group].clone(),
                color: Some(colors[group]),
                points: places.map(|k| [ripley.radii[k], at(&ripley.statistic, k)]).collect(),
                band,
            }],
            references: vec![(0.0, "no pattern".to_owned())],
            log: false,
        })
    };
    (0..names.len()).filter(|&group| sizes[group] > 1).take(CURVES).map(plot).collect()
}

/// How likely groups are near each other, distance by distance.
pub(in crate::pipeline) fn co_occurrence_curves(found: &neighborhood::Found) -> Vec<Plot> {
    let Some(near) = &found.co_occurrence else { return Vec::new() };
    let (names, colors) = (&found.groups.names, &found.groups.colors);
    let unit = found.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}s"));
    let curve = |group: usize, other: usize| Curve {
        name: names[other].clone(),
        color: Some(colors[other]),
        points: (1..near.interval.len())
            .map(|k| [near.interval[k], near.ratio[[group, other, k - 1]]])
            .collect(),
        band: Vec::new(),
    };
    let sizes = found.groups.sizes();
    (0..names.len())
        .filter(|&group| sizes[group] > 0)
        .take(CURVES)
        .map(|group| {
            Plot::Curves(Curves {
                title: format!("Near {}", names[group]),
                x_name: format!("distance{unit}"),
                y_name: "times as likely as anywhere".to_owned(),
                curves: (0..names.len()).filter(|&o| sizes[o] > 0).map(|other| curve(group, other)).collect(),
                references: vec![(1.0, "no more than anywhere".to_owned())],
                log: false,
            })
        })
        .collect()
}
