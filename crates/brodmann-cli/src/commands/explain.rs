//! `brodmann markers`, `enrich`, `svg`, `gene-modules`, `neighborhood`, `links`, `export`, `report`.

use brodmann::pipeline::Inputs;
use brodmann::pipeline::explain::enrich::{EnrichRequest, enrich_file};
use brodmann::pipeline::explain::export::{ExportRequest, export_file};
use brodmann::pipeline::explain::gene_modules::{GeneModulesRequest, gene_modules_file};
use brodmann::pipeline::explain::links::{LinkFiles, LinksRequest, links_file};
use brodmann::pipeline::explain::markers::{MarkersRequest, markers_file};
use brodmann::pipeline::explain::neighborhood::{NeighborhoodRequest, neighborhood_file};
use brodmann::pipeline::explain::spatial_genes::{SvgRequest, svg_file};
use brodmann::pipeline::report::{ReportRequest, report_files};

use super::Context;
use crate::args::said::said;
use crate::args::{
    EnrichCommand, ExportCommand, GeneModulesCommand, LinksCommand, MarkersCommand, NeighborhoodCommand,
    ReportCommand, SvgCommand,
};
use crate::failure::Failure;

pub fn markers(context: &Context<'_>, args: &MarkersCommand) -> Result<(), Failure> {
    let request = MarkersRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let report = markers_file(input, &args.output.outputs(), &request, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn enrich(context: &Context<'_>, args: &EnrichCommand) -> Result<(), Failure> {
    let request = EnrichRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let report = enrich_file(input, &args.output.outputs(), &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn svg(context: &Context<'_>, args: &SvgCommand) -> Result<(), Failure> {
    let request = SvgRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let report = svg_file(input, &args.output.outputs(), &request, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn gene_modules(context: &Context<'_>, args: &GeneModulesCommand) -> Result<(), Failure> {
    let request = GeneModulesRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let report = gene_modules_file(input, &args.output.outputs(), &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn neighborhood(context: &Context<'_>, args: &NeighborhoodCommand) -> Result<(), Failure> {
    let request = NeighborhoodRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let outputs = (&args.output.outputs(), args.shapes.as_ref());
    let report = neighborhood_file(input, outputs, &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn links(context: &Context<'_>, args: &LinksCommand) -> Result<(), Failure> {
    let request = LinksRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let files = LinkFiles { bedpe: args.bedpe.clone(), longrange: args.longrange.clone() };
    let report =
        links_file(input, (&args.output.outputs(), &files), &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn export(context: &Context<'_>, args: &ExportCommand) -> Result<(), Failure> {
    let request = ExportRequest::from_said(&said(args))?;
    let input = (args.input.as_path(), &args.source.options());
    let report = export_file(input, &args.out, &request, context.terminal)?;
    context.print(&report, || report.lines())
}

pub fn report(context: &Context<'_>, args: &ReportCommand) -> Result<(), Failure> {
    let request = ReportRequest::from_said(&said(args))?;
    let inputs = Inputs { paths: args.inputs.clone(), options: args.source.options() };
    let report = report_files(&inputs, &args.out, &request, context.seed, context.terminal)?;
    context.print(&report, || report.lines())
}
