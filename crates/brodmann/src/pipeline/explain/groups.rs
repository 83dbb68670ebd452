//! The labels whose groups are explained, with the slices and the graph they lie on.

use std::path::Path;
use std::sync::Arc;

use brodmann_data::{Additions, OpenOptions, ReadOptions, Select, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, Slices};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::values::ValuesRequest;
use crate::graph::{SpatialGraphOptions, SpatialKind, spatial_neighbors, validate_graph};
use crate::pipeline::PipelineError;
use crate::pipeline::graphs::check_spatial;
use crate::pipeline::outputs::Outputs;
use crate::pipeline::picture::{
    colors_key, joined_column, library, select, spot, spot_diameter, tell_slices, texts,
};
use crate::pipeline::qc::GENE_NAMES;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::tissue::{ModalityInfo, Opening, Tissue};
use crate::plot::{Color, ColorMap, Figure, Panel, Rgb, category_colors};
use crate::preprocess::Modality;
use crate::stats::Labels;

/// Columns that are looked for where nobody names one, the first that is there being taken.
const LABELS: [&str; 9] = [
    keys::DOMAINS,
    keys::SPATIALLEIDEN,
    keys::BANKSY,
    keys::STAIG,
    keys::SPAMI,
    keys::SMOOTHED_PCA,
    keys::MIXTURE,
    keys::LEIDEN,
    keys::GROUND_TRUTH,
];
/// Labels of which every spot has its own are no groups.
const MAX_GROUPS: usize = 1000;
/// Longest side of a map in pixels.
const MAP: f64 = 250.0;
/// Maps of several slices side by side.
const MAPS_ABREAST: usize = 6;

/// Which labels are explained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupsRequest {
    /// `obs` column of the labels; `domains`, or that of another method, where nothing is said.
    pub groupby: Option<String>,
}

/// Which spots touch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactsRequest {
    /// Kind of the spatial graph.
    pub spatial: Option<SpatialKind>,
    /// Neighbours in space.
    pub n_spatial: Option<usize>,
    /// Largest distance of an edge.
    pub radius: Option<f64>,
}

/// The groups of the spots.
pub(in crate::pipeline) struct Groups {
    /// The `obs` column.
    pub key: String,
    /// Of each spot, below the number of names; `None` for a spot without a label.
    pub codes: Vec<Option<u32>>,
    /// In the order of the column's categories.
    pub names: Vec<String>,
    /// The colours that the file keeps for them, or the palette's.
    pub colors: Vec<Rgb>,
}

impl Groups {
    /// As the statistics take them.
    pub(in crate::pipeline) fn labels(&self) -> Labels<'_> {
        Labels { codes: &self.codes, n_groups: self.names.len() }
    }

    /// Spots of each.
    pub(in crate::pipeline) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.names.len()];
        for code in self.codes.iter().flatten() {
            sizes[*code as usize] += 1;
        }
        sizes
    }

    /// Spots without a label.
    pub(in crate::pipeline) fn n_unlabelled(&self) -> usize {
        self.codes.iter().filter(|code| code.is_none()).count()
    }

    /// The group of that name.
    pub(in crate::pipeline) fn find(&self, option: &'static str, name: &str) -> Result<u32, PipelineError> {
        self.names.iter().position(|known| known == name).map(|code| code as u32).ok_or_else(|| {
            let expected = format!("a group of {} ({})", self.key, self.names.join(", "));
            PipelineError::option(option, format!("{name:?}"), expected)
        })
    }
}

/// What a command needs of a file besides its values.
pub(in crate::pipeline) struct Wanted<'a> {
    /// Which spots, and where they lie.
    pub place: &'a Place,
    /// The labels, where they are needed.
    pub groups: Option<&'a GroupsRequest>,
    /// More `obs` columns.
    pub columns: &'a [&'a str],
    /// The values, where genes are looked at.
    pub values: Option<&'a ValuesRequest>,
    /// The spatial graph, if the file has one.
    pub graph: bool,
    /// More entries of `obsm`, if the file has them.
    pub obsm: &'a [&'a str],
}

/// Opens a file for a command that explains.
pub(in crate::pipeline) fn open(
    (input, source): (&Path, &OpenOptions),
    outputs: &Outputs,
    wanted: &Wanted<'_>,
    run: &mut Run<'_>,
) -> Result<Tissue, PipelineError> {
    outputs.check(input)?;
    let monitor = run.monitor;
    let mut read = ReadOptions::names_only();
    read.to_write = outputs.destination.is_some();
    let mut obs: Vec<String> = wanted.columns.iter().map(|&key| key.to_owned()).collect();
    obs.extend(wanted.place.library_key.clone());
    obs.extend([keys::IN_TISSUE, keys::LIBRARY_ID].map(str::to_owned));
    if let Some(groups) = wanted.groups {
        match &groups.groupby {
            Some(key) => obs.push(key.clone()),
            None => obs.extend(LABELS.map(str::to_owned)),
        }
    }
    let mut uns: Vec<String> = obs.iter().map(|key| colors_key(key)).collect();
    uns.push(keys::SPATIAL.to_owned());
    read.obs = Select::Only(obs);
    read.uns = Select::Only(uns);
    read.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    let coordinates = wanted.place.spatial_key.as_str();
    read.obsm = Select::only(wanted.obsm.iter().copied().chain([coordinates]));
    if wanted.graph {
        read.obsp = Select::only([keys::SPATIAL_CONNECTIVITIES]);
    }
    let features = wanted.values.map(ValuesRequest::features);
    let kind = wanted.values.and_then(|values| values.modality);
    let tissue = run.timed(Stage::Read, || {
        // Whether names tell genes from proteins is nobody's concern where no gene is looked at.
        let kind = if wanted.values.is_some() { kind } else { Some(Modality::Rna) };
        let opening = Opening {
            place: Some(wanted.place),
            features: features.as_ref(),
            ..Opening::of(source, &read, kind)
        };
        Tissue::open(input, &opening, monitor)
    })?;
    if let Some(destination) = &outputs.destination {
        tissue.check_destination(destination)?;
    }
    Ok(tissue)
}

/// The labels asked for, or those of a method; `None` where nobody asked and no method left any.
pub(in crate::pipeline) fn present(tissue: &Tissue, request: &GroupsRequest) -> Option<GroupsRequest> {
    let known = || LABELS.into_iter().find(|key| tissue.obs_column(key).is_some()).map(str::to_owned);
    let groupby = request.groupby.clone().or_else(known)?;
    Some(GroupsRequest { groupby: Some(groupby) })
}

/// The labels asked for, or those of a method that left some.
pub(in crate::pipeline) fn groups(
    tissue: &Tissue,
    request: &GroupsRequest,
    monitor: &dyn Monitor,
) -> Result<Groups, PipelineError> {
    if let Some(key) = &request.groupby {
        return named_groups(tissue, "groupby", key);
    }
    let found = LABELS.into_iter().find(|key| tissue.obs_column(key).is_some());
    let key = found.ok_or_else(|| {
        let expected = "the obs column of the labels, since no method left any in the file";
        PipelineError::option("groupby", "not given", expected)
    })?;
    monitor.note(&format!("groups are those of obs[{key:?}] ({} says otherwise)", Opt("groupby")));
    named_groups(tissue, "groupby", key)
}

/// The labels of a column that an option names.
pub(in crate::pipeline) fn named_groups(
    tissue: &Tissue,
    option: &'static str,
    key: &str,
) -> Result<Groups, PipelineError> {
    let labels = tissue.labels(key)?;
    let n = labels.categories.len();
    let codes: Vec<Option<u32>> = labels.codes.iter().map(|&code| u32::try_from(code).ok()).collect();
    if n > MAX_GROUPS {
        let expected = format!("a column of labels, at most {MAX_GROUPS} of them");
        return Err(PipelineError::option(
            option,
            format!("{key:?}, a column of {n} different values"),
            expected,
        ));
    }
    let given = tissue.uns(&colors_key(key)).and_then(texts);
    let colors = category_colors(n, given.as_deref());
    Ok(Groups { key: key.to_owned(), codes, names: labels.categories, colors })
}

/// Refuses labels of which fewer than two groups have spots.
pub(in crate::pipeline) fn at_least_two(groups: &Groups) -> Result<(), PipelineError> {
    let found = groups.sizes().iter().filter(|n| **n > 0).count();
    if found >= 2 {
        return Ok(());
    }
    Err(PipelineError::Column {
        element: format!("obs[{:?}]", groups.key),
        found: format!("{found} group(s) of spots"),
        expected: "at least two, to be compared",
    })
}

/// The slices of a tissue: those of the column named, or of the files that were joined, unless the slices themselves are what
/// is compared (`labels`).
pub(in crate::pipeline) fn slices(
    tissue: &Tissue,
    place: &Place,
    labels: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<Option<Slices>, PipelineError> {
    let named = place.library_key.clone().or_else(|| tissue.library_key.clone());
    let joined = || joined_column(tissue).filter(|key| labels != Some(key));
    let key = named.or_else(|| joined().inspect(|key| tell_slices(key, monitor)));
    tissue.slices(key.as_deref())
}

/// Which spots touch: the graph of the file, else the neighbours on a lattice, else the six nearest.
///
/// Edges weigh what the file says, or 1.
pub(in crate::pipeline) fn contacts(
    tissue: &Tissue,
    request: &ContactsRequest,
    place: &Place,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f64>, PipelineError> {
    let monitor = run.monitor;
    let asked = *request != ContactsRequest::default();
    if !asked && let Some(graph) = tissue.whole_graph(keys::SPATIAL_CONNECTIVITIES)? {
        validate_graph(graph.view(), tissue.n_obs(), keys::SPATIAL_CONNECTIVITIES)?;
        monitor.note("spatial graph taken from obsp[\"spatial_connectivities\"]");
        let is_within = |i: usize, j: usize| slices.is_none_or(|slices| slices.of(i) == slices.of(j));
        let all = graph.retain(|i, j, weight| i != j && weight != 0.0);
        let n_all = all.nnz();
        let own = all.retain(|i, j, _| is_within(i, j));
        let n_across = n_all - own.nnz();
        if n_across > 0 {
            monitor
                .note(&format!("{n_across} of its entries lead from one slice to another and are left out"));
        }
        return Ok(own);
    }
    let coordinates = tissue.coordinates(&place.spatial_key)?;
    let kind = request.spatial.unwrap_or(match request.radius {
        Some(_) => SpatialKind::Radius,
        None => SpatialKind::Auto,
    });
    check_spatial(request.n_spatial, request.radius, kind)?;
    let options = SpatialGraphOptions {
        kind,
        n_neighbors: request.n_spatial,
        radius: request.radius.filter(|_| kind == SpatialKind::Radius),
        max_length: request.radius.filter(|_| kind == SpatialKind::Delaunay),
        ..SpatialGraphOptions::default()
    };
    monitor.stage("spatial neighbours", 0);
    let built = run.timed(Stage::Graph, || spatial_neighbors(coordinates.view(), slices, &options))?;
    for note in &built.notes {
        monitor.note(&format!("spatial graph: {note}"));
    }
    Ok(built.connectivities)
}

/// Names of genes as people say them, where the index holds identifiers; `None` where it holds names.
pub(in crate::pipeline) fn gene_names(tissue: &Tissue, modality: &ModalityInfo) -> Option<Vec<String>> {
    let index = tissue.var_names(modality);
    GENE_NAMES.into_iter().find_map(|key| {
        let names = tissue.var_column(modality, key)?.to_strings();
        let differ = names.iter().zip(index).any(|(name, id)| name.as_ref() != Some(id));
        let named = |(name, id): (Option<String>, &String)| {
            name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone())
        };
        differ.then(|| names.into_iter().zip(index).map(named).collect())
    })
}

/// What a run adds, in the order of the rows of the input.
pub(in crate::pipeline) fn additions(tissue: &Tissue, run: &mut Run<'_>) -> Additions {
    let mut additions = std::mem::take(&mut run.additions);
    tissue.place(&mut additions);
    additions
}

/// A map of the groups, and one of each column of numbers by its title, slice by slice.
pub(in crate::pipeline) fn maps(
    tissue: &Tissue,
    coordinates: &Array2<f64>,
    slices: Option<&Slices>,
    groups: Option<&Groups>,
    features: Vec<(String, Vec<f64>)>,
) -> Figure {
    let one = Slices::one(tissue.n_obs());
    let slices = slices.unwrap_or(&one);
    let mut colors = Vec::new();
    if let Some(groups) = groups {
        let color = Color::Categorical {
            codes: groups.codes.clone(),
            names: groups.names.clone(),
            palette: Some(groups.colors.clone()),
        };
        colors.push((groups.key.clone(), color));
    }
    let number = |(title, values): (String, Vec<f64>)| {
        // One colour, one number in all slices.
        let widened = |(low, high): (f64, f64), v: &f64| (low.min(*v), high.max(*v));
        let ends = values.iter().filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), widened);
        let limits = (ends.0 < ends.1).then_some(ends);
        (
            title,
            Color::Continuous {
                values,
                name: String::new(),
                limits,
                colormap: ColorMap::default(),
                note: String::new(),
            },
        )
    };
    colors.extend(features.into_iter().map(number));
    let mut panels = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let own = Arc::new(coordinates.select(Axis(0), &rows));
        let name = if slices.count() > 1 { slices.label(slice) } else { String::new() };
        let diameter = spot_diameter(library(tissue, &name));
        for (title, color) in &colors {
            panels.push(Panel {
                title: if name.is_empty() { title.clone() } else { format!("{name} · {title}") },
                coordinates: Arc::clone(&own),
                spot: spot(None, diameter, &own),
                color: select(color, &rows),
                ..Panel::default()
            });
        }
    }
    let columns = (slices.count() > 1).then_some(colors.len().min(MAPS_ABREAST));
    Figure { panels, columns, panel_size: MAP, ..Figure::default() }
}
