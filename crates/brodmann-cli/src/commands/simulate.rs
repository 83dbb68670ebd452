//! `brodmann simulate`.

use brodmann::pipeline::PipelineError;
use brodmann::pipeline::simulated::{check_ending, write_simulation};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};

use super::Context;
use crate::args::{ModalityArg, SimulateArgs};
use crate::failure::Failure;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    n_obs: usize,
    modalities: Vec<(String, usize)>,
    domains: Vec<String>,
    slices: usize,
    seconds: f64,
}

pub fn run(context: &Context<'_>, args: &SimulateArgs) -> Result<(), Failure> {
    let start = std::time::Instant::now();
    let one = args.out.extension().is_some_and(|e| e == "h5ad");
    let modalities = match &args.modalities {
        Some(list) => list.clone(),
        None if one => vec![ModalityArg::Rna],
        None => vec![ModalityArg::Rna, ModalityArg::Adt, ModalityArg::Atac],
    };
    let options = SimulationOptions {
        side: args.side,
        seed: context.seed,
        noise: args.noise,
        modalities: modalities
            .iter()
            .map(|m| match m {
                ModalityArg::Rna => SimModality::Rna,
                ModalityArg::Adt => SimModality::Adt,
                ModalityArg::Atac => SimModality::Atac,
            })
            .collect(),
        slices: args.slices,
        batch_effect: args.batch_effect,
        image: args.image,
        n_genes: args.n_genes,
        n_proteins: args.n_proteins,
        n_peaks: args.n_peaks,
        ..SimulationOptions::default()
    };
    check_ending(&args.out, options.modalities.len())?;
    brodmann_data::check_writable(&args.out)?;
    let simulation = simulate(&options, context.terminal).map_err(PipelineError::from)?;
    let mut report = Report {
        out: args.out.display().to_string(),
        n_obs: simulation.obs_names.len(),
        modalities: simulation.modalities.iter().map(|m| (m.name.to_owned(), m.counts.n_cols())).collect(),
        domains: simulation.domain_names.clone(),
        slices: args.slices,
        seconds: 0.0,
    };
    write_simulation(simulation, &args.out)?;
    report.seconds = start.elapsed().as_secs_f64();
    context.print(&report, || {
        let sizes: Vec<String> = report.modalities.iter().map(|(n, f)| format!("{n} × {f}")).collect();
        vec![format!(
            "{}: {} spots, {} slice(s), {}; truth in obs[\"ground_truth\"]: {}",
            report.out,
            report.n_obs,
            report.slices,
            sizes.join(", "),
            report.domains.join(", ")
        )]
    })
}
