//! Leiden and SpatialLeiden: one partition that is good in several neighbour graphs at once.

use brodmann_data::{Value, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError, Seed};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PipelineError;
use super::clustering::note_unreached;
use super::domains::{Domains, Labels};
use super::forecast::{Need, work_of};
use super::graphs::{latent_graph, spatial_graph};
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{
    FeatureRequest, GraphRequest, Naming, PerLayer, Place, SPATIAL_LAYER, check_n_clusters, check_resolutions,
};
use super::run::{Run, Stage};
use super::said::Said;
use super::scene::Scene;
use crate::cluster::{
    Layer, LeidenOptions, Partition, Quality, SearchOptions, is_layer_weight, leiden_multiplex_with,
    search_n_clusters,
};
use crate::graph::is_symmetric;

/// What the search for a number of clusters takes, for the forecast: on large graphs scouts and a clustering to the end.
const CLUSTERINGS_OF_A_SEARCH: usize = 2;

/// What is optimised, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartitionOptions {
    /// Clusters wanted: the resolution is searched for.
    pub n_clusters: Option<usize>,
    /// Resolution per layer, 1 by default.
    pub resolution: PerLayer<f64>,
    /// Weight per layer, 1 by default.
    pub layer_weights: PerLayer<f64>,
    /// Weight of the spatial layer, where `layer_weights` does not name it.
    pub layer_ratio: Option<f64>,
    /// Directed or not, per layer; not by default.
    pub directed: PerLayer<bool>,
    /// Use the edge weights.
    pub use_weights: bool,
    /// Quality function.
    pub quality: Quality,
    /// Iterations; −1 to convergence.
    pub n_iterations: i64,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            n_clusters: None,
            resolution: PerLayer::default(),
            layer_weights: PerLayer::default(),
            layer_ratio: None,
            directed: PerLayer::default(),
            use_weights: true,
            quality: Quality::default(),
            n_iterations: -1,
        }
    }
}

impl PartitionOptions {
    /// Iterations as the algorithm takes them: `None` to convergence.
    fn iterations(&self) -> Result<Option<u32>, PipelineError> {
        match self.n_iterations {
            -1 => Ok(None),
            n => match u32::try_from(n) {
                Ok(n) if n > 0 => Ok(Some(n)),
                _ => {
                    Err(OptionError::new("n_iterations", n, "1 or more, or -1 to run to convergence").into())
                }
            },
        }
    }
}

/// A run of Leiden or SpatialLeiden.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeidenRequest {
    /// With the spatial layer (SpatialLeiden) or without (Leiden).
    pub spatial: bool,
    /// What is optimised.
    pub partition: PartitionOptions,
    /// Features.
    pub features: FeatureRequest,
    /// Graphs.
    pub graphs: GraphRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// Names of result and truth.
    pub naming: Naming,
}

impl LeidenRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(spatial: bool, said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            spatial,
            partition: sections.take(&base.partition)?,
            features: sections.take(&base.features)?,
            graphs: sections.take(&base.graphs)?,
            place: sections.take(&base.place)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(request.name())?;
        if said.has("layer_ratio") && said.has("layer_weights") {
            let expected = format!("it or {}, not both", Opt("layer_weights"));
            return Err(
                OptionError::new("layer_ratio", "given together with weights by layer", expected).into()
            );
        }
        if said.has("resolution") && said.has("n_clusters") {
            let found = "given together with a number of clusters";
            return Err(OptionError::new("resolution", found, "one of the two").into());
        }
        Ok(request)
    }

    fn name(&self) -> &'static str {
        if self.spatial { keys::SPATIALLEIDEN } else { keys::LEIDEN }
    }

    /// The layers of a tissue: its modalities, and space.
    fn layer_names(&self, scene: &Scene<'_>) -> Vec<String> {
        let mut names: Vec<String> = scene.tissue.modalities().iter().map(|m| m.name.clone()).collect();
        if self.spatial {
            names.push(SPATIAL_LAYER.to_owned());
        }
        names
    }
}

/// One layer as it entered the clustering.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerReport {
    /// Layer name.
    pub name: String,
    /// Weight.
    pub weight: f64,
    /// Resolution, searched or given.
    pub resolution: f64,
    /// Read as directed.
    pub directed: bool,
    /// Stored edges.
    pub n_edges: usize,
    /// Quality of the partition in this layer, unweighted.
    pub quality: f64,
}

/// What is known of a partition beside its labels.
#[derive(Clone, Debug, serde::Serialize)]
pub struct LeidenFacts {
    /// Domains asked for, if any.
    pub n_clusters_requested: Option<usize>,
    /// Iterations of Leiden.
    pub n_iterations: u32,
    /// Whether the last iteration changed nothing.
    pub converged: bool,
    /// The layers.
    pub layers: Vec<LayerReport>,
}

impl Facts for LeidenFacts {
    fn lines(&self) -> Vec<String> {
        let layer = |l: &LayerReport| {
            format!(
                "layer {:<10} weight {:<6} resolution {:<8.4} {} edges",
                l.name, l.weight, l.resolution, l.n_edges
            )
        };
        self.layers.iter().map(layer).collect()
    }
}

/// What options that name layers stand for.
struct PerLayerOptions {
    weights: Vec<f64>,
    resolutions: Vec<f64>,
    directed: Vec<bool>,
}

impl LeidenRequest {
    fn per_layer(&self, names: &[String]) -> Result<PerLayerOptions, PipelineError> {
        let of = &self.partition;
        let ratio = of.layer_ratio.unwrap_or(1.0);
        let unsaid = |layer: &str| if layer == SPATIAL_LAYER { ratio } else { 1.0 };
        let weights = of.layer_weights.resolve(names, "layer_weights", unsaid)?;
        let resolutions = of.resolution.resolve(names, "resolution", |_| 1.0)?;
        let directed = of.directed.resolve(names, "directed", |_| false)?;
        check_resolutions(&resolutions)?;
        check_weights(&weights, if of.layer_ratio.is_some() { "layer_ratio" } else { "layer_weights" })?;
        Ok(PerLayerOptions { weights, resolutions, directed })
    }
}

impl Method for LeidenRequest {
    type Solved = LeidenFacts;
    type Facts = LeidenFacts;

    fn frame(&self) -> Frame<'_> {
        let title = if self.spatial { "SpatialLeiden" } else { "Leiden" };
        let frame = Frame::new(self.name(), title, &self.place, &self.naming);
        let (features, graphs) = (Some(&self.features), Some(&self.graphs));
        let integrate = Some(self.graphs.integrate);
        Frame { modality: self.features.modality, features, graphs, integrate, ..frame }
    }

    fn reads(&self, reads: &mut Reads) {
        reads.obsm.extend([keys::X_PCA.to_owned(), keys::X_LSI.to_owned()]);
        reads.obsm.extend(self.graphs.use_rep.clone());
        reads.obsp.extend([keys::CONNECTIVITIES.to_owned(), keys::SPATIAL_CONNECTIVITIES.to_owned()]);
    }

    fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.partition.iterations()?;
        if let Some(k) = self.partition.n_clusters {
            check_n_clusters(k, n_obs)?;
            if self.partition.quality == Quality::Modularity {
                let found = "modularity, which has no resolution to search";
                let expected = format!("rb (its generalisation), cpm or rber with {}", Opt("n_clusters"));
                return Err(OptionError::new("quality", found, expected).into());
            }
        }
        Ok(())
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        // Options that name layers are resolved before any work, so that a typing error costs no time.
        self.per_layer(&self.layer_names(scene))?;
        // A number of clusters is searched without space first.
        let n_searches = if self.spatial { 2 } else { 1 };
        let n_clusterings = self.partition.n_clusters.map_or(1, |_| n_searches * CLUSTERINGS_OF_A_SEARCH);
        let work =
            work_of(scene.tissue, &self.features, &self.graphs, &self.place, self.spatial, n_clusterings)?;
        Ok(Some(work.into_need()))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, LeidenFacts), PipelineError> {
        let (tissue, slices) = (scene.tissue, scene.slices());
        let (seed, monitor) = (run.seed, run.monitor);
        let names = self.layer_names(scene);
        let PerLayerOptions { weights, resolutions, directed } = self.per_layer(&names)?;
        // Space first: a tissue without coordinates is refused before the expensive stages.
        let space = if self.spatial {
            Some(spatial_graph(tissue, &self.graphs, &self.place, slices, run)?)
        } else {
            None
        };
        let mut graphs: Vec<CsrMatrix<f64>> = Vec::with_capacity(names.len());
        for modality in tissue.modalities() {
            graphs.push(latent_graph(tissue, modality, &self.features, &self.graphs, slices, run)?);
        }
        graphs.extend(space);

        let mut layers: Vec<Layer<'_>> = graphs.iter().map(Layer::new).collect();
        for (l, layer) in layers.iter_mut().enumerate() {
            layer.weight = weights[l];
            layer.resolution = resolutions[l];
            layer.directed = directed[l];
            // Neighbour rows in a file need not be mutual; such a graph is read as what it is, not refused.
            if !layer.directed && !is_symmetric(graphs[l].view()) {
                monitor.note(&format!("{}: the graph is not symmetric, read as directed", names[l]));
                layer.directed = true;
            }
            layer.use_weights = self.partition.use_weights;
            layer.quality = self.partition.quality;
        }
        let options =
            LeidenOptions { n_iterations: self.partition.iterations()?, ..LeidenOptions::default() };
        let Found { partition, exact } =
            run.timed(Stage::Cluster, || cluster(&mut layers, self, &options, seed, monitor))?;

        let layers: Vec<LayerReport> = (0..layers.len())
            .map(|l| LayerReport {
                name: names[l].clone(),
                weight: layers[l].weight,
                resolution: layers[l].resolution,
                directed: layers[l].directed,
                n_edges: graphs[l].nnz(),
                quality: partition.layer_quality[l],
            })
            .collect();
        let facts = LeidenFacts {
            n_clusters_requested: self.partition.n_clusters,
            n_iterations: partition.n_iterations,
            converged: partition.converged,
            layers,
        };
        let (labels, quality) = (partition.membership, partition.quality);
        Ok((Outcome::Labels(Labels { labels, quality, reached: exact, refine: 0 }), facts))
    }

    fn finish(
        &self,
        _scene: &Scene<'_>,
        facts: LeidenFacts,
        _domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<LeidenFacts>, PipelineError> {
        let per_layer = |f: &dyn Fn(&LayerReport) -> Value| {
            Value::Dict(facts.layers.iter().map(|l| (l.name.clone(), f(l))).collect())
        };
        let of = &self.partition;
        let params = json!({
            "use_weights": of.use_weights,
            "quality": of.quality,
            "n_iterations": of.n_iterations,
            "n_clusters": of.n_clusters,
            "random_state": run.seed.0,
        });
        // Values by layer, as they came out: with a number of clusters the resolution was searched for.
        let resolved: IndexMap<String, Value> = [
            ("resolution", per_layer(&|l| Value::Float(l.resolution))),
            ("layer_weights", per_layer(&|l| Value::Float(l.weight))),
            ("directed", per_layer(&|l| Value::Bool(l.directed))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let written = Written::from([
            ("params".to_owned(), Value::Dict(resolved)),
            ("layer_quality".to_owned(), per_layer(&|l| Value::Float(l.quality))),
            ("converged".to_owned(), Value::Bool(facts.converged)),
        ]);
        Ok(Finished {
            facts,
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: None,
            written,
        })
    }
}

struct Found {
    partition: Partition,
    exact: bool,
}

fn cluster(
    layers: &mut [Layer<'_>],
    request: &LeidenRequest,
    options: &LeidenOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Found, PipelineError> {
    let Some(k) = request.partition.n_clusters else {
        monitor.stage("Leiden", 0);
        let partition = leiden_multiplex_with(layers, options, seed, monitor)?;
        return Ok(Found { partition, exact: true });
    };
    let search = SearchOptions { leiden: options.clone(), ..SearchOptions::default() };
    let spatial = request.spatial.then(|| layers.len() - 1);
    let found = search_n_clusters(layers, spatial, k, &search, seed, monitor)?;
    for (layer, resolution) in layers.iter_mut().zip(&found.resolution) {
        layer.resolution = *resolution;
    }
    if let Some(latent) = &found.latent {
        monitor.note(&format!(
            "resolution {:.4} gives {} clusters without space",
            latent.resolution, latent.n_clusters_found
        ));
    }
    let found = found.last;
    monitor.note(&format!("resolution {:.4} gives {} clusters", found.resolution, found.n_clusters_found));
    note_unreached(&found, k, monitor);
    Ok(Found { partition: found.partition, exact: found.exact })
}

fn check_weights(weights: &[f64], option: &'static str) -> Result<(), PipelineError> {
    if let Some(w) = weights.iter().find(|w| !is_layer_weight(**w)) {
        return Err(OptionError::new(option, w, "a number of 0 or more, at most 1e9").into());
    }
    if weights.iter().all(|w| *w == 0.0) {
        let expected = "a weight above 0 for at least one layer";
        return Err(OptionError::new(option, "0 for every layer", expected).into());
    }
    Ok(())
}
