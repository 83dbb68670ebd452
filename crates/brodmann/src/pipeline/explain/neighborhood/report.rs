//! What was found, for a person and as JSON.

use brodmann_kernels::Slices;
use serde::Serialize;

use super::Found;
use crate::pipeline::run::Seconds;
use crate::pipeline::tissue::Tissue;

/// Neighbours of a group that are told.
const TOLD: usize = 3;
/// Shares of a border below this are not told.
const SHORT: f64 = 0.05;

/// The surroundings of the groups of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NeighborhoodReport {
    /// `obs` column of the groups.
    pub groupby: String,
    /// Observations.
    pub n_obs: usize,
    /// Those without a label.
    pub n_unlabelled: usize,
    /// Slices.
    pub n_slices: usize,
    /// Spatial edges, each counted once.
    pub n_edges: usize,
    /// Unit of areas and lengths, where the file says it.
    pub unit: Option<String>,
    /// The groups, in their order.
    pub groups: Vec<ShapeReport>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShapeReport {
    /// Its name.
    pub name: String,
    /// Its spots.
    pub n_spots: usize,
    /// Area over all slices; `None` where there is none.
    pub area: Option<f64>,
    /// Pieces over all slices.
    pub n_components: Option<usize>,
    /// Compactness and elongation of its largest part in a slice.
    pub compactness: Option<f64>,
    /// As compactness.
    pub elongation: Option<f64>,
    /// z of its contacts with itself.
    pub z_own: f64,
    /// Other groups that it borders on, the longest border first.
    pub neighbors: Vec<NeighborReport>,
}

/// A group beside another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NeighborReport {
    /// Its name.
    pub name: String,
    /// z of the contacts.
    pub z: f64,
    /// Share of the border.
    pub boundary_share: f64,
}

impl NeighborhoodReport {
    pub(super) fn new(tissue: &Tissue, found: &Found) -> Self {
        let sizes = found.groups.sizes();
        let groups = (0..sizes.len()).filter(|&g| sizes[g] > 0).map(|g| group(found, g, sizes[g]));
        Self {
            groupby: found.groups.key.clone(),
            n_obs: tissue.n_obs(),
            n_unlabelled: found.groups.n_unlabelled(),
            n_slices: found.slices.as_ref().map_or(1, Slices::count),
            n_edges: found.graph.nnz() / 2,
            unit: found.unit.clone(),
            groups: groups.collect(),
            seconds: Seconds::default(),
        }
    }

    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} group(s) of {}, {} spatial edges",
            self.groups.len(),
            self.groupby,
            self.n_edges
        )];
        let width = self.groups.iter().map(|g| g.name.chars().count()).max().unwrap_or(0).min(30);
        for group in &self.groups {
            let beside: Vec<String> = group
                .neighbors
                .iter()
                .map(|n| {
                    format!("{} ({:.0} % of its border, z {:+.1})", n.name, 100.0 * n.boundary_share, n.z)
                })
                .collect();
            let beside =
                if beside.is_empty() { "nobody more than by chance".to_owned() } else { beside.join(", ") };
            let pieces = group.n_components.map_or(String::new(), |n| format!(" in {n} piece(s)"));
            lines.push(format!(
                "  {:<width$}  {:>7} spots{pieces}, beside {beside}",
                group.name, group.n_spots
            ));
        }
        lines
    }
}

fn group(found: &Found, g: usize, n_spots: usize) -> ShapeReport {
    let (z, shares) = (&found.enrichment.z_score, &found.adjacency.boundary_shares);
    let mut beside: Vec<NeighborReport> = (0..found.groups.names.len())
        .filter(|&other| other != g && shares[[g, other]] >= SHORT)
        .map(|other| NeighborReport {
            name: found.groups.names[other].clone(),
            z: z[[g, other]],
            boundary_share: shares[[g, other]],
        })
        .collect();
    beside.sort_by(|a, b| b.boundary_share.total_cmp(&a.boundary_share));
    beside.truncate(TOLD);
    let own: Vec<_> = found
        .shapes
        .iter()
        .flat_map(|shapes| shapes.domains.iter().filter(|shape| shape.label as usize == g))
        .collect();
    let largest = own.iter().max_by_key(|shape| shape.n_spots);
    let known = |v: f64| v.is_finite().then_some(v);
    ShapeReport {
        name: found.groups.names[g].clone(),
        n_spots,
        area: known(own.iter().map(|shape| shape.area).sum()).filter(|_| !own.is_empty()),
        n_components: (!own.is_empty()).then(|| own.iter().map(|shape| shape.n_components).sum()),
        compactness: largest.and_then(|shape| known(shape.compactness)),
        elongation: largest.and_then(|shape| known(shape.elongation)),
        z_own: z[[g, g]],
        neighbors: beside,
    }
}
