//! `brodmann convert`.

use brodmann::pipeline::cohort::join;
use brodmann_data::{
    Container, DataError, WriteOptions, check_output, keys, read_any, write_h5ad, write_h5mu, write_zarr,
};
use brodmann_kernels::Monitor;

use super::Context;
use crate::args::ConvertArgs;
use crate::failure::Failure;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    n_obs: usize,
    /// Name and number of features of each modality; the name is empty for an AnnData.
    modalities: Vec<(String, usize)>,
}

pub fn run(context: &Context<'_>, args: &ConvertArgs) -> Result<(), Failure> {
    check_output(&args.input, &args.out).map_err(|e| match e {
        // There is no --in-place here.
        DataError::OutputIsInput { path } => {
            Failure::input(format!("the output {} is the input file", path.display()))
                .hint("name another output with --out")
        }
        e => e.into(),
    })?;
    // Until the end: of two runs to one file the second is refused.
    let _reserved = brodmann_data::Reservation::of(&args.out)?;
    context.terminal.stage("reading", 0);
    let container = read(context, args)?;
    let ending = args.out.extension().and_then(|e| e.to_str()).unwrap_or("");
    let (expected, several) = match &container {
        Container::AnnData(_) => ("h5ad", "one modality"),
        Container::MuData(_) => ("h5mu", "several modalities"),
    };
    let to_zarr = ending == "zarr";
    if ending != expected && !to_zarr {
        return Err(Failure::input(format!(
            "the output is called {}; expected a name ending in .{expected} or .zarr, as {} holds {several}",
            args.out.display(),
            args.input.display()
        ))
        .hint("rename the output"));
    }
    let options = WriteOptions { overwrite: args.replace.force, ..WriteOptions::default() };
    context.terminal.stage("writing", 0);
    if to_zarr {
        write_zarr(&container, &args.out, &options)?;
    }
    let report = match &container {
        Container::AnnData(adata) => {
            if !to_zarr {
                write_h5ad(adata, &args.out, &options)?;
            }
            Report {
                out: args.out.display().to_string(),
                n_obs: adata.n_obs(),
                modalities: vec![(String::new(), adata.n_vars())],
            }
        }
        Container::MuData(mdata) => {
            if !to_zarr {
                write_h5mu(mdata, &args.out, &options)?;
            }
            Report {
                out: args.out.display().to_string(),
                n_obs: mdata.n_obs(),
                modalities: mdata.modalities.iter().map(|(k, a)| (k.clone(), a.n_vars())).collect(),
            }
        }
    };
    context.print(&report, || {
        let sizes: Vec<String> = report
            .modalities
            .iter()
            .map(
                |(name, n)| {
                    if name.is_empty() { format!("{n} features") } else { format!("{name} {n} features") }
                },
            )
            .collect();
        vec![format!("{}: {} observations, {}", report.out, report.n_obs, sizes.join(", "))]
    })
}

/// The input, or the samples of a project as one.
fn read(context: &Context<'_>, args: &ConvertArgs) -> Result<Container, Failure> {
    let (monitor, options) = (context.terminal, args.source.options());
    let samples = brodmann_data::samples(&args.input);
    if samples.is_empty() {
        return Ok(read_any(&args.input, &options, monitor)?);
    }
    monitor.note(&format!("{} holds {} samples", args.input.display(), samples.len()));
    let mut parts = Vec::with_capacity(samples.len());
    for sample in &samples {
        monitor.stage(&format!("reading {}", sample.display()), 0);
        parts.push(read_any(sample, &options, monitor)?.into_anndata()?);
    }
    let joined = join(&samples, &mut parts, keys::LIBRARY_ID, false)?;
    monitor.note(&format!("slices are told apart by obs[{:?}]", keys::LIBRARY_ID));
    Ok(Container::AnnData(joined))
}
