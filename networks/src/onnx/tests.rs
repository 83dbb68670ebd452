use brodmann_kernels::Diagnosis;
use brodmann_kernels::proofread::flaw;
use ndarray::Array4;

use super::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/onnx/{name}.onnx"))
}

fn open(name: &str, side: usize) -> Result<OnnxEncoder, HistologyError> {
    OnnxEncoder::open(&file(name), side, Scaling::NONE)
}

fn patches(n: usize, side: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, side, side), |(p, c, i, j)| {
        ((p * 7 + c * 5 + i * 3 + j * 11 + (i * j) % 13) % 17) as f32 / 16.0
    })
}

/// The network of `small.onnx` in plain loops: its numbers are eighths and sixteenths, so that sums are exact.
fn by_hand(patches: &Array4<f32>) -> Array2<f32> {
    let weight = |o: usize, c: usize, i: usize, j: usize| {
        ((((o * 3 + c) * 4 + i) * 4 + j) * 7 % 11) as f32 / 8.0 - 5.0 / 8.0
    };
    let cells = patches.dim().2 / 4;
    Array2::from_shape_fn((patches.dim().0, 5), |(p, o)| {
        let mut sum = 0.0;
        for (y, x) in (0..cells * cells).map(|at| (at / cells, at % cells)) {
            let mut value = 0.0;
            for (c, i, j) in (0..48).map(|at| (at / 16, at / 4 % 4, at % 4)) {
                value += weight(o, c, i, j) * patches[(p, c, 4 * y + i, 4 * x + j)];
            }
            sum += value.max(0.0);
        }
        sum / (cells * cells) as f32
    })
}

#[test]
fn features_are_those_of_the_network_worked_by_hand() {
    for (name, side, n) in [("small", 32, 5), ("pooled", 48, 3), ("pairs", 32, 5)] {
        // The side asked for is that of the file where it has one.
        let network = open(name, if name == "pooled" { side } else { 224 }).expect("a network");
        assert_eq!((network.input_side(), network.n_features()), (side, 5), "{name}");
        let patches = patches(n, side);
        let found = network.embed(patches.view()).expect("features");
        assert_eq!(found, by_hand(&patches), "{name}");
        // A patch has the same bits alone.
        let alone = network.embed(patches.slice_axis(Axis(0), (n - 1..n).into())).expect("features");
        assert_eq!(alone.row(0), found.row(n - 1), "{name}");
    }
    assert_eq!(open("pooled", 32).expect("a network").name(), "pooled.onnx, its output pooled");
}

#[test]
fn colours_are_scaled_before_the_network_sees_them() {
    let scaling = Scaling { mean: [0.5, 0.25, 0.0], deviation: [0.5, 0.25, 2.0] };
    let network = OnnxEncoder::open(&file("small"), 32, scaling).expect("a network");
    let mut patches = patches(2, 32);
    let found = network.embed(patches.view()).expect("features");
    for mut patch in patches.outer_iter_mut() {
        scaling.apply(patch.as_slice_mut().expect("contiguous"));
    }
    assert_eq!(found, by_hand(&patches));
}

#[test]
fn what_is_no_network_of_patches_is_refused_with_what_it_is() {
    let folder = std::env::temp_dir().join(format!("brodmann-onnx-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let whole = std::fs::read(file("small")).expect("the file");
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let cases: [(PathBuf, &[&str]); 6] = [
        (file("unknown"), &["Warp"]),
        (file("maps"), &["maps (2, 5, 8, 8)", "row of features per patch"]),
        (file("two"), &["patches (n, 3, 32, 32) and ages (n)", "one input"]),
        (written("text.onnx", b"hello"), &["text.onnx"]),
        (written("half.onnx", &whole[..whole.len() / 2]), &["half.onnx"]),
        (folder.join("missing.onnx"), &["missing.onnx"]),
    ];
    for (path, expected) in cases {
        let error = OnnxEncoder::open(&path, 32, Scaling::NONE).err().expect("no network of patches");
        let message = error.to_string();
        assert!(expected.iter().all(|words| message.contains(words)), "{message}");
        assert_eq!(flaw(&error), None, "{message}");
        assert!(error.advice().is_some());
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    // Of another side than the file's, and not finite.
    let network = open("small", 32).expect("a network");
    assert!(matches!(network.embed(patches(1, 40).view()), Err(HistologyError::Patches { .. })));
    let mut bad = patches(2, 32);
    bad[(1, 0, 0, 0)] = f32::NAN;
    assert!(matches!(network.embed(bad.view()), Err(HistologyError::NotFinite { patch: 1 })));
}
