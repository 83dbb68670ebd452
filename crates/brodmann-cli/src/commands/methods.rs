//! The commands that find domains: flags to a request, the request to the driver, the record out.

use std::path::PathBuf;

use brodmann::pipeline::Method;
use brodmann::pipeline::agreed::DomainsRequest;
use brodmann::pipeline::banksy::BanksyRequest;
use brodmann::pipeline::forecast::Forecast;
use brodmann::pipeline::from_embedding::ClusterRequest;
use brodmann::pipeline::leiden::LeidenRequest;
use brodmann::pipeline::mixture::MixtureRequest;
use brodmann::pipeline::said::fields_of;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::spami::{Spami, SpamiRequest};
use brodmann::pipeline::staig::{Staig, StaigRequest};
use brodmann::pipeline::{Inputs, forecast_files, run_files};

use brodmann_kernels::{Monitor, Silent};

use super::{Context, Foresight, destination};
use crate::args::methods::StaigMethodArg;
use crate::args::said::said;
use crate::args::{
    BanksyCommand, ClusterCommand, DomainsCommand, LeidenCommand, MixtureCommand, OutputArgs,
    SmoothedPcaCommand, SourceArgs, SpamiCommand, StaigCommand,
};
use crate::failure::Failure;
use crate::networks::networks;

/// What is done with a method and its files.
pub trait Work {
    /// What comes of it.
    type Done;

    fn of<M: Method>(&self, method: &M, files: Files<'_>) -> Result<Self::Done, Failure>;

    /// Who hears of it.
    fn monitor(&self) -> &dyn Monitor;
}

/// The files of a method as they were said: inputs, what is said of them, output.
pub struct Files<'a>(&'a [PathBuf], &'a SourceArgs, &'a OutputArgs);

impl Files<'_> {
    fn inputs(&self) -> Inputs {
        Inputs { paths: self.0.to_vec(), options: self.1.options() }
    }
}

/// Running it, the report out.
impl Work for Context<'_> {
    type Done = ();

    fn of<M: Method>(&self, method: &M, files: Files<'_>) -> Result<(), Failure> {
        let destination = destination(files.2);
        let record = run_files(method, &files.inputs(), &destination, self.seed, self.terminal)?;
        self.print(&record, || record.lines())
    }

    fn monitor(&self) -> &dyn Monitor {
        self.terminal
    }
}

/// Looking at its options, and at its files where they are there to be opened.
impl Work for Foresight {
    type Done = Option<Forecast>;

    fn of<M: Method>(&self, method: &M, files: Files<'_>) -> Result<Option<Forecast>, Failure> {
        if !self.open {
            return Ok(None);
        }
        Ok(forecast_files(method, &files.inputs(), &Silent)?)
    }

    fn monitor(&self) -> &dyn Monitor {
        &Silent
    }
}

pub fn leiden<W: Work>(work: &W, args: &LeidenCommand, spatial: bool) -> Result<W::Done, Failure> {
    work.of(&LeidenRequest::from_said(spatial, &said(args))?, Files(&args.inputs, &args.source, &args.output))
}

pub fn spami<W: Work>(work: &W, args: &SpamiCommand) -> Result<W::Done, Failure> {
    let method = Spami::new(SpamiRequest::from_said(&said(args))?)?;
    work.of(&method, Files(&args.inputs, &args.source, &args.output))
}

pub fn staig<W: Work>(work: &W, args: &StaigCommand) -> Result<W::Done, Failure> {
    if args.method == StaigMethodArg::SmoothedPca {
        // Scripts that know one command for both give the network's options too.
        let network = fields_of(&StaigRequest::default().options);
        let of_network = |name: &str| name != "n_neighbors" && network.contains_key(name);
        let (ignored, said) = said(args).parted(|name| of_network(name) || name == "restarts");
        if let Some(name) = ignored.names().first() {
            work.monitor()
                .warn(&format!("smoothed PCA trains no network: {name} and the like have no effect"));
        }
        return work
            .of(&SmoothedPcaRequest::from_said(&said)?, Files(&args.inputs, &args.source, &args.output));
    }
    let request = StaigRequest { networks: networks(), ..StaigRequest::from_said(&said(args))? };
    let method = Staig::new(request)?;
    work.of(&method, Files(&args.inputs, &args.source, &args.output))
}

pub fn smoothed_pca<W: Work>(work: &W, args: &SmoothedPcaCommand) -> Result<W::Done, Failure> {
    work.of(&SmoothedPcaRequest::from_said(&said(args))?, Files(&args.inputs, &args.source, &args.output))
}

pub fn domains<W: Work>(work: &W, args: &DomainsCommand) -> Result<W::Done, Failure> {
    let request = DomainsRequest { networks: networks(), ..DomainsRequest::from_said(&said(args))? };
    work.of(&request, Files(&args.inputs, &args.source, &args.output))
}

pub fn banksy<W: Work>(work: &W, args: &BanksyCommand) -> Result<W::Done, Failure> {
    work.of(&BanksyRequest::from_said(&said(args))?, Files(&args.inputs, &args.source, &args.output))
}

pub fn mixture<W: Work>(work: &W, args: &MixtureCommand) -> Result<W::Done, Failure> {
    work.of(&MixtureRequest::from_said(&said(args))?, Files(&args.inputs, &args.source, &args.output))
}

pub fn cluster<W: Work>(work: &W, args: &ClusterCommand) -> Result<W::Done, Failure> {
    let inputs = std::slice::from_ref(&args.input);
    let source = &SourceArgs::default();
    work.of(&ClusterRequest::from_said(&said(args))?, Files(inputs, source, &args.output))
}
