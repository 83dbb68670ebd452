use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use super::document::{Document, Place, Value};
use super::flags::{self, Commands, Given, READ, Role};
use super::plan::{Step, Study};
use super::problems::Problems;
use crate::args::Cli;

/// A folder with some files, and the study in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["a.h5ad", "b.h5ad", "m.h5mu", "image.npy"] {
            std::fs::write(folder.path().join(file), file).expect("written");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn study(&self, text: &str, set: &[&str]) -> (Study, Vec<String>) {
        let global = Cli::try_parse_from(["brodmann", "demo"]).expect("a command line").global;
        let mut problems = Problems::default();
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        let study = Study::of(text, &self.path("p.toml"), &set, &global, &mut problems);
        (study, problems.lines())
    }

    /// A study with nothing wrong.
    fn fine(&self, text: &str) -> Study {
        let (study, problems) = self.study(text, &[]);
        assert!(problems.is_empty(), "{problems:?}");
        study
    }

    /// The command line of a step, paths from the folder.
    fn line(&self, step: &Step) -> String {
        flags::shell(&step.words).replace(&format!("{}/", self.0.path().display()), "")
    }
}

const INPUTS: &str = "[inputs]\na = \"a.h5ad\"\nb = \"b.h5ad\"\nboth = [\"a.h5ad\", \"b.h5ad\"]\n";

#[test]
fn every_kind_of_value_becomes_what_would_be_typed() {
    let folder = Folder::new();
    let text = format!(
        "{INPUTS}[[step]]\ncommand = \"spatialleiden\"\ninput = \"a\"\nresolution = {{ rna = 0.5, spatial = 1 }}\n\
         directed = true\nunweighted = true\nkeep_off_tissue = false\nseed = 3\nn-iterations = -1\n\
         [[step]]\ncommand = \"staig\"\ninput = \"both\"\nfeature_mask = [0.1, 0.2]\nlearning_rate = 1e-3\nimage-key = \"image.npy\"\n\
         [[step]]\ncommand = \"plot\"\ninput = \"spatialleiden\"\ncolor = [\"x y\", \"z\"]\nout = \"sub/x.png\"\n"
    );
    let study = folder.fine(&text);
    let lines: Vec<String> = study.steps.iter().map(|step| folder.line(step)).collect();
    assert_eq!(
        lines,
        [
            "spatialleiden a.h5ad --resolution rna=0.5,spatial=1 --directed --unweighted --n-iterations=-1 \
             --out results/spatialleiden.h5ad --seed 3",
            "staig a.h5ad b.h5ad --feature-mask 0.1 --feature-mask 0.2 --lr 1e-3 --image-key image.npy --out \
             results/staig.h5ad --seed 42",
            "plot results/spatialleiden.h5ad --color 'x y' z --out results/sub/x.png --seed 42",
        ]
    );
    assert_eq!(study.steps[2].makers().into_iter().collect::<Vec<_>>(), [0]);
    assert_eq!(study.steps[1].reads.len(), 3, "the picture's features are read, too");
    assert_eq!(study.steps[0].seed, 3);
    assert!(!study.steps[0].options.contains_key("seed"));
}

#[test]
fn a_step_for_each_of_several_and_one_for_all_of_them() {
    let folder = Folder::new();
    let text = format!(
        "{INPUTS}[[step]]\nname = \"found\"\ncommand = \"domains\"\nfor = [\"a\", \"b\"]\n\
         [[step]]\nname = \"map-{{}}\"\ncommand = \"plot\"\nfor = [\"a\", \"b\"]\ninput = \"found-{{}}\"\ncolor = \"domains\"\n\
         [[step]]\nname = \"k\"\ncommand = \"leiden\"\nfor = [3, 4]\ninput = \"found-a\"\nn-clusters = \"{{}}\"\n\
         [[step]]\ncommand = \"staig\"\ninput = \"found\"\n"
    );
    let study = folder.fine(&text);
    let names: Vec<&str> = study.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["found-a", "found-b", "map-a", "map-b", "k-3", "k-4", "staig"]);
    let lines: Vec<String> = study.steps.iter().map(|step| folder.line(step)).collect();
    assert_eq!(lines[1], "domains b.h5ad --out results/found-b.h5ad --seed 42");
    assert_eq!(lines[3], "plot results/found-b.h5ad --color domains --out results/map-b.png --seed 42");
    assert_eq!(lines[5], "leiden results/found-a.h5ad --n-clusters 4 --out results/k-4.h5ad --seed 42");
    assert_eq!(
        lines[6],
        "staig results/found-a.h5ad results/found-b.h5ad --out results/staig.h5ad --seed 42"
    );
    assert_eq!(study.steps[6].makers().into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn outputs_are_named_after_the_step_and_end_as_they_must() {
    let folder = Folder::new();
    let text = "[[step]]\nname = \"one\"\ncommand = \"domains\"\ninput = \"m.h5mu\"\n\
                [[step]]\nname = \"two\"\ncommand = \"plot\"\ninput = \"one\"\ncolor = \"x\"\n\
                [[step]]\nname = \"three\"\ncommand = \"simulate\"\n\
                [[step]]\nname = \"four\"\ncommand = \"demo\"\n\
                [[step]]\nname = \"five\"\ncommand = \"qc\"\ninput = \"a.h5ad\"\nplot = \"qc.png\"\n\
                [[step]]\nname = \"six\"\ncommand = \"qc\"\ninput = \"a.h5ad\"\n\
                [[step]]\ncommand = \"info\"\ninput = \"results/four/tissue.h5mu\"\n\
                [[step]]\nname = \"eight\"\ncommand = \"info\"\ninput = \"five.plot\"\n";
    let study = folder.fine(text);
    let outs: Vec<String> =
        study.steps.iter().map(|step| step.outputs().map(|path| study.shown(path)).collect()).collect();
    let expected = [
        "results/one.h5mu",
        "results/two.png",
        "results/three.h5mu",
        "results/four",
        "results/qc.png",
        "results/six.h5ad",
    ];
    assert_eq!(outs[..6], expected);
    assert_eq!(outs[6], "");
    // A path to what a step writes, or to a file in a folder that it writes, is that step's.
    assert_eq!(study.steps[6].reads[0].maker, Some(3));
    assert_eq!(study.steps[7].reads[0].maker, Some(4));
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_line_and_what_is_near() {
    let folder = Folder::new();
    let text = "[study]\nsead = 1\nthreads = 0\n[inputs]\na = \"a.h5ad\"\ngone = \"gone.h5ad\"\n\
                [[step]]\ncommand = \"domians\"\n\
                [[step]]\ncommand = \"domains\"\ninput = \"aa\"\nn-cluster = 3\nrefine = \"many\"\ngmm-model = \"VVX\"\n\
                [[step]]\ncommand = \"plot\"\ninput = \"leiden\"\nout = \"x.png\"\n\
                [[step]]\ncommand = \"leiden\"\ninput = \"leiden\"\nin-place = true\nthreads = 2\nresume = true\n\
                [[step]]\ncommand = \"mixture\"\ninput = \"a\"\nout = \"../a.h5ad\"\n\
                [[step]]\ncommand = \"banksy\"\ninput = \"a\"\nout = \"x\"\nk = [2, 3]\n\
                [[step]]\ncommand = \"staig\"\ninput = \"a\"\nout = \"../p.toml\"\n\
                [[step]]\ncommand = \"staig\"\ninput = \"domains\"\n\
                [[step]]\ncommand = \"run\"\n[[step]]\nname = \"x\"\n";
    let (_, found) = folder.study(text, &[]);
    let expected: &[(&str, &[&str])] = &[
        ("line 2", &["sead", "did you mean seed?"]),
        ("line 3", &["threads", "at least 1"]),
        ("line 6", &["gone.h5ad does not exist"]),
        ("line 8", &["domians", "did you mean domains?"]),
        ("line 11", &["\"aa\" is no input", "did you mean a?"]),
        ("line 12", &["n-cluster is no option of `brodmann domains`", "did you mean n-clusters?"]),
        ("line 13", &["refine", "whole number"]),
        ("line 14", &["gmm-model", "VVV"]),
        ("line 17", &["leiden comes after it"]),
        ("line 15", &["color is missing"]),
        ("line 21", &["stands on itself"]),
        ("line 22", &["in-place"]),
        ("line 23", &["threads", "[study]"]),
        ("line 24", &["resume"]),
        ("line 25", &["step mixture", "the input a"]),
        ("line 33", &["k: 2 values"]),
        ("line 34", &["step staig", "the study itself"]),
        ("line 38", &["a step of this name"]),
        ("line 42", &["\"run\" is no command that can be a step"]),
        ("line 43", &["no command"]),
    ];
    for (place, words) in expected {
        let is_it = |line: &&String| {
            line.starts_with(&format!("{place}: ")) && words.iter().all(|word| line.contains(word))
        };
        assert!(found.iter().any(|line| is_it(&line)), "{place} {words:?} of {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn two_steps_with_one_output_and_what_is_no_toml() {
    let folder = Folder::new();
    let step = "[[step]]\ncommand = \"leiden\"\ninput = \"a.h5ad\"\nout = \"x.h5ad\"\n";
    let other = "[[step]]\ncommand = \"mixture\"\ninput = \"a.h5ad\"\nout = \"sub/../x.h5ad\"\n";
    let (_, found) = folder.study(&format!("{step}{other}"), &[]);
    assert!(found.len() == 1 && found[0].contains("that of the step leiden"), "{found:?}");
    let (_, found) = folder.study("[study]\nseed = = 3\n", &[]);
    assert!(!found.is_empty() && found.iter().all(|line| line.contains("not TOML")), "{found:?}");
    let (_, found) = folder.study("", &[]);
    assert!(found.len() == 1 && found[0].contains("no step"), "{found:?}");
}

#[test]
fn what_is_set_is_laid_over_the_file() {
    let folder = Folder::new();
    let text = format!("{INPUTS}[[step]]\ncommand = \"domains\"\ninput = \"a\"\nn_clusters = 7\n");
    let set =
        ["domains.n-clusters=8", "domains.umap=true", "study.out=other", "inputs.a=b.h5ad", "study.seed=9"];
    let (study, problems) = folder.study(&text, &set);
    // `umap` is of methods with one embedding.
    assert!(problems.len() == 1 && problems[0].starts_with("--set: step domains: umap"), "{problems:?}");
    assert!(study.steps.is_empty());
    let (study, problems) = folder.study(&text, &[&set[..1], &set[2..]].concat());
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(
        folder.line(&study.steps[0]),
        "domains b.h5ad --n-clusters 8 --out other/domains.h5ad --seed 9"
    );
    for (set, word) in
        [("domain.k=8", "did you mean domains?"), ("k=8", "STEP.KEY=VALUE"), ("a.b", "STEP.KEY=VALUE")]
    {
        let (_, problems) = folder.study(&text, &[set]);
        assert!(problems.len() == 1 && problems[0].contains(word), "{problems:?}");
    }
}

#[test]
fn values_and_lines_are_those_of_the_file() {
    let mut problems = Problems::default();
    let text = "[study]\n\nout = \"é\"\n[[step]]\na = 0x10\nb = 1_000\nc = 1.50\nd = [1, \"x\"]\n";
    let document = Document::parse(text, &mut problems).expect("TOML");
    assert!(problems.is_empty());
    assert_eq!(document.study.entries[0].place, Place::Line(3));
    let step = &document.steps[0];
    assert_eq!(step.place, Place::Line(4));
    let values: Vec<&Value> = step.entries.iter().map(|e| &e.value).collect();
    let of = |text: &str| Value::Text(text.to_owned());
    assert_eq!(values, [&of("16"), &of("1000"), &of("1.50"), &Value::List(vec![of("1"), of("x")])]);
    assert_eq!(step.entries[2].place, Place::Line(7));
}

#[test]
fn a_word_of_a_shell_is_one_word() {
    let words = ["a b", "it's", "", "plain-1.5,x=2"].map(str::to_owned);
    assert_eq!(flags::shell(&words), r"'a b' 'it'\''s' '' plain-1.5,x=2");
}

#[test]
fn a_word_that_looks_like_a_flag_is_a_value() {
    let commands = Commands::new();
    let plot = commands.find("plot").expect("a command");
    let color = plot.find("color").expect("a flag");
    let given = Given::Values(vec!["-x".to_owned(), "y".to_owned()]);
    assert_eq!(flags::words(color, &given), ["--color=-x", "--color", "y"]);
}

/// Whoever adds a flag that takes a path says whether the file is read or written: `WRITTEN`, `KEPT` or `READ` in
/// flags.rs, by the name of the field.
#[test]
fn of_every_flag_that_names_a_file_it_is_known_whether_it_is_read_or_written() {
    let mut all = Cli::command();
    all.build();
    let commands = Commands::new();
    for name in commands.names() {
        let command = all.find_subcommand(name).expect("a command");
        for arg in command.get_arguments().filter(|a| !a.is_global_set() && !a.is_positional()) {
            let id = arg.get_id().as_str();
            assert!(
                flags::role(arg) != Role::Reads || READ.contains(&id),
                "--{id} of {name}: is the file read or written?"
            );
        }
        // Every command can be a step: it has one input at most, and what it writes is called out.
        let flags = commands.find(name).expect("a command");
        assert!(flags.keys().contains(&"seed") && !flags.keys().contains(&"in-place"), "{name}");
    }
}
