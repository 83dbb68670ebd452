//! Networks of ONNX files on the patches of a slide, in builds with them: `bash networks/test` runs these.
#![cfg(feature = "onnx")]

mod common;

use std::fs;
use std::path::Path;

use brodmann_data::Array;
use common::Folder;
use ndarray::Array2;

const IN: &str = "tissue.h5ad";

/// A tissue with a picture, and the small networks of the tests of `networks/`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.simulate(IN, 5, &["--image", "--modalities", "rna"]);
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks/tests/onnx");
    for name in ["small.onnx", "maps.onnx", "unknown.onnx"] {
        fs::copy(networks.join(name), folder.path(name)).expect("copied");
    }
    folder
}

fn features<'a>(out: &'a str, network: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["image-features", IN, "--out", out, "--encoder", network, "--json"], more].concat()
}

fn x_image(folder: &Folder, name: &str) -> Array2<f64> {
    let value = folder.adata(name).obsm["X_image"].clone();
    value.as_array().and_then(Array::to_f64).and_then(|a| a.into_dimensionality().ok()).expect("a table")
}

#[test]
fn features_of_a_network_reach_the_file_with_the_same_bits_on_any_threads() {
    let folder = folder();
    let report = folder.run(&features("a.h5ad", "small.onnx", &[])).succeeded().json();
    assert_eq!(report["encoder"], "small.onnx, its output features");
    let more = ["--threads", "1", "--encoder-mean", "0.485,0.456,0.406"];
    folder.run(&features("b.h5ad", "small.onnx", &more)).succeeded();
    let (a, b) = (x_image(&folder, "a.h5ad"), x_image(&folder, "b.h5ad"));
    assert_eq!(a.dim(), (25, 5));
    assert_eq!(a, b);
    // Scaled otherwise, and grey.
    for (out, more) in [("c.h5ad", ["--encoder-std", "0.5,0.5,0.5"]), ("d.h5ad", ["--patch-filter", "keep"])]
    {
        folder.run(&features(out, "small.onnx", &more)).succeeded();
        assert_ne!(a, x_image(&folder, out), "{out}");
    }
    let used =
        ["domains", IN, "--out", "domains.h5ad", "-k", "2", "--image", "file", "--encoder", "small.onnx"];
    folder.run(&used).succeeded();
}

#[test]
fn what_is_no_network_of_patches_is_refused_by_name() {
    let folder = folder();
    fs::write(folder.path("text.onnx"), "hello").expect("written");
    for (network, more, expected) in [
        ("unknown.onnx", &[][..], &["unknown.onnx", "Warp"][..]),
        ("maps.onnx", &[], &["maps (2, 5, 8, 8)"]),
        ("text.onnx", &[], &["text.onnx"]),
        ("missing.onnx", &[], &["missing.onnx"]),
        ("small.onnx", &["--encoder-side", "64"], &["--encoder-side", "64", "32"]),
        ("small.onnx", &["--encoder-std", "0,1,1"], &["--encoder-std", "above 0"]),
        ("small.onnx", &["--weights", "a.pth"], &["--weights"]),
        ("texture", &["--encoder-mean", "0,0,0"], &["--encoder-mean"]),
    ] {
        folder.refuses(&features("out.h5ad", network, more), expected);
        assert!(!folder.path("out.h5ad").exists());
    }
}
