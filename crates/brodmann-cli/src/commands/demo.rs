//! `brodmann demo`: the main job on a simulated tissue.

use std::path::Path;

use brodmann::models::spami::SpamiOptions;
use brodmann::models::staig::{StaigOptions, StaigPreset};
use brodmann::pipeline::domains::{DomainReport, find_domains};
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use brodmann::pipeline::picture::{PictureRequest, draw_file, draw_losses};
use brodmann::pipeline::request::{DomainRequest, FeatureRequest, GraphRequest, PerLayer};
use brodmann::pipeline::simulated::{LIBRARY_KEY, write_simulation};
use brodmann::pipeline::spami::request::CLUSTER_NEIGHBORS;
use brodmann::pipeline::spami::{SpamiReport, SpamiRequest, integrate};
use brodmann::pipeline::staig::features::Values;
use brodmann::pipeline::staig::{StaigReport, StaigRequest, find_staig_domains};
use brodmann::pipeline::{Destination, PipelineError};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};

use super::{Context, summary};
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Domains of the simulated tissue: the background and four factors.
const N_DOMAINS: usize = 5;
/// Epochs of SpaMI and of STAIG: few beside the defaults, enough for these tissues and a matter of seconds.
const EPOCHS: usize = 60;
const STAIG_EPOCHS: usize = 40;
/// Nearest spots that vote on a spot's domain.
const STAIG_REFINE: usize = 15;
/// Shift of the second slice: every gene's rate by a factor of e^±1 or so, far more than domains differ by.
const BATCH_EFFECT: f64 = 1.0;
/// Dots per inch of the pictures.
const DPI: f64 = 200.0;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    /// Domains found by each modality alone, then by all with space.
    runs: Vec<DomainReport>,
    /// All modalities in one embedding, by a network.
    spami: SpamiReport,
    /// Two slices of another tissue in one embedding, by a network.
    staig: StaigReport,
    #[serde(flatten)]
    joint: DomainReport,
}

pub fn run(context: &Context<'_>, args: &DemoArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.out).map_err(|e| {
        Failure::input(format!(
            "the folder {} cannot be made ({e}); name one you may write to with --out",
            args.out.display()
        ))
    })?;
    let tissue = args.out.join("tissue.h5mu");
    let domains = args.out.join("domains.h5mu");
    let options = SimulationOptions {
        side: args.side,
        seed: context.seed,
        image: true,
        ..SimulationOptions::default()
    };
    let simulation = simulate(&options, context.terminal).map_err(PipelineError::from)?;
    let modalities: Vec<String> = simulation.modalities.iter().map(|m| m.name.to_owned()).collect();
    write_simulation(simulation, &tissue)?;

    // Each modality alone sees a part of the domains; together, and with space, all are found.
    let mut runs = Vec::new();
    let mut input = tissue.clone();
    for name in &modalities {
        let mut request = request(&format!("leiden_{name}"), false);
        for other in modalities.iter().filter(|other| *other != name) {
            request.weight.named.insert(other.clone(), 0.0);
        }
        runs.push(find(context, &input, &domains, &request)?);
        input.clone_from(&domains);
    }
    let joint = find(context, &input, &domains, &request("spatialleiden", true))?;
    context.terminal.say(&format!("SpaMI with {EPOCHS} epochs instead of 1000, to keep the demo short"));
    let network = SpamiRequest {
        options: SpamiOptions { epochs: EPOCHS, ..SpamiOptions::default() },
        cluster: EmbeddingMethod::Leiden {
            n_clusters: Some(N_DOMAINS),
            resolution: 1.0,
            n_neighbors: CLUSTER_NEIGHBORS,
        },
        ..SpamiRequest::default()
    };
    let spami = integrate(&domains, &Destination::InPlace, &network, context.seed, context.terminal)?;

    let mut colors = vec!["ground_truth".to_owned()];
    colors.extend(runs.iter().map(|r| r.key_added.clone()));
    colors.push(joint.key_added.clone());
    colors.push(spami.key_added.clone());
    let attention = vec!["spami_attention".to_owned()];
    for (file, colors, image) in [
        ("domains.png", colors.clone(), false),
        ("domains.svg", colors, false),
        ("histology.png", vec!["spatialleiden".to_owned()], true),
        ("attention.png", attention, false),
    ] {
        let picture = PictureRequest {
            colors,
            image,
            // The three modalities beside each other.
            columns: (file == "attention.png").then_some(modalities.len()),
            alpha: if image { 0.55 } else { 1.0 },
            dpi: DPI,
            ..PictureRequest::default()
        };
        draw_file(&domains, &args.out.join(file), &picture, context.terminal)?;
    }
    draw_losses(&domains, &args.out.join("loss.png"), &spami.key_added, DPI, context.terminal)?;
    let staig = integrate_slices(context, args)?;
    let report = Report { out: args.out.display().to_string(), runs, spami, staig, joint };
    context.print(&report, || {
        let mut lines = vec![format!("{:<16} {:>7} {:>6} {:>6}", "labels", "domains", "ARI", "NMI")];
        let leiden = report.runs.iter().chain([&report.joint]);
        let mut scores: Vec<_> = leiden.map(|r| (&r.key_added, r.n_clusters, &r.metrics)).collect();
        scores.push((&report.spami.key_added, report.spami.n_clusters, &report.spami.metrics));
        for (name, n_clusters, metrics) in scores {
            if let Some(m) = metrics {
                lines.push(format!("{name:<16} {n_clusters:>7} {:>6.3} {:>6.3}", m.ari, m.nmi));
            }
        }
        lines.push(format!("spatialleiden, {}", summary::seconds(&report.joint.seconds)));
        lines.push(format!("spami, {}", summary::seconds(&report.spami.seconds)));
        lines.extend(of_slices(&report.staig));
        lines.push(format!("staig, {}", summary::seconds(&report.staig.seconds)));
        lines.push(format!(
            "written to {}: tissue.h5mu, domains.h5mu, domains.png, domains.svg, histology.png, attention.png, \
             loss.png, slices.h5ad, slices-domains.h5ad, slices.png, slices-umap.png",
            report.out
        ));
        lines
    })
}

/// Two slices whose expression was measured differently, integrated by STAIG.
fn integrate_slices(context: &Context<'_>, args: &DemoArgs) -> Result<StaigReport, Failure> {
    let (slices, domains) = (args.out.join("slices.h5ad"), args.out.join("slices-domains.h5ad"));
    let options = SimulationOptions {
        side: args.side,
        seed: context.seed,
        modalities: vec![SimModality::Rna],
        slices: 2,
        batch_effect: BATCH_EFFECT,
        ..SimulationOptions::default()
    };
    context.terminal.say(&format!("two slices, and STAIG with {STAIG_EPOCHS} epochs instead of 300"));
    write_simulation(simulate(&options, context.terminal).map_err(PipelineError::from)?, &slices)?;
    let request = StaigRequest {
        library_key: Some(LIBRARY_KEY.to_owned()),
        preset: StaigPreset::Integration,
        options: StaigOptions { epochs: STAIG_EPOCHS, ..StaigOptions::preset(StaigPreset::Integration) },
        values: Some(Values::Log),
        refine: Some(STAIG_REFINE),
        umap: true,
        ..StaigRequest::default()
    };
    let request = StaigRequest { cluster: request.cluster.with_n_clusters(N_DOMAINS), ..request };
    let destination = Destination::File(domains.clone());
    let inputs = std::slice::from_ref(&slices);
    let report = find_staig_domains(inputs, &destination, &request, context.seed, context.terminal)?;
    let of = |colors: &[&str]| PictureRequest {
        colors: colors.iter().map(|c| (*c).to_owned()).collect(),
        image: false,
        dpi: DPI,
        ..PictureRequest::default()
    };
    let places = PictureRequest {
        library_key: Some(LIBRARY_KEY.to_owned()),
        ..of(&["ground_truth", &report.key_added])
    };
    draw_file(&domains, &args.out.join("slices.png"), &places, context.terminal)?;
    let plane = PictureRequest {
        spatial_key: format!("{}_umap", report.use_rep),
        columns: Some(3),
        ..of(&[LIBRARY_KEY, "ground_truth", &report.key_added])
    };
    draw_file(&domains, &args.out.join("slices-umap.png"), &plane, context.terminal)?;
    Ok(report)
}

/// What STAIG made of the slices, in words.
fn of_slices(report: &StaigReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(m) = &report.metrics {
        let (name, n) = ("staig, 2 slices", report.n_clusters);
        lines.push(format!("{name:<16} {n:>7} {:>6.3} {:>6.3}", m.ari, m.nmi));
    }
    if let Some((before, after)) = report.integration.as_ref().and_then(|i| Some((i.ilisi_before?, i.ilisi?)))
    {
        lines.push(format!(
            "slices mixed in a neighbourhood (iLISI, 1 to 2): {before:.2} before, {after:.2} after"
        ));
    }
    lines
}

fn request(key_added: &str, spatial: bool) -> DomainRequest {
    DomainRequest {
        spatial,
        features: FeatureRequest::default(),
        graphs: GraphRequest::default(),
        n_clusters: Some(N_DOMAINS),
        resolution: PerLayer::default(),
        weight: PerLayer::default(),
        layer_ratio: None,
        directed: PerLayer::default(),
        use_weights: true,
        quality: brodmann::cluster::Quality::default(),
        n_iterations: None,
        truth: None,
        key_added: key_added.to_owned(),
    }
}

fn find(
    context: &Context<'_>,
    input: &Path,
    output: &Path,
    request: &DomainRequest,
) -> Result<DomainReport, Failure> {
    let destination =
        if input == output { Destination::InPlace } else { Destination::File(output.to_path_buf()) };
    Ok(find_domains(input, &destination, request, context.seed, context.terminal)?)
}
