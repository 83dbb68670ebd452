//! Results and parameters of a run into the file.

use std::borrow::Cow;

use brodmann_data::{Additions, Categorical, Column, DataFrame, Value};
use brodmann_kernels::{Monitor, Seed};
use indexmap::IndexMap;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::denoised::layer;
use super::inputs::{Input, Source};
use super::model_file::options_json;
use super::request::{CLUSTER_COMPONENTS, SpamiRequest};
use super::{SpamiReport, features};
use crate::models::spami::{Fusion, SpamiEpoch, SpamiOptions, SpamiOutput};
use crate::pipeline::tissue::Tissue;
use crate::pipeline::{PipelineError, without_nulls};

/// Everything that is written about a run.
pub(super) struct Record<'a> {
    pub request: &'a SpamiRequest,
    pub options: &'a SpamiOptions,
    pub report: &'a SpamiReport,
    pub epochs: &'a [SpamiEpoch],
    pub labels: &'a [u32],
    pub data_hash: &'a str,
    pub seed: Seed,
}

/// Adds the denoised layer of a modality; false where there is no way back from its features.
pub(super) fn denoised(
    additions: &mut Additions,
    tissue: &Tissue,
    input: &Input,
    reconstruction: &Array2<f32>,
    request: &SpamiRequest,
    monitor: &dyn Monitor,
) -> Result<bool, PipelineError> {
    let name = &input.info.name;
    let Source::Counts { map, spots, columns } = &input.source else {
        monitor
            .note(&format!("{name}: no denoised expression, since an embedding has no way back to features"));
        return Ok(false);
    };
    monitor.stage(&format!("{name}: denoising"), 0);
    let reconstruction = match &input.balance {
        None => Cow::Borrowed(reconstruction),
        Some(balance) => {
            let mut own = reconstruction.clone();
            balance.undo(&mut own);
            Cow::Owned(own)
        }
    };
    let values = map
        .denoise(reconstruction.view(), spots, monitor)
        .map_err(|source| PipelineError::Preprocess { modality: name.clone(), source })?;
    if columns.len() < input.n_vars {
        monitor.note(&format!(
            "{name}: denoised values for the {} of {} features the network saw; the others have none",
            columns.len(),
            input.n_vars
        ));
    }
    let mut seen = vec![false; input.n_vars];
    for &j in columns {
        seen[j] = true;
    }
    let key = format!("{}_denoised", request.key_added);
    let target = additions.target(input.info.key.as_deref());
    let matrix = tissue.to_modality_matrix(&input.info, layer(values, columns, input.n_vars));
    target.layers.insert(key.clone(), matrix);
    target.var.insert(key, Column::Bool(seen));
    Ok(true)
}

impl Record<'_> {
    /// Adds embedding, attention, labels and the record itself.
    pub fn add(&self, additions: &mut Additions, tissue: &Tissue, output: &SpamiOutput) {
        let key = &self.request.key_added;
        let root = additions.target(None);
        root.obsm.insert(format!("X_{key}"), output.embedding.clone().into());
        if self.options.fusion == Fusion::Attention {
            let mut table = DataFrame::new(tissue.obs_names().to_vec());
            for (m, modality) in self.report.modalities.iter().enumerate() {
                let column = Column::Float32(output.attention.column(m).to_vec());
                table.columns.insert(modality.name.clone(), column);
            }
            root.obsm.insert(format!("{key}_attention"), Value::Frame(table));
        }
        if self.request.modality_embeddings {
            for (modality, values) in self.report.modalities.iter().zip(&output.modality_embeddings) {
                root.obsm.insert(format!("X_{key}_{}", modality.name), values.clone().into());
            }
        }
        root.obs.insert(key.clone(), Column::Categorical(Categorical::from_labels(self.labels)));
        root.uns.insert(key.clone(), self.record());
    }

    fn record(&self) -> Value {
        let report = self.report;
        let mut record = IndexMap::new();
        let mut set = |key: &str, value: Value| {
            // What was not set is left out: before 0.12 anndata cannot read a null.
            if value != Value::Null {
                record.insert(key.to_owned(), value);
            }
        };
        set("method", "spami".into());
        set("version", env!("CARGO_PKG_VERSION").into());
        set("params", without_nulls(self.params()).into());
        set("modalities", report.modalities.iter().map(|m| m.name.clone()).collect::<Vec<String>>().into());
        let features: IndexMap<String, Value> = report
            .modalities
            .iter()
            .map(|m| {
                let entry = json!({
                    "modality": m.kind,
                    "features": m.features,
                    "n_vars": m.n_vars,
                    "n_selected": m.n_selected,
                    "n_features": m.n_features,
                    "mean_attention": m.mean_attention,
                    "denoised": m.denoised,
                });
                (m.name.clone(), without_nulls(entry).into())
            })
            .collect();
        set("features", Value::Dict(features));
        if !self.epochs.is_empty() {
            set("loss", self.losses());
        }
        set("n_epochs", report.n_epochs.into());
        set("stopped_early", report.stopped_early.into());
        set("n_clusters", report.n_clusters.into());
        set("n_clusters_reached", report.n_clusters_reached.into());
        set("quality", report.quality.into());
        set("data_hash", self.data_hash.into());
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

    /// One array a term, one number an epoch; terms unweighted, `loss` their weighted sum.
    fn losses(&self) -> Value {
        let mut curves: IndexMap<String, Value> = IndexMap::new();
        let mut set = |key: String, f: &dyn Fn(&SpamiEpoch) -> f64| {
            curves.insert(key, self.epochs.iter().map(f).collect::<Vec<f64>>().into());
        };
        set("loss".to_owned(), &|e| e.loss);
        for (m, modality) in self.report.modalities.iter().enumerate() {
            let of = |values: &[f64]| values.get(m).copied().unwrap_or(f64::NAN);
            if self.options.contrast {
                set(format!("contrast_{}", modality.name), &|e| of(&e.contrast));
            }
            set(format!("reconstruction_{}", modality.name), &|e| of(&e.reconstruction));
        }
        if self.options.cosine && self.report.modalities.len() > 1 {
            set("cosine".to_owned(), &|e| e.cosine);
        }
        Value::Dict(curves)
    }

    fn params(&self) -> Json {
        let request = self.request;
        let mut params = options_json(self.options);
        params["preset"] = json!(request.preset.name());
        params["random_state"] = json!(self.seed.0);
        params["spatial_key"] = json!(request.spatial_key);
        if request.load_model.is_none() {
            params["balance"] = json!(request.balances());
        }
        params["library_key"] = json!(request.library_key);
        let reps = request.use_rep.iter().map(|(m, key)| (m.clone(), json!(key)));
        params["use_rep"] =
            if request.use_rep.is_empty() { Json::Null } else { Json::Object(reps.collect()) };
        params["load_model"] = json!(request.load_model.as_ref().map(|p| p.display().to_string()));
        let features = &request.features;
        let of_rna = features::default_options(crate::preprocess::Modality::Rna);
        params["preprocess"] = json!({
            "layer": features.layer,
            "n_top_genes": features.n_top_genes.or(of_rna.n_top_genes),
            "hvg": features.flavor.unwrap_or(of_rna.hvg_flavor).name(),
            "n_pcs": features.n_pcs.unwrap_or(of_rna.n_pcs),
            "target_sum": features.target_sum.or(of_rna.target_sum),
            "min_cells": features.min_cells,
            "normalized": features.normalized,
        });
        params["cluster"] = request.cluster.describe();
        params["cluster"]["n_pcs"] = json!(CLUSTER_COMPONENTS);
        params
    }
}
