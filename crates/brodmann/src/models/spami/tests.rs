//! SpaMI against the reference implementation, and the promises of its interface.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Seed, Silent, Slices};
use ndarray::{Array1, Array2, ArrayView2};
use ndarray_npy::NpzReader;

use super::contrast::Contrast;
use super::graph::Operators;
use super::network;
use super::*;
use crate::nn::check::{gradient_error, numbers};
use crate::nn::{Adam, AdamOptions, Mat, Parameters, Scalar, Step};

type Oracle = NpzReader<std::fs::File>;

fn oracle() -> Oracle {
    crate::oracles::open("spami")
}

fn matrix(npz: &mut Oracle, name: &str) -> Array2<f64> {
    npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix2>(name).expect(name)
}

/// The reference's name of one of our parameters, and whether it is stored `(out, in)`.
fn reference_name(name: &str) -> (String, bool) {
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        [kind @ ("encoder" | "decoder"), m, weight] => {
            let m = m.parse::<usize>().expect("a number") + 1;
            let layer = &weight[weight.len() - 1..];
            let (suffix, transposed) =
                if weight.starts_with("weight") { ("lin.weight", true) } else { ("bias", false) };
            (format!("omics{m}_{kind}.{kind}_conv{layer}.{suffix}"), transposed)
        }
        ["discriminator", m, weight] => {
            let m = m.parse::<usize>().expect("a number") + 1;
            (format!("omics{m}_encoder.discriminator.f_k.{weight}"), false)
        }
        ["attention", "weight"] => ("attention_layer.w_omega".to_owned(), false),
        ["attention", "context"] => ("attention_layer.u_omega".to_owned(), false),
        _ => unreachable!("{name} is no parameter"),
    }
}

/// The reference's array of any rank, flattened in our orientation.
fn reference_values(npz: &mut Oracle, prefix: &str, name: &str) -> Vec<f64> {
    let (reference, transposed) = reference_name(name);
    let array: ndarray::ArrayD<f64> = npz.by_name(&format!("{prefix}_{reference}")).expect(name);
    if transposed {
        array.into_dimensionality::<ndarray::Ix2>().expect("a matrix").t().iter().copied().collect()
    } else {
        array.iter().copied().collect()
    }
}

fn neighbor_rows(graph: &Array2<f64>) -> Vec<Vec<u32>> {
    let row = |r: ndarray::ArrayView1<'_, f64>| {
        r.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(j, _)| j as u32).collect()
    };
    graph.rows().into_iter().map(row).collect()
}

/// Everything the oracle holds, in one precision.
fn matches_the_reference<T: Scalar>(operators: &Operators<T>, tolerance: f64) {
    let mut npz = oracle();
    let features: Vec<Vec<T>> =
        ["feat1", "feat2"].map(|name| matrix(&mut npz, name).iter().map(|&v| T::of(v)).collect()).to_vec();
    let permutations: Vec<Vec<u32>> = ["perm1", "perm2"]
        .map(|name| {
            let p: Array1<i64> = npz.by_name(name).expect(name);
            p.iter().map(|&v| v as u32).collect()
        })
        .to_vec();
    let options = SpamiOptions { latent: 8, dropout: 0.0, ..SpamiOptions::default() };
    let (mut parameters, layout) = network::parameters::<T>(&options, &[20, 12], Seed(1));
    for p in &mut parameters {
        let values = reference_values(&mut npz, "param", &p.name);
        assert_eq!(values.len(), p.value.len(), "{}", p.name);
        p.value = values.into_iter().map(T::of).collect();
    }
    let (mut writer, nodes) = network::write(&options, &layout, operators, 40, true);
    nodes.embeddings.iter().chain(&nodes.reconstructions).chain([&nodes.fused]).for_each(|&n| writer.keep(n));
    let mut tape = writer.build(true);
    let inputs = [Mat::new(&features[0], 40, 20), Mat::new(&features[1], 40, 12)];
    let indices: Vec<&[u32]> = permutations.iter().map(Vec::as_slice).collect();
    let step = Step { indices: &indices, ..Step::training(Seed(1), &inputs) };

    let loss = tape.run(&step, &mut parameters).expect("finite");
    let close = |found: &[T], expected: &[f64], what: &str| {
        assert_eq!(found.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (a, b) in found.iter().zip(expected) {
            assert!((a.to_f64() - b).abs() <= tolerance * scale, "{what}: {a} {b} (scale {scale})");
        }
    };
    let mut expect = |node, name: &str| {
        let found: Mat<'_, T> = tape.value(node).expect("kept");
        let expected: Vec<f64> = matrix(&mut npz, name).iter().copied().collect();
        close(found.data, &expected, name);
    };
    expect(nodes.embeddings[0], "out_emb1");
    expect(nodes.embeddings[1], "out_emb2");
    expect(nodes.fused, "out_combined");
    expect(nodes.reconstructions[0], "out_rec1");
    expect(nodes.reconstructions[1], "out_rec2");
    let alpha: Vec<f64> = matrix(&mut npz, "out_alpha").iter().copied().collect();
    close(tape.saved(nodes.fused).expect("kept"), &alpha, "out_alpha");
    let terms: Array1<f64> = npz.by_name("loss_terms").expect("loss_terms");
    let ids = [
        nodes.contrast[0],
        nodes.contrast[1],
        nodes.reconstruction[0],
        nodes.reconstruction[1],
        nodes.cosine,
    ];
    for (id, expected) in ids.into_iter().zip(&terms) {
        let found = tape.loss(id.expect("a term of the default preset"));
        assert!((found - expected).abs() <= tolerance * expected.abs(), "term {found} {expected}");
    }
    let total: ndarray::Array0<f64> = npz.by_name("loss").expect("loss");
    assert!((loss - total.into_scalar()).abs() <= tolerance * loss.abs());
    for p in &parameters {
        close(&p.grad, &reference_values(&mut npz, "grad", &p.name), &p.name);
    }

    let losses: Array1<f64> = npz.by_name("adam_losses").expect("adam_losses");
    let mut adam = Adam::new(AdamOptions::default(), &parameters);
    for &expected in &losses {
        let found = tape.run(&step, &mut parameters).expect("finite");
        assert!((found - expected).abs() <= tolerance * expected.abs(), "Adam {found} {expected}");
        adam.step(&mut parameters);
    }
    tape.run(&step, &mut parameters).expect("finite");
    let after: Vec<f64> = matrix(&mut npz, "out_combined_after5").iter().copied().collect();
    close(tape.value(nodes.fused).expect("kept").data, &after, "out_combined_after5");
}

fn oracle_graph() -> SpamiGraph {
    let rows = neighbor_rows(&matrix(&mut oracle(), "graph_neigh"));
    SpamiGraph::new(&rows).expect("the oracle's graph is sound")
}

#[test]
fn forward_losses_gradients_and_adam_equal_the_reference_in_double_precision() {
    let graph = oracle_graph();
    matches_the_reference::<f64>(&graph.operators_f64(), 1e-6);
}

#[test]
fn forward_losses_gradients_and_adam_equal_the_reference_in_single_precision() {
    let graph = oracle_graph();
    matches_the_reference::<f32>(&graph.operators, 1e-4);
}

#[test]
fn the_contrast_walks_back_as_finite_differences_say() {
    let graph = ring(9);
    let context = graph.operators_f64().context.clone();
    let error = gradient_error(&[(9, 4), (9, 4)], &[(4, 4), (1, 1)], true, |tape, nodes, ids| {
        let contrast = || Contrast { context: context.clone(), width: 4 };
        tape.loss(contrast(), nodes, ids, 1.5);
        tape.loss(contrast(), &[nodes[1], nodes[0]], ids, 0.5);
    });
    assert!(error < 1e-7, "{error:.1e}");
}

/// Spots on a ring, each with the next two as neighbours (directed).
fn ring(n: usize) -> SpamiGraph {
    let rows: Vec<Vec<u32>> = (0..n).map(|i| vec![((i + 1) % n) as u32, ((i + 2) % n) as u32]).collect();
    SpamiGraph::new(&rows).expect("a ring")
}

fn features(n: usize, width: usize, salt: u64) -> Array2<f32> {
    Array2::from_shape_vec((n, width), numbers(n * width, salt)).expect("shape").mapv(|v| v as f32)
}

fn small() -> SpamiOptions {
    SpamiOptions { hidden: 12, latent: 6, epochs: 6, ..SpamiOptions::default() }
}

fn fit(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    slices: Option<&[u32]>,
    options: &SpamiOptions,
) -> Result<SpamiFit, SpamiError> {
    train::<SpamiError>(
        modalities,
        graph,
        slices.map(|s| Slices::from_codes(s, &[])).as_ref(),
        options,
        Seed(7),
        None,
        &mut |_| Ok(()),
        &Silent,
    )
}

#[test]
fn one_two_and_three_modalities_and_every_ablation_learn() {
    let graph = ring(60);
    let data = [features(60, 5, 1), features(60, 3, 2), features(60, 4, 3)];
    for count in 1..=3 {
        let views: Vec<_> = data[..count].iter().map(|x| x.view()).collect();
        for fusion in Fusion::ALL {
            for (contrast, cosine) in [(true, true), (false, true), (true, false), (false, false)] {
                let options = SpamiOptions { fusion, contrast, cosine, epochs: 40, ..small() };
                let fit = fit(&views, &graph, None, &options).expect("trains");
                assert_eq!(fit.epochs.len(), 40);
                let first = &fit.epochs[0];
                assert_eq!(first.contrast.iter().all(|v| *v > 0.0), contrast);
                assert_eq!(first.cosine > 0.0, cosine && count > 1);
                assert!(fit.epochs[39].loss < first.loss, "{count} {fusion:?} {contrast} {cosine}");
                let out = fit.model.apply(&views, &graph, &Silent).expect("applies");
                assert_eq!(out.embedding.dim(), (60, options.embedding_width(count)));
                assert_eq!(out.attention.dim(), (60, count));
                assert!(out.attention.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-5));
                assert_eq!(out.reconstructions.len(), count);
                assert!(out.reconstructions.iter().zip(&data).all(|(r, x)| r.dim() == x.dim()));
                assert!(out.embedding.iter().all(|v| v.is_finite()));
            }
        }
    }
}

#[test]
fn the_same_bits_come_from_one_two_and_three_threads() {
    let n = 1500;
    let graph = ring(n);
    let (a, b) = (features(n, 20, 1), features(n, 7, 2));
    let slices: Vec<u32> = vec![0; n];
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let fit =
                fit(&[a.view(), b.view()], &graph, Some(&slices), &SpamiOptions { epochs: 3, ..small() });
            let fit = fit.expect("trains");
            let out = fit.model.apply(&[a.view(), b.view()], &graph, &Silent).expect("applies");
            (fit, out)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn resumed_training_ends_in_the_same_bits() {
    let graph = ring(50);
    let (a, b) = (features(50, 5, 1), features(50, 3, 2));
    let views = [a.view(), b.view()];
    let whole = fit(&views, &graph, None, &small()).expect("trains");
    let mut kept = None;
    let mut keep = |progress: &crate::nn::Progress<'_>| -> Result<(), SpamiError> {
        if progress.epoch == 2 {
            kept = Some(progress.checkpoint());
        }
        Ok(())
    };
    train(&views, &graph, None, &small(), Seed(7), None, &mut keep, &Silent).expect("trains");
    let mut checkpoint = kept.expect("epoch 2 was reached");
    // A file may hold the tensors in any order.
    checkpoint.parameters.reverse();
    let resumed = train::<SpamiError>(
        &views,
        &graph,
        None,
        &small(),
        Seed(7),
        Some(checkpoint.clone()),
        &mut |_| Ok(()),
        &Silent,
    );
    assert_eq!(resumed.expect("resumes"), whole);
    let short = SpamiOptions { epochs: 1, ..small() };
    let beyond = train::<SpamiError>(
        &views,
        &graph,
        None,
        &short,
        Seed(7),
        Some(checkpoint),
        &mut |_| Ok(()),
        &Silent,
    );
    assert_eq!(beyond, Err(SpamiError::CheckpointBeyondEnd { found: 2, expected: 1 }));
}

#[test]
fn saved_parameters_make_the_same_network() {
    let graph = ring(30);
    let (a, b) = (features(30, 5, 1), features(30, 3, 2));
    let fit = fit(&[a.view(), b.view()], &graph, None, &small()).expect("trains");
    let mut saved: Vec<(String, Array2<f32>)> =
        fit.model.parameters().into_iter().map(|(n, p)| (n, p.to_owned())).collect();
    saved.reverse();
    let again = SpamiModel::from_parameters(small(), Seed(7), vec![5, 3], saved.clone());
    assert_eq!(again.as_ref(), Ok(&fit.model));
    // Another slice, with another number of spots.
    let (c, d) = (features(11, 5, 3), features(11, 3, 4));
    let out = fit.model.apply(&[c.view(), d.view()], &ring(11), &Silent).expect("applies");
    assert_eq!(out.embedding.nrows(), 11);
    let missing = SpamiModel::from_parameters(small(), Seed(7), vec![5, 3], saved[1..].to_vec());
    assert!(matches!(missing, Err(SpamiError::ParameterShape { found: (0, 0), .. })));
    let wide = SpamiModel::from_parameters(small(), Seed(7), vec![6, 3], saved.clone());
    assert!(matches!(wide, Err(SpamiError::ParameterShape { found: (5, 12), expected: (6, 12), .. })));
    saved.push(("extra".to_owned(), Array2::zeros((1, 1))));
    let extra = SpamiModel::from_parameters(small(), Seed(7), vec![5, 3], saved);
    assert!(matches!(extra, Err(SpamiError::UnknownParameter { .. })));
    let swapped = fit.model.apply(&[d.view(), c.view()], &ring(11), &Silent);
    assert_eq!(swapped, Err(SpamiError::WidthMismatch { modality: 0, found: 3, expected: 5 }));
    let one = fit.model.apply(&[c.view()], &ring(11), &Silent);
    assert_eq!(one, Err(SpamiError::ModalityCount { found: 1, expected: 2 }));
}

#[test]
fn slices_are_corrupted_within_themselves() {
    // Two slices whose rows interleave; the second has one spot, which then stays where it is.
    let mut rows: Vec<Vec<u32>> = (0..9).map(|i| vec![(i + 1) % 9]).collect();
    rows.push(vec![]);
    let graph = SpamiGraph::new(&rows).expect("sound");
    let mut slices = vec![4; 10];
    slices[9] = 2;
    let (a, b) = (features(10, 4, 1), features(10, 4, 2));
    fit(&[a.view(), b.view()], &graph, Some(&slices), &small()).expect("trains");
    slices[3] = 2;
    let crossing = fit(&[a.view(), b.view()], &graph, Some(&slices), &small());
    assert_eq!(crossing, Err(SpamiError::EdgeAcrossSlices { row: 2, slice: 4, neighbor: 3, other: 2 }));
    let short = fit(&[a.view(), b.view()], &graph, Some(&slices[1..]), &small());
    assert!(matches!(short, Err(SpamiError::SpotMismatch { found: 9, expected: 10, .. })));
}

#[test]
fn the_order_of_spots_does_not_change_an_embedding() {
    let n = 40;
    let graph = ring(n);
    let (a, b) = (features(n, 5, 1), features(n, 3, 2));
    let fit = fit(&[a.view(), b.view()], &graph, None, &small()).expect("trains");
    let out = fit.model.apply(&[a.view(), b.view()], &graph, &Silent).expect("applies");
    // Spot i moves to place (7 i) mod n.
    let place = |i: usize| 7 * i % n;
    let mut order = vec![0; n];
    (0..n).for_each(|i| order[place(i)] = i);
    let rows: Vec<Vec<u32>> =
        order.iter().map(|&i| vec![place((i + 1) % n) as u32, place((i + 2) % n) as u32]).collect();
    let moved_graph = SpamiGraph::new(&rows).expect("sound");
    let (ma, mb) = (a.select(ndarray::Axis(0), &order), b.select(ndarray::Axis(0), &order));
    let moved = fit.model.apply(&[ma.view(), mb.view()], &moved_graph, &Silent).expect("applies");
    let expected = out.embedding.select(ndarray::Axis(0), &order);
    // Neighbours are summed in another order.
    assert!(moved.embedding.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-5));
}

#[test]
fn odd_tissues_are_handled() {
    // Isolated spots, duplicates in rows, a constant feature, a feature of zeros, one spot, two spots.
    let graph = SpamiGraph::new(&[vec![], vec![0, 0, 1, 2], vec![1], vec![]]).expect("sound");
    assert_eq!((graph.n_obs(), graph.n_edges()), (4, 3));
    let mut a = features(4, 3, 1);
    a.column_mut(0).fill(2.0);
    a.column_mut(1).fill(0.0);
    let b = Array2::<f32>::zeros((4, 2));
    let fit4 = fit(&[a.view(), b.view()], &graph, None, &small()).expect("trains");
    assert!(fit4.epochs.iter().all(|e| e.loss.is_finite()));
    for n in [1, 2] {
        let rows: Vec<Vec<u32>> = if n == 1 { vec![vec![]] } else { vec![vec![1], vec![0]] };
        let graph = SpamiGraph::new(&rows).expect("sound");
        let a = features(n, 3, 1);
        let fit = fit(&[a.view()], &graph, None, &small()).expect("trains");
        let out = fit.model.apply(&[a.view()], &graph, &Silent).expect("applies");
        assert!(out.embedding.iter().all(|v| v.is_finite()));
    }
    let none: &[Vec<u32>] = &[];
    let nothing = SpamiGraph::new(none).expect("sound");
    let empty = Array2::<f32>::zeros((0, 3));
    assert_eq!(
        fit(&[empty.view()], &nothing, None, &small()),
        Err(SpamiError::NoObservations { modality: 0 })
    );
    let out_of_range = SpamiGraph::new(&[vec![1], vec![2]]);
    assert_eq!(out_of_range, Err(SpamiError::NeighborOutOfRange { row: 1, neighbor: 2, n_obs: 2 }));
}

#[test]
fn broken_features_and_options_stop_before_any_work() {
    let graph = ring(10);
    let mut a = features(10, 3, 1);
    a[[4, 2]] = f32::NAN;
    let found = fit(&[a.view()], &graph, None, &small());
    assert!(matches!(found, Err(SpamiError::NonFiniteFeature { modality: 0, row: 4, column: 2, .. })));
    let a = features(10, 3, 1);
    let b = features(9, 3, 1);
    let found = fit(&[a.view(), b.view()], &graph, None, &small());
    assert!(matches!(found, Err(SpamiError::SpotMismatch { found: 9, expected: 10, .. })));
    assert_eq!(fit(&[], &graph, None, &small()), Err(SpamiError::NoModalities));
    for broken in [
        SpamiOptions { learning_rate: 0.0, ..small() },
        SpamiOptions { learning_rate: f64::NAN, ..small() },
        SpamiOptions { epochs: 0, ..small() },
        SpamiOptions { hidden: 0, ..small() },
        SpamiOptions { latent: 1 << 20, ..small() },
        SpamiOptions { dropout: 1.0, ..small() },
        SpamiOptions { contrast_weights: vec![1.0, -1.0], ..small() },
        SpamiOptions { contrast_weights: vec![1.0; 3], ..small() },
        SpamiOptions { cosine_weight: f64::INFINITY, ..small() },
        SpamiOptions { weight_decay: -1.0, ..small() },
        SpamiOptions { early_stopping: Some(EarlyStopping { patience: 0, min_delta: 0.0 }), ..small() },
        SpamiOptions { contrast: false, cosine: false, reconstruction_weights: vec![0.0], ..small() },
    ] {
        let found = fit(&[a.view(), a.view()], &graph, None, &broken).expect_err("must be refused");
        assert_eq!(flaw(&found), None);
    }
    let three = fit(
        &[a.view(), a.view(), a.view()],
        &graph,
        None,
        &SpamiOptions { reconstruction_weights: vec![10.0, 15.0], ..small() },
    );
    assert!(matches!(three, Err(SpamiError::WeightCount { found: 2, modalities: 3, .. })));
}

#[test]
fn a_loss_that_explodes_says_where() {
    let graph = ring(20);
    let a = features(20, 3, 1).mapv(|v| v * 1e30);
    let found = fit(&[a.view()], &graph, None, &small()).expect_err("1e30 squared is no f32");
    let SpamiError::NonFiniteLoss { epoch, ref term, .. } = found else { unreachable!("{found}") };
    assert_eq!((epoch, term.as_str()), (1, "reconstruction 0"));
    assert_eq!(flaw(&found), None);
}

#[test]
fn training_that_no_longer_gains_stops() {
    let graph = ring(20);
    let a = features(20, 3, 1);
    let stop = EarlyStopping { patience: 3, min_delta: 1e9 };
    let options = SpamiOptions { epochs: 50, early_stopping: Some(stop), ..small() };
    let fit = fit(&[a.view()], &graph, None, &options).expect("trains");
    assert!(fit.stopped_early);
    assert_eq!(fit.epochs.len(), 4);
}

#[test]
fn presets_are_those_of_the_paper_and_known_by_name() {
    for preset in SpamiPreset::ALL {
        assert_eq!(preset.name().parse(), Ok(preset));
        SpamiOptions::preset(preset).validate(2).expect("a preset is sound");
    }
    let thymus = SpamiOptions::preset(SpamiPreset::StereoCite);
    assert_eq!((thymus.learning_rate, thymus.epochs, thymus.n_neighbors), (1e-4, 600, 3));
    assert_eq!((thymus.contrast_weights, thymus.reconstruction_weights), (vec![1.0, 5.0], vec![10.0, 25.0]));
    let error = "thymus".parse::<SpamiPreset>().expect_err("not a preset");
    assert!(error.to_string().contains("stereo_cite") && flaw(&error).is_none(), "{error}");
    assert!("concat".parse::<Fusion>() == Ok(Fusion::Concat) && "sum".parse::<Fusion>().is_err());
}

#[test]
fn a_million_spots_are_forecast_to_fit_into_six_gigabytes() {
    let options = SpamiOptions::default();
    let forecast = memory_bytes(1_000_000, &[50, 50], &options);
    assert!(forecast < 6_000_000_000, "{forecast}");
    assert!(memory_bytes(2_000_000, &[50, 50], &options) < 2 * forecast + 100_000_000);
    // Slices are trained on in turn.
    let ten = memory_bytes_of_slices(&[100_000; 10], &[50, 50], &options);
    assert!(ten < forecast * 3 / 4, "{ten} {forecast}");
}

#[test]
fn the_bounds_of_parameters_are_those_of_pytorch() {
    let (parameters, _): (Parameters<f64>, _) =
        network::parameters(&SpamiOptions::default(), &[50, 30], Seed(1));
    let largest = |name: &str| {
        let p = parameters.find(name).expect(name);
        p.value.iter().fold(0.0f64, |m, v| m.max(v.abs()))
    };
    for (name, bound) in [
        ("encoder.0.weight1", (6.0f64 / 306.0).sqrt()),
        ("decoder.1.weight2", (6.0f64 / 286.0).sqrt()),
        ("discriminator.0.weight", 0.125),
    ] {
        let found = largest(name);
        assert!(found <= bound && found > 0.98 * bound, "{name}: {found} {bound}");
    }
    assert_eq!(largest("encoder.0.bias1"), 0.0);
}

/// The rows of a slice, and its graph.
type OwnRing = (Vec<usize>, SpamiGraph);

/// Two slices whose rows interleave, each a ring.
fn two_rings(n: usize) -> (SpamiGraph, Vec<u32>, [OwnRing; 2]) {
    let codes: Vec<u32> = (0..n as u32).map(|i| u32::from(i % 3 == 0)).collect();
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); n];
    let parts = [0, 1].map(|slice| {
        let members: Vec<usize> = (0..n).filter(|&i| codes[i] == slice).collect();
        let next = |k: usize| (k + 1) % members.len();
        for (k, &i) in members.iter().enumerate() {
            rows[i] = vec![members[next(k)] as u32];
        }
        let own: Vec<Vec<u32>> = (0..members.len()).map(|k| vec![next(k) as u32]).collect();
        (members, SpamiGraph::new(&own).expect("sound"))
    });
    (SpamiGraph::new(&rows).expect("sound"), codes, parts)
}

#[test]
fn slices_that_lie_apart_sum_to_the_bits_of_training_them_together() {
    let n = 400;
    let (graph, codes, parts) = two_rings(n);
    let (a, b) = (features(n, 9, 1), features(n, 4, 2));
    let options = SpamiOptions { dropout: 0.2, ..small() };
    let whole = fit(&[a.view(), b.view()], &graph, Some(&codes), &options).expect("trains");
    let rows = |x: &Array2<f32>, members: &[usize]| x.select(ndarray::Axis(0), members);
    let mut shards = parts.clone().map(|(members, own)| {
        let place = shard::SpamiPlace { index: usize::from(members[0] == 0), n_obs: n };
        let modalities = vec![rows(&a, &members), rows(&b, &members)];
        shard::SpamiShard::new(modalities, own, place, &options, Seed(7)).expect("sound")
    });
    let mut lead = shard::lead(&options, &[9, 4], Seed(7)).expect("sound");
    for epoch in 0..options.epochs as u64 {
        let parameters = lead.parameters().flat();
        let mut sum = shards[0].gradients(&parameters, epoch).expect("finite");
        // Asked twice, as after a worker was lost.
        assert_eq!(shards[0].gradients(&parameters, epoch).expect("finite"), sum);
        sum.add(&shards[1].gradients(&parameters, epoch).expect("finite"));
        lead.apply(&sum);
    }
    let found: Vec<SpamiEpoch> = lead.history().iter().map(|row| SpamiEpoch::from_row(row, 2)).collect();
    assert_eq!(found, whole.epochs);
    assert_eq!(shard::model_of(&lead, &options, &[9, 4], Seed(7)), whole.model);
    let out = whole.model.apply(&[a.view(), b.view()], &graph, &Silent).expect("applies");
    let parameters = lead.parameters().flat();
    for (own, (members, _)) in shards.iter_mut().zip(&parts) {
        let found = own.apply(&parameters).expect("applies");
        assert_eq!(found.embedding, rows(&out.embedding, members));
        assert_eq!(found.attention, rows(&out.attention, members));
    }
    let other = shards[0].gradients(&parameters[1..], 0);
    assert!(matches!(other, Err(SpamiError::ParameterShape { .. })), "{other:?}");
}

#[test]
fn the_loss_of_slices_is_that_of_the_tissue() {
    // Without draws a slice cannot tell that it has a tape of its own.
    let n = 300;
    let (graph, codes, _) = two_rings(n);
    let (a, b) = (features(n, 9, 1), features(n, 4, 2));
    let options = SpamiOptions { dropout: 0.0, contrast: false, ..small() };
    let views = [a.view(), b.view()];
    let one = fit(&views, &graph, None, &options).expect("trains");
    let two = fit(&views, &graph, Some(&codes), &options).expect("trains");
    for (one, two) in one.epochs.iter().zip(&two.epochs) {
        assert!((one.loss - two.loss).abs() < 1e-5 * one.loss, "{one:?} {two:?}");
        assert!((one.cosine - two.cosine).abs() < 1e-5 * one.cosine);
    }
    // With them the terms are of the same size.
    let (one, two) = (fit(&views, &graph, None, &small()), fit(&views, &graph, Some(&codes), &small()));
    let (one, two) = (one.expect("trains"), two.expect("trains"));
    assert!((one.epochs[0].contrast[0] - two.epochs[0].contrast[0]).abs() < 0.05);
}
