//! Defaults in help texts, read off the library: a help text cannot say what the program does not do.

use std::collections::BTreeMap;

use brodmann::models::spami::SpamiPreset;
use brodmann::models::staig::StaigPreset;
use brodmann::pipeline::from_embedding::{ClusterRequest, EmbeddingOptions};
use brodmann::pipeline::mixture::MixtureRequest;
use brodmann::pipeline::request::ModelOptions;
use brodmann::pipeline::said::fields_of;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::spami::SpamiRequest;
use brodmann::pipeline::staig::StaigRequest;
use clap::Command;
use serde_json::{Map, Value as Json};

/// Options and their values: of the default first, then of the presets, by name.
type Table = Vec<(&'static str, Map<String, Json>)>;

/// Flags that are called otherwise than the option they set.
const RENAMED: &[(&str, &str)] = &[("lr", "learning_rate"), ("hvg", "flavor")];

/// `command` with defaults in its help texts.
pub fn with_defaults(command: Command) -> Command {
    let tables = BTreeMap::from([
        ("spami", of_spami()),
        ("staig", of_staig()),
        ("smoothed-pca", of_smoothed_pca()),
        ("mixture", of_mixture()),
        ("cluster", of_cluster()),
    ]);
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
        all.extend(fields_of(&ModelOptions::default()));
        all.insert("n_top_genes".to_owned(), Json::from(1800));
        (preset.name(), all)
    };
    SpamiPreset::ALL.map(of).into()
}

fn of_staig() -> Table {
    let of = |preset: StaigPreset| {
        let request = StaigRequest::preset(preset);
        let mut all = fields_of(&request.options);
        all.extend(fields_of(&request.domains));
        all.extend(fields_of(&request.training));
        all.extend(fields_of(&ModelOptions::default()));
        (preset.name(), all)
    };
    StaigPreset::ALL.map(of).into()
}

fn of_smoothed_pca() -> Table {
    let request = SmoothedPcaRequest::default();
    let mut all = fields_of(&request.domains);
    all.extend(fields_of(&request.smoothing));
    vec![("", all)]
}

fn of_mixture() -> Table {
    vec![("", fields_of(&MixtureRequest::default().domains))]
}

fn of_cluster() -> Table {
    let mut all = fields_of(&ClusterRequest::default_domains());
    all.extend(fields_of(&EmbeddingOptions::default()));
    vec![("", all)]
}
