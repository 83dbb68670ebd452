//! STAIG, from counts to domains: of one slice, or of many without alignment.
//!
//! ```text
//! counts ─ features ──────────────────┐
//! coordinates ─ graph ─ edge drop ────┼─ network (train|load) ─ embedding ─ domains ─ vote of the neighbours
//! image features ─ edge drop, classes ┘        × restarts                     consensus
//! ```
//!
//! * [`request`]: what a caller asks for.
//! * [`model_file`]: a trained network as a file.
//! * `inputs`: what edges and negatives are judged by: components, image features.
//! * `training`: one or several networks, with checkpoints.
//! * [`apart`]: the same of slices that lie in several places.

pub mod apart;
mod inputs;
pub mod model_file;
pub mod request;
mod training;

use brodmann_data::{Column, DataFrame, keys};
use brodmann_kernels::{Opt, Seed};
use indexmap::IndexMap;
use ndarray::Array2;
use serde_json::{Value as Json, json};

pub use request::StaigRequest;

use self::apart::Apart;
use self::model_file::{CardOf, SavedModel};
use self::training::Trained;
use super::PipelineError;
use super::clustering::EmbeddingMethod;
use super::domains::{Domains, Embedding};
use super::expression::{self, CLUSTER_NEIGHBORS, Expression, FeatureSummary};
use super::fingerprint::Fingerprint;
use super::forecast::{FEWER_SPOTS, Forecast, Need, product_bytes};
use super::known;
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::run::{Run, Stage};
use super::scene::Scene;
use super::tissue::ModalityInfo;
use crate::models::staig::{EdgeDrop, EdgeRule, Negatives, StaigOptions, StaigTissue, memory_bytes};

/// Edges either way of a union of nearest neighbours, per neighbour asked for, about.
const EDGES_PER_NEIGHBOR: f64 = 1.25;

/// What is known of a run of STAIG alone.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StaigFacts {
    /// The features.
    pub features: FeatureSummary,
    /// Stored edges of the spatial graph, both directions.
    pub n_edges: usize,
    /// Where the probabilities of dropping edges came from; `None` without training.
    pub edge_rule: Option<&'static str>,
    /// How negatives were summed; `None` without training.
    pub negatives: Option<&'static str>,
    /// Largest relative error the polynomial can have caused in a denominator; `None` with exact negatives.
    pub moments_bound: Option<f64>,
    /// Epochs and last loss of the network kept.
    #[serde(skip)]
    trained: Option<(usize, f64)>,
}

impl Facts for StaigFacts {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.features.line(self.n_edges)];
        if let (Some((n_epochs, loss)), Some(negatives)) = (self.trained, self.negatives) {
            let bound = self.moments_bound.map_or(String::new(), |b| format!(" (error below {b:.1e})"));
            lines.push(format!("loss {loss:.4} after {n_epochs} epochs, negatives {negatives}{bound}"));
        }
        lines
    }
}

/// STAIG as a method: the request, and the model it names.
///
/// Written beside what every method writes, with `key` the name of the result: `var["key_features"]`, with restarts
/// `obs["key_stability"]`.
///
/// # Source
/// Yang et al. 2025 (STAIG).
pub struct Staig {
    request: StaigRequest,
    saved: Option<SavedModel>,
    /// What slices that lie apart have come to: what is left is to find the domains.
    apart: Option<Apart>,
}

impl Staig {
    /// Reads the model that the request names, if it names one.
    ///
    /// # Errors
    /// As [`model_file::load`].
    pub fn new(request: StaigRequest) -> Result<Self, PipelineError> {
        let saved = request.models.load_model.as_deref().map(model_file::load).transpose()?;
        Ok(Self { request, saved, apart: None })
    }

    /// The options of the network, with what the data decide.
    fn options(&self, scene: &Scene<'_>) -> Result<StaigOptions, PipelineError> {
        match &self.saved {
            Some(saved) => Ok(saved.model.options().clone()),
            None => self.request.options_for(scene.n_slices, scene.n_obs()),
        }
    }
}

/// What a run has in hand after the network.
pub struct StaigSolved {
    info: ModalityInfo,
    expression: Expression,
    n_edges: usize,
    options: StaigOptions,
    /// The networks; none with a loaded model.
    trained: Vec<Trained>,
    data_hash: String,
}

impl Method for Staig {
    type Solved = StaigSolved;
    type Facts = StaigFacts;

    fn frame(&self) -> Frame<'_> {
        let request = &self.request;
        Frame {
            modality: request.features.modality,
            features: Some(&request.features),
            domains: Some((&request.domains, CLUSTER_NEIGHBORS)),
            models: Some(&request.models),
            ..Frame::new(keys::STAIG, "STAIG", &request.place, &request.naming)
        }
    }

    fn reads(&self, reads: &mut Reads) {
        reads.obsm.extend(self.request.training.image_key.iter().cloned());
        if self.request.slide.is_asked_for() {
            reads.uns.push(keys::SPATIAL.to_owned());
        }
    }

    fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.request.check(n_obs)
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        if self.apart.is_some() {
            return Ok(None);
        }
        let info = expression::choose(scene.tissue)?;
        if self.request.models.save_model.is_some() {
            // A model is applied by the names of genes, so they must be names.
            DataFrame::new(scene.tissue.var_names(&info).to_vec()).require_unique("var")?;
        }
        let options = self.options(scene)?;
        let n_obs = scene.n_obs();
        let expected = expression::expected(scene, &info, &self.request.wanted())?;
        let n_edges = (n_obs as f64 * options.n_neighbors as f64 * EDGES_PER_NEIGHBOR) as usize;
        let bytes = move |options: &StaigOptions| {
            let training = memory_bytes(n_obs, expected.n_features, n_edges, options);
            // Components are found before.
            expected.with(training.max(product_bytes(n_obs, expected.n_features)))
        };
        let forecast = Forecast { bytes: bytes(&options), seconds: None };
        let advice = move |available: u64| {
            let fits = |width: usize, layers: usize| {
                let smaller = StaigOptions { layers, width, ..options.clone() };
                bytes(&smaller) <= available
            };
            let smaller = [(64, 1), (32, 1), (16, 1), (8, 1)].into_iter().find(|&(w, l)| {
                (w < options.width || l < options.layers) && w <= options.width && fits(w, l)
            });
            match smaller {
                Some((width, layers)) if self.saved.is_none() => format!(
                    "narrow the network with {} {}",
                    Opt("width").set(width),
                    Opt("layers").set(layers)
                ),
                _ => FEWER_SPOTS.to_owned(),
            }
        };
        Ok(Some(Need { forecast, advice: Box::new(advice) }))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, StaigSolved), PipelineError> {
        let (request, slices) = (&self.request, scene.slices());
        let (seed, monitor) = (run.seed, run.monitor);
        let info = expression::choose(scene.tissue)?;
        if let Some(apart) = &self.apart {
            let clustering = self.clustering()?;
            return Ok(apart.solved(info, clustering));
        }
        let options = self.options(scene)?;
        // Space first: a tissue without coordinates is refused before the expensive stages.
        let coordinates = scene.tissue.coordinates(&request.place.spatial_key)?;
        let graph = expression::graph(coordinates.view(), options.n_neighbors, slices, run)?;
        // Held to the end: two trainings in one folder would each go on from what the other saved.
        let files: Vec<_> = (0..request.training.restarts).map(training::file).collect();
        let _reserved = request.models.checkpoints().map(|c| c.prepare(&files)).transpose()?;
        let image = if request.slide.is_asked_for() {
            Some(inputs::seen(scene, request, run)?)
        } else {
            inputs::given_features(scene.tissue, &scene.files, &request.training.image_key, monitor)?
        };
        let made = match &self.saved {
            Some(saved) => {
                expression::project(scene, &info, (&saved.map, &saved.names), &request.features, run)?
            }
            None => expression::prepare(scene, &info, &request.wanted(), run)?,
        };
        let mut fingerprint =
            Fingerprint::default().table(coordinates.view()).slices(slices).text(&made.data_hash);
        if let Some(image) = &image {
            fingerprint = fingerprint.table(image.view());
        }
        let data_hash = fingerprint.hex();

        // What edges are judged by, where they are: a network that is only applied sees the whole graph.
        let trains = self.saved.is_none();
        let judges = trains || options.average_views;
        let components = if judges && options.edge_rule == EdgeRule::Expression {
            Some(inputs::components(&made.values, slices, run)?)
        } else {
            None
        };
        let edge_drop = if judges {
            inputs::edge_drop(&graph, &options, components.as_ref(), image.as_ref())?
        } else {
            EdgeDrop::Fixed(0.0)
        };
        let classes = if trains {
            inputs::image_classes(image.as_ref(), options.image_classes, seed, monitor)?
        } else {
            None
        };
        let shown = StaigTissue {
            features: made.values.view(),
            graph: graph.view(),
            slices,
            classes: classes.as_deref(),
            edge_drop: &edge_drop,
        };
        let (embeddings, trained) = self.embed(&shown, &options, &data_hash, run)?;
        let mut made = made;
        let before = made.before.take();
        let outcome = Outcome::Embeddings { embeddings, clustering: self.clustering()?, before };
        let n_edges = graph.nnz();
        Ok((outcome, StaigSolved { info, expression: made, n_edges, options, trained, data_hash }))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        solved: StaigSolved,
        domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<StaigFacts>, PipelineError> {
        let StaigSolved { info, expression, n_edges, options, trained, data_hash } = solved;
        let kept = trained.get(domains.kept);
        if let (Some(path), Some(kept)) = (&self.request.models.save_model, kept) {
            let about = CardOf {
                n_obs: scene.n_obs(),
                n_slices: scene.n_slices,
                n_epochs: kept.epochs.len(),
                loss: kept.epochs.last().map(|e| e.loss),
                data_hash: &data_hash,
                known: domains.known.as_ref(),
            };
            run.timed(Stage::Write, || {
                model_file::save(path, &kept.model, &expression.map, &expression.names, &about)
            })?;
            run.monitor.note(&format!("model written to {}", path.display()));
        }
        let features = expression.summary();
        let key = self.frame().key();
        let seen = Column::Bool(expression.selected.clone());
        run.target(info.key.as_deref()).var.insert(format!("{key}_features"), seen);

        let moments = kept.filter(|t| t.negatives == Negatives::Moments);
        let mut written = Written::from([("features".to_owned(), json!(features).into())]);
        if let Some(kept) = kept {
            written.insert("negatives".to_owned(), kept.negatives.name().into());
        }
        if let Some(kept) = moments {
            let bounds: Vec<f64> = kept.epochs.iter().map(|e| e.bound).collect();
            written.insert("moments_bound".to_owned(), bounds.into());
        }
        if domains.consensus.is_some() {
            written.insert("restarts".to_owned(), restarts(&trained).into());
        }
        let losses = kept.map(|t| t.epochs.iter().map(|e| e.loss).collect());
        let mut params = self.params(&options, &expression, scene, trained.len(), run.seed);
        params["refine"] = json!(domains.refine);
        Ok(Finished {
            params,
            history: losses.map(|l| ("loss".to_owned(), l)).into_iter().collect::<IndexMap<_, Vec<f64>>>(),
            stopped_early: false,
            data_hash: Some(data_hash),
            written,
            facts: StaigFacts {
                features,
                n_edges,
                edge_rule: kept.map(|_| options.edge_rule.name()),
                negatives: kept.map(|t| t.negatives.name()),
                moments_bound: moments.map(|t| t.epochs.iter().fold(0.0, |l: f64, e| l.max(e.bound))),
                trained: kept.and_then(|t| Some((t.epochs.len(), t.epochs.last()?.loss))),
            },
        })
    }
}

impl Staig {
    /// How the embedding becomes domains: the model's own, unless others are asked for.
    fn clustering(&self) -> Result<EmbeddingMethod, PipelineError> {
        let known = self.saved.as_ref().and_then(|saved| saved.known.as_ref());
        let by_default = StaigRequest::preset(self.request.preset).domains;
        known::clustering(&self.request.domains, &by_default, known, CLUSTER_NEIGHBORS)
    }

    /// The embeddings of the networks, trained or loaded.
    fn embed(
        &self,
        shown: &StaigTissue<'_>,
        options: &StaigOptions,
        data_hash: &str,
        run: &mut Run<'_>,
    ) -> Result<(Vec<Embedding>, Vec<Trained>), PipelineError> {
        let of = |seed: Seed, embedding: Array2<f32>| Embedding {
            seed,
            clustered: embedding.mapv(f64::from),
            written: Some(embedding),
            source: None,
        };
        let monitor = run.monitor;
        if let Some(saved) = &self.saved {
            monitor.stage("applying the network", 0);
            let embedding = run.timed(Stage::Train, || saved.model.apply(shown, monitor))?;
            return Ok((vec![of(run.seed, embedding)], Vec::new()));
        }
        let start = std::time::Instant::now();
        let mut trained = training::train_all(shown, &self.request, options, data_hash, run)?;
        run.seconds.train += start.elapsed().as_secs_f64();
        let embeddings = trained
            .iter_mut()
            .map(|t| of(t.seed, std::mem::replace(&mut t.embedding, Array2::zeros((0, 0)))))
            .collect();
        Ok((embeddings, trained))
    }

    /// All that repeats the run.
    fn params(
        &self,
        options: &StaigOptions,
        expression: &Expression,
        scene: &Scene<'_>,
        n_trained: usize,
        seed: Seed,
    ) -> Json {
        let request = &self.request;
        let mut params = json!(options);
        params["preset"] = json!(request.preset);
        params["random_state"] = json!(seed.0);
        params["restarts"] = json!(n_trained.max(1));
        params["spatial_key"] = json!(request.place.spatial_key);
        params["library_key"] = json!(scene.library_key);
        params["load_model"] = json!(request.models.load_model);
        if !request.training.image_key.is_empty() {
            params["image"] = json!(request.training.image_key.join(","));
        }
        if request.slide.is_asked_for() {
            params["slide"] = json!(request.slide);
            params["encoder"] = json!(request.encoder);
        }
        params["preprocess"] = expression.describe(&request.features);
        params
    }
}

/// What the record says of each of several networks.
fn restarts(trained: &[Trained]) -> Json {
    let loss = |t: &Trained| t.epochs.last().map_or(f64::NAN, |e| e.loss);
    json!({
        // As text: a seed has 64 bits, a number in a file 63.
        "seeds": trained.iter().map(|t| t.seed.0.to_string()).collect::<Vec<_>>(),
        "loss": trained.iter().map(loss).collect::<Vec<_>>(),
    })
}
