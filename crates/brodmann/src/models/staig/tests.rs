use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed, Silent, Slices};
use ndarray::{Array2, Axis};

use super::augment::{GraphAugmenter, normalized_adjacency};
use super::loss::{ContrastLoss, ContrastOptions, ContrastPairs};
use super::network::{contrast, parameters, write};
use super::tile::{Tiling, divide};
use super::views::Views;
use super::*;
use crate::nn::{Progress, Step, TapeBuilder, TrainingState};

fn uniform(seed: u64, i: usize) -> f64 {
    (Seed(seed).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64
}

/// A square of `side × side` spots, each the neighbour of those beside it; `gap` cuts it into two slices.
fn lattice(side: usize, gap: bool) -> CsrMatrix<f64> {
    let n = side * side;
    let slice = |i: usize| usize::from(gap && i % side >= side / 2);
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            let (x, y) = (i % side, i / side);
            let mut row = Vec::new();
            if y > 0 {
                row.push(i - side);
            }
            if x > 0 {
                row.push(i - 1);
            }
            if x + 1 < side {
                row.push(i + 1);
            }
            if y + 1 < side {
                row.push(i + side);
            }
            row.retain(|&j| slice(i) == slice(j));
            row.into_iter().map(|j| (j as u32, 1.0)).collect()
        })
        .collect();
    CsrMatrix::from_rows(n, &rows)
}

/// Two domains, left and right: each gene is high in one of them; about half of the entries are zero.
fn expression(side: usize, n_genes: usize) -> CsrMatrix<f32> {
    let dense = Array2::from_shape_fn((side * side, n_genes), |(i, j)| {
        let inside = (i % side < side / 2) == (j % 2 == 0);
        let rate = if inside { 0.8 } else { 0.3 };
        let draw = uniform(77, i * n_genes + j);
        if draw < rate { (1.0 + 3.0 * uniform(78, i * n_genes + j)) as f32 } else { 0.0 }
    });
    CsrMatrix::from_dense(dense.view())
}

fn small() -> StaigOptions {
    StaigOptions { epochs: 12, width: 16, learning_rate: 5e-3, ..StaigOptions::default() }
}

fn fit(tissue: &StaigTissue<'_>, options: &StaigOptions) -> StaigFit {
    train::<StaigError>(tissue, options, Seed(3), None, &mut |_| Ok(()), &Silent).unwrap()
}

struct Example {
    features: CsrMatrix<f32>,
    graph: CsrMatrix<f64>,
    drop: EdgeDrop,
}

impl Example {
    fn new(side: usize) -> Self {
        Self { features: expression(side, 20), graph: lattice(side, false), drop: EdgeDrop::Fixed(0.2) }
    }

    fn tissue(&self) -> StaigTissue<'_> {
        StaigTissue {
            features: self.features.view(),
            graph: self.graph.view(),
            slices: None,
            classes: None,
            edge_drop: &self.drop,
        }
    }
}

#[test]
fn the_gradient_by_every_parameter_is_a_finite_difference() {
    let example = Example::new(4);
    let features = example.features.view().map(f64::from);
    let classes: Vec<u32> = (0..16).map(|i| i % 3).collect();
    for (layers, negatives) in [(1, Negatives::Exact), (2, Negatives::Moments)] {
        let options = StaigOptions { layers, width: 5, tau: 1.5, ..StaigOptions::default() };
        let (mut weights, layout) = parameters::<f64>(&options, 20, Seed(1));
        let augmenter = GraphAugmenter::new(example.graph.view(), &EdgeDrop::Fixed(0.3), 1).unwrap();
        let mut views = Views::full(&augmenter, 20, 2);
        views.draw(&augmenter, [0.2, 0.4], Seed(2), 0);
        let pairs = ContrastPairs::try_new(example.graph.view(), None, Some(&classes)).unwrap();
        let contrast_options = ContrastOptions { tau: 1.5, negatives, ..Default::default() };
        let loss = ContrastLoss::new(pairs, contrast_options).unwrap();
        let mut tape = TapeBuilder::new();
        let output = write(&mut tape, &options, &layout, (16, 20), 2);
        contrast(&mut tape, output, loss, 1.0, &Silent);
        let mut tape = tape.build(true);
        let sparse = views.sparse(features.view());
        let step = Step { sparse: &sparse, masks: &views.masks, ..Step::training(Seed(0), &[]) };
        // Twice: the buffers then hold old numbers.
        tape.run(&step, &mut weights).unwrap();
        tape.run(&step, &mut weights).unwrap();
        let found: Vec<(String, Vec<f64>)> =
            weights.iter().map(|p| (p.name.clone(), p.grad.clone())).collect();
        for (name, gradient) in found {
            for k in (0..gradient.len()).step_by(gradient.len().div_ceil(7)) {
                let h = 1e-6;
                let mut at = |by: f64| {
                    weights.find_mut(&name).unwrap().value[k] += by;
                    tape.run(&step, &mut weights).unwrap()
                };
                let (above, below) = (at(h), at(-2.0 * h));
                at(h);
                let expected = (above - below) / (2.0 * h);
                assert!(
                    (gradient[k] - expected).abs() < 1e-7,
                    "{layers} layers, {name}[{k}]: {} {expected}",
                    gradient[k]
                );
            }
        }
    }
}

#[test]
fn applying_the_network_is_its_definition_written_densely() {
    let example = Example::new(5);
    let options = StaigOptions { layers: 2, ..small() };
    let model = fit(&example.tissue(), &options).model;
    let weight = |name: &str| {
        let all = model.parameters();
        all.iter().find(|(n, _)| n == name).unwrap().1.mapv(f64::from)
    };
    let a = normalized_adjacency::<f64>(example.graph.view()).unwrap().view().to_dense();
    let slope = weight("encoder.slope")[[0, 0]];
    let mut x = example.features.view().to_dense().mapv(f64::from);
    for k in 0..2 {
        x = a.dot(&x.dot(&weight(&format!("encoder.{k}.weight")))) + weight(&format!("encoder.{k}.bias"));
        x.mapv_inplace(|v| if v < 0.0 { slope * v } else { v });
    }
    let hidden = x.dot(&weight("projection.0.weight")) + weight("projection.0.bias");
    let hidden = hidden.mapv(|v| if v < 0.0 { v.exp() - 1.0 } else { v });
    let expected = hidden.dot(&weight("projection.1.weight")) + weight("projection.1.bias");
    let found = model.apply(&example.tissue(), &Silent).unwrap();
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(&expected) {
        assert!((f64::from(*f) - e).abs() < 1e-5 * scale, "{f} {e}");
    }
}

#[test]
fn training_lowers_the_loss_and_separates_the_domains() {
    let example = Example::new(10);
    let options = StaigOptions { epochs: 60, tau: 1.0, ..small() };
    let fit = fit(&example.tissue(), &options);
    assert_eq!(fit.epochs.len(), 60);
    assert_eq!(fit.negatives, Negatives::Exact);
    assert!(fit.epochs[59].loss < fit.epochs[0].loss - 0.05, "{:?}", fit.epochs);
    // Spots well inside a domain are nearer to their own than to the other.
    let side = |left: bool| -> Vec<usize> {
        (0..100).filter(|i| if left { i % 10 < 3 } else { i % 10 > 6 }).collect()
    };
    let mean = |left| fit.embedding.select(Axis(0), &side(left)).mean_axis(Axis(0)).unwrap();
    let (left, right) = (mean(true), mean(false));
    let right_way = [true, false]
        .into_iter()
        .flat_map(|l| side(l).into_iter().map(move |i| (i, l)))
        .filter(|&(i, l)| {
            let row = fit.embedding.row(i);
            let to = |m: &ndarray::Array1<f32>| (&row - m).mapv(|x| x * x).sum();
            (to(&left) < to(&right)) == l
        })
        .count();
    assert!(right_way >= 57, "{right_way} of 60");
}

#[test]
fn the_bits_do_not_depend_on_the_thread_count() {
    let example = Example::new(20);
    for negatives in [Negatives::Exact, Negatives::Moments] {
        let options = StaigOptions { layers: 2, epochs: 4, negatives, ..small() };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| fit(&example.tissue(), &options))
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn resumed_training_ends_in_the_same_bits() {
    let example = Example::new(8);
    let options = small();
    let mut saved = None;
    let whole = train::<StaigError>(
        &example.tissue(),
        &options,
        Seed(3),
        None,
        &mut |progress| {
            if progress.epoch == 5 {
                saved = Some(progress.checkpoint());
            }
            Ok(())
        },
        &Silent,
    )
    .unwrap();
    let mut first = None;
    let resumed = train::<StaigError>(
        &example.tissue(),
        &options,
        Seed(3),
        saved,
        &mut |progress| {
            first.get_or_insert(progress.epoch);
            Ok(())
        },
        &Silent,
    )
    .unwrap();
    assert_eq!(first, Some(6));
    assert_eq!(whole, resumed);
    assert_ne!(
        whole,
        train::<StaigError>(&example.tissue(), &options, Seed(4), None, &mut |_| Ok(()), &Silent).unwrap()
    );
}

#[test]
fn a_model_from_its_parameters_gives_the_same_embedding() {
    let example = Example::new(6);
    for average_views in [false, true] {
        let options = StaigOptions { average_views, ..small() };
        let fit = fit(&example.tissue(), &options);
        let mut saved: Vec<(String, Array2<f32>)> =
            fit.model.parameters().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        saved.reverse();
        let model = StaigModel::from_parameters(options.clone(), Seed(3), 20, saved.clone()).unwrap();
        assert_eq!(model, fit.model);
        assert_eq!(model.apply(&example.tissue(), &Silent).unwrap(), fit.embedding);

        let from = |saved| StaigModel::from_parameters(options.clone(), Seed(3), 20, saved);
        let mut missing = saved.clone();
        missing.pop();
        assert!(matches!(from(missing), Err(StaigError::ParameterShape { found: (0, 0), .. })));
        saved.push(("other".to_owned(), Array2::zeros((1, 1))));
        assert_eq!(from(saved), Err(StaigError::UnknownParameter { name: "other".to_owned() }));
    }
}

#[test]
fn slices_and_classes_take_part() {
    let side = 8;
    let (features, graph) = (expression(side, 20), lattice(side, true));
    let slices: Vec<u32> = (0..side * side).map(|i| u32::from(i % side >= side / 2)).collect();
    let slices = Slices::from_codes(&slices, &[]);
    let classes: Vec<u32> = (0..side * side).map(|i| (i / side / 2) as u32).collect();
    let drop = EdgeDrop::Fixed(0.2);
    let tissue = |slices, classes| StaigTissue {
        features: features.view(),
        graph: graph.view(),
        slices,
        classes,
        edge_drop: &drop,
    };
    let options = small();
    let plain = fit(&tissue(None, None), &options).epochs;
    let sliced = fit(&tissue(Some(&slices), None), &options).epochs;
    let classed = fit(&tissue(Some(&slices), Some(&classes)), &options).epochs;
    // The fewer negatives, the smaller the loss.
    assert!(sliced[0].loss < plain[0].loss && classed[0].loss < sliced[0].loss);
    let whole = lattice(side, false);
    let crossing = StaigTissue { graph: whole.view(), ..tissue(Some(&slices), None) };
    let refused = train::<StaigError>(&crossing, &options, Seed(3), None, &mut |_| Ok(()), &Silent);
    assert!(matches!(refused, Err(StaigError::EdgeAcrossSlices { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let example = Example::new(4);
    let refuse = |tissue: StaigTissue<'_>, options: StaigOptions, resume| {
        train::<StaigError>(&tissue, &options, Seed(3), resume, &mut |_| Ok(()), &Silent).unwrap_err()
    };
    let none = CsrMatrix::<f32>::from_rows(20, &[]);
    let nothing = StaigTissue { features: none.view(), ..example.tissue() };
    assert_eq!(refuse(nothing, small(), None), StaigError::Empty { what: "observations" });
    let empty = CsrMatrix::<f32>::from_rows(0, &vec![Vec::new(); 16]);
    let no_genes = StaigTissue { features: empty.view(), ..example.tissue() };
    assert_eq!(refuse(no_genes, small(), None), StaigError::Empty { what: "features" });
    let other = lattice(3, false);
    let mismatch = StaigTissue { graph: other.view(), ..example.tissue() };
    assert!(matches!(refuse(mismatch, small(), None), StaigError::RowCount { found: 9, expected: 16, .. }));
    let mut broken = example.features.clone();
    broken.data_mut()[5] = f32::NAN;
    let broken = StaigTissue { features: broken.view(), ..example.tissue() };
    assert!(matches!(refuse(broken, small(), None), StaigError::NonFinite { .. }));
    let done = TrainingState {
        parameters: Vec::new(),
        first_moments: Vec::new(),
        second_moments: Vec::new(),
        history: Array2::zeros((13, StaigEpoch::WIDTH)),
        memory: Vec::new(),
    };
    assert_eq!(
        refuse(example.tissue(), small(), Some(done)),
        StaigError::CheckpointBeyondEnd { found: 13, expected: 12 }
    );
    let model = fit(&example.tissue(), &small()).model;
    let fewer = expression(4, 19);
    let fewer = StaigTissue { features: fewer.view(), ..example.tissue() };
    assert_eq!(
        model.apply(&fewer, &Silent).unwrap_err(),
        StaigError::FeatureCount { found: 19, expected: 20 }
    );
}

#[test]
fn the_callers_error_and_interruption_end_training() {
    #[derive(Debug, PartialEq)]
    enum Outer {
        Inner(StaigError),
        Disk,
    }
    impl From<StaigError> for Outer {
        fn from(error: StaigError) -> Self {
            Self::Inner(error)
        }
    }
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let example = Example::new(4);
    let mut full_disk = |_: &Progress<'_>| Err(Outer::Disk);
    let run = train(&example.tissue(), &small(), Seed(3), None, &mut full_disk, &Silent);
    assert_eq!(run.unwrap_err(), Outer::Disk);
    let run = train::<Outer>(&example.tissue(), &small(), Seed(3), None, &mut |_| Ok(()), &Stop);
    assert!(matches!(run, Err(Outer::Inner(StaigError::Interrupted(_)))));
}

#[test]
fn options_are_checked_and_presets_have_names() {
    for preset in StaigPreset::ALL {
        assert_eq!(preset.name().parse::<StaigPreset>().unwrap(), preset);
        StaigOptions::preset(preset).validate().unwrap();
    }
    assert!(matches!("visum".parse::<StaigPreset>(), Err(StaigError::Option(_))));
    let good = StaigOptions::default();
    for bad in [
        StaigOptions { learning_rate: 0.0, ..good.clone() },
        StaigOptions { weight_decay: f64::NAN, ..good.clone() },
        StaigOptions { epochs: 0, ..good.clone() },
        StaigOptions { n_neighbors: 0, ..good.clone() },
        StaigOptions { layers: 3, ..good.clone() },
        StaigOptions { width: 0, ..good.clone() },
        StaigOptions { tau: 0.0, ..good.clone() },
        StaigOptions { feature_mask: [0.1, 1.0], ..good.clone() },
        StaigOptions { edge_rule: EdgeRule::Fixed(1.5), ..good.clone() },
        StaigOptions { resamples: 0, ..good.clone() },
    ] {
        assert!(matches!(bad.validate(), Err(StaigError::Option(_))), "{bad:?}");
    }
}

#[test]
fn the_forecast_of_memory_grows_with_the_tissue() {
    let options = StaigOptions::default();
    let small = memory_bytes(10_000, 3000, 60_000, &options);
    let large = memory_bytes(200_000, 3000, 1_200_000, &options);
    assert!(small > 10_000 * 64 * 4 * 8);
    assert!(large > 12 * small && large < 20 * small, "{small} {large}");
    // A giant slice is seen in tiles: what it takes per spot is less.
    let tiled = memory_bytes(1_000_000, 3000, 6_000_000, &options);
    assert!(tiled > 2 * large && tiled < 4 * large, "{large} {tiled}");
    let giant = memory_bytes(5_000_000, 300, 30_000_000, &options);
    assert!(giant < 10 << 30 && giant > 5 << 30, "{giant}");
    assert_eq!(memory_bytes(10, 10, 10, &StaigOptions { layers: 7, ..options }), 0);
}

#[test]
fn genes_without_a_count_and_isolated_spots_do_no_harm() {
    let features = CsrMatrix::from_dense(Array2::from_shape_fn((6, 4), |(i, j)| ((i * j) % 3) as f32).view());
    let graph = CsrMatrix::<f64>::from_rows(6, &vec![Vec::new(); 6]);
    let drop = EdgeDrop::Fixed(0.2);
    let tissue = StaigTissue {
        features: CsrView::clone(&features.view()),
        graph: graph.view(),
        slices: None,
        classes: None,
        edge_drop: &drop,
    };
    assert!(fit(&tissue, &small()).embedding.iter().all(|v| v.is_finite()));
}

#[test]
fn slices_trained_apart_and_added_in_order_are_those_trained_together() {
    let side = 12;
    let (features, graph) = (expression(side, 20), lattice(side, true));
    // Their rows alternate: a slice is no range of rows.
    let slices: Vec<u32> = (0..side * side).map(|i| u32::from(i % side >= side / 2)).collect();
    let classes: Vec<u32> = (0..side * side).map(|i| (i / side / 4) as u32).collect();
    let drop = EdgeDrop::PerEdge(graph.view().map(|_| 0.3));
    for (negatives, classes) in [(Negatives::Exact, None), (Negatives::Moments, Some(&classes[..]))] {
        let tissue = StaigTissue {
            features: features.view(),
            graph: graph.view(),
            slices: Some(&Slices::from_codes(&slices, &[])),
            classes,
            edge_drop: &drop,
        };
        let options = StaigOptions { negatives, resamples: 3, ..small() };
        let whole = fit(&tissue, &options);
        let alone = |slice: usize| {
            let mut trainer = train::trainer(&tissue, &options, Seed(3), (Tiling::USUAL, &Silent)).unwrap().0;
            trainer.network_mut().keep(slice..slice + 1);
            trainer
        };
        let (mut first, mut second) = (alone(0), alone(1));
        for _ in 0..options.epochs {
            let mut gradients = first.gradients().unwrap();
            gradients.add(&second.gradients().unwrap());
            first.apply(&gradients);
            second.apply(&gradients);
        }
        assert_eq!(first.state(), second.state());
        let expected: Vec<(String, Array2<f32>)> =
            whole.model.parameters().into_iter().map(|(name, p)| (name, p.to_owned())).collect();
        assert_eq!(first.state().parameters, expected);
        let epochs: Vec<StaigEpoch> = first.history().iter().map(|row| StaigEpoch::from_row(row)).collect();
        assert_eq!(epochs, whole.epochs);
    }
}

#[test]
fn every_spot_is_of_one_tile_that_sees_all_it_needs() {
    // A square of two parts without an edge between them, numbered in no order.
    let side = 20;
    let n = side * side;
    let number = |i: usize| (i * 7 + 3) % n;
    let ordered = lattice(side, true);
    let mut rows = vec![Vec::new(); n];
    for i in 0..n {
        let mut row: Vec<(u32, f64)> =
            ordered.view().row(i).0.iter().map(|&j| (number(j as usize) as u32, 1.0)).collect();
        row.sort_by_key(|edge| edge.0);
        rows[number(i)] = row;
    }
    let graph = CsrMatrix::from_rows(n, &rows);
    let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(0.2), 1).unwrap();
    for hops in [1, 2] {
        let tiles = divide(n, |i| augmenter.neighbors(i), (60, hops));
        assert_eq!(tiles.len(), n.div_ceil(60));
        let mut owned = vec![0; n];
        for tile in &tiles {
            tile.own().for_each(|(i, _)| owned[i] += 1);
            let seen: std::collections::HashSet<usize> = tile.members().iter().map(|&i| i as usize).collect();
            let mut needed: Vec<usize> = tile.own().map(|(i, _)| i).collect();
            for _ in 0..hops {
                let around: Vec<u32> =
                    needed.iter().flat_map(|&i| graph.view().row(i).0.iter().copied()).collect();
                needed.extend(around.into_iter().map(|i| i as usize));
            }
            let needed: std::collections::HashSet<usize> = needed.into_iter().collect();
            assert_eq!(seen, needed);
            // As wide as long: 60 spots of a lattice have a border of about 30.
            assert!(hops == 2 || tile.len() < 60 + 45, "{}", tile.len());
        }
        assert!(owned.iter().all(|&times| times == 1));
    }
    assert!(divide(0, |_| &[], (60, 1)).is_empty());
}

#[test]
fn a_slice_in_tiles_has_the_loss_of_one_piece_and_its_gradient_to_rounding() {
    let example = Example::new(20);
    let classes: Vec<u32> = (0..400).map(|i| i % 3).collect();
    let tiling = Tiling { whole: 100, tile: 60 };
    for (layers, negatives, classes) in [
        (1, Negatives::Exact, None),
        (2, Negatives::Moments, None),
        (1, Negatives::Moments, Some(&classes[..])),
        (2, Negatives::Exact, Some(&classes[..])),
    ] {
        let tissue = StaigTissue { classes, ..example.tissue() };
        let options = StaigOptions { layers, negatives, tau: 1.5, ..small() };
        let gradients = |tiling| {
            let mut trainer = train::trainer(&tissue, &options, Seed(3), (tiling, &Silent)).unwrap().0;
            // Twice: the buffers then hold old numbers.
            trainer.gradients_at(4).unwrap();
            trainer.gradients_at(5).unwrap()
        };
        let (whole, tiled) = (gradients(Tiling::USUAL), gradients(tiling));
        assert_eq!(whole.numbers(), tiled.numbers(), "{layers} layers, {negatives:?}");
        for (whole, tiled) in whole.values().iter().zip(tiled.values()) {
            let largest = whole.iter().fold(0.0f32, |most, g| most.max(g.abs()));
            for (a, b) in whole.iter().zip(tiled) {
                assert!((a - b).abs() <= 2e-6 * largest, "{layers} layers, {negatives:?}: {a} {b}");
            }
        }
        let threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| gradients(tiling))
        };
        assert_eq!(threads(1), threads(3));
    }
}

#[test]
fn a_slice_is_embedded_in_tiles_as_in_one_piece() {
    let example = Example::new(20);
    let tissue = example.tissue();
    for (layers, average_views) in [(1, false), (2, true)] {
        let options = StaigOptions { layers, average_views, ..small() };
        let model = fit(&tissue, &options).model;
        let augmenter = GraphAugmenter::new(tissue.graph, tissue.edge_drop, 1).unwrap();
        let embed = |tiling| model.apply_to(tissue.features, &augmenter, (tiling, &Silent)).unwrap();
        assert_eq!(embed(Tiling::USUAL), embed(Tiling { whole: 100, tile: 60 }));
    }
}

#[test]
fn one_label_is_no_label() {
    let example = Example::new(10);
    let one = vec![7u32; 100];
    let labelled = StaigTissue { slices: Some(&Slices::from_codes(&one, &[])), ..example.tissue() };
    assert_eq!(fit(&labelled, &small()), fit(&example.tissue(), &small()));
}

#[test]
fn slices_in_places_of_their_own_have_the_bits_of_one_place() {
    use super::shard::{StaigPlace, StaigShard, lead, model_of, negatives_of};

    // Two squares below each other, the second smaller.
    let sides = [9usize, 7];
    let sizes = sides.map(|side| side * side);
    let n_obs: usize = sizes.iter().sum();
    let parts = sides.map(|side| (expression(side, 20), lattice(side, false)));
    let mut rows: Vec<Vec<(u32, f64)>> = Vec::new();
    let mut features: Vec<Vec<(u32, f32)>> = Vec::new();
    for (expression, graph) in &parts {
        let first = rows.len() as u32;
        for i in 0..graph.view().n_rows() {
            let (columns, values) = graph.view().row(i);
            rows.push(columns.iter().zip(values).map(|(&j, &v)| (first + j, v)).collect());
            let (columns, values) = expression.view().row(i);
            features.push(columns.iter().copied().zip(values.iter().copied()).collect());
        }
    }
    let (features, graph) = (CsrMatrix::from_rows(20, &features), CsrMatrix::from_rows(n_obs, &rows));
    let codes: Vec<u32> = (0..n_obs).map(|i| u32::from(i >= sizes[0])).collect();
    let drop = EdgeDrop::Fixed(0.3);
    for (negatives, average_views) in [(Negatives::Auto, false), (Negatives::Moments, true)] {
        let options = StaigOptions { negatives, average_views, resamples: 2, ..small() };
        let tissue = StaigTissue {
            features: features.view(),
            graph: graph.view(),
            slices: Some(&Slices::from_codes(&codes, &[])),
            classes: None,
            edge_drop: &drop,
        };
        let whole = fit(&tissue, &options);
        let shard = |s: usize| {
            let (features, graph) = &parts[s];
            let tissue = StaigTissue {
                features: features.view(),
                graph: graph.view(),
                slices: None,
                classes: None,
                edge_drop: &drop,
            };
            let first = sizes[..s].iter().sum();
            let place = StaigPlace { first, n_obs, negatives: negatives_of(&sizes, &options) };
            StaigShard::new(&tissue, place, &options, Seed(3)).unwrap()
        };
        let mut shards = [shard(0), shard(1)];
        let mut trainer = lead(&options, 20, Seed(3)).unwrap();
        for epoch in 0..options.epochs as u64 {
            let parameters = trainer.parameters().flat();
            if epoch == 5 {
                // Lost, and opened elsewhere.
                shards[1] = shard(1);
            }
            let mut sum: Option<crate::nn::Gradients> = None;
            for shard in &mut shards {
                // Asked twice: as when an answer was lost on its way.
                shard.gradients(&parameters, epoch + 1).unwrap();
                let own = shard.gradients(&parameters, epoch).unwrap();
                let (parameters, columns) = (trainer.parameters(), trainer.columns());
                let own = crate::nn::Gradients::from_flat(&own.flat(), &own.numbers(), parameters, columns);
                match &mut sum {
                    None => sum = own.ok(),
                    Some(sum) => sum.add(&own.unwrap()),
                }
            }
            trainer.apply(&sum.unwrap());
        }
        assert_eq!(model_of(&trainer, &options, 20, Seed(3)), whole.model);
        let epochs: Vec<StaigEpoch> = trainer.history().iter().map(|row| StaigEpoch::from_row(row)).collect();
        assert_eq!(epochs, whole.epochs);
        let parameters = trainer.parameters().flat();
        let embedded = shards.each_mut().map(|shard| shard.embed(&parameters).unwrap());
        let views = embedded.each_ref().map(|e| e.view());
        assert_eq!(ndarray::concatenate(Axis(0), &views).unwrap(), whole.embedding);
        assert!(shards[0].gradients(&parameters[1..], 0).is_err(), "one parameter short");
        let (parameters, columns) = (trainer.parameters(), trainer.columns());
        let short = crate::nn::Gradients::from_flat(&parameters.flat(), &[0.0], parameters, columns);
        assert!(short.is_err(), "one number short");
    }
}
