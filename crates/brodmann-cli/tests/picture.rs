//! The picture at the command line: encoders there are and are not, tables of tiles, the folder of an instrument.

mod common;

use std::fs;

use brodmann_data::{AnnData, Array, DataFrame, Matrix, Value, keys};
use common::Folder;
use ndarray::Array2;

const IN: &str = "tissue.h5ad";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.simulate(IN, 8, &["--image", "--modalities", "rna"]);
    folder
}

#[cfg(not(feature = "histology"))]
#[test]
fn networks_are_refused_with_the_way_to_get_them() {
    let folder = folder();
    let way = ["byol", "cargo run --release --features histology"];
    folder.refuses(&["image-features", IN, "--out", "out.h5ad", "--encoder", "byol"], &way);
    folder.refuses(
        &["staig", IN, "--out", "out.h5ad", "--image", "file", "--encoder", "byol", "-k", "3"],
        &way,
    );
    folder.refuses(
        &["domains", IN, "--out", "out.h5ad", "--image", "file", "--encoder", "byol", "-k", "3"],
        &way,
    );
}

#[test]
fn options_of_another_encoder_are_refused() {
    let folder = folder();
    let refuses = |more: &[&str], names: &[&str]| {
        folder.refuses(&[&["image-features", IN, "--out", "out.h5ad"], more].concat(), names);
    };
    refuses(&["--weights", "a.pth"], &["--weights", "texture", "resnet50"]);
    refuses(&["--encoder", "resnet50", "--encoder-checkpoint", "c"], &["--encoder-checkpoint", "byol"]);
    refuses(&["--encoder", "byol", "--encoder-resume"], &["--encoder-resume", "--encoder-checkpoint"]);
    refuses(&["--encoder", "byol", "--encoder-side", "8"], &["--encoder-side", "32"]);
    refuses(&["--encoder", "byol", "--save-encoder", "a.pth"], &["a.pth", ".safetensors"]);
    refuses(&["--encoder", "uni"], &["--encoder", "uni", ".parquet", ".onnx"]);
    refuses(&["--encoder", "uni.onnx", "--weights", "a.pth"], &["--weights", "resnet50"]);
    refuses(&["--encoder", "uni.onnx", "--encoder-mean", "0.5,0.5"], &["--encoder-mean", "three numbers"]);
    refuses(&["--encoder", "byol", "--encoder-std", "1,1,1"], &["--encoder-std", "ONNX"]);
    if !cfg!(feature = "onnx") {
        refuses(&["--encoder", "uni.onnx"], &["uni.onnx", "--features onnx"]);
    }
    folder.refuses(
        &["domains", IN, "--out", "out.h5ad", "--encoder", "uni.csv", "-k", "3"],
        &["--encoder", "without a slide", "--image"],
    );
}

#[test]
fn tiles_of_another_program_are_joined_by_place() {
    let folder = folder();
    let own = folder.adata(IN);
    let places = own.obsm[keys::SPATIAL].as_array().and_then(Array::to_f64).expect("coordinates");
    let n = own.obs.index.len();
    let mut tiles = AnnData {
        x: Some(Matrix::DenseF64(Array2::from_shape_fn((n, 3), |(i, j)| ((i * (j + 2)) % 7) as f64))),
        obs: DataFrame { index: (0..n).map(|i| i.to_string()).collect(), ..DataFrame::default() },
        var: DataFrame { index: ["u", "v", "w"].map(str::to_owned).into(), ..DataFrame::default() },
        ..AnnData::default()
    };
    tiles.obsm.insert(keys::SPATIAL.to_owned(), Value::Array(places.mapv(|v| v * 2.0).into()));
    folder.write("tiles.h5ad", &tiles);
    let run = |scale: &str| {
        let flags = ["--encoder", "tiles.h5ad", "--image-scale", scale, "--json", "--quiet"];
        folder.run(&[&["image-features", IN, "--out", "out.h5ad"], &flags[..]].concat())
    };
    let report = run("2").succeeded().json();
    assert_eq!(report["n_features"], 3);
    run("10").is_refusal(&["tiles.h5ad", "--image-scale"]);
    let used = folder.run(&[
        "domains",
        IN,
        "--out",
        "domains.h5ad",
        "-k",
        "3",
        "--image",
        "file",
        "--encoder",
        "tiles.h5ad",
        "--image-scale",
        "2",
        "--members",
        "smoothed,image",
        "--json",
    ]);
    assert_eq!(used.succeeded().json()["members"][1]["name"], "image");
}

#[test]
fn the_full_picture_in_the_folder_of_an_instrument_is_found() {
    let folder = Folder::new();
    let spatial = folder.path("sample").join("spatial");
    fs::create_dir_all(&spatial).expect("a folder");
    // A Visium folder of nine spots: counts as a table of 10x, positions, factors, the slide in full.
    let names: Vec<String> = (0..9).map(|i| format!("SPOT{i}-1")).collect();
    let mut positions =
        vec!["barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres".to_owned()];
    for (i, name) in names.iter().enumerate() {
        let (row, column) = (i / 3, i % 3);
        positions.push(format!("{name},1,{row},{column},{},{}", 40 * row + 20, 40 * column + 20));
    }
    fs::write(spatial.join("tissue_positions.csv"), positions.join("\n") + "\n").expect("written");
    let factors =
        r#"{"spot_diameter_fullres": 12.0, "tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.1}"#;
    fs::write(spatial.join("scalefactors_json.json"), factors).expect("written");
    let matrix = folder.path("sample").join("filtered_feature_bc_matrix");
    fs::create_dir_all(&matrix).expect("a folder");
    fs::write(matrix.join("barcodes.tsv"), names.join("\n") + "\n").expect("written");
    fs::write(matrix.join("features.tsv"), "G1\tG1\tGene Expression\nG2\tG2\tGene Expression\n")
        .expect("written");
    let mut counts = vec!["%%MatrixMarket matrix coordinate integer general\n2 9 9".to_owned()];
    counts.extend((1..=9).map(|i| format!("{} {i} {i}", 1 + i % 2)));
    fs::write(matrix.join("matrix.mtx"), counts.join("\n") + "\n").expect("written");
    let slide: Vec<u8> = (0..120 * 120).flat_map(|i| [200 - (i % 97) as u8, 90, 160]).collect();
    let picture = brodmann::plot::rgb_png(120, 120, &slide).expect("a picture");
    fs::write(spatial.join("tissue_fullres_image.png"), picture).expect("written");
    let done = folder.run(&["image-features", "sample", "--out", "out.h5ad", "--json"]).succeeded();
    let slides = &done.json()["slides"];
    assert!(
        slides[0]["image"].as_str().is_some_and(|name| name.contains("tissue_fullres_image")),
        "{slides}"
    );
    assert_eq!((slides[0]["width"].as_u64(), slides[0]["scale"].as_f64()), (Some(120), Some(1.0)));
    assert!(done.stderr.contains("the full picture"), "{}", done.stderr);
}

#[test]
fn a_report_shows_each_domain_on_its_slide() {
    let folder = folder();
    let page = |name: &str, more: &[&str]| {
        let flags = ["--groupby", "ground_truth", "--out", name, "--quiet"];
        folder.run(&[&["report", IN], &flags[..], more].concat()).succeeded();
        fs::read_to_string(folder.path(name)).expect("a page")
    };
    let placement = |page: &str| {
        let from = page.find("\"placement\":[").expect("a picture beneath the map");
        let text = &page[from + 13..];
        let numbers = text[..text.find(']').expect("closed")].split(',');
        numbers.map(|v| v.parse::<f64>().expect("a number")).collect::<Vec<f64>>()
    };
    let plain = page("plain.html", &[]);
    assert!(!plain.contains("class=\"patches\""));
    let seen = page("seen.html", &["--image", "file", "--patch-size", "2"]);
    let n_groups = folder.adata(IN).obs.columns["ground_truth"].to_categorical().categories.len();
    assert_eq!(seen.matches("<div class=\"patches\">").count(), n_groups);
    assert_eq!(seen.matches(": 2 spot(s) wide</figcaption>").count(), 6 * n_groups);
    assert_eq!(placement(&plain), placement(&seen));
    // The same by a matrix that exchanges the axes: x of the coordinates is y of the slide.
    let scale = 1.0 / placement(&seen)[0];
    fs::write(folder.path("m.csv"), format!("0,{scale},0\n{scale},0,0\n")).expect("written");
    let turned = placement(&page("turned.html", &["--image", "file", "--image-transform", "m.csv"]));
    let [a, b, c, d, e, f] = turned[..] else { panic!("{turned:?}") };
    assert!([a, c, e, f].iter().all(|v| v.abs() < 1e-9), "{turned:?}");
    assert!((b * scale - 1.0).abs() < 1e-9 && (d * scale - 1.0).abs() < 1e-9, "{turned:?}");
    folder.refuses(
        &["report", IN, "--out", "r.html", "--image", "file", "--no-image"],
        &["--no-image", "beside a slide"],
    );
}
