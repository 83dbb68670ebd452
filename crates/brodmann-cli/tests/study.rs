//! `brodmann run`: what is wrong with a study is refused like everything else, before anything runs. What a study does is
//! tested in tests/python/test_run.py.

mod common;

use std::fs;

use common::Folder;

fn refuses(text: &str, names: &[&str]) {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    fs::write(folder.path("pipeline.toml"), text).expect("written");
    folder.refuses(&["run", "pipeline.toml"], names);
    folder.refuses(&["run", "pipeline.toml", "--dry-run"], names);
}

#[test]
fn one_mistake_is_a_sentence_and_several_are_a_list() {
    let step = "[[step]]\ncommand = \"domains\"\ninput = \"tissue.h5ad\"\n";
    refuses(&format!("{step}n-cluster = 3\n"), &["line 4", "did you mean n-clusters?"]);
    refuses(&format!("{step}n_cluster = 3\nrefin = 4\n"), &["2 mistakes", "line 4", "line 5"]);
    refuses(&step.replace("tissue", "tisue"), &["line 3", "tisue.h5ad"]);
    refuses(&format!("{step}n-init = 0.5\n"), &["line 4", "n-init"]);
    refuses(&format!("{step}out = \"../tissue.h5ad\"\n"), &["its output", "an input"]);
    refuses(&format!("{step}{step}"), &["line 4", "a step of this name"]);
    refuses("[[step]\n", &["line 1", "not TOML"]);
    refuses("", &["no step"]);
}

#[test]
fn options_and_inputs_are_looked_at_before_anything_runs() {
    let leiden = "[[step]]\ncommand = \"spatialleiden\"\ninput = \"tissue.h5ad\"\n";
    refuses(&format!("{leiden}k = 3\nresolution = 1\n"), &["--resolution"]);
    // Of a step whose inputs are there already its options are held against them.
    let cluster = "[[step]]\nname = \"next\"\ncommand = \"mixture\"\ninput = \"tissue.h5ad\"\n";
    refuses(&format!("{leiden}{cluster}k = 0\n"), &["line 4", "step next", "--n-clusters"]);
    refuses(&format!("{leiden}{cluster}k = 65\n"), &["step next", "--n-clusters is 65"]);
    refuses(&format!("{leiden}{cluster}integrate = \"harmony\"\n"), &["step next", "single slice"]);
}

#[test]
fn an_output_that_no_run_of_the_study_made_stays() {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    fs::create_dir(folder.path("results")).expect("made");
    fs::write(folder.path("results/map.h5ad"), "precious").expect("written");
    let study = "[[step]]\nname = \"map\"\ncommand = \"spatialleiden\"\ninput = \"tissue.h5ad\"\nk = 3\n";
    fs::write(folder.path("p.toml"), study).expect("written");
    for _ in 0..2 {
        folder
            .run(&["run", "p.toml", "--quiet"])
            .is_refusal(&["map.h5ad exists already", "brodmann run --force map"]);
        assert_eq!(fs::read(folder.path("results/map.h5ad")).expect("there"), b"precious");
    }
    fs::write(folder.path("p.toml"), study.to_owned() + "force = true\n").expect("written");
    folder.run(&["run", "p.toml", "--quiet"]).succeeded();
    fs::write(folder.path("p.toml"), study.replace("k = 3", "k = 4")).expect("written");
    folder.run(&["run", "p.toml", "--quiet"]).succeeded();
}

#[test]
fn what_is_no_study_and_what_is_no_step() {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    folder.refuses(&["run", "none.toml"], &["none.toml"]);
    fs::write(folder.path("p.toml"), "[[step]]\ncommand = \"info\"\ninput = \"tissue.h5ad\"\n")
        .expect("written");
    folder.refuses(&["run", "p.toml", "--force", "inf"], &["did you mean info?"]);
    folder.refuses(&["run", "p.toml", "--force"], &["--force STEP"]);
    folder.refuses(&["run", "p.toml", "--set", "info"], &["STEP.KEY=VALUE"]);
    folder.refuses(&["run", "--init", "none.h5ad"], &["none.h5ad"]);
    folder
        .refuses(&["run", "--init", "tissue.h5ad", "--out", "p.toml"], &["p.toml exists already", "--force"]);
}
