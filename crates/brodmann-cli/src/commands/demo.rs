//! `brodmann demo`: the main job on a simulated tissue.

use std::path::Path;

use brodmann::models::spami::SpamiOptions;
use brodmann::pipeline::domains::{DomainReport, find_domains};
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use brodmann::pipeline::picture::{PictureRequest, draw_file, draw_losses};
use brodmann::pipeline::request::{DomainRequest, FeatureRequest, GraphRequest, PerLayer};
use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::spami::request::CLUSTER_NEIGHBORS;
use brodmann::pipeline::spami::{SpamiReport, SpamiRequest, integrate};
use brodmann::pipeline::{Destination, PipelineError};
use brodmann::simulate::{SimulationOptions, simulate};

use super::{Context, summary};
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Domains of the simulated tissue: the background and four factors.
const N_DOMAINS: usize = 5;
/// Epochs of SpaMI: few beside the default, enough for this tissue and a matter of seconds.
const EPOCHS: usize = 60;
/// Dots per inch of the pictures.
const DPI: f64 = 200.0;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    /// Domains found by each modality alone, then by all with space.
    runs: Vec<DomainReport>,
    /// All modalities in one embedding, by a network.
    spami: SpamiReport,
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
    let report = Report { out: args.out.display().to_string(), runs, spami, joint };
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
        lines.push(format!(
            "written to {}: tissue.h5mu, domains.h5mu, domains.png, domains.svg, histology.png, attention.png, \
             loss.png",
            report.out
        ));
        lines
    })
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
