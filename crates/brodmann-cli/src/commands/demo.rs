//! `brodmann demo`: the main job on a simulated tissue.

use std::path::Path;

use brodmann::models::staig::{StaigOptions, StaigPreset};
use brodmann::pipeline::agreed::{AgreementOptions, DomainsFacts, DomainsRequest};
use brodmann::pipeline::clustering::{ClusterNumber, DomainOptions};
use brodmann::pipeline::expression::ValueOptions;
use brodmann::pipeline::leiden::{LeidenFacts, LeidenRequest, PartitionOptions};
use brodmann::pipeline::picture::{PictureRequest, draw_file, draw_losses};
use brodmann::pipeline::request::{Naming, Place};
use brodmann::pipeline::simulated::{LIBRARY_KEY, write_simulation};
use brodmann::pipeline::spami::{Spami, SpamiFacts, SpamiRequest};
use brodmann::pipeline::staig::{Staig, StaigFacts, StaigRequest};
use brodmann::pipeline::{Destination, Inputs, PipelineError, RunRecord, run_files};
use brodmann::preprocess::feature_map::Values;
use brodmann::simulate::{SimModality, SimulationOptions, simulate};

use super::Context;
use crate::args::DemoArgs;
use crate::failure::Failure;

/// Domains of the simulated tissue: the background and four factors.
const N_DOMAINS: usize = 5;
/// Epochs of STAIG: few beside the default, enough for these tissues and a matter of seconds.
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
    runs: Vec<RunRecord<LeidenFacts>>,
    /// What several methods agree on.
    domains: RunRecord<DomainsFacts>,
    /// All modalities in one embedding, by a network.
    spami: RunRecord<SpamiFacts>,
    /// Two slices of another tissue in one embedding, by a network.
    staig: RunRecord<StaigFacts>,
    #[serde(flatten)]
    joint: RunRecord<LeidenFacts>,
}

pub fn run(context: &Context<'_>, args: &DemoArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.out).map_err(|e| {
        Failure::input(format!("the folder {} cannot be made ({e})", args.out.display()))
            .hint("name one you may write to with --out")
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
            request.partition.layer_weights.named.insert(other.clone(), 0.0);
        }
        runs.push(find(context, &input, &domains, &request)?);
        input.clone_from(&domains);
    }
    let joint = find(context, &input, &domains, &request("spatialleiden", true))?;
    let file = &Inputs::from(domains.clone());
    let agreed = DomainsRequest {
        agreement: AgreementOptions {
            n_clusters: Some(ClusterNumber::Given(N_DOMAINS)),
            ..AgreementOptions::default()
        },
        ..DomainsRequest::default()
    };
    let agreed = run_files(&agreed, file, &Destination::InPlace, context.seed, context.terminal)?;
    let network = Spami::new(SpamiRequest {
        domains: DomainOptions::default().with_n_clusters(N_DOMAINS),
        ..SpamiRequest::default()
    })?;
    let spami = run_files(&network, file, &Destination::InPlace, context.seed, context.terminal)?;

    let mut colors = vec!["ground_truth".to_owned()];
    colors.extend(runs.iter().map(|r| r.key_added.clone()));
    colors.push(joint.key_added.clone());
    colors.push(agreed.key_added.clone());
    colors.push(spami.key_added.clone());
    let attention = vec!["spami_attention".to_owned()];
    let sure = vec![agreed.key_added.clone(), format!("{}_entropy", agreed.key_added)];
    for (file, colors, image) in [
        ("domains.png", colors.clone(), false),
        ("domains.svg", colors, false),
        ("histology.png", vec!["spatialleiden".to_owned()], true),
        ("entropy.png", sure, false),
        ("attention.png", attention, false),
    ] {
        let picture = PictureRequest {
            colors,
            image,
            // The three modalities beside each other; truth and modalities above, what finds all below.
            columns: match file {
                "attention.png" => Some(modalities.len()),
                "domains.png" | "domains.svg" => Some(modalities.len() + 1),
                _ => None,
            },
            alpha: image.then_some(0.55),
            dpi: DPI,
            ..PictureRequest::default()
        };
        draw_file(&domains, &args.out.join(file), &picture, context.terminal)?;
    }
    draw_losses(&domains, &args.out.join("loss.png"), &spami.key_added, DPI, context.terminal)?;
    let staig = integrate_slices(context, args)?;
    let report = Report { out: args.out.display().to_string(), runs, domains: agreed, spami, staig, joint };
    context.print(&report, || {
        let mut lines = vec![format!("{:<16} {:>7} {:>6} {:>6}", "labels", "domains", "ARI", "NMI")];
        let leiden = report.runs.iter().chain([&report.joint]);
        let mut scores: Vec<_> = leiden.map(|r| (&r.key_added, r.n_clusters, &r.metrics)).collect();
        let agreed = &report.domains;
        scores.push((&agreed.key_added, agreed.n_clusters, &agreed.metrics));
        scores.push((&report.spami.key_added, report.spami.n_clusters, &report.spami.metrics));
        for (name, n_clusters, metrics) in scores {
            if let Some(m) = metrics {
                lines.push(format!("{name:<16} {n_clusters:>7} {:>6.3} {:>6.3}", m.ari, m.nmi));
            }
        }
        lines.push(format!("spatialleiden, {}", report.joint.seconds.line()));
        lines.push(format!("domains, {}", report.domains.seconds.line()));
        lines.push(format!("spami, {}", report.spami.seconds.line()));
        lines.extend(of_slices(&report.staig));
        lines.push(format!("staig, {}", report.staig.seconds.line()));
        lines.push(format!(
            "written to {}: tissue.h5mu, domains.h5mu, domains.png, domains.svg, histology.png, entropy.png, attention.png, \
             loss.png, slices.h5ad, slices-domains.h5ad, slices.png, slices-umap.png",
            report.out
        ));
        lines.push(format!("next: open {}", Path::new(&report.out).join("domains.png").display()));
        lines
    })
}

/// Two slices whose expression was measured differently, integrated by STAIG.
fn integrate_slices(context: &Context<'_>, args: &DemoArgs) -> Result<RunRecord<StaigFacts>, Failure> {
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
    let base = StaigRequest::preset(StaigPreset::Integration);
    let network = Staig::new(StaigRequest {
        place: Place { library_key: Some(LIBRARY_KEY.to_owned()), ..Place::default() },
        options: StaigOptions { epochs: STAIG_EPOCHS, ..base.options },
        values: ValueOptions { values: Some(Values::Log) },
        domains: DomainOptions { refine: STAIG_REFINE, umap: true, ..base.domains }
            .with_n_clusters(N_DOMAINS),
        ..base
    })?;
    let destination = Destination::File(domains.clone());
    let inputs = &Inputs::from(slices.clone());
    let report = run_files(&network, inputs, &destination, context.seed, context.terminal)?;
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
        basis: Some(format!("X_{}_umap", report.key_added)),
        columns: Some(3),
        ..of(&[LIBRARY_KEY, "ground_truth", &report.key_added])
    };
    draw_file(&domains, &args.out.join("slices-umap.png"), &plane, context.terminal)?;
    Ok(report)
}

/// What STAIG made of the slices, in words.
fn of_slices(report: &RunRecord<StaigFacts>) -> Vec<String> {
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

fn request(key_added: &str, spatial: bool) -> LeidenRequest {
    LeidenRequest {
        spatial,
        partition: PartitionOptions { n_clusters: Some(N_DOMAINS), ..PartitionOptions::default() },
        naming: Naming { key_added: Some(key_added.to_owned()), ..Naming::default() },
        ..LeidenRequest::default()
    }
}

fn find(
    context: &Context<'_>,
    input: &Path,
    output: &Path,
    request: &LeidenRequest,
) -> Result<RunRecord<LeidenFacts>, Failure> {
    let destination =
        if input == output { Destination::InPlace } else { Destination::File(output.to_path_buf()) };
    let inputs = Inputs::from(input);
    Ok(run_files(request, &inputs, &destination, context.seed, context.terminal)?)
}
