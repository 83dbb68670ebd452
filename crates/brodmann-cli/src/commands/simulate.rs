//! `brodmann simulate`.

use brodmann::pipeline::simulated::{
    check_ending, default_rows_per_block, stream_simulation, write_regulation,
};
use brodmann::simulate::{RegulationOptions, SimModality, SimulationOptions};

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
    nnz: usize,
    /// Share of the counts that are not zero.
    density: f64,
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
        image_strength: args.image_strength,
        image_blur_px: args.image_blur_px,
        stain_drift: args.stain_drift,
        stain_tint: args.stain_tint,
        n_genes: args.n_genes,
        n_proteins: args.n_proteins,
        n_peaks: args.n_peaks,
        density: args.density,
        library_size_sd: args.library_size_sd,
        spot_pitch: args.spot_pitch,
        ..SimulationOptions::default()
    };
    brodmann_data::check_writable(&args.out)?;
    let written = if let Some(genes) = &args.regulation {
        let regulation =
            RegulationOptions { seed: context.seed, n_genes: args.n_genes, ..RegulationOptions::default() };
        write_regulation(&options, &regulation, (&args.out, genes), context.terminal)?
    } else {
        check_ending(&args.out, options.modalities.len())?;
        stream_simulation(&options, &args.out, default_rows_per_block(&options), context.terminal)?
    };
    let entries: f64 = written.modalities.iter().map(|(_, n)| *n as f64 * written.n_obs as f64).sum();
    let report = Report {
        out: args.out.display().to_string(),
        n_obs: written.n_obs,
        modalities: written.modalities,
        domains: written.domains,
        slices: args.slices,
        nnz: written.nnz,
        density: written.nnz as f64 / entries,
        seconds: start.elapsed().as_secs_f64(),
    };
    context.print(&report, || {
        let sizes: Vec<String> = report.modalities.iter().map(|(n, f)| format!("{n} × {f}")).collect();
        vec![format!(
            "{}: {} spots, {} slice(s), {}, {:.1} % non-zero; truth in obs[\"ground_truth\"]: {}",
            report.out,
            report.n_obs,
            report.slices,
            sizes.join(", "),
            100.0 * report.density,
            report.domains.join(", ")
        )]
    })
}
