//! `brodmann convert`.

use brodmann_data::{
    Container, DataError, Format, Orientation, ReadOptions, TableOptions, WriteOptions, check_output,
    read_any, read_table, write_h5ad, write_h5mu,
};
use brodmann_kernels::Monitor;

use super::Context;
use crate::args::{ConvertArgs, FormatArg};
use crate::failure::Failure;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    n_obs: usize,
    /// Name and number of features of each modality; the name is empty for an AnnData.
    modalities: Vec<(String, usize)>,
}

pub fn run(context: &Context<'_>, args: &ConvertArgs) -> Result<(), Failure> {
    if args.out.exists() && !args.force {
        return Err(Failure::input(format!("the output {} exists already", args.out.display()))
            .hint("name another output, or replace it with --force"));
    }
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
    let container = read(args)?;
    let ending = args.out.extension().and_then(|e| e.to_str()).unwrap_or("");
    let (expected, several) = match &container {
        Container::AnnData(_) => ("h5ad", "one modality"),
        Container::MuData(_) => ("h5mu", "several modalities"),
    };
    if ending != expected {
        return Err(Failure::input(format!(
            "the output is called {}; expected a name ending in .{expected}, as {} holds {several}",
            args.out.display(),
            args.input.display()
        ))
        .hint("rename the output"));
    }
    let options = WriteOptions { overwrite: args.force, ..WriteOptions::default() };
    context.terminal.stage("writing", 0);
    let report = match &container {
        Container::AnnData(adata) => {
            write_h5ad(adata, &args.out, &options)?;
            Report {
                out: args.out.display().to_string(),
                n_obs: adata.n_obs(),
                modalities: vec![(String::new(), adata.n_vars())],
            }
        }
        Container::MuData(mdata) => {
            write_h5mu(mdata, &args.out, &options)?;
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

fn read(args: &ConvertArgs) -> Result<Container, Failure> {
    let is_table = args.format == FormatArg::Table || args.coordinates.is_some() || args.transposed;
    if is_table {
        let options = TableOptions {
            coordinates: args.coordinates.clone(),
            orientation: if args.transposed { Orientation::GenesInRows } else { Orientation::Auto },
            ..TableOptions::default()
        };
        return Ok(Container::AnnData(read_table(&args.input, &options)?));
    }
    let format = match args.format {
        FormatArg::Auto => Format::Auto,
        FormatArg::H5ad => Format::H5ad,
        FormatArg::H5mu => Format::H5mu,
        FormatArg::Visium => Format::Visium,
        FormatArg::TenX => Format::TenX,
        FormatArg::Table => Format::Table,
    };
    Ok(read_any(&args.input, format, &ReadOptions::default())?)
}
