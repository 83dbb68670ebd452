use brodmann_kernels::Diagnosis;
use brodmann_kernels::proofread::flaw;
use ndarray::Array4;

use super::forward::{Apart, Folded, forward};
use super::*;
use crate::network::{Norm, update_statistics};
use crate::oracle::{Folder, Oracle};

/// The oracle's network: one bottleneck per stage, a sixteenth of the channels.
fn small() -> ResNetShape {
    ResNetShape { stem: 64, depths: [1; 4], planes: [4, 8, 16, 32] }
}

fn patches(n: usize, side: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, side, side), |(p, c, i, j)| {
        ((p * 7 + c * 5 + i * 3 + j * 11 + (i * j) % 13) % 17) as f32 / 16.0
    })
}

/// Compares one pass forwards and backwards with PyTorch; the largest relative distance of features and of gradients.
fn compare(side: usize, trains: bool, dtype: DType) -> (f64, f64) {
    let oracle = Oracle::open();
    let device = Device::flex();
    let slots = small().slots();
    let state = oracle.state("sd_", &slots);
    let is_trained = |s: &&Slot| s.role.is_trained();
    let leaves = Tensors::upload(slots.iter().filter(is_trained), &state, &device, dtype).leaves();
    let mut running = Tensors::upload(slots.iter().filter(|s| !s.role.is_trained()), &state, &device, dtype);
    let mode = format!("{}{side}", if trains { "train" } else { "eval" });
    let mut far = (0f64, 0f64);
    let mut seen = Vec::new();
    let pooled = {
        let statistics = running.clone();
        let mut norm = if trains { Norm::Batch(&mut seen) } else { Norm::Running(&statistics) };
        let mut layer = Apart { prefix: "", parameters: &leaves, norm: &mut norm };
        let x = oracle.tensor::<4>(&format!("x{side}"), &device, dtype).autodiff();
        forward(&small(), &mut layer, x, &mut |name, x| {
            let name = format!("{mode}_{name}");
            if oracle.has(&name) {
                far.0 = far.0.max(oracle.distance(x, &name));
            }
        })
    };
    far.0 = far.0.max(oracle.distance(&pooled, &format!("{mode}_pooled")));
    let loss = pooled.square().sum();
    far.0 = far.0.max(oracle.distance(&loss, &format!("{mode}_loss")));
    let gradients = loss.backward();
    let mut n_compared = 0;
    for slot in slots.iter().filter(is_trained) {
        let name = format!("{mode}_grad_{}", slot.name);
        if oracle.has(&name) {
            let gradient = leaves.get(&slot.name).grad(&gradients).expect("a gradient");
            far.1 = far.1.max(oracle.distance(&gradient, &name));
            n_compared += 1;
        }
    }
    assert_eq!(n_compared, 7);
    if trains {
        update_statistics(&mut running, seen);
        for slot in slots.iter().filter(|s| !s.role.is_trained()) {
            let distance = oracle.distance(&running.get(&slot.name), &format!("{mode}_after_{}", slot.name));
            let most = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
            assert!(distance < most, "{}: {distance}", slot.name);
        }
    }
    far
}

#[test]
fn double_precision_gives_the_features_gradients_and_statistics_of_pytorch() {
    for (side, trains) in [(32, false), (32, true), (64, false), (64, true)] {
        let (features, gradients) = compare(side, trains, DType::F64);
        eprintln!("{side} {trains}: {features:e} {gradients:e}");
        // At 32 pixels a channel of the last stage is normalised over two values, and its gradients are 1e4 as large.
        let most = if side == 32 && trains { 1e-7 } else { 1e-10 };
        assert!(features < most && gradients < most, "{side} {trains}: {features:e} {gradients:e}");
    }
}

#[test]
fn single_precision_does_to_its_rounding() {
    for (side, trains, most) in [(32, false, 1e-5), (64, false, 1e-5), (64, true, 1e-3)] {
        let (features, gradients) = compare(side, trains, DType::F32);
        eprintln!("{side} {trains}: {features:e} {gradients:e}");
        assert!(features < most && gradients < most, "{side} {trains}: {features:e} {gradients:e}");
    }
}

#[test]
fn folding_the_normalisation_changes_rounding_alone() {
    let oracle = Oracle::open();
    let device = Device::flex();
    let state = oracle.state("sd_", &small().slots());
    let (slots, folded) = fold::fold(&small().slots(), &state);
    let folded = Tensors::upload(&slots, &folded, &device, DType::F32);
    for side in [32, 64] {
        let x = oracle.tensor::<4>(&format!("x{side}"), &device, DType::F32);
        let found = forward(&small(), &mut Folded(&folded), x, &mut |_, _| ());
        let far = oracle.distance(&found, &format!("eval{side}_pooled"));
        assert!(far < 1e-5, "{far:e}");
    }
}

#[test]
fn an_embedding_does_not_depend_on_the_batch_or_the_threads() {
    let network = ResNet::random(small(), Seed(3)).expect("a network");
    let batch = patches(11, 48);
    let embed = |threads: usize, batch: ArrayView4<'_, f32>| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| network.embed(batch)).expect("embedded")
    };
    let all = embed(1, batch.view());
    assert_eq!(all.dim(), (11, 128));
    assert_eq!(all, embed(4, batch.view()));
    let rest = batch.slice_axis(Axis(0), ndarray::Slice::from(3..));
    assert_eq!(all.slice_axis(Axis(0), ndarray::Slice::from(3..)), embed(3, rest));
    assert_eq!(embed(2, batch.slice_axis(Axis(0), ndarray::Slice::from(..0))).dim(), (0, 128));
}

#[test]
fn a_random_start_is_the_same_on_any_number_of_threads_and_says_what_it_is() {
    let draw = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| ResNet::random(small(), Seed(1))).expect("a network")
    };
    let (one, four) = (draw(1), draw(4));
    assert_eq!(one.state(), four.state());
    assert_eq!(one.origin(), &Origin::Random { seed: 1 });
    assert!(one.name().contains("random start (seed 1)"), "{}", one.name());
    // He et al.: 2 / (out · side²) of the 3 × 3 convolution with the most weights.
    let weights = &one.state()["layer4.0.conv2.weight"];
    let variance = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weights.len() as f64;
    assert!((variance * (32.0 * 9.0) / 2.0 - 1.0).abs() < 0.05, "{variance}");
}

#[test]
fn a_saved_network_opens_with_its_weights_and_its_origin() {
    let folder = Folder::new("saved-1");
    let path = folder.path().join("net.safetensors");
    let network = ResNet::random(small(), Seed(9)).expect("a network");
    network.save(&path).expect("saved");
    let back = ResNet::open(&path).expect("opened");
    assert_eq!(back.state(), network.state());
    assert_eq!((back.shape(), back.origin()), (network.shape(), network.origin()));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn patches_the_network_cannot_take_are_refused() {
    let network = ResNet::random(small(), Seed(3)).expect("a network");
    let refused = |batch: Array4<f32>| {
        let error = network.embed(batch.view()).expect_err("refused");
        assert_eq!(flaw(&error), None);
        assert!(error.advice().is_some());
        error.to_string()
    };
    assert!(refused(Array4::zeros((2, 4, 64, 64))).contains("[2, 4, 64, 64]"));
    assert!(refused(patches(1, 31)).contains("at least 32"));
    let mut bad = patches(3, 32);
    bad[[1, 0, 0, 0]] = f32::NAN;
    assert!(refused(bad).contains("patch 1"));
    #[cfg(not(feature = "wgpu"))]
    assert!(network.on(Engine::Gpu).expect_err("refused").to_string().contains("graphics card"));
}
