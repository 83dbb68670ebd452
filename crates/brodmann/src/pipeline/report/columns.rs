//! What the maps can be coloured by: the domains, what they are compared with, how sure they are, and genes.

use brodmann_data::Column;
use brodmann_kernels::Monitor;

use super::ReportRequest;
use crate::pipeline::PipelineError;
use crate::pipeline::explain::groups::Groups;
use crate::pipeline::explain::markers::{Explained, MarkersRequest};
use crate::pipeline::scores::truth_key;
use crate::pipeline::tissue::Tissue;
use crate::plot::{ColorMap, match_colors};
use crate::report::{Confidence, NumberBits, NumberScale, SpotColumn, SpotValues};

/// More categories than this are a name of each spot rather than a label.
const MAX_CATEGORIES: usize = 60;
/// Other columns of `obs` that are offered.
const MAX_COLUMNS: usize = 40;
/// Shares of spots with a value below which a gene is kept as a list of spots.
const SPARSE: f64 = 0.4;
/// Columns of `obs` that say nothing of the tissue.
const BOOKKEEPING: [&str; 3] = ["in_tissue", "array_row", "array_col"];

/// The columns, and which of them are which.
pub(super) struct Columns {
    /// The domains first.
    pub all: Vec<SpotColumn>,
    /// How sure each spot's domain is.
    pub confidence: Option<Confidence>,
    /// The truth.
    pub truth: Option<usize>,
    /// What domains are made up of.
    pub composition: Vec<usize>,
}

/// Labels as categories, by spot in the order of the page.
fn categories(groups: &Groups, order: &[usize], name: &str, heading: &str) -> SpotColumn {
    SpotColumn {
        name: name.to_owned(),
        group: heading.to_owned(),
        values: SpotValues::Categories {
            codes: order.iter().map(|&i| groups.codes[i]).collect(),
            names: groups.names.clone(),
            colors: groups.colors.clone(),
        },
    }
}

/// The columns, and how many genes are among them.
pub(super) fn columns(
    tissue: &Tissue,
    explained: &Explained<'_>,
    of_markers: &MarkersRequest,
    request: &ReportRequest,
    order: &[usize],
    monitor: &dyn Monitor,
) -> Result<(Columns, usize), PipelineError> {
    let domains = &explained.groups;
    let mut all = vec![categories(domains, order, &domains.key, "Domains")];
    let (mut confidence, mut truth, mut composition) = (None, None, Vec::new());
    let known = truth_key(tissue, request.options.truth.as_deref())?;
    let mut n_others = 0;
    for key in tissue.obs_columns() {
        if key == domains.key || BOOKKEEPING.contains(&key.as_str()) {
            continue;
        }
        let Some(column) = tissue.obs_column(&key) else { continue };
        let is_truth = known.as_ref() == Some(&key);
        let of_domains = key.strip_prefix(&format!("{}_", domains.key)).map(str::to_owned);
        let is_measure = matches!(&column, Column::Float32(_) | Column::Float64(_));
        if is_measure
            || (matches!(&column, Column::Int(_) | Column::NullableInt(_))
                && !is_truth
                && of_domains.is_none())
        {
            let Some(values) = column.to_f64() else { continue };
            let sure = of_domains.as_deref().is_some_and(|name| name == "entropy" || name == "stability");
            if !sure && n_others >= MAX_COLUMNS {
                continue;
            }
            n_others += usize::from(!sure);
            let heading = if sure { "How sure" } else { "Measures" };
            let scale = NumberScale { bits: NumberBits::Sixteen, ..NumberScale::default() };
            let values: Vec<f32> = order.iter().map(|&i| values[i] as f32).collect();
            if sure && confidence.is_none() {
                confidence = Some(Confidence { column: all.len() });
                // Entropy is 0 where all agree: its complement is what a reader takes for certainty.
                if of_domains.as_deref() == Some("entropy") {
                    let scale = NumberScale { limits: Some((0.0, 1.0)), ..scale.clone() };
                    let certainty = values.iter().map(|v| 1.0 - v).collect();
                    all.push(SpotColumn {
                        name: format!("{} certainty (1 − entropy)", domains.key),
                        group: heading.to_owned(),
                        values: SpotValues::Numbers { values: certainty, scale },
                    });
                }
            }
            all.push(SpotColumn {
                name: key,
                group: heading.to_owned(),
                values: SpotValues::Numbers { values, scale },
            });
            continue;
        }
        let labels = column.to_categorical();
        let n = labels.categories.len();
        if !(2..=MAX_CATEGORIES).contains(&n)
            || (n_others >= MAX_COLUMNS && !is_truth && of_domains.is_none())
        {
            continue;
        }
        let codes: Vec<Option<u32>> = labels.codes.iter().map(|&c| u32::try_from(c).ok()).collect();
        // The same region has the same colour, whoever drew it.
        let colors = match_colors(&domains.codes, &codes, &domains.colors, n);
        let heading = match (&of_domains, is_truth) {
            (_, true) => "Compare with",
            (Some(_), false) => "Members",
            (None, false) => "Labels",
        };
        n_others += usize::from(!is_truth && of_domains.is_none());
        let own = Groups { key: key.clone(), codes, names: labels.categories, colors };
        if is_truth {
            truth = Some(all.len());
        }
        if is_truth || of_domains.is_none() {
            composition.push(all.len());
        }
        all.push(categories(&own, order, &key, heading));
    }
    let n_before = all.len();
    genes(tissue, explained, of_markers, request, order, &mut all, monitor)?;
    let n_genes = all.len() - n_before;
    Ok((Columns { all, confidence, truth, composition }, n_genes))
}

/// The first markers of each domain, and the features asked for.
fn genes(
    tissue: &Tissue,
    explained: &Explained<'_>,
    of_markers: &MarkersRequest,
    request: &ReportRequest,
    order: &[usize],
    all: &mut Vec<SpotColumn>,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let mut asked: Vec<&str> = request.options.genes.iter().map(String::as_str).collect();
    let mut place = vec![0_u32; order.len()];
    for (k, &i) in order.iter().enumerate() {
        place[i] = k as u32;
    }
    for found in &explained.found {
        let ids = tissue.var_names(found.modality);
        let mut chosen: Vec<usize> = Vec::new();
        for name in &request.options.genes {
            let named = |names: &[String]| names.iter().position(|known| known == name);
            if let Some(j) = named(ids).or_else(|| found.names.as_deref().and_then(named)) {
                asked.retain(|other| other != name);
                chosen.push(j);
            }
        }
        for markers in &found.markers {
            let first = markers.select(&of_markers.thresholds);
            chosen.extend(first.iter().take(request.options.n_maps).map(|&j| j as usize));
        }
        let mut seen = std::collections::HashSet::new();
        chosen.retain(|j| seen.insert(*j));
        let heading = if explained.found.len() > 1 {
            format!("Features of {}", found.modality.name)
        } else {
            "Genes".to_owned()
        };
        for (&j, values) in chosen.iter().zip(found.rows.columns(&chosen)?) {
            let mut entries: Vec<(u32, f32)> =
                values.into_iter().map(|(i, v)| (place[i as usize], v)).filter(|(_, v)| *v != 0.0).collect();
            entries.sort_unstable_by_key(|(i, _)| *i);
            let scale = NumberScale {
                unit: "log".to_owned(),
                color_map: ColorMap::default(),
                ..NumberScale::default()
            };
            let values = if (entries.len() as f64) < SPARSE * order.len() as f64 {
                let (rows, values) = entries.into_iter().unzip();
                SpotValues::Sparse { rows, values, scale }
            } else {
                let mut values = vec![0.0_f32; order.len()];
                for (i, v) in entries {
                    values[i as usize] = v;
                }
                SpotValues::Numbers { values, scale }
            };
            all.push(SpotColumn { name: found.name(tissue, j).to_owned(), group: heading.clone(), values });
        }
    }
    for name in asked {
        monitor.warn(&format!("{name} is not among the features, so there is no map of it"));
    }
    Ok(())
}
