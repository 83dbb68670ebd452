//! The library's names as they are typed: `n_clusters` is `--n-clusters`, the step `leiden` is `brodmann leiden`.

use brodmann_kernels::Spelling;

/// How the command line spells.
pub struct CommandLine;

/// Options whose flag is not their name with hyphens: those that may be given several times are called by one.
pub const FLAGS: &[(&str, &str)] = &[
    ("contrast_weights", "contrast-weight"),
    ("flavor", "hvg"),
    ("layer_weights", "layer-weight"),
    ("lambda_param", "lambda"),
    ("learning_rate", "lr"),
    ("modality_kinds", "modality-kind"),
    ("patience", "early-stopping"),
    ("reconstruction_weights", "reconstruction-weight"),
];

/// Settings that are a flag of their own.
pub const SETTINGS: &[((&str, &str), &str)] = &[
    (("adjusted", "false"), "--unadjusted"),
    (("centred", "false"), "--not-centred"),
    (("contrast", "false"), "--no-contrast"),
    (("cosine", "false"), "--no-cosine"),
    (("normalized", "true"), "--normalized"),
    (("use_weights", "false"), "--unweighted"),
];

/// The inputs have no flag.
const INPUT: &str = "input";

impl Spelling for CommandLine {
    fn option(&self, name: &str) -> String {
        if name == INPUT {
            return "FILE".to_owned();
        }
        match FLAGS.iter().find(|(own, _)| *own == name) {
            Some((_, flag)) => format!("--{flag}"),
            None => format!("--{}", name.replace('_', "-")),
        }
    }

    fn setting(&self, name: &str, value: &str) -> String {
        match SETTINGS.iter().find(|(own, _)| *own == (name, value)) {
            Some((_, flag)) => (*flag).to_owned(),
            None => format!("{} {value}", self.option(name)),
        }
    }

    fn step(&self, name: &str) -> String {
        match name {
            // What is not recognised has to be named.
            "convert" => "`brodmann convert --format`".to_owned(),
            _ => format!("`brodmann {name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::{Command, CommandFactory};

    use super::*;
    use crate::args::Cli;

    /// Options of the library that no command sets, so that no command can be told of them.
    const OF_THE_LIBRARY: &[&str] = &[
        "base",
        "block_size",
        "blur",
        "blur_filtered",
        "cost_scale",
        "ctrl_size",
        "edges",
        "empty",
        "enhancers_per_gene",
        "frequencies",
        "highest",
        "kind",
        "lambda",
        "length_scales",
        "longest",
        "lowest",
        "max_fraction",
        "max_iterations",
        "max_length",
        "max_passes",
        "max_queries",
        "max_size",
        "max_value",
        "min_delta",
        "min_dist",
        "min_fraction",
        "min_matched",
        "min_recall",
        "min_size",
        "min_spots_per_slice",
        "n_bins",
        "n_components",
        "n_domains",
        "n_edges",
        "n_epochs",
        "n_hops",
        "n_permutations",
        "n_places",
        "n_rings",
        "n_runs",
        "normalization",
        "options",
        "percentile",
        "perplexity",
        "pitch",
        "randomness",
        "reach",
        "reference",
        "regularization",
        "regulated",
        "repulsion_strength",
        "sample_size",
        "scale",
        "scale_factor",
        "selection",
        "size",
        "slices",
        "span",
        "spots",
        "spread",
        "stains",
        "start",
        "subset",
        "tile",
        "tolerance",
        "transform",
        "use_weights",
        "weight",
        "which",
        "zero_center",
    ];

    fn flags(command: &Command, out: &mut BTreeSet<String>) {
        out.extend(command.get_arguments().filter_map(|a| a.get_long()).map(|long| format!("--{long}")));
        command.get_subcommands().for_each(|sub| flags(sub, out));
    }

    /// The names between `before` and a quote in every source of the library.
    fn names(folder: &Path, before: &[&str], out: &mut BTreeSet<String>) {
        for entry in
            std::fs::read_dir(folder).expect("a folder of sources").map(|e| e.expect("an entry").path())
        {
            if entry.is_dir() {
                names(&entry, before, out);
            } else if entry.extension().is_some_and(|e| e == "rs") && !entry.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&entry).expect("text");
                for start in before {
                    let named = text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
                    out.extend(named.map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn what_the_library_names_can_be_typed() {
        let (mut flags_there, mut said, mut steps) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        flags(&Cli::command(), &mut flags_there);
        for part in ["brodmann", "brodmann-data"] {
            let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part).join("src");
            let openings =
                ["Opt(\"", "OptionError::new(\"", "PipelineError::option(\"", "refuse(\"", "fail(\""];
            names(&sources, &openings, &mut said);
            names(&sources, &["Step(\""], &mut steps);
        }
        assert!(said.len() > 40 && steps.len() > 3, "{said:?} {steps:?}");
        let unknown: Vec<_> = said
            .iter()
            .filter(|name| **name != *INPUT && !OF_THE_LIBRARY.contains(&name.as_str()))
            .filter(|name| !flags_there.contains(&CommandLine.option(name)))
            .collect();
        assert!(unknown.is_empty(), "no flags: {unknown:?}");
        for (_, flag) in SETTINGS {
            assert!(flags_there.contains(*flag), "{flag}");
        }
        let commands: BTreeSet<_> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        assert!(steps.is_subset(&commands), "{steps:?}");
    }
}
