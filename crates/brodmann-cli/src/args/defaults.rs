//! Defaults in help texts, read off the library: a help text cannot say what the program does not do.

use std::collections::BTreeMap;

use brodmann::models::spami::SpamiPreset;
use brodmann::models::staig::StaigPreset;
use brodmann::pipeline::agreed::DomainsRequest;
use brodmann::pipeline::banksy::{self, BanksyRequest};
use brodmann::pipeline::explain::enrich::EnrichOptions;
use brodmann::pipeline::explain::gene_modules::GeneModulesRequest;
use brodmann::pipeline::explain::links::LinksRequest;
use brodmann::pipeline::explain::markers::MarkersRequest;
use brodmann::pipeline::explain::neighborhood::NeighborhoodRequest;
use brodmann::pipeline::explain::spatial_genes::SvgRequest;
use brodmann::pipeline::expression::{FEW_TOP_GENES, N_TOP_GENES as OF_ONE_SLICE, N_TOP_GENES_PER_SLICE};
use brodmann::pipeline::from_embedding::{ClusterRequest, EmbeddingOptions};
use brodmann::pipeline::histology::{EncoderOptions, ImageFeaturesRequest, SlideOptions};
use brodmann::pipeline::mixture::MixtureRequest;
use brodmann::pipeline::qc::QcRequest;
use brodmann::pipeline::report::ReportRequest;
use brodmann::pipeline::request::ModelOptions;
use brodmann::pipeline::said::fields_of;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::spami::SpamiRequest;
use brodmann::pipeline::spami::request::N_TOP_GENES;
use brodmann::pipeline::staig::StaigRequest;
use brodmann::preprocess::{Modality, PreprocessOptions};
use brodmann::stats::Thresholds;
use clap::Command;
use serde_json::{Map, Value as Json};

/// Options and their values: of the default first, then of the presets, by name.
type Table = Vec<(&'static str, Map<String, Json>)>;

/// Flags that are called otherwise than the option they set.
const RENAMED: &[(&str, &str)] = &[("lr", "learning_rate"), ("hvg", "flavor")];

/// Options that a command shares with others and refuses with the reason: not shown in its help.
const REFUSED: &[(&str, &str)] = &[("domains", "n_pcs")];

/// `command` with defaults in its help texts.
pub fn with_defaults(command: Command) -> Command {
    let tables = BTreeMap::from([
        ("spami", of_spami()),
        ("staig", of_staig()),
        ("smoothed-pca", of_smoothed_pca()),
        ("banksy", of_banksy()),
        ("domains", of_domains()),
        ("mixture", of_mixture()),
        ("cluster", of_cluster()),
        ("qc", vec![("", fields_of(&QcRequest::default().local))]),
        ("markers", of_markers()),
        ("enrich", of_enrichment()),
        ("image-features", of_image_features()),
        ("links", of_links()),
        ("svg", vec![("", fields_of(&SvgRequest::default().options))]),
        ("gene-modules", of_gene_modules()),
        ("report", of_report()),
        ("neighborhood", vec![("", fields_of(&NeighborhoodRequest::default().options))]),
        ("preprocess", of_preprocessing()),
        ("neighbors", of_preprocessing()),
        ("leiden", of_preprocessing()),
        ("spatialleiden", of_preprocessing()),
    ]);
    let command = REFUSED.iter().fold(command, |command, (name, flag)| {
        command.mut_subcommand(name, |sub| sub.mut_arg(flag, |arg| arg.hide(true)))
    });
    command.mut_subcommands(|sub| match tables.get(sub.get_name()) {
        Some(table) => sub.mut_args(|arg| {
            let id = arg.get_id().as_str();
            let option = RENAMED.iter().find(|(flag, _)| *flag == id).map_or(id, |(_, option)| option);
            let Some(said) = default_text(table, option) else { return arg };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            // What depends on more than the preset is said by hand.
            if help.contains("[default:") { arg } else { arg.help(format!("{help} [default: {said}]")) }
        }),
        None => sub,
    })
}

/// Options that every command takes are told in full by `brodmann --help`; a command's own help names them in one line.
pub fn with_options_of_all_told_once(mut command: Command) -> Command {
    // Only then do the commands know them.
    command.build();
    command.mut_subcommands(|sub| {
        if sub.get_name() == "help" {
            return sub;
        }
        let mut named = Vec::new();
        let sub = sub.mut_args(|arg| {
            if !arg.is_global_set() {
                return arg;
            }
            named.extend(arg.get_long().map(|long| format!("--{long}")));
            arg.hide(true)
        });
        let everywhere = format!("Everywhere: {}; see `brodmann --help`", named.join(", "));
        let after = match sub.get_after_help() {
            Some(examples) => format!("{examples}\n\n{everywhere}"),
            None => everywhere,
        };
        sub.after_help(after)
    })
}

/// `10; visium 34, starmap 2`.
fn default_text(table: &Table, option: &str) -> Option<String> {
    let (_, base) = table.first()?;
    let usual = in_words(base.get(option)?)?;
    let others: Vec<String> = table[1..]
        .iter()
        .filter_map(|(preset, values)| Some((preset, in_words(values.get(option)?)?)))
        .filter(|(_, value)| *value != usual)
        .map(|(preset, value)| format!("{preset} {value}"))
        .collect();
    Some(if others.is_empty() { usual } else { format!("{usual}; {}", others.join(", ")) })
}

/// A value as it would be typed; `None` for what is not a value: unset, or a flag that is off.
fn in_words(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Array(list) if !list.is_empty() => {
            Some(list.iter().map(in_words).collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => None,
    }
}

fn of_spami() -> Table {
    let of = |preset: SpamiPreset| {
        let request = SpamiRequest::preset(preset);
        let mut all = fields_of(&request.options);
        all.extend(fields_of(&request.domains));
        all.extend(fields_of(&request.prior_options));
        all.extend(fields_of(&ModelOptions::default()));
        all.extend(of_expression());
        all.insert("n_top_genes".to_owned(), Json::from(N_TOP_GENES));
        all.insert("n_pcs".to_owned(), Json::from("50; up to 200 proteins are used as they are"));
        (preset.name(), all)
    };
    SpamiPreset::ALL.map(of).into()
}

fn of_report() -> Table {
    let request = ReportRequest::default();
    let mut all = fields_of(&request.options);
    all.extend(fields_of(&request.slide));
    vec![("", all)]
}

fn of_staig() -> Table {
    let of = |preset: StaigPreset| {
        let request = StaigRequest::preset(preset);
        let mut all = fields_of(&request.options);
        all.extend(fields_of(&request.domains));
        all.extend(fields_of(&request.training));
        all.extend(fields_of(&SlideOptions::default()));
        all.extend(fields_of(&EncoderOptions::default()));
        all.extend(fields_of(&ModelOptions::default()));
        all.extend(of_expression());
        (preset.name(), all)
    };
    StaigPreset::ALL.map(of).into()
}

fn of_gene_modules() -> Table {
    let request = GeneModulesRequest::default();
    let mut all = fields_of(&request.genes);
    all.extend(fields_of(&request.coexpression));
    vec![("", all)]
}

fn of_links() -> Table {
    let request = LinksRequest::default();
    let mut all = fields_of(&request.options);
    all.extend(fields_of(&request.window));
    all.extend(fields_of(&request.positions));
    all.extend(fields_of(&request.transport));
    all.extend(fields_of(&request.specific));
    vec![("", all)]
}

fn of_image_features() -> Table {
    let request = ImageFeaturesRequest::default();
    let mut all = fields_of(&request.slide);
    all.extend(fields_of(&request.encoder));
    all.extend(fields_of(&request.look));
    vec![("", all)]
}

fn of_smoothed_pca() -> Table {
    let request = SmoothedPcaRequest::default();
    let mut all = fields_of(&request.domains);
    all.extend(fields_of(&request.smoothing));
    all.extend(of_expression());
    all.insert("n_pcs".to_owned(), Json::from(30));
    vec![("", all)]
}

fn of_banksy() -> Table {
    let request = BanksyRequest::default();
    let mut all = fields_of(&request.domains);
    all.extend(fields_of(&request.surroundings));
    all.extend(of_expression());
    all.insert("n_top_genes".to_owned(), few_genes());
    all.insert("n_pcs".to_owned(), Json::from(banksy::N_PCS));
    vec![("", all)]
}

fn of_domains() -> Table {
    let mut all = fields_of(&DomainsRequest::default().agreement);
    all.extend(fields_of(&SlideOptions::default()));
    all.extend(fields_of(&EncoderOptions::default()));
    all.extend(of_expression());
    all.insert("n_top_genes".to_owned(), few_genes());
    vec![("", all)]
}

fn few_genes() -> Json {
    format!("{FEW_TOP_GENES}; of each of several slices {N_TOP_GENES_PER_SLICE}, those of all").into()
}

fn of_mixture() -> Table {
    let mut all = fields_of(&MixtureRequest::default().domains);
    all.extend(of_components());
    vec![("", all)]
}

fn of_markers() -> Table {
    let of = |preset: &'static str, thresholds: &Thresholds| {
        let request = MarkersRequest::default();
        let mut all = fields_of(&request.comparison);
        all.extend(fields_of(&request.options));
        all.extend(fields_of(thresholds));
        (preset, all)
    };
    let presets = Thresholds::PRESETS.iter().map(|(name, thresholds)| of(name, thresholds));
    std::iter::once(of("", &Thresholds::default())).chain(presets).collect()
}

fn of_enrichment() -> Table {
    let mut table = of_markers();
    let own = fields_of(&EnrichOptions::default());
    for (_, all) in &mut table {
        all.extend(own.clone());
    }
    table
}

/// Of gene expression on its way to a model.
fn of_expression() -> Map<String, Json> {
    let own = PreprocessOptions::for_modality(Modality::Rna);
    let mut all = Map::new();
    let mut set = |name: &str, value: Json| all.insert(name.to_owned(), value);
    let genes = format!("{OF_ONE_SLICE}; of each of several slices {N_TOP_GENES_PER_SLICE}, those of all");
    set("n_top_genes", genes.into());
    set("flavor", serde_json::to_value(own.hvg_flavor).unwrap_or_default());
    set("target_sum", own.target_sum.map_or(Json::Null, |sum| format!("{sum}").into()));
    set("min_cells", own.min_cells.into());
    all
}

/// Of counts of any kind on their way to components.
fn of_components() -> Map<String, Json> {
    let [rna, adt, atac] =
        [Modality::Rna, Modality::Adt, Modality::Atac].map(PreprocessOptions::for_modality);
    let mut all = Map::new();
    let mut set = |name: &str, value: Json| all.insert(name.to_owned(), value);
    set("n_top_genes", rna.n_top_genes.map_or(Json::Null, |n| format!("{n} for rna").into()));
    set("flavor", serde_json::to_value(rna.hvg_flavor).unwrap_or_default());
    set("n_pcs", format!("{} rna, {} adt, {} atac", rna.n_pcs, adt.n_pcs, atac.n_pcs).into());
    set("target_sum", rna.target_sum.map_or(Json::Null, |sum| format!("{sum} for rna").into()));
    set("min_cells", format!("{} for rna", rna.min_cells).into());
    all
}

fn of_preprocessing() -> Table {
    vec![("", of_components())]
}

fn of_cluster() -> Table {
    let mut all = fields_of(&ClusterRequest::default_domains());
    all.extend(fields_of(&EmbeddingOptions::default()));
    vec![("", all)]
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_command_has_examples_that_it_understands() {
        for sub in Cli::command().get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            // A remark may stand beside one.
            let examples: Vec<&str> = help
                .lines()
                .filter_map(|line| line.split('#').next())
                .flat_map(|line| line.split("&&"))
                .map(str::trim)
                .filter(|line| line.starts_with("brodmann "))
                .collect();
            assert!(!examples.is_empty(), "{} has no example", sub.get_name());
            for example in examples {
                // Quoted for a shell, which takes the quotes away.
                let parsed = Cli::try_parse_from(example.replace('\'', "").split_whitespace());
                assert!(parsed.is_ok(), "{example}: {}", parsed.expect_err("refused"));
            }
        }
    }

    #[test]
    fn what_every_command_takes_is_told_once() {
        let mut whole = with_options_of_all_told_once(with_defaults(Cli::command()));
        let domains = whole.find_subcommand_mut("domains").expect("there").render_help().to_string();
        assert!(
            domains.contains("Everywhere: --seed, --threads") && !domains.contains("--strict "),
            "{domains}"
        );
        assert!(domains.contains("brodmann domains tissue.h5ad"), "{domains}");
        let all = whole.render_help().to_string();
        assert!(all.contains("--strict ") && all.contains("--max-memory <BYTES>"), "{all}");
        // Hidden, not gone.
        let parsed = whole.try_get_matches_from(["brodmann", "demo", "--seed", "3", "--json"]);
        assert!(parsed.is_ok());
    }
}
