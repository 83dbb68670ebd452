//! Results and parameters of a run into the file.

use brodmann_data::{Additions, Categorical, Column, Value};
use brodmann_kernels::Seed;
use indexmap::IndexMap;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::domains::Domains;
use super::features::StaigFeatureMap;
use super::model_file::options_json;
use super::report::StaigReport;
use super::request::{BASELINE_COMPONENTS, StaigMethod, StaigRequest};
use super::training::Trained;
use crate::models::staig::StaigOptions;
use crate::pipeline::embedding_clusters::TriedNumber;
use crate::pipeline::without_nulls;

/// Everything that is written about a run.
pub(super) struct Record<'a> {
    pub request: &'a StaigRequest,
    pub options: &'a StaigOptions,
    pub report: &'a StaigReport,
    pub domains: &'a Domains,
    pub map: &'a StaigFeatureMap,
    /// Per variable of the file: whether the network saw it.
    pub selected: &'a [bool],
    /// The networks; none with a loaded model or the baseline.
    pub trained: &'a [Trained],
    pub library_key: Option<&'a str>,
    pub data_hash: &'a str,
    pub seed: Seed,
}

impl Record<'_> {
    /// Adds embedding, labels, stability and the record itself.
    pub fn add(
        &self,
        additions: &mut Additions,
        modality: Option<&str>,
        embedding: Array2<f32>,
        plane: Option<Array2<f32>>,
    ) {
        let key = self.request.key();
        let labels = |labels: &[u32]| Column::Categorical(Categorical::from_labels(labels));
        let seen = Column::Bool(self.selected.to_vec());
        additions.target(modality).var.insert(format!("{key}_features"), seen);
        let root = additions.target(None);
        root.obsm.insert(format!("X_{key}"), embedding.into());
        if let Some(plane) = plane {
            root.obsm.insert(format!("X_{key}_umap"), plane.into());
        }
        root.obs.insert(key.to_owned(), labels(&self.domains.labels));
        if let Some(unrefined) = &self.domains.unrefined {
            root.obs.insert(format!("{key}_unrefined"), labels(unrefined));
        }
        if let Some(consensus) = &self.domains.consensus {
            root.obs.insert(format!("{key}_stability"), Column::Float64(consensus.stability.clone()));
        }
        root.uns.insert(key.to_owned(), self.record());
    }

    fn record(&self) -> Value {
        let report = self.report;
        let mut record = IndexMap::new();
        let mut set = |key: &str, value: Value| {
            if value != Value::Null {
                record.insert(key.to_owned(), value);
            }
        };
        set("method", report.method.into());
        set("version", env!("CARGO_PKG_VERSION").into());
        set("params", without_nulls(self.params()).into());
        set("features", json!(report.features).into());
        if let Some(kept) = self.trained.get(self.domains.kept) {
            let losses: Vec<f64> = kept.epochs.iter().map(|e| e.loss).collect();
            set("loss", Value::from([("loss", Value::from(losses))]));
            if report.moments_bound.is_some() {
                set("moments_bound", kept.epochs.iter().map(|e| e.bound).collect::<Vec<f64>>().into());
            }
        }
        set("n_epochs", report.n_epochs.into());
        set("n_clusters", report.n_clusters.into());
        set("n_clusters_reached", report.n_clusters_reached.into());
        set("quality", report.quality.into());
        set("data_hash", self.data_hash.into());
        if let Some(bic) = report.bic {
            set("bic", bic.into());
        }
        if !self.domains.tried.is_empty() {
            set("tried", tried(&self.domains.tried));
        }
        if let Some(negatives) = report.negatives {
            set("negatives", negatives.into());
        }
        if let Some(restarts) = &report.restarts {
            let mut entry = json!(restarts);
            // As text: a seed has 64 bits, a number in a file 63.
            entry["seeds"] = json!(self.trained.iter().map(|t| t.seed.0.to_string()).collect::<Vec<_>>());
            entry["loss"] = json!(
                self.trained.iter().map(|t| t.epochs.last().map_or(f64::NAN, |e| e.loss)).collect::<Vec<_>>()
            );
            set("restarts", entry.into());
        }
        if let Some(integration) = &report.integration {
            set("integration", without_nulls(json!(integration)).into());
        }
        let s = &report.seconds;
        set(
            "seconds",
            json!({
                "read": s.read, "preprocess": s.preprocess, "graph": s.graph, "train": s.train,
                "cluster": s.cluster,
            })
            .into(),
        );
        Value::Dict(record)
    }

    fn params(&self) -> Json {
        let request = self.request;
        let mut params = match request.method {
            StaigMethod::Staig => options_json(self.options),
            StaigMethod::SmoothedPca => {
                json!({ "n_neighbors": self.options.n_neighbors, "n_components": self.n_components() })
            }
        };
        params["preset"] = json!(request.preset.name());
        params["random_state"] = json!(self.seed.0);
        params["restarts"] = json!(self.trained.len().max(1));
        params["spatial_key"] = json!(request.spatial_key);
        params["library_key"] = json!(self.library_key);
        params["refine"] = json!(request.refine());
        params["load_model"] = json!(request.load_model.as_ref().map(|p| p.display().to_string()));
        if !request.image.is_empty() {
            params["image"] = json!(request.image.join(","));
        }
        let features = &request.features;
        params["preprocess"] = json!({
            "layer": features.layer,
            "values": self.map.values.name(),
            "n_top_genes": features.n_top_genes,
            "hvg": features.flavor.map(crate::preprocess::HvgFlavor::name),
            "target_sum": self.map.target_sum,
            "min_cells": features.min_cells,
        });
        params["cluster"] = self.domains.method.describe();
        params
    }

    fn n_components(&self) -> usize {
        self.request.features.n_pcs.unwrap_or(BASELINE_COMPONENTS)
    }
}

/// The numbers of domains tried, one array a score; NaN where a score could not judge.
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
