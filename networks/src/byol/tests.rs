use std::sync::atomic::{AtomicU64, Ordering};

use brodmann_kernels::Silent;
use brodmann_kernels::proofread::flaw;
use burn_tensor::Device;
use ndarray::Array4;

use super::step::{average, view_loss};
use super::*;
use crate::encoder::Encoder;
use crate::network::{Norm, Tensors, values_of};
use crate::oracle::{Folder, Oracle};
use crate::resnet::ResNetShape;
use crate::state::Slot;

fn tiny() -> ResNetShape {
    ResNetShape { stem: 4, depths: [1; 4], planes: [2, 2, 4, 4] }
}

fn patches(n: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, 32, 32), |(p, c, i, j)| {
        let wave = ((i * (1 + p % 3)) as f32 * 0.4 + j as f32 * 0.3 + c as f32).sin();
        0.5 + 0.4 * wave
    })
}

fn options(epochs: usize) -> ByolOptions {
    ByolOptions { epochs, batch_size: 4, hidden: 8, projection: 4, ..ByolOptions::default() }
}

fn start() -> ResNet {
    ResNet::random(tiny(), Seed(2)).expect("a network")
}

fn fit(
    epochs: usize,
    checkpoints: Option<&ByolCheckpoints>,
    monitor: &dyn Monitor,
) -> Result<ByolFit, HistologyError> {
    byol(&patches(9), &start(), &options(epochs), Seed(1), checkpoints, monitor)
}

#[test]
fn loss_gradients_and_steps_are_those_of_pytorch() {
    let oracle = Oracle::open();
    let device = Device::flex();
    // Features of 24, perceptrons 24-32-16 and 16-32-16.
    let shape = ResNetShape { stem: 1, depths: [1; 4], planes: [1, 1, 1, 6] };
    let architecture = Architecture { shape, hidden: 32, output: 16 };
    let heads: Vec<Slot> =
        architecture.slots().into_iter().filter(|s| !s.name.starts_with("encoder.")).collect();
    for (dtype, most) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
        let state = oracle.state("byol_", &heads);
        let trained = || heads.iter().filter(|s| s.role.is_trained());
        let online = Tensors::upload(trained(), &state, &device, dtype);
        let projector: Vec<Slot> = trained().filter(|s| s.name.starts_with("projector")).cloned().collect();
        let mut target =
            Tensors::upload(&projector, &oracle.state("byol_target_", &projector), &device, dtype);

        let mut gradients: Vec<(String, Tensor<1>)> = Vec::new();
        let mut loss = 0.0;
        for (view, other) in [("1", "2"), ("2", "1")] {
            let leaves = online.leaves();
            let mut seen = Vec::new();
            let mut norm = Norm::Batch(&mut seen);
            let f = oracle.tensor::<2>(&format!("byol_f{view}"), &device, dtype).autodiff();
            let aim = heads::perceptron(
                oracle.tensor::<2>(&format!("byol_f{other}"), &device, dtype),
                &target,
                &mut Norm::Batch(&mut Vec::new()),
                "projector",
                [24, 32, 16],
            );
            assert!(oracle.distance(&aim, &format!("byol_t{other}")) < most);
            let value = view_loss(&architecture, &leaves, &mut norm, f, aim);
            let data = value.clone().without_autodiff().into_data_dtype(DType::F64);
            loss += data.try_into_vec::<f64>().expect("a number")[0];
            let found = value.backward();
            for (name, leaf) in &leaves.0 {
                let gradient = leaf.grad(&found).expect("a gradient");
                match gradients.iter_mut().find(|(n, _)| n == name) {
                    Some((_, total)) => *total = total.clone() + gradient,
                    None => gradients.push((name.clone(), gradient)),
                }
            }
        }
        let expected = oracle.f64("byol_loss").iter().next().copied().expect("a number");
        assert!((loss - expected).abs() < most, "{loss} {expected}");
        let mut moved = online.clone();
        for (name, gradient) in &gradients {
            // A bias that a normalisation takes off again has no gradient but rounding, in PyTorch too.
            let is_taken_off = name.ends_with("0.bias") || name == "projector.3.bias";
            if is_taken_off {
                assert!(values_of(gradient.clone()).iter().all(|v| v.abs() < 1e-6), "{name}");
            } else {
                let far = oracle.distance(gradient, &format!("byol_grad_{name}"));
                assert!(far < most, "{name}: {far:e}");
            }
            if name.starts_with("projector") {
                let stepped = online.get(name) - gradient.clone().mul_scalar(0.1);
                assert!(oracle.distance(&stepped, &format!("byol_sgd_{name}")) < most, "{name}");
                moved.0.insert(name.clone(), stepped);
            }
        }
        average(&mut target, &moved, 0.99);
        for (name, value) in &target.0 {
            assert!(oracle.distance(value, &format!("byol_ema_target_{name}")) < most, "{name}");
        }
    }
}

#[test]
fn adam_moves_each_parameter_by_the_learning_rate_at_first() {
    let architecture = Architecture { shape: tiny(), hidden: 8, output: 4 };
    let before = Snapshot::start(&architecture, start().state(), Seed(1));
    let mut learner =
        Learner::new(architecture.clone(), &before, crate::Engine::Cpu, DType::F32).expect("a learner");
    assert_eq!(learner.snapshot(), before);
    let chosen = [0, 1, 2, 3];
    let view =
        |v| views(&patches(4), &chosen, v, 0, (3, 32, 32), &options(1), Seed(1), &learner).expect("views");
    let both = [view(0), view(1)];
    learner.step(both, 0.01, 0.5);
    let after = learner.snapshot();
    // g / √g² = ±1 times the rate, where the gradient is far from Adam's ε.
    let name = "predictor.3.weight";
    for (a, b) in before.online[name].iter().zip(&after.online[name]) {
        assert!(((a - b).abs() - 0.01).abs() < 1e-4, "{a} {b}");
    }
    let (name, k) = ("encoder.conv1.weight", [0, 0, 0, 0]);
    let middle = 0.5 * (before.online[name][k] + after.online[name][k]);
    assert!((after.target[name][k] - middle).abs() < 1e-6);
    assert_ne!(before.online["encoder.bn1.running_mean"], after.online["encoder.bn1.running_mean"]);
}

#[test]
fn training_gives_the_same_bits_on_one_thread_and_on_several() {
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| fit(2, None, &Silent)).expect("trained")
    };
    let (one, four) = (fit(1), fit(4));
    assert_eq!(one.losses, four.losses);
    assert_eq!(one.encoder.state(), four.encoder.state());
    assert!(one.encoder.name().contains("BYOL for 2 epochs after random start"), "{}", one.encoder.name());
    assert!(one.losses.iter().all(|l| (0.0..=8.0).contains(l)));
}

#[test]
fn products_large_enough_to_be_split_give_the_same_bits_on_any_number_of_threads() {
    // The widths of ResNet-50, one bottleneck per stage.
    let shape = ResNetShape { depths: [1; 4], ..ResNetShape::RESNET_50 };
    let start = ResNet::random(shape, Seed(2)).expect("a network");
    let many = Array4::from_shape_fn((4, 3, 64, 64), |(p, c, i, j)| {
        0.5 + 0.4 * ((i * (1 + p)) as f32 * 0.2 + j as f32 * 0.3 + c as f32).sin()
    });
    let options = ByolOptions { hidden: 512, projection: 64, ..options(1) };
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let fit = byol(&many, &start, &options, Seed(1), None, &Silent).expect("trained");
            (fit.encoder.embed(many.view()).expect("embedded"), fit.encoder.state().clone())
        })
    };
    let one = fit(1);
    assert!(one == fit(2) && one == fit(5));
}

/// Stops the run after so many steps.
struct StopAfter(AtomicU64, u64);

impl Monitor for StopAfter {
    fn advance(&self, steps: u64) {
        self.0.fetch_add(steps, Ordering::Relaxed);
    }

    fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= self.1
    }
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_bits() {
    let folder = Folder::new("byol-1");
    let mut checkpoints = ByolCheckpoints { folder: folder.path().join("new"), every: 1, resume: false };
    let whole = fit(3, None, &Silent).expect("trained");
    // Nine patches in three batches: in the middle of the second epoch.
    let stopped = fit(3, Some(&checkpoints), &StopAfter(AtomicU64::new(0), 4)).expect_err("interrupted");
    assert!(matches!(stopped, HistologyError::Interrupted(_)));
    checkpoints.resume = true;
    let resumed = fit(3, Some(&checkpoints), &Silent).expect("trained");
    assert_eq!(resumed.losses, whole.losses);
    assert_eq!(resumed.encoder.state(), whole.encoder.state());
    assert_eq!(std::fs::read_dir(&checkpoints.folder).expect("a folder").count(), 1);

    let refused = |error: HistologyError| {
        assert_eq!(flaw(&error), None, "{error}");
        error.to_string()
    };
    let other = byol(&patches(9), &start(), &options(3), Seed(7), Some(&checkpoints), &Silent);
    assert!(refused(other.expect_err("refused")).contains("seed 1 there, 7 here"));
    let nowhere = ByolCheckpoints { folder: folder.path().join("empty"), ..checkpoints.clone() };
    assert!(matches!(fit(3, Some(&nowhere), &Silent), Err(HistologyError::NoCheckpoint { .. })));
    let bytes = std::fs::read(checkpoints.path()).expect("a file");
    std::fs::write(checkpoints.path(), &bytes[..bytes.len() / 2]).expect("written");
    refused(fit(3, Some(&checkpoints), &Silent).expect_err("refused"));
}

#[test]
fn trainings_that_cannot_be_are_refused() {
    let refused = |options: &ByolOptions, patches: &Array4<f32>| {
        let error = byol(patches, &start(), options, Seed(1), None, &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None, "{error}");
        error.to_string()
    };
    assert!(refused(&options(1), &patches(1)).contains("1 patches"));
    assert!(refused(&ByolOptions { batch_size: 1, ..options(1) }, &patches(4)).contains("batch_size"));
    assert!(
        refused(&ByolOptions { learning_rate: f64::NAN, ..options(1) }, &patches(4))
            .contains("learning_rate")
    );
    let mut bad = patches(4);
    bad[[2, 0, 0, 0]] = f32::NAN;
    assert!(refused(&options(1), &bad).contains("patch 2"));
    assert!(refused(&ByolOptions { learning_rate: 1e30, ..options(5) }, &patches(4)).contains("not finite"));
}

#[test]
fn batches_differ_by_one_and_none_has_one_patch() {
    for n in 2..40 {
        for most in 2..10 {
            let lengths: Vec<usize> = batches(n, most).into_iter().map(|b| b.len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), n);
            let (least, largest) = (lengths.iter().min().expect("one"), lengths.iter().max().expect("one"));
            assert!(*least >= 2 && largest - least <= 1 && *largest <= most + 1, "{lengths:?}");
        }
    }
    let mut order = order(50, Seed(1), 3);
    assert_ne!(order, super::order(50, Seed(1), 4));
    order.sort_unstable();
    assert_eq!(order, (0..50).collect::<Vec<_>>());
}
