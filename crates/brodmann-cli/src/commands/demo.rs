//! `brodmann demo`: the main job on a simulated tissue.

use std::path::Path;

use brodmann::pipeline::domains::{DomainReport, find_domains};
use brodmann::pipeline::picture::{PictureRequest, draw_file};
use brodmann::pipeline::request::{DomainRequest, FeatureRequest, GraphRequest, PerLayer};
use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::{Destination, PipelineError};
use brodmann::simulate::{SimulationOptions, simulate};

use super::{Context, summary};
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Domains of the simulated tissue: the background and four factors.
const N_DOMAINS: usize = 5;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    /// Domains found by each modality alone, then by all with space.
    runs: Vec<DomainReport>,
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

    let mut colors = vec!["ground_truth".to_owned()];
    colors.extend(runs.iter().map(|r| r.key_added.clone()));
    colors.push(joint.key_added.clone());
    for (file, colors, image) in [
        ("domains.png", colors.clone(), false),
        ("domains.svg", colors, false),
        ("histology.png", vec!["spatialleiden".to_owned()], true),
    ] {
        let picture = PictureRequest {
            colors,
            image,
            alpha: if image { 0.55 } else { 1.0 },
            ..PictureRequest::default()
        };
        draw_file(&domains, &args.out.join(file), &picture, context.terminal)?;
    }
    let report = Report { out: args.out.display().to_string(), runs, joint };
    context.print(&report, || {
        let mut lines = vec![format!("{:<16} {:>7} {:>6} {:>6}", "labels", "domains", "ARI", "NMI")];
        for run in report.runs.iter().chain([&report.joint]) {
            if let Some(m) = &run.metrics {
                lines.push(format!(
                    "{:<16} {:>7} {:>6.3} {:>6.3}",
                    run.key_added, run.n_clusters, m.ari, m.nmi
                ));
            }
        }
        lines.push(summary::seconds(&report.joint.seconds));
        lines.push(format!(
            "written to {}: tissue.h5mu, domains.h5mu, domains.png, domains.svg, histology.png",
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
