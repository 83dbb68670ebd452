//! What a run will take, before it takes it: memory from sizes and options, time from measured rates.
//!
//! Memory is counted stage by stage: what is held from before, and what the stage itself needs at its peak. Time is a
//! rate per unit of work, measured on one core of a server of 2025, so "about" is meant.

use brodmann_kernels::{Monitor, Opt};

use super::PipelineError;
use super::embedding::{embedding_key, options_on};
use super::graphs::{DEFAULT_N_NEIGHBORS, DEFAULT_N_SPATIAL};
use super::memory::{available_bytes, in_words};
use super::request::{FeatureRequest, GraphRequest, Place};
use super::tissue::Tissue;
use crate::graph::{NeighborsOptions, SpatialKind};
use crate::preprocess::svd::GRAM_LIMIT;
use crate::preprocess::{Modality, PreprocessOptions};

/// The process before any data: code, threads, and what the allocator keeps.
const PROCESS_BYTES: f64 = 25e6;
/// Row names and small columns, per observation and per variable.
const NAME_BYTES: f64 = 80.0;
/// A block of a file on its way, per entry: as read, decompressed, in use; and the entries of a block at most.
const BLOCK_ENTRY_BYTES: f64 = 48.0;
const BLOCK_ENTRIES: f64 = 1048576.0;
/// A stored entry of a sparse f32 matrix, and an edge of a graph.
const ENTRY_BYTES: f64 = 8.0;
const EDGE_BYTES: f64 = 12.0;
/// Edges a symmetric neighbour graph has per directed one asked for: latent, where neighbours are often not mutual,
/// and in space, where they mostly are.
const LATENT_EDGES: f64 = 1.7;
const SPATIAL_EDGES: f64 = 1.2;
/// Leiden's levels above the graphs themselves, per edge, and what it keeps per observation.
const LEIDEN_EDGE_BYTES: f64 = 8.0;
const LEIDEN_NODE_BYTES: f64 = 120.0;
/// Vectors iterated beyond those asked for, and blocks of them that are kept, in the decomposition.
const GUARD: f64 = 8.0;
const BASIS_BLOCKS: f64 = 16.0;

/// Seconds of one core per unit of work.
const READ_ENTRY: f64 = 12e-9;
const NORMALISE_ENTRY: f64 = 30e-9;
const PAIR: f64 = 0.8e-9;
const DENSE_PRODUCT: f64 = 0.03e-9;
const KRYLOV_PRODUCT: f64 = 4.5e-9;
const DISTANCE: f64 = 0.65e-9;
const CELL_DISTANCE: f64 = 60e-9;
const SPATIAL_NODE: f64 = 3e-6;
// At 100,000 observations. The passes until nothing changes grow in number: edges · √observations, as measured.
const LEIDEN_EDGE: f64 = 1.0e-6;
const LEIDEN_OBSERVATIONS: f64 = 100_000.0;
const WRITE_EDGE: f64 = 0.25e-6;

/// The counts of one modality and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CountsWork {
    pub(super) n_vars: usize,
    /// Stored entries.
    pub(super) nnz: usize,
    /// Read in blocks, and whether they are kept then.
    pub(super) streamed: bool,
    pub(super) kept: bool,
    /// Features the embedding rests on, at most.
    pub(super) n_selected: usize,
    pub(super) n_components: usize,
    /// Written back, normalised.
    pub(super) keeps_normalised: bool,
}

/// What every run takes, whatever it does with the counts: the process, the names, and a block of counts on its way in.
pub(super) fn every_run_bytes(n_obs: usize, n_vars: usize, nnz: usize) -> u64 {
    let names = NAME_BYTES * (n_obs + n_vars) as f64 + 24.0 * n_obs as f64;
    (PROCESS_BYTES + names) as u64 + block_bytes(nnz)
}

/// A block of counts on its way in.
pub(super) fn block_bytes(nnz: usize) -> u64 {
    (BLOCK_ENTRY_BYTES * (nnz as f64).min(BLOCK_ENTRIES)) as u64
}

/// The products of the columns or the rows of a matrix, whichever are fewer, that its principal components are found from: on
/// the way and whole.
pub(super) fn product_bytes(n_obs: usize, n_features: usize) -> u64 {
    let side = n_obs.min(n_features) as u64;
    if side <= GRAM_LIMIT as u64 { 16 * side * side } else { 0 }
}

/// What a run does, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Work {
    pub(super) n_obs: usize,
    pub(super) n_vars: usize,
    /// Counts to be made features of.
    pub(super) counts: Vec<CountsWork>,
    /// Neighbours, the observation itself counted, and dimensions of each latent graph to be built.
    pub(super) latent: Vec<(usize, usize)>,
    /// Neighbours in space, where that graph is to be built.
    pub(super) spatial: Option<usize>,
    /// Stored edges of graphs taken from the file.
    pub(super) edges_read: usize,
    /// Times that Leiden follows.
    pub(super) n_clusterings: usize,
}

/// Memory at the peak and time of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Bytes at the peak.
    pub bytes: u64,
    /// Wall-clock seconds, where they can be told.
    pub seconds: Option<f64>,
}

/// What a run needs, and what would make it need less.
pub struct Need<'a> {
    /// The forecast.
    pub forecast: Forecast,
    /// What to do where so many bytes are free, and too few.
    pub advice: Box<dyn Fn(u64) -> String + 'a>,
}

/// The advice where no option helps.
pub(super) const FEWER_SPOTS: &str = "take a part of the spots, or a machine with more memory";

impl Work {
    /// The same as a need.
    pub(super) fn need(&self) -> Need<'_> {
        let seconds = Some(self.seconds(rayon::current_num_threads()));
        let forecast = Forecast { bytes: self.bytes(), seconds };
        Need { forecast, advice: Box::new(|available| advice(self, available)) }
    }

    /// The same as a need that owns what it was worked out from.
    pub(super) fn into_need(self) -> Need<'static> {
        let Need { forecast, .. } = self.need();
        Need { forecast, advice: Box::new(move |available| advice(&self, available)) }
    }

    /// The neighbours in space alone, once they are found.
    pub(super) fn graphs_in_space(&self) -> u64 {
        (EDGE_BYTES * SPATIAL_EDGES * (self.n_obs * self.spatial.unwrap_or(0)) as f64) as u64
    }

    /// Memory at the peak.
    pub(super) fn bytes(&self) -> u64 {
        let n = self.n_obs as f64;
        let mut held = PROCESS_BYTES + NAME_BYTES * (n + self.n_vars as f64) + 24.0 * n;
        held += EDGE_BYTES * self.edges_read as f64;
        let mut peak = held;
        let mut edges = self.edges_read as f64;
        if let Some(k) = self.spatial {
            let spatial = n * k as f64 * SPATIAL_EDGES;
            edges += spatial;
            // Distances and weights to be written, weights to be used, and a fourth copy on the way.
            peak = f64::max(peak, held + 4.0 * EDGE_BYTES * spatial);
            held += 3.0 * EDGE_BYTES * spatial + 24.0 * n;
        }
        for counts in &self.counts {
            peak = f64::max(peak, held + counts.bytes(n));
            held += 4.0 * n * counts.n_components as f64;
            if counts.keeps_normalised {
                held += ENTRY_BYTES * counts.nnz as f64;
            }
        }
        for &(k, d) in &self.latent {
            let (k, d) = (k.saturating_sub(1) as f64, d as f64);
            let latent = n * k * LATENT_EDGES;
            edges += latent;
            // The embedding, its copy in f64 and twice in f32; candidates as they are ranked; neighbours.
            let searching = n * (24.0 * d + 32.0 + 2.0 * 16.0 * k + EDGE_BYTES * k);
            // Neighbours, directed weights and their mirror image; the graph in parts and whole.
            let joining = n * (8.0 * d + 4.0 * EDGE_BYTES * k) + 2.0 * EDGE_BYTES * latent;
            peak = f64::max(peak, held + searching.max(joining));
            held += (EDGE_BYTES + ENTRY_BYTES) * latent + EDGE_BYTES * n * k + 24.0 * n;
        }
        if self.n_clusterings > 0 {
            peak = f64::max(peak, held + LEIDEN_EDGE_BYTES * edges + LEIDEN_NODE_BYTES * n);
        }
        peak as u64
    }

    /// Wall-clock seconds on so many cores.
    pub(super) fn seconds(&self, n_threads: usize) -> f64 {
        let n = self.n_obs as f64;
        let mut seconds = 0.0;
        let mut edges = self.edges_read as f64;
        for counts in &self.counts {
            seconds += counts.seconds(n);
        }
        if let Some(k) = self.spatial {
            edges += n * k as f64 * SPATIAL_EDGES;
            seconds += SPATIAL_NODE * n;
        }
        for &(k, d) in &self.latent {
            edges += n * k as f64 * LATENT_EDGES;
            let exact = n * n * DISTANCE * d as f64 / 30.0;
            let in_cells = n.powf(1.5) * CELL_DISTANCE * d as f64 / 30.0;
            let is_exact = self.n_obs <= NeighborsOptions::default().exact_below;
            seconds += if is_exact { exact } else { in_cells.min(exact) };
        }
        if self.n_clusterings > 0 {
            seconds += LEIDEN_EDGE * self.n_clusterings as f64 * edges * (n / LEIDEN_OBSERVATIONS).sqrt();
        }
        // Leiden and writing are in part the work of one core.
        (seconds + WRITE_EDGE * edges) / (n_threads.max(1) as f64).powf(0.85)
    }
}

impl CountsWork {
    /// Entries of the selected features: the most variable are seen more often than the rest.
    fn selected_entries(&self) -> f64 {
        let share = self.n_selected as f64 / self.n_vars.max(1) as f64;
        self.nnz as f64 * (2.0 * share).min(1.0)
    }

    fn bytes(&self, n: f64) -> f64 {
        let nnz = self.nnz as f64;
        let (f, k) = (self.n_selected.min(n as usize) as f64, self.n_components as f64);
        let raw = if self.streamed && !self.kept { 0.0 } else { ENTRY_BYTES * nnz };
        let selected = if self.streamed && self.kept { 0.0 } else { ENTRY_BYTES * self.selected_entries() };
        let counts = raw.max(selected) + if self.streamed { 0.0 } else { selected };
        let reading = counts
            + if self.streamed {
                BLOCK_ENTRY_BYTES * nnz.min(BLOCK_ENTRIES)
            } else {
                ENTRY_BYTES * nnz * 0.5
            };
        let basis = 8.0 * f * (k + GUARD) * BASIS_BLOCKS;
        let product = if f <= 5000.0 { 8.0 * f * f * 1.2 } else { 0.0 };
        let analysing = counts + (product + basis).max(16.0 * n * k);
        let normalised = if self.keeps_normalised { 2.0 * ENTRY_BYTES * nnz + 8.0 * n * k } else { 0.0 };
        40.0 * n + reading.max(analysing).max(normalised)
    }

    fn seconds(&self, n: f64) -> f64 {
        let (nnz, selected) = (self.nnz as f64, self.selected_entries());
        let f = self.n_selected.min(n as usize) as f64;
        let per_row = selected / n.max(1.0);
        let pairs = 0.5 * n * per_row * per_row * PAIR;
        let dense = 0.5 * n * f * f * DENSE_PRODUCT;
        READ_ENTRY * nnz
            + NORMALISE_ENTRY * selected
            + pairs.min(dense)
            + f * f * (self.n_components as f64 + GUARD) * 60.0 * KRYLOV_PRODUCT / 30.0
    }
}

/// What building graphs (and clustering them) will do, read off the tissue and the request.
pub(super) fn work_of(
    tissue: &Tissue,
    features: &FeatureRequest,
    graphs: &GraphRequest,
    place: &Place,
    spatial: bool,
    n_clusterings: usize,
) -> Result<Work, PipelineError> {
    let mut work = Work { n_obs: tissue.n_obs(), n_clusterings, ..Work::default() };
    if spatial {
        match tissue.whole_graph_edges(brodmann_data::keys::SPATIAL_CONNECTIVITIES) {
            Some(edges) if !graphs.wants_new_spatial(place) => work.edges_read += edges,
            _ => work.spatial = Some(spatial_neighbours(graphs)),
        }
    }
    for modality in tissue.modalities() {
        work.n_vars += tissue.var_names(modality).len();
        let fresh = graphs.wants_new_latent() || features.is_explicit();
        match tissue.graph_edges(modality, brodmann_data::keys::CONNECTIVITIES) {
            Some(edges) if !fresh => {
                work.edges_read += edges;
                continue;
            }
            _ => {}
        }
        let n_neighbors = graphs.n_neighbors.unwrap_or(DEFAULT_N_NEIGHBORS);
        let held = match &graphs.use_rep {
            Some(key) => Some(tissue.embedding_width(modality, key).unwrap_or(50)),
            None if features.is_explicit() => None,
            None => tissue.embedding_width(modality, embedding_key(modality.kind)),
        };
        if let Some(d) = held {
            work.latent.push((n_neighbors, d));
            continue;
        }
        if let Some(counts) = counts_of(tissue, modality, features, false)? {
            work.latent.push((n_neighbors, counts.n_components));
            work.counts.push(counts);
        }
    }
    Ok(work)
}

/// What preprocessing every modality will do.
pub(super) fn preprocessing_work(tissue: &Tissue, features: &FeatureRequest) -> Result<Work, PipelineError> {
    let mut work = Work { n_obs: tissue.n_obs(), ..Work::default() };
    for modality in tissue.modalities() {
        work.n_vars += tissue.var_names(modality).len();
        work.counts.extend(counts_of(tissue, modality, features, true)?);
    }
    Ok(work)
}

fn spatial_neighbours(graphs: &GraphRequest) -> usize {
    match graphs.spatial {
        // Six on average in the plane; a radius says nothing before the spots are looked at.
        Some(SpatialKind::Delaunay | SpatialKind::Radius) => 8,
        // At most: coordinates are not read for a forecast, and a hexagonal lattice has fewer.
        _ => graphs.n_spatial.unwrap_or(DEFAULT_N_SPATIAL),
    }
}

fn counts_of(
    tissue: &Tissue,
    modality: &super::tissue::ModalityInfo,
    features: &FeatureRequest,
    keeps_normalised: bool,
) -> Result<Option<CountsWork>, PipelineError> {
    let Some(size) = tissue.counts_size(modality, features.layer.as_deref())? else { return Ok(None) };
    let options = options_on(PreprocessOptions::for_modality(modality.kind), features);
    let n_vars = tissue.var_names(modality).len();
    let n_selected = options.n_top_genes.map_or(n_vars, |n| n.min(n_vars));
    let whole = modality.kind == Modality::Atac;
    Ok(Some(CountsWork {
        n_vars,
        nnz: size.nnz,
        streamed: size.streamed && !whole,
        kept: size.kept || keeps_normalised,
        n_selected: if options.select.reads_expression() { n_vars } else { n_selected },
        n_components: options.n_pcs.min(n_selected).min(tissue.n_obs()),
        keeps_normalised: keeps_normalised && !whole,
    }))
}

/// Says what a run will take, and refuses what cannot fit, naming the option that would make it fit.
///
/// # Errors
/// [`PipelineError::Memory`].
pub(super) fn announce(
    title: &str,
    n_obs: usize,
    need: &Need<'_>,
    monitor: &dyn Monitor,
) -> Result<Forecast, PipelineError> {
    let forecast = need.forecast;
    let needed = in_words(forecast.bytes);
    let time = forecast.seconds.map_or(String::new(), |s| format!(" and about {}", time_in_words(s)));
    let Some(available) = available_bytes() else {
        monitor.note(&format!("forecast: {needed} of memory{time} for {n_obs} spots"));
        return Ok(forecast);
    };
    let free = in_words(available);
    monitor.note(&format!("forecast: {needed} of memory{time} for {n_obs} spots, {free} are free"));
    if forecast.bytes <= available {
        return Ok(forecast);
    }
    let (work, advice) = (format!("{title} on {n_obs} spots"), (need.advice)(available));
    Err(PipelineError::Memory { work, needed, available: free, advice })
}

/// The first of ever stronger reductions that fits.
fn advice(work: &Work, available: u64) -> String {
    type Reduce = fn(&mut Work, usize);
    let genes: Reduce = |work, n| work.counts.iter_mut().for_each(|c| c.n_selected = c.n_selected.min(n));
    let neighbors: Reduce = |work, k| work.latent.iter_mut().for_each(|l| l.0 = l.0.min(k));
    let in_space: Reduce = |work, k| work.spatial = work.spatial.map(|n| n.min(k));
    let steps = [
        (Opt("n_top_genes"), 2000, genes),
        (Opt("n_top_genes"), 1000, genes),
        (Opt("n_top_genes"), 500, genes),
        (Opt("n_neighbors"), 10, neighbors),
        (Opt("n_neighbors"), 6, neighbors),
        (Opt("n_spatial"), 6, in_space),
    ];
    let mut smaller = work.clone();
    let mut said: Vec<(Opt, usize)> = Vec::new();
    for (option, value, reduce) in steps {
        let mut next = smaller.clone();
        reduce(&mut next, value);
        // What does not help is not advised.
        if next.bytes() >= smaller.bytes() {
            continue;
        }
        smaller = next;
        said.retain(|s| s.0 != option);
        said.push((option, value));
        if smaller.bytes() <= available {
            let options: Vec<String> = said.iter().map(|(o, v)| o.set(v).to_string()).collect();
            return format!("take less with {}", options.join(" "));
        }
    }
    FEWER_SPOTS.to_owned()
}

/// `5 s`, `3 min`, `2 h`.
pub fn time_in_words(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{:.0} s", seconds.max(1.0))
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(n_obs: usize) -> Work {
        Work {
            n_obs,
            n_vars: 2000,
            counts: vec![CountsWork {
                n_vars: 2000,
                nnz: n_obs * 100,
                streamed: true,
                kept: true,
                n_selected: 2000,
                n_components: 30,
                keeps_normalised: false,
            }],
            latent: vec![(15, 30)],
            spatial: Some(10),
            edges_read: 0,
            n_clusterings: 1,
        }
    }

    #[test]
    fn memory_grows_with_the_spots_and_not_faster() {
        let (small, large) = (work(100_000).bytes(), work(1_000_000).bytes());
        assert!(large > 5 * small && large <= 10 * small, "{small} {large}");
        assert!(large < 16_000_000_000, "{large}");
        assert!(work(1_000_000).seconds(2) > 5.0 * work(100_000).seconds(2) / 2.0);
    }

    #[test]
    fn fewer_genes_are_advised_where_they_help_and_a_part_of_the_spots_where_nothing_does() {
        let mut wide = work(1_000_000);
        wide.counts[0].n_vars = 20_000;
        wide.counts[0].n_selected = 20_000;
        wide.counts[0].nnz = 2_000_000_000;
        wide.counts[0].kept = false;
        let needed = wide.bytes();
        assert!(advice(&wide, needed - 1_000_000_000).contains("n_top_genes = 2000"));
        assert!(advice(&wide, 1_000_000).contains("part of the spots"));
        let narrow = work(1_000_000);
        let tight = narrow.bytes() - 100_000_000;
        assert_eq!(advice(&narrow, tight), "take less with `n_neighbors = 10`");
    }

    #[test]
    fn times_in_words() {
        assert_eq!(time_in_words(0.2), "1 s");
        assert_eq!(time_in_words(100.0), "2 min");
        assert_eq!(time_in_words(7200.0), "2 h");
    }
}
