//! The commands that find domains: flags to a request, the request to the driver, the record out.

use brodmann::pipeline::Method;
use brodmann::pipeline::agreed::DomainsRequest;
use brodmann::pipeline::banksy::BanksyRequest;
use brodmann::pipeline::from_embedding::ClusterRequest;
use brodmann::pipeline::leiden::LeidenRequest;
use brodmann::pipeline::mixture::MixtureRequest;
use brodmann::pipeline::said::fields_of;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::spami::{Spami, SpamiRequest};
use brodmann::pipeline::staig::{Staig, StaigRequest};
use brodmann::pipeline::{Inputs, run_files};

use brodmann_kernels::Monitor;

use super::{Context, destination};
use crate::args::methods::StaigMethodArg;
use crate::args::said::said;
use crate::args::{
    BanksyCommand, ClusterCommand, DomainsCommand, LeidenCommand, MixtureCommand, OutputArgs,
    SmoothedPcaCommand, SourceArgs, SpamiCommand, StaigCommand,
};
use crate::failure::Failure;

fn run<M: Method>(
    context: &Context<'_>,
    method: &M,
    inputs: &[std::path::PathBuf],
    source: &SourceArgs,
    output: &OutputArgs,
) -> Result<(), Failure> {
    let inputs = Inputs { paths: inputs.to_vec(), options: source.options() };
    let record = run_files(method, &inputs, &destination(output), context.seed, context.terminal)?;
    context.print(&record, || record.lines())
}

pub fn leiden(context: &Context<'_>, args: &LeidenCommand, spatial: bool) -> Result<(), Failure> {
    run(context, &LeidenRequest::from_said(spatial, &said(args))?, &args.inputs, &args.source, &args.output)
}

pub fn spami(context: &Context<'_>, args: &SpamiCommand) -> Result<(), Failure> {
    let method = Spami::new(SpamiRequest::from_said(&said(args))?)?;
    run(context, &method, &args.inputs, &args.source, &args.output)
}

pub fn staig(context: &Context<'_>, args: &StaigCommand) -> Result<(), Failure> {
    if args.method == StaigMethodArg::SmoothedPca {
        // Scripts that know one command for both give the network's options too.
        let network = fields_of(&StaigRequest::default().options);
        let of_network = |name: &str| name != "n_neighbors" && network.contains_key(name);
        let (ignored, said) = said(args).parted(|name| of_network(name) || name == "restarts");
        if let Some(name) = ignored.names().first() {
            context
                .terminal
                .warn(&format!("smoothed PCA trains no network: {name} and the like have no effect"));
        }
        return run(
            context,
            &SmoothedPcaRequest::from_said(&said)?,
            &args.inputs,
            &args.source,
            &args.output,
        );
    }
    let method = Staig::new(StaigRequest::from_said(&said(args))?)?;
    run(context, &method, &args.inputs, &args.source, &args.output)
}

pub fn smoothed_pca(context: &Context<'_>, args: &SmoothedPcaCommand) -> Result<(), Failure> {
    run(context, &SmoothedPcaRequest::from_said(&said(args))?, &args.inputs, &args.source, &args.output)
}

pub fn domains(context: &Context<'_>, args: &DomainsCommand) -> Result<(), Failure> {
    run(context, &DomainsRequest::from_said(&said(args))?, &args.inputs, &args.source, &args.output)
}

pub fn banksy(context: &Context<'_>, args: &BanksyCommand) -> Result<(), Failure> {
    run(context, &BanksyRequest::from_said(&said(args))?, &args.inputs, &args.source, &args.output)
}

pub fn mixture(context: &Context<'_>, args: &MixtureCommand) -> Result<(), Failure> {
    run(context, &MixtureRequest::from_said(&said(args))?, &args.inputs, &args.source, &args.output)
}

pub fn cluster(context: &Context<'_>, args: &ClusterCommand) -> Result<(), Failure> {
    let inputs = std::slice::from_ref(&args.input);
    run(context, &ClusterRequest::from_said(&said(args))?, inputs, &SourceArgs::default(), &args.output)
}
