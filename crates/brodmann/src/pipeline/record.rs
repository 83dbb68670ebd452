//! What a run did: one record, of which `uns`, the report as JSON and the lines for a person are views.

use brodmann_data::Value;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::clustering::TriedNumber;
use super::domains::Domains;
use super::forecast::Forecast;
use super::method::{Facts, Finished, Frame, Written};
use super::run::Seconds;
use super::scene::Scene;
use super::scores::{IntegrationReport, Scores, SliceReport, TruthScores};

/// Domains listed by size in the lines for a person, at most.
const SHOWN: usize = 20;
/// Largest domain that is called small.
const SMALL_DOMAIN: usize = 3;

/// What a run did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunRecord<F> {
    /// The method.
    pub method: &'static str,
    /// Of this program.
    pub version: &'static str,
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// Domains found.
    pub n_clusters: usize,
    /// Whether the number asked for was reached; true when none was asked for.
    pub n_clusters_reached: bool,
    /// How the number of domains was chosen; `None` when it was given.
    pub n_clusters_by: Option<&'static str>,
    /// The numbers of domains tried, where none was given.
    pub tried: Vec<TriedNumber>,
    /// Quality of Leiden or log-likelihood of a mixture (higher is better), inertia of k-means (lower is better).
    pub quality: f64,
    /// Bayesian information criterion of a mixture, higher is better.
    pub bic: Option<f64>,
    /// How the embedding was clustered.
    pub cluster_method: Option<&'static str>,
    /// Size of each domain, largest first.
    pub sizes: Vec<usize>,
    /// Spots that voted on a spot's domain; 0 without refinement.
    pub refine: usize,
    /// Spots whose domain the vote changed.
    pub n_refined: Option<usize>,
    /// `obs` column and `uns` entry written.
    pub key_added: String,
    /// `obsm` key of the embedding written.
    pub use_rep: Option<String>,
    /// Epochs trained, those before a resumption counted; 0 without training.
    pub n_epochs: usize,
    /// Whether early stopping ended training.
    pub stopped_early: bool,
    /// After the last epoch; `None` without training.
    pub loss: Option<f64>,
    /// Of several networks.
    pub restarts: Option<RestartReport>,
    /// The slices, where there are several.
    pub slices: Vec<SliceReport>,
    /// How well the slices mix, where there are several.
    pub integration: Option<IntegrationReport>,
    /// Memory the run was expected to take at its peak, in bytes.
    pub forecast_bytes: Option<u64>,
    /// Wall-clock seconds it was expected to take, roughly.
    pub forecast_seconds: Option<f64>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
    /// The same before refinement, where labels were refined.
    pub metrics_unrefined: Option<TruthScores>,
    /// What is known of this method alone.
    #[serde(flatten)]
    pub facts: F,
}

/// What several networks agree on.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RestartReport {
    /// Networks trained.
    pub n: usize,
    /// Mean adjusted Rand index of two of them.
    pub agreement: f64,
    /// Adjusted Rand index of each with the consensus.
    pub run_agreement: Vec<f64>,
    /// The one whose embedding is kept, from 0.
    pub kept: usize,
    /// Mean share of the networks that put a spot where the consensus does.
    pub mean_stability: f64,
}

/// Whether an entry of `uns` is the record of a run.
pub(super) fn is_record(entry: &Value) -> bool {
    let Value::Dict(entries) = entry else { return false };
    ["method", "version", "params", "n_clusters"].iter().all(|key| entries.contains_key(*key))
}

impl<F: Facts> RunRecord<F> {
    /// The record, and what of it stands in `uns`.
    // Everything that is known at the end of a run comes together here, once.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn new(
        frame: &Frame<'_>,
        scene: &Scene<'_>,
        domains: Domains,
        scores: Scores,
        finished: Finished<F>,
        use_rep: Option<String>,
        forecast: Option<Forecast>,
        seconds: Seconds,
    ) -> (Self, Value) {
        let restarts = domains.consensus.as_ref().map(|c| RestartReport {
            n: c.run_agreement.len(),
            agreement: c.agreement,
            run_agreement: c.run_agreement.clone(),
            kept: domains.kept,
            mean_stability: c.stability.iter().sum::<f64>() / c.stability.len().max(1) as f64,
        });
        let losses = finished.history.get("loss");
        let record = Self {
            method: frame.name,
            version: env!("CARGO_PKG_VERSION"),
            n_obs: scene.n_obs(),
            n_slices: scene.n_slices,
            n_clusters: domains.n_clusters(),
            n_clusters_reached: domains.reached,
            n_clusters_by: (!domains.tried.is_empty())
                .then(|| frame.domains.map(|(options, _)| options.select_by.name()))
                .flatten(),
            quality: domains.quality,
            bic: domains.mixture.as_ref().map(|m| m.bic),
            cluster_method: domains.method.as_ref().map(super::clustering::EmbeddingMethod::name),
            sizes: domains.sizes(),
            refine: domains.refine,
            n_refined: domains.n_refined(),
            key_added: frame.key().to_owned(),
            use_rep,
            n_epochs: losses.map_or(0, Vec::len),
            stopped_early: finished.stopped_early,
            loss: losses.and_then(|l| l.last().copied()),
            restarts,
            tried: domains.tried,
            slices: scores.slices,
            integration: scores.integration,
            forecast_bytes: forecast.map(|f| f.bytes),
            forecast_seconds: forecast.and_then(|f| f.seconds),
            seconds,
            metrics: scores.truth,
            metrics_unrefined: scores.truth_unrefined,
            facts: finished.facts,
        };
        let mut params = finished.params;
        if let Some(method) = domains.method {
            let mut cluster = method.describe();
            if let (Some(all), Some(more)) = (cluster.as_object_mut(), params["cluster"].as_object()) {
                all.extend(more.clone());
            }
            params["cluster"] = cluster;
        }
        let mut uns = record.uns(params, finished.history, finished.data_hash);
        for (key, value) in finished.written {
            match (uns.get_mut(&key), value) {
                (Some(Value::Dict(of_all)), Value::Dict(own)) => of_all.extend(own),
                (_, value) => {
                    uns.insert(key, value);
                }
            }
        }
        (record, Value::Dict(uns))
    }

    /// What stands in `uns` of every method. What was not set is left out: before 0.12 anndata cannot read a null.
    fn uns(&self, params: Json, history: IndexMap<String, Vec<f64>>, data_hash: Option<String>) -> Written {
        let mut uns = Written::new();
        let mut set = |key: &str, value: Value| {
            if value != Value::Null {
                uns.insert(key.to_owned(), value);
            }
        };
        set("method", self.method.into());
        set("version", self.version.into());
        set("params", without_nulls(params).into());
        if !history.is_empty() {
            let curves = history.into_iter().map(|(term, values)| (term, values.into()));
            set("n_epochs", self.n_epochs.into());
            set("stopped_early", self.stopped_early.into());
            set("loss", Value::Dict(curves.collect()));
        }
        set("n_clusters", self.n_clusters.into());
        set("n_clusters_reached", self.n_clusters_reached.into());
        set("quality", self.quality.into());
        set("bic", self.bic.map_or(Value::Null, Value::from));
        set("data_hash", data_hash.map_or(Value::Null, Value::from));
        if !self.tried.is_empty() {
            set("tried", tried(&self.tried));
        }
        if let Some(restarts) = &self.restarts {
            set("restarts", json!(restarts).into());
        }
        if let Some(integration) = &self.integration {
            set("integration", without_nulls(json!(integration)).into());
        }
        let mut seconds = json!(self.seconds);
        // The record is written before the writing ends.
        seconds.as_object_mut().and_then(|s| s.remove("write"));
        set("seconds", seconds.into());
        uns
    }

    /// The record as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let chosen = match self.n_clusters_by {
            Some(by) => format!(" (chosen by {by})"),
            None if !self.n_clusters_reached => " (another number was asked for and not reached)".to_owned(),
            None => String::new(),
        };
        let on = match (self.cluster_method, &self.use_rep) {
            (Some(method), Some(rep)) => format!(" ({method} on obsm[{rep:?}])"),
            _ => String::new(),
        };
        let shown: Vec<String> = self.sizes.iter().take(SHOWN).map(usize::to_string).collect();
        let more = if self.sizes.len() > SHOWN { ", …" } else { "" };
        let mut lines = vec![
            format!(
                "{} domains{chosen} of {} spots in obs[{:?}]{on}",
                self.n_clusters, self.n_obs, self.key_added
            ),
            format!("sizes: {}{more}", shown.join(", ")),
        ];
        let small = self.sizes.iter().filter(|s| (1..=SMALL_DOMAIN).contains(*s)).count();
        if small > 0 {
            lines.push(format!("{small} domain(s) hold {SMALL_DOMAIN} spots or fewer"));
        }
        lines.extend(self.facts.lines());
        for tried in &self.tried {
            let score = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
            lines.push(format!(
                "  {:>3} domains: stability {:.3}, silhouette {}, BIC {}",
                tried.n_clusters,
                tried.stability,
                score(tried.silhouette),
                tried.bic.map_or("–".to_owned(), |v| format!("{v:.0}")),
            ));
        }
        if let Some(r) = &self.restarts {
            lines.push(format!(
                "{} networks: ARI of two of them {:.3}, stability of a spot {:.3}",
                r.n, r.agreement, r.mean_stability
            ));
        }
        lines.extend(self.integration.as_ref().map(|i| i.line(self.n_slices)));
        lines.extend(self.slices.iter().map(SliceReport::line));
        lines.extend(self.metrics.as_ref().map(TruthScores::line));
        if let Some(m) = &self.metrics_unrefined {
            lines.push(format!(
                "before the vote of {} neighbours: ARI {:.3}  NMI {:.3}",
                self.refine, m.ari, m.nmi
            ));
        } else if let Some(n) = self.n_refined {
            lines.push(format!("the vote of {} neighbours changed {n} labels", self.refine));
        }
        lines.push(self.seconds.line());
        lines
    }
}

impl Seconds {
    /// One line for a person.
    pub fn line(&self) -> String {
        let train = if self.train > 0.0 { format!("train {:.2}, ", self.train) } else { String::new() };
        format!(
            "seconds: read {:.2}, preprocess {:.2}, graph {:.2}, {train}cluster {:.2}, write {:.2}",
            self.read, self.preprocess, self.graph, self.cluster, self.write
        )
    }
}

/// The numbers of domains tried, one array per score; NaN where a score could not judge.
fn tried(numbers: &[TriedNumber]) -> Value {
    let column = |f: &dyn Fn(&TriedNumber) -> f64| Value::from(numbers.iter().map(f).collect::<Vec<f64>>());
    let n_clusters: Vec<i64> = numbers.iter().map(|t| t.n_clusters as i64).collect();
    Value::from([
        ("n_clusters", Value::from(n_clusters)),
        ("silhouette", column(&|t| t.silhouette.unwrap_or(f64::NAN))),
        ("stability", column(&|t| t.stability)),
        ("bic", column(&|t| t.bic.unwrap_or(f64::NAN))),
    ])
}

/// A dictionary without what was not set, at any depth.
pub(super) fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(entries) => Json::Object(
            entries.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        other => other,
    }
}
