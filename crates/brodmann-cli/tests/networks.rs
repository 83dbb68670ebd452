//! Networks on the patches of a slide, in builds with them: `bash networks/test` runs these.
#![cfg(feature = "histology")]

mod common;

use std::fs;

use brodmann_data::Array;
use common::Folder;
use ndarray::Array2;

const IN: &str = "tissue.h5ad";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.simulate(IN, 5, &["--image", "--modalities", "rna"]);
    folder
}

fn x_image(folder: &Folder, name: &str) -> Array2<f64> {
    let value = folder.adata(name).obsm["X_image"].clone();
    value.as_array().and_then(Array::to_f64).and_then(|a| a.into_dimensionality().ok()).expect("a table")
}

/// Small patches, so that a test takes seconds.
fn features<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &["image-features", IN, "--out", out, "--encoder-side", "32", "--encoder-components", "8", "--json"],
        more,
    ]
    .concat()
}

#[test]
fn a_drawn_network_is_said_to_be_one_and_its_weights_go_round() {
    let folder = folder();
    let flags = ["--encoder", "resnet50", "--seed", "7", "--save-encoder", "drawn.safetensors"];
    let drawn = folder.run(&features("drawn.h5ad", &flags)).succeeded();
    assert_eq!(drawn.json()["encoder"], "resnet50, random start (seed 7)");
    assert!(drawn.stderr.contains("nobody trained this network"), "{}", drawn.stderr);
    let flags = ["--encoder", "resnet50", "--weights", "drawn.safetensors"];
    folder.run(&features("read.h5ad", &flags)).succeeded();
    let (drawn, read) = (x_image(&folder, "drawn.h5ad"), x_image(&folder, "read.h5ad"));
    assert_eq!(drawn.dim(), (25, 8));
    assert_eq!(drawn, read);
    fs::write(folder.path("other.safetensors"), b"nothing").expect("written");
    let refused =
        folder.run(&features("out.h5ad", &["--encoder", "resnet50", "--weights", "other.safetensors"]));
    refused.is_refusal(&["other.safetensors"]);
}

#[test]
fn a_training_gives_the_same_bits_on_one_thread_and_after_an_interruption() {
    let folder = folder();
    let byol = ["--encoder", "byol", "--encoder-batch-size", "25"];
    let run = |out: &str, more: &[&str]| folder.run(&[&features(out, &byol)[..], more].concat()).succeeded();
    let whole = run("whole.h5ad", &["--encoder-epochs", "2"]);
    let report = whole.json();
    assert_eq!(report["losses"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["encoder"], "resnet50, BYOL for 2 epochs after random start (seed 42)");
    run("first.h5ad", &["--encoder-epochs", "1", "--encoder-checkpoint", "c", "--threads", "1"]);
    let more = ["--encoder-epochs", "2", "--encoder-checkpoint", "c", "--encoder-resume"];
    run("second.h5ad", &more);
    assert_eq!(x_image(&folder, "whole.h5ad"), x_image(&folder, "second.h5ad"));
    // Patches of another size are another training.
    let refused = folder.run(&[&features("out.h5ad", &byol)[..], &more, &["--patch-size", "5"]].concat());
    refused.is_refusal(&["byol.safetensors", "patches"]);
    let used = folder.run(&[
        "staig",
        IN,
        "--out",
        "staig.h5ad",
        "-k",
        "2",
        "--image",
        "file",
        "--epochs",
        "2",
        "--encoder",
        "byol",
        "--encoder-side",
        "32",
        "--encoder-epochs",
        "1",
        "--image-classes",
        "4",
        "--json",
    ]);
    assert_eq!(used.succeeded().json()["edge_rule"], "image");
}
