//! What the user may get wrong: each is refused with exit code 2, a message that says what was found and what to do,
//! and no file written, lost or left behind; or it is put right, and said so.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use brodmann_data::{AnnData, Array, Categorical, Column, DataFrame, Matrix, MuData, Value, WriteOptions};
use common::{Folder, Outcome, skipped};
use indexmap::IndexMap;
use ndarray::Array2;

const IN: &str = "tissue.h5ad";
const OUT: &str = "out.h5ad";

fn run(more: &[&'static str]) -> Vec<&'static str> {
    [&["spatialleiden", IN, "--out", OUT], more].concat()
}

fn set_coordinates(adata: &mut AnnData, coordinates: Array2<f64>) {
    adata.obsm.insert("spatial".to_owned(), coordinates.into());
}

/// `X` dense, changed by `change`.
fn change_x(adata: &mut AnnData, change: impl FnOnce(&mut Array2<f32>)) {
    let mut x = adata.matrix(None).expect("X").to_dense_f32().into_owned();
    change(&mut x);
    adata.x = Some(x.into());
}

// Files.

#[test]
fn a_missing_file() {
    let folder = Folder::new();
    for command in ["spatialleiden", "leiden", "preprocess", "neighbors", "cluster", "convert"] {
        let k = if command == "cluster" { vec!["-k", "3"] } else { vec![] };
        let args = [vec![command, "none.h5ad", "--out", OUT], k].concat();
        folder.refuses(&args, &["none.h5ad", "does not exist"]);
    }
    folder.refuses(&["info", "none.h5ad"], &["none.h5ad"]);
    folder.refuses(&["evaluate", "none.h5ad", "--pred", "a"], &["none.h5ad"]);
    folder.refuses(&["plot", "none.h5ad", "--color", "a", "--out", "a.png"], &["none.h5ad"]);
    folder.refuses(&["spatialleiden", "none.h5ad", "--in-place"], &["none.h5ad"]);
}

#[test]
fn a_file_that_is_not_hdf5() {
    let folder = Folder::new();
    for content in [&b""[..], b"not HDF5 at all\n", &[0u8; 4096]] {
        fs::write(folder.path(IN), content).expect("written");
        folder.refuses(&run(&[]), &[IN, "not an HDF5 file"]);
    }
    fs::write(folder.path("notes.doc"), "text").expect("written");
    folder.refuses(&["spatialleiden", "notes.doc", "--out", OUT], &["notes.doc", "no known format"]);
    fs::create_dir(folder.path("empty")).expect("made");
    folder.refuses(&["spatialleiden", "empty", "--out", OUT], &["empty", "no known format"]);
}

#[test]
fn a_truncated_file() {
    for (name, out) in [(IN, OUT), ("tissue.h5mu", "out.h5mu")] {
        let folder = Folder::with_tissue(name, 8);
        let whole = fs::read(folder.path(name)).expect("read");
        for share in [1, 5, 20, 50, 80, 95, 99] {
            fs::write(folder.path(name), &whole[..whole.len() * share / 100]).expect("written");
            folder.refuses(&["spatialleiden", name, "--out", out], &[name]);
        }
        fs::write(folder.path(name), &whole[..whole.len() - 1]).expect("written");
        folder.refuses(&["spatialleiden", name, "--in-place"], &[name]);
    }
}

#[test]
fn no_coordinates() {
    let folder = Folder::with_changed(8, |a| {
        a.obsm.clear();
        a.obsm.insert("X_other".to_owned(), Array2::<f64>::ones((64, 2)).into());
    });
    folder
        .refuses(&run(&[]), &["obsm[\"spatial\"] is missing", "X_other", "--spatial-key", "brodmann leiden"]);
    let plot = ["plot", IN, "--color", "ground_truth", "--out", "a.png"];
    folder.refuses(&plot, &["obsm[\"spatial\"] is missing"]);
    folder.run(&["leiden", IN, "--out", OUT]).succeeded();

    let folder = Folder::with_tissue("tissue.h5mu", 8);
    let mut mdata = folder.mdata("tissue.h5mu");
    mdata.obsm.clear();
    brodmann_data::write_h5mu(&mdata, folder.path("tissue.h5mu"), &WriteOptions::default()).expect("written");
    let args = ["spatialleiden", "tissue.h5mu", "--out", "out.h5mu"];
    folder.refuses(&args, &["obsm[\"spatial\"] is missing", "--spatial-key"]);
}

// Counts.

#[test]
fn counts_that_are_none() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-3.0, "-3")] {
        let folder = Folder::with_changed(8, |a| change_x(a, |x| x[[5, 7]] = value));
        let names = ["rna", "row 5", "column 7", name];
        folder.refuses(&run(&[]), &names);
        folder.refuses(&["preprocess", IN, "--out", OUT], &names);
        folder.refuses(&["leiden", IN, "--in-place"], &names);
    }
}

#[test]
fn normalised_data_where_counts_are_needed() {
    let folder = Folder::with_changed(8, |a| change_x(a, |x| x.mapv_inplace(|v| (v * 0.37).ln_1p())));
    folder.refuses(&run(&[]), &["already-normalised", "whole number", "--normalized"]);
    folder.run(&run(&["--normalized"])).succeeded();

    // The counts lie in a layer of another name: the hint says so, and naming it is enough.
    let folder = Folder::with_changed(8, |a| {
        let counts = a.x.clone().expect("X");
        a.layers.insert("umi".to_owned(), counts);
        change_x(a, |x| x.mapv_inplace(|v| (v * 0.37).ln_1p()));
    });
    folder.refuses(&run(&[]), &["already-normalised", "--layer", "umi"]);
    folder.refuses(&run(&["--layer", "raw"]), &["layers[\"raw\"] is missing", "\"umi\"", "--layer"]);
    folder.run(&run(&["--layer", "umi"])).succeeded();
}

#[test]
fn no_counts_at_all() {
    let folder = Folder::with_changed(8, |a| a.x = None);
    folder.refuses(&run(&[]), &["X"]);
    let folder = Folder::with_changed(8, |a| change_x(a, |x| x.fill(0.0)));
    folder.refuses(&run(&[]), &["rna"]);
}

#[test]
fn spots_without_counts_stay_and_get_no_label() {
    for name in ["tissue.h5ad", "tissue.h5mu"] {
        let folder = Folder::with_tissue(name, 9);
        let empty = |adata: &mut AnnData| {
            change_x(adata, |x| [0, 40, 80].iter().for_each(|&i| x.row_mut(i).fill(0.0)));
        };
        let out = name.replace("tissue", "out");
        if name == IN {
            folder.change(name, empty);
        } else {
            let mut mdata = folder.mdata(name);
            mdata.modalities.values_mut().for_each(empty);
            brodmann_data::write_h5mu(&mdata, folder.path(name), &WriteOptions::default()).expect("written");
        }
        let outcome = folder.run(&["spatialleiden", name, "--out", &out]).succeeded();
        assert!(outcome.stderr.contains("3 spots without any count set aside"), "{}", outcome.stderr);
        let obs = if name == IN { folder.adata(&out).obs } else { folder.mdata(&out).obs };
        let codes = obs.columns["spatialleiden"].to_categorical().codes;
        let missing: Vec<usize> = (0..81).filter(|&i| codes[i] < 0).collect();
        assert_eq!((codes.len(), missing), (81, vec![0, 40, 80]));
    }
}

// Coordinates.

#[test]
fn duplicate_coordinates_work() {
    for spatial in ["knn", "delaunay"] {
        let folder = Folder::with_changed(8, |a| {
            let mut c = a.obsm_f64("spatial").expect("coordinates");
            for i in 0..20 {
                let first = c.row(0).to_owned();
                c.row_mut(i).assign(&first);
            }
            set_coordinates(a, c);
        });
        folder.run(&run(&["--spatial", spatial])).succeeded();
        assert_eq!(folder.labels(OUT, "spatialleiden").len(), 64);
    }
    // Every spot at one place is no tissue, but no reason to crash either.
    let folder = Folder::with_changed(8, |a| set_coordinates(a, Array2::ones((64, 2))));
    let outcome = folder.run(&run(&["--quiet"]));
    if outcome.code != Some(0) {
        outcome.is_refusal(&[]);
    }
}

#[test]
fn coordinates_that_are_none() {
    let folder = Folder::with_changed(8, |a| {
        let mut c = a.obsm_f64("spatial").expect("coordinates");
        c[[3, 1]] = f64::NAN;
        set_coordinates(a, c);
    });
    folder.refuses(&run(&[]), &["coordinate", "observation 3", "NaN"]);
    let folder = Folder::with_changed(8, |a| set_coordinates(a, Array2::ones((64, 1))));
    folder.refuses(&run(&[]), &["1 columns", "2 or 3"]);
}

#[test]
fn coordinates_beyond_all_bounds() {
    for scale in [1e300, 1e-300] {
        let folder = Folder::with_changed(8, |a| {
            let c = a.obsm_f64("spatial").expect("coordinates") * scale;
            set_coordinates(a, c);
        });
        let plot = vec!["plot", IN, "--color", "ground_truth", "--out", "a.png"];
        for args in [run(&[]), run(&["--spatial", "delaunay"]), run(&["--spatial", "grid"]), plot] {
            let outcome = folder.run(&[args, vec!["--quiet"]].concat());
            if outcome.code != Some(0) {
                outcome.is_refusal(&["coordinates"]);
            }
        }
    }
}

#[test]
fn a_disconnected_graph_works() {
    let folder = Folder::with_changed(10, |a| {
        let mut c = a.obsm_f64("spatial").expect("coordinates");
        c.outer_iter_mut().take(50).for_each(|mut row| row[0] += 1e6);
        set_coordinates(a, c);
    });
    let outcome = folder.run(&run(&[])).succeeded();
    assert!(outcome.stderr.contains("connected components"), "{}", outcome.stderr);
    assert_eq!(folder.labels(OUT, "spatialleiden").len(), 100);
}

// Modalities.

/// A MuData whose modalities list their observations as they do, whatever the library would align.
fn mudata(modalities: Vec<(&str, AnnData)>) -> MuData {
    let first = modalities[0].1.clone();
    let mut mdata = MuData {
        modalities: modalities.into_iter().map(|(k, a)| (k.to_owned(), a)).collect(),
        ..MuData::default()
    };
    mdata.obs = DataFrame::new(first.obs.index.clone());
    let names = mdata.modalities.values().flat_map(|a| a.var.index.iter().cloned()).collect();
    mdata.var = DataFrame::new(names);
    mdata.obsm = first.obsm;
    mdata
}

fn parts(side: usize) -> (Folder, AnnData, AnnData) {
    let folder = Folder::with_tissue("whole.h5mu", side);
    let whole = folder.mdata("whole.h5mu");
    let mut rna = whole.modalities["rna"].clone();
    rna.obsm.clone_from(&whole.obsm);
    rna.obs.columns.clone_from(&whole.obs.columns);
    (folder, rna, whole.modalities["adt"].clone())
}

fn write(folder: &Folder, name: &str, mdata: &MuData) {
    brodmann_data::write_h5mu(mdata, folder.path(name), &WriteOptions::default()).expect("written");
}

#[test]
fn a_modality_with_other_observations() {
    let (folder, rna, mut adt) = parts(8);
    adt.obs.index[5] = "someone-else".to_owned();
    write(&folder, "other.h5mu", &mudata(vec![("rna", rna.clone()), ("adt", adt.clone())]));
    let args = ["spatialleiden", "other.h5mu", "--out", "out.h5mu"];
    folder.refuses(&args, &["\"adt\"", "different observations", "1 only in", "someone-else"]);

    let fewer: Vec<usize> = (0..60).collect();
    adt = adt.select_obs(&fewer);
    write(&folder, "other.h5mu", &mudata(vec![("rna", rna), ("adt", adt)]));
    folder.refuses(&args, &["different observations"]);
}

#[test]
fn a_modality_in_another_order_is_aligned_by_name() {
    let (folder, rna, adt) = parts(8);
    let n = adt.n_obs();
    let shuffled: Vec<usize> = (0..n).map(|i| (i * 37 + 11) % n).collect();
    let both = |adt: AnnData| mudata(vec![("rna", rna.clone()), ("adt", adt)]);
    write(&folder, "straight.h5mu", &both(adt.clone()));
    write(&folder, "shuffled.h5mu", &both(adt.select_obs(&shuffled)));
    folder.run(&["spatialleiden", "straight.h5mu", "--out", "a.h5mu", "-k", "4"]).succeeded();
    let outcome = folder.run(&["spatialleiden", "shuffled.h5mu", "--out", "b.h5mu", "-k", "4"]).succeeded();
    assert!(outcome.stderr.contains("aligned by name"), "{}", outcome.stderr);
    assert_eq!(folder.labels("a.h5mu", "spatialleiden"), folder.labels("b.h5mu", "spatialleiden"));
    // What is written to the modality is in the modality's own order: used from there, it gives the same again.
    folder.run(&["spatialleiden", "b.h5mu", "--out", "c.h5mu", "-k", "4"]).succeeded();
    assert_eq!(folder.labels("a.h5mu", "spatialleiden"), folder.labels("c.h5mu", "spatialleiden"));
}

#[test]
fn observations_that_share_a_name() {
    let (folder, mut rna, adt) = parts(8);
    rna.obs.index[1] = rna.obs.index[0].clone();
    write(&folder, "twice.h5mu", &mudata(vec![("rna", rna), ("adt", adt)]));
    folder.refuses(&["spatialleiden", "twice.h5mu", "--out", "out.h5mu"], &["obs names are not unique"]);
}

// Sizes.

#[test]
fn one_spot_and_two_spots() {
    for n in [0, 1, 2] {
        let folder = Folder::with_tissue(IN, 8);
        let few = folder.adata(IN).select_obs(&(0..n).collect::<Vec<_>>());
        folder.write(IN, &few);
        folder.refuses(&run(&[]), &[&format!("{n} observation"), "at least 3"]);
        folder.refuses(&["leiden", IN, "--out", OUT], &[&format!("{n} observation")]);
        for args in [
            vec!["neighbors", IN, "--out", OUT],
            vec!["preprocess", IN, "--out", OUT],
            vec!["cluster", IN, "--out", OUT, "--use-rep", "spatial", "-k", "1"],
            vec!["evaluate", IN, "--pred", "ground_truth"],
            vec!["plot", IN, "--color", "ground_truth", "--out", "a.png"],
            vec!["info", IN],
        ] {
            let before = folder.files();
            let outcome = folder.run(&[args, vec!["--quiet"]].concat());
            if outcome.code != Some(0) {
                outcome.is_refusal(&[]);
                folder.unchanged(&before);
            }
            for name in [OUT, "a.png"] {
                let _ = fs::remove_file(folder.path(name));
            }
        }
    }
}

#[test]
fn three_spots_work() {
    let folder = Folder::with_tissue(IN, 8);
    let few = folder.adata(IN).select_obs(&[0, 1, 2]);
    folder.write(IN, &few);
    folder.run(&run(&[])).succeeded();
    assert_eq!(folder.labels(OUT, "spatialleiden").len(), 3);
}

#[test]
fn numbers_of_clusters_that_cannot_be() {
    let folder = Folder::with_tissue(IN, 8);
    for k in ["0", "64", "65", "1000000"] {
        let names = [&format!("--n-clusters is {k}"), "64 observations"];
        folder.refuses(&run(&["-k"]).into_iter().chain([k]).collect::<Vec<_>>(), &names);
        for method in ["kmeans", "leiden", "gmm"] {
            let args = ["cluster", IN, "--out", OUT, "--use-rep", "spatial", "--method", method, "-k", k];
            folder.refuses(&args, &names);
        }
    }
    let args = ["cluster", IN, "--out", OUT, "--use-rep", "spatial"];
    folder.refuses(&args, &["k-means", "--n-clusters"]);
    folder.refuses(&[&args[..], &["-k", "auto"]].concat(), &["--n-clusters is auto", "gmm"]);
    folder.refuses(&[&args[..], &["--method", "gmm"]].concat(), &["--n-clusters auto"]);
    let gmm = [&args[..], &["--method", "gmm", "-k", "3"]].concat();
    folder.refuses(&[&gmm[..], &["--n-init", "0"]].concat(), &["--n-init is 0", "at least 1"]);
    folder.refuses(&[&gmm[..], &["--refine", "64"]].concat(), &["--refine is 64"]);
    folder.refuses(&run(&["-k", "many"]), &["--n-clusters", "many", "a whole number"]);
    let auto = [&args[..], &["--method", "gmm", "-k", "auto", "--max-clusters"]].concat();
    folder.refuses(&[&auto[..], &["64"]].concat(), &["64 observations", "another range"]);
}

#[test]
fn more_neighbours_than_spots_are_cut() {
    let folder = Folder::with_tissue(IN, 8);
    let outcome = folder.run(&run(&["--n-neighbors", "1000", "--n-spatial", "1000"])).succeeded();
    assert!(outcome.stderr.contains("1000"), "the log says what was done: {}", outcome.stderr);
    assert_eq!(folder.labels(OUT, "spatialleiden").len(), 64);
}

// Options.

#[test]
fn layer_names_that_are_none() {
    let folder = Folder::with_tissue(IN, 8);
    for option in ["--layer-weight", "--resolution"] {
        folder.refuses(&run(&[option, "protein=2"]), &[option, "\"protein\"", "rna, spatial"]);
    }
    folder.refuses(&run(&["--directed", "protein=true"]), &["--directed", "\"protein\"", "rna, spatial"]);
    folder.refuses(&["leiden", IN, "--out", OUT, "--layer-weight", "spatial=2"], &["\"spatial\"", "rna"]);
    folder.refuses(&run(&["--layer-weight", "rna=1,rna=2"]), &["--layer-weight", "one value for each name"]);
    folder.refuses(&run(&["--layer-weight", "rna=heavy"]), &["rna=heavy"]);
}

#[test]
fn resolutions_that_are_none() {
    let folder = Folder::with_tissue(IN, 8);
    for value in ["0", "-1", "rna=0", "rna=1,spatial=-2"] {
        folder.refuses(&run(&["--resolution", value]), &["--resolution", "above 0"]);
    }
    for value in ["NaN", "inf", "rna=NaN"] {
        folder.refuses(&run(&["--resolution", value]), &["--resolution", value, "finite"]);
    }
    let cluster = ["cluster", IN, "--out", OUT, "--use-rep", "spatial", "--method", "leiden", "--resolution"];
    for (value, expected) in [("0", "above 0"), ("-1", "above 0"), ("NaN", "finite")] {
        folder.refuses(&[&cluster[..], &[value]].concat(), &["--resolution", expected]);
    }
}

#[test]
fn weights_that_are_none() {
    let folder = Folder::with_tissue(IN, 8);
    folder.refuses(&run(&["--layer-weight", "rna=0,spatial=0"]), &["--layer-weight", "0 for every layer"]);
    folder.refuses(&run(&["--layer-weight", "0"]), &["--layer-weight", "0 for every layer"]);
    folder.refuses(&run(&["--layer-weight", "rna=-1"]), &["--layer-weight", "-1", "0 or more"]);
    folder.refuses(&run(&["--layer-weight", "-1"]), &["--layer-weight", "-1", "0 or more"]);
    folder.refuses(&run(&["--layer-weight", "rna=NaN"]), &["--layer-weight", "NaN"]);
    folder.refuses(&run(&["--layer-ratio", "-1"]), &["--layer-ratio", "-1"]);
    folder.refuses(&run(&["--layer-ratio", "inf"]), &["--layer-ratio", "inf"]);
    folder.run(&run(&["--layer-weight", "rna=0"])).succeeded();
}

#[test]
fn counts_of_things_that_cannot_be() {
    let folder = Folder::with_tissue(IN, 8);
    folder.refuses(&run(&["--threads", "0"]), &["--threads is 0"]);
    folder.refuses(&run(&["--n-iterations", "0"]), &["--n-iterations is 0", "-1 to run to convergence"]);
    folder.refuses(&run(&["--n-iterations", "-2"]), &["--n-iterations is -2"]);
    folder.refuses(&run(&["--n-neighbors", "0"]), &["--n-neighbors is 0"]);
    folder.refuses(&run(&["--n-spatial", "0"]), &["--n-spatial is 0"]);
    folder.refuses(&run(&["--n-pcs", "0"]), &["--n-pcs is 0"]);
    folder.refuses(&run(&["--target-sum", "-1"]), &["--target-sum is -1"]);
    folder.refuses(&run(&["--radius", "-3"]), &["--radius is -3"]);
    folder.refuses(&run(&["--spatial", "radius"]), &["--radius is not given"]);
    folder.refuses(&["simulate", "--out", OUT, "--side", "0"], &["side is 0"]);
    folder.refuses(&["simulate", "--out", OUT, "--noise", "-1"], &["noise", "-1"]);
    folder.refuses(&["simulate", "--out", OUT, "--slices", "0"], &["slices"]);
    folder.refuses(&["simulate", "--out", OUT, "--n-genes", "0"], &["--n-genes is 0"]);
    let plot = ["plot", IN, "--color", "ground_truth", "--out", "a.png"];
    for (option, value) in [("--alpha", "2"), ("--dpi", "0"), ("--panel-size", "-1"), ("--spot-size", "NaN")]
    {
        folder.refuses(&[&plot[..], &[option, value]].concat(), &[option]);
    }
}

#[test]
fn keys_that_are_none() {
    let folder = Folder::with_changed(8, |a| {
        let names: Vec<Option<String>> = (0..a.n_obs()).map(|i| (i > 3).then(|| "a".to_owned())).collect();
        a.obs.columns.insert("region".to_owned(), Column::Categorical(Categorical::from_strings(&names)));
    });
    let known = ["nowhere", "region", "ground_truth"];
    folder.refuses(&["plot", IN, "--color", "nowhere", "--out", "a.png"], &known);
    folder.refuses(&["evaluate", IN, "--pred", "nowhere"], &known);
    folder.refuses(&["evaluate", IN, "--pred", "ground_truth", "--truth", "nowhere"], &known);
    folder.refuses(&["evaluate", IN, "--pred", "ground_truth", "--batch-key", "nowhere"], &known);
    folder.refuses(&run(&["--truth", "nowhere"]), &known);
    folder.refuses(&run(&["--library-key", "nowhere"]), &known);
    folder.refuses(&run(&["--library-key", "region"]), &["region", "missing values"]);
    // Spots without a label are left out of what is judged.
    folder.run(&["evaluate", IN, "--pred", "region"]).succeeded();
    folder.refuses(&run(&["--spatial-key", "nowhere"]), &["nowhere", "\"spatial\""]);
    folder.refuses(&run(&["--use-rep", "nowhere"]), &["nowhere", "\"spatial\"", "--use-rep"]);
    folder.refuses(&["cluster", IN, "--out", OUT, "-k", "3"], &["X_pca", "\"spatial\""]);
}

#[test]
fn a_truth_that_nobody_knows() {
    let folder = Folder::with_changed(8, |a| {
        let nothing = Column::Categorical(Categorical { codes: vec![-1; 64], ..Categorical::default() });
        a.obs.columns.insert("ground_truth".to_owned(), nothing);
    });
    // Not asked for, it is passed over; asked for, it is refused.
    let report = folder.run(&run(&["--json", "--quiet"])).succeeded().json();
    assert!(report["metrics"].is_null());
    fs::remove_file(folder.path(OUT)).expect("removed");
    folder.refuses(&run(&["--truth", "ground_truth"]), &["ground_truth", "missing values alone"]);
}

#[test]
fn options_that_exclude_each_other() {
    let folder = Folder::with_tissue(IN, 8);
    let before = folder.files();
    for args in [
        run(&["--n-clusters", "4", "--resolution", "1"]),
        run(&["--layer-ratio", "2", "--layer-weight", "rna=1"]),
        run(&["--in-place"]),
        vec!["spatialleiden", IN],
        run(&["--no-such-option"]),
    ] {
        let outcome = folder.run(&args);
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
        folder.unchanged(&before);
    }
}

// Outputs.

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::with_tissue(IN, 8);
    fs::create_dir(folder.path("folder.h5ad")).expect("made");
    fs::write(folder.path("file"), "text").expect("written");
    let to = |out| ["spatialleiden", IN, "--out", out];
    folder.refuses(&to("missing/out.h5ad"), &["missing/out.h5ad", "create the folder"]);
    folder.refuses(&to("folder.h5ad"), &["folder.h5ad", "not a folder"]);
    folder.refuses(&to("file/out.h5ad"), &["file/out.h5ad"]);
    folder.refuses(&to("."), &["ending in .h5ad"]);
    folder.refuses(&to("out.h5mu"), &["out.h5mu", ".h5ad"]);
    folder.refuses(&to("out.csv"), &["out.csv", ".h5ad"]);
    folder.refuses(&to("out"), &[".h5ad"]);
    for command in ["preprocess", "neighbors", "leiden"] {
        folder.refuses(&[command, IN, "--out", "missing/out.h5ad"], &["missing/out.h5ad"]);
    }
    let simulate = |out| ["simulate", "--side", "8", "--out", out];
    folder.refuses(&simulate("missing/out.h5mu"), &["missing/out.h5mu"]);
    folder.refuses(&simulate("out.txt"), &["out.txt", ".h5mu"]);
    folder.refuses(&["convert", IN, "--out", "missing/out.h5ad"], &["missing/out.h5ad"]);
    folder.refuses(&["convert", IN, "--out", "out.h5mu"], &["out.h5mu", ".h5ad"]);
    let plot = |out| ["plot", IN, "--color", "ground_truth", "--out", out];
    folder.refuses(&plot("a.gif"), &["a.gif", ".png, .svg or .pdf"]);
    let scaled = |more: [&'static str; 2]| [&plot("a.png")[..], &more].concat();
    folder.refuses(&scaled(["--vmin", "low"]), &["--vmin", "low", "p100"]);
    folder.refuses(&scaled(["--vmax", "p101"]), &["--vmax", "p101"]);
    folder.refuses(&scaled(["--cmap", "jet"]), &["jet", "viridis", "coolwarm"]);
    folder.refuses(&scaled(["--basis", "umap"]), &["umap", "--basis"]);
    folder.refuses(&scaled(["--alpha", "2"]), &["--alpha"]);
    folder.refuses(&plot("missing/a.png"), &["missing/a.png"]);
    folder.refuses(&["demo", "--out", "file"], &["file", "--out"]);
    folder.refuses(&run(&["--log", "missing/a.log"]), &["missing/a.log"]);
    folder.refuses(&run(&["--log", IN]), &["log file", IN]);
}

#[cfg(unix)]
#[test]
fn a_folder_one_may_not_write_to() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65534;
    let folder = Folder::with_tissue(IN, 8);
    fs::create_dir(folder.path("locked")).expect("made");
    let allow = |name: &str, mode| {
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).expect("permissions");
    };
    allow("", 0o755);
    allow(IN, 0o644);
    allow("locked", 0o555);
    let args = ["spatialleiden", IN, "--out", "locked/out.h5ad", "--quiet"];
    let mut command = folder.command(&args);
    if fs::File::create(folder.path("locked/probe")).is_ok() {
        // Permissions do not hold back root: run as nobody.
        fs::remove_file(folder.path("locked/probe")).expect("removed");
        let program = folder.path("brodmann");
        fs::copy(env!("CARGO_BIN_EXE_brodmann"), &program).expect("copied");
        command = Command::new(&program);
        command.args(args).current_dir(folder.path("")).uid(NOBODY).gid(NOBODY);
        let mut probe = Command::new(&program);
        if !probe.arg("--version").uid(NOBODY).gid(NOBODY).output().is_ok_and(|o| o.status.success()) {
            return skipped("a folder one may not write to", "no program can be run as another user here");
        }
    }
    let before = folder.files();
    Outcome::of(&mut command).is_refusal(&["locked/out.h5ad", "may write to"]);
    folder.unchanged(&before);
}

#[test]
fn the_input_as_output() {
    let folder = Folder::with_tissue(IN, 8);
    let names = ["is the input file"];
    folder.refuses(&["spatialleiden", IN, "--out", IN], &["is the input file", "--in-place"]);
    folder.refuses(&["spatialleiden", IN, "--out", "./tissue.h5ad"], &names);
    folder.refuses(&["preprocess", IN, "--out", IN], &names);
    folder.refuses(&["convert", IN, "--out", IN, "--force"], &["is the input file", "--out"]);
    folder.refuses(&["convert", IN, "--out", IN], &names);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(IN, folder.path("link.h5ad")).expect("linked");
        fs::hard_link(folder.path(IN), folder.path("hard.h5ad")).expect("linked");
        folder.refuses(&["spatialleiden", IN, "--out", "link.h5ad"], &names);
        folder.refuses(&["spatialleiden", "link.h5ad", "--out", IN], &names);
        folder.refuses(&["spatialleiden", IN, "--out", "hard.h5ad"], &names);
    }
}

#[test]
fn an_output_that_is_there_is_replaced_only_when_forced() {
    let folder = Folder::with_tissue(IN, 8);
    folder.run(&["spatialleiden", IN, "--out", OUT, "-k", "3"]).succeeded();
    for name in ["map.png", "markers.csv", "report.html", "outlines.geojson", "new.h5ad", "model.safetensors"]
    {
        fs::write(folder.path(name), "precious").expect("written");
    }
    fs::create_dir(folder.path("folder")).expect("made");
    fs::copy(folder.path(IN), folder.path("folder/tissue.h5ad")).expect("copied");
    let there = ["exists already", "--force"];
    for args in [
        &["spatialleiden", IN, "--out", OUT][..],
        &["preprocess", IN, "--out", OUT],
        &["neighbors", IN, "--out", OUT],
        &["qc", IN, "--table", "markers.csv"],
        &["convert", IN, "--out", OUT],
        &["simulate", "--out", "new.h5ad"],
        &["plot", OUT, "--color", "spatialleiden", "--out", "map.png"],
        &["markers", OUT, "--groupby", "spatialleiden", "--table", "markers.csv"],
        &["export", OUT, "--groupby", "spatialleiden", "--out", "outlines.geojson"],
        &["report", OUT, "--groupby", "spatialleiden", "--out", "report.html"],
        &["demo", "--out", "folder"],
        &["staig", IN, "--out", "more.h5ad", "--save-model", "model.safetensors"],
        &["staig", IN, OUT, "--out", "folder"],
    ] {
        let before = folder.files();
        folder.run_as_typed(args).is_refusal(&there);
        folder.unchanged(&before);
    }
    folder.run_as_typed(&["spatialleiden", IN, "--out", OUT, "-k", "3", "--force"]).succeeded();
    folder
        .run_as_typed(&["plot", OUT, "--color", "spatialleiden", "--out", "map.png", "--force"])
        .succeeded();
    assert!(fs::read(folder.path("map.png")).expect("written").starts_with(b"\x89PNG"));
}

#[test]
fn an_input_that_cannot_be_edited_in_place() {
    let folder = Folder::new();
    fs::write(folder.path("counts.csv"), "spot,x,y,a,b\ns1,0,0,1,2\ns2,0,1,3,4\ns3,1,0,5,6\ns4,1,1,7,8\n")
        .expect("written");
    folder.refuses(&["spatialleiden", "counts.csv", "--in-place"], &["--in-place", "counts.csv", ".h5ad"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk() {
    // Files may grow to 32 blocks of 512 or 1024 bytes; the signal that comes with it is ignored.
    let folder = Folder::with_tissue(IN, 12);
    let before = folder.files();
    for out in [&["--out", OUT][..], &["--in-place"]] {
        let args = [&["spatialleiden", IN, "--quiet"], out].concat().join(" ");
        let program = env!("CARGO_BIN_EXE_brodmann");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f 32; exec '{program}' {args}"));
        Outcome::of(command.current_dir(folder.path("")))
            .is_refusal(&["cannot be written", "free some space"]);
        folder.unchanged(&before);
    }
}

/// A small file system of its own; it goes with the value.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> SmallDisk<'a> {
    fn at(place: &'a Path) -> Option<Self> {
        fs::create_dir(place).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(place);
        mount.output().is_ok_and(|o| o.status.success()).then_some(Self(place))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system() {
    let folder = Folder::with_tissue(IN, 20);
    let place = folder.path("small");
    let Some(_disk) = SmallDisk::at(&place) else {
        return skipped("a full file system", "no file system can be mounted here");
    };
    let names = ["cannot be written", "free some space"];
    folder.refuses(&["spatialleiden", IN, "--out", "small/out.h5ad"], &names);
    folder.refuses(&["simulate", "--side", "30", "--out", "small/out.h5mu"], &names);
    folder.refuses(&["plot", IN, "--color", "ground_truth", "--dpi", "900", "--out", "small/a.png"], &names);
    // The old output stays.
    fs::write(folder.path("small/out.h5ad"), "old").expect("written");
    folder.refuses(&["spatialleiden", IN, "--out", "small/out.h5ad"], &names);
}

// Graphs in the file.

/// Gives the file a latent graph: that of a run, changed by `change`.
fn with_graph(key: &str, change: impl FnOnce(&mut Array2<f64>)) -> Folder {
    let folder = Folder::with_tissue(IN, 6);
    folder.run(&["neighbors", IN, "--in-place"]).succeeded();
    folder.change(IN, |a| {
        let mut graph = a.obsp_csr(key).expect("a graph").view().to_dense();
        change(&mut graph);
        let sparse = brodmann_kernels::CsrMatrix::from_dense(graph.view());
        a.obsp.insert(key.to_owned(), Matrix::CsrF64(sparse));
    });
    folder
}

#[test]
fn graphs_with_weights_that_are_none() {
    for key in ["connectivities", "spatial_connectivities"] {
        for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-0.5, "-0.5")] {
            let folder = with_graph(key, |graph| {
                graph[[2, 3]] = value;
                graph[[3, 2]] = value;
            });
            folder.refuses(&run(&[]), &[key, name, "(2, 3)"]);
            // Built anew, the bad graph is replaced.
            folder.run(&run(&["--n-neighbors", "8", "--n-spatial", "4"])).succeeded();
        }
        let folder = with_graph(key, |graph| graph.fill(0.0));
        let outcome = folder.run(&run(&["--quiet"]));
        if outcome.code != Some(0) {
            outcome.is_refusal(&[key]);
        }
    }
}

#[test]
fn a_graph_of_the_wrong_shape() {
    for key in ["connectivities", "spatial_connectivities"] {
        let folder = Folder::with_tissue(IN, 8);
        // The library refuses to write such a file, so it is made one step below.
        let file = rust_hdf5::H5File::options().no_locking().open_rw(folder.path(IN)).expect("opens");
        let obsp = file.root_group().group("obsp").expect("obsp is there");
        let graph = obsp.new_dataset::<f64>().shape([5, 5]).create(key).expect("made");
        graph.write_raw(&[1.0; 25]).expect("written");
        drop((graph, obsp));
        file.close().expect("closed");
        folder.refuses(&run(&[]), &[key, "5 x 5", "64 x 64"]);
    }
}

#[test]
fn embeddings_that_are_none() {
    let folder = Folder::with_changed(8, |a| {
        let mut bad = Array2::<f64>::ones((64, 3));
        bad[[7, 2]] = f64::NAN;
        a.obsm.insert("X_pca".to_owned(), bad.into());
        let texts = Array2::from_elem((64, 2), "a".to_owned()).into_dyn();
        a.obsm.insert("X_text".to_owned(), Value::Array(Array::String(texts)));
        a.obsm.insert("X_empty".to_owned(), Array2::<f64>::ones((64, 0)).into());
    });
    folder.refuses(&run(&[]), &["NaN", "observation 7"]);
    folder.refuses(&["cluster", IN, "--out", OUT, "-k", "3"], &["NaN", "row 7"]);
    folder.refuses(&run(&["--use-rep", "X_text"]), &["X_text", "numbers"]);
    folder.refuses(&run(&["--use-rep", "X_empty"]), &["no columns"]);
}

#[test]
fn labels_written_are_categories_by_size() {
    let folder = Folder::with_tissue(IN, 10);
    folder.run(&run(&[])).succeeded();
    let labels = folder.labels(OUT, "spatialleiden");
    let distinct: BTreeSet<&String> = labels.values().collect();
    let size = |label: &str| labels.values().filter(|l| *l == label).count();
    let sizes: Vec<usize> = (0..distinct.len()).map(|l| size(&l.to_string())).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let uns: IndexMap<String, Value> = folder.adata(OUT).uns;
    assert!(uns["spatialleiden"].get("params").is_some());
}

// Names that would replace or hide something else.

#[test]
fn a_log_over_a_file_of_the_run() {
    let folder = Folder::new();
    fs::write(folder.path("counts.txt"), "spot\tx\ty\tg1\ng0\t0\t0\t1\n").expect("written");
    folder.refuses(
        &["spatialleiden", "counts.txt", "--out", OUT, "--log", "counts.txt"],
        &["counts.txt", "--log"],
    );
}

#[test]
fn a_result_under_a_name_that_means_something_else() {
    let folder = Folder::with_tissue(IN, 8);
    for key in ["spatial", "neighbors", "pca", "ground_truth", "", "a/b"] {
        folder.refuses(&run(&["--key-added", key]), &["--key-added"]);
    }
}

#[test]
fn coordinates_named_but_absent_even_where_a_graph_is_present() {
    let folder = Folder::with_tissue(IN, 8);
    folder.run(&["neighbors", IN, "--in-place"]).succeeded();
    folder.refuses(&run(&["--spatial-key", "elsewhere"]), &["elsewhere", "\"spatial\""]);
    folder.refuses(&["neighbors", IN, "--out", OUT, "--spatial-key", "elsewhere"], &["elsewhere"]);
    folder.run(&run(&["--quiet"])).succeeded();
    folder
        .refuses(&["evaluate", OUT, "--pred", "spatialleiden", "--spatial-key", "elsewhere"], &["elsewhere"]);
}

#[test]
fn numbers_that_overflow_the_quality() {
    let folder = Folder::with_tissue(IN, 8);
    folder.refuses(&run(&["--layer-weight", "rna=1e308,spatial=1e308"]), &["--layer-weight", "1e9"]);
    folder.refuses(&run(&["--resolution", "1e300"]), &["--resolution", "1e9"]);
}

#[test]
fn a_number_of_clusters_with_a_layer_that_has_no_say() {
    let folder = Folder::with_tissue(IN, 10);
    for weights in ["rna=0,spatial=1", "rna=1,spatial=0"] {
        let report = folder.run(&run(&["-k", "4", "--layer-weight", weights, "--json"])).succeeded().json();
        assert_eq!(report["n_clusters"], 4, "{weights}");
    }
    folder.refuses(&run(&["-k", "4", "--quality", "modularity"]), &["modularity", "rb"]);
}
