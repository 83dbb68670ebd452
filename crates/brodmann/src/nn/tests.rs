//! Every layer and loss against finite differences, graph convolutions against PyTorch Geometric.

use std::sync::Arc;

use brodmann_kernels::{CsrMatrix, Seed};
use ndarray::{Array1, Array2};

use super::check::{gradient_error, numbers, op_error};
use super::ops::{
    Attention, BceWithLogits, Bias, Bilinear, Concat, Corrupt, Cosine, Dense, Elu, InnerProduct, L2Norm, Mse,
    Perceptron, Prelu, Propagate, Relu, RowDot, Sigmoid, Softmax, SparseDense, Tanh, WeightedSum,
};
use super::{Mat, Parameters, SparseOperator, Step, TapeBuilder, gcn_normalized};

/// Central differences at 1e-6 in double precision.
const TOLERANCE: f64 = 1e-7;

fn sparse(rows: usize, cols: usize, salt: u64) -> CsrMatrix<f64> {
    let dense = Array2::from_shape_vec((rows, cols), numbers(rows * cols, salt)).expect("shape");
    CsrMatrix::from_dense(dense.mapv(|v| if v > 0.3 { v } else { 0.0 }).view())
}

#[test]
fn every_layer_walks_back_as_finite_differences_say() {
    // More rows than a chunk of partial sums would be slow here; the chunks have a test of their own below.
    let n = 9;
    let operator = Arc::new(SparseOperator::new(sparse(n, 7, 1).view()));
    let features = Arc::new(SparseOperator::new(sparse(n, 6, 2).view()));
    let errors = [
        (
            "propagate",
            op_error(&[(7, 4)], &[(1, 4)], (n, 4), |t, x, p| {
                t.op(Propagate { operator: operator.clone() }, x, p, (n, 4))
            }),
        ),
        (
            "sparse_dense",
            op_error(&[], &[(6, 3), (1, 3)], (n, 3), |t, x, p| {
                t.op(SparseDense { features: features.clone() }, x, p, (n, 3))
            }),
        ),
        (
            "dense",
            op_error(&[(n, 4)], &[(4, 3), (1, 3)], (n, 3), |t, x, p| {
                t.op(Dense { n_in: 4, n_out: 3 }, x, p, (n, 3))
            }),
        ),
        (
            "perceptron",
            op_error(&[(n, 4)], &[(4, 6), (1, 6), (6, 3)], (n, 3), |t, x, p| {
                t.op(Perceptron { n_in: 4, hidden: 6, n_out: 3 }, x, p, (n, 3))
            }),
        ),
        (
            "dropout",
            op_error(&[(n, 20)], &[], (n, 20), |t, x, p| {
                t.op(Corrupt { dropout: 0.4, permutation: None }, x, p, (n, 20))
            }),
        ),
        ("bias", op_error(&[(n, 4)], &[(1, 4)], (n, 4), |t, x, p| t.op(Bias, x, p, (n, 4)))),
        ("relu", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(Relu, x, p, (n, 4)))),
        ("elu", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(Elu, x, p, (n, 4)))),
        ("tanh", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(Tanh, x, p, (n, 4)))),
        ("sigmoid", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(Sigmoid, x, p, (n, 4)))),
        ("softmax", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(Softmax, x, p, (n, 4)))),
        ("l2_norm", op_error(&[(n, 4)], &[], (n, 4), |t, x, p| t.op(L2Norm, x, p, (n, 4)))),
        ("prelu", op_error(&[(n, 4)], &[(1, 1)], (n, 4), |t, x, p| t.op(Prelu, x, p, (n, 4)))),
        (
            "bilinear",
            op_error(&[(n, 4), (n, 3)], &[(4, 3), (1, 1)], (n, 1), |t, x, p| {
                t.op(Bilinear { left: 4, right: 3 }, x, p, (n, 1))
            }),
        ),
        ("row_dot", op_error(&[(n, 4), (n, 4)], &[], (n, 1), |t, x, p| t.op(RowDot, x, p, (n, 1)))),
        (
            "weighted_sum",
            op_error(&[(n, 4), (n, 4), (n, 4)], &[], (n, 4), |t, x, p| {
                t.op(WeightedSum { weights: vec![0.5, -2.0, 1.0] }, x, p, (n, 4))
            }),
        ),
        ("concat", op_error(&[(n, 4), (n, 2)], &[], (n, 6), |t, x, p| t.op(Concat, x, p, (n, 6)))),
        (
            "attention",
            op_error(&[(n, 4), (n, 4), (n, 4)], &[(4, 4), (4, 1)], (n, 4), |t, x, p| {
                t.op(Attention { width: 4, n_inputs: 3 }, x, p, (n, 4))
            }),
        ),
    ];
    for (name, error) in errors {
        assert!(error < TOLERANCE, "{name}: {error:.1e}");
    }
}

#[test]
fn every_loss_walks_back_as_finite_differences_say() {
    let n = 7;
    let twice = |t: &mut TapeBuilder<'static, f64>, x: &[_], weights: Vec<f64>| {
        t.op(WeightedSum { weights }, x, &[], (n, 3))
    };
    let errors = [
        (
            "bce of positives",
            gradient_error(&[(n, 3)], &[], true, |t, x, _| {
                t.loss(BceWithLogits { label: true }, x, &[], 1.5);
                let y = twice(t, x, vec![2.0]);
                t.loss(BceWithLogits { label: false }, &[y], &[], 0.5);
            }),
        ),
        (
            "cosine of two",
            gradient_error(&[(n, 3), (n, 3)], &[], true, |t, x, _| {
                t.loss(Cosine, x, &[], 2.0);
                t.loss(Cosine, x, &[], 1.0);
            }),
        ),
        (
            "mse",
            gradient_error(&[(n, 3), (n, 3)], &[], true, |t, x, _| {
                t.loss(Mse, x, &[], 2.0);
                t.loss(Mse, x, &[], 1.0);
            }),
        ),
        (
            "cosine of three",
            gradient_error(&[(n, 3), (n, 3), (n, 3)], &[], true, |t, x, _| {
                t.loss(Cosine, x, &[], 2.0);
            }),
        ),
    ];
    for (name, error) in errors {
        assert!(error < TOLERANCE, "{name}: {error:.1e}");
    }
}

#[test]
fn the_squared_error_and_its_slope_are_those_of_the_definition() {
    let (x, target) = (numbers(300 * 21, 1), numbers(300 * 21, 2));
    let mut tape = TapeBuilder::<f64>::new();
    let (node, data) = (tape.differentiable_input(300, 21), tape.input(300, 21));
    let term = tape.loss(Mse, &[node, data], &[], 3.0);
    let mut tape = tape.build(true);
    let inputs = [Mat::new(&x, 300, 21), Mat::new(&target, 300, 21)];
    let step = Step::training(Seed(1), &inputs);
    let loss = tape.run(&step, &mut Parameters::new()).expect("a finite loss");
    let mean = x.iter().zip(&target).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 6300.0;
    assert!((tape.loss(term) - mean).abs() < 1e-12 && (loss - 3.0 * mean).abs() < 1e-12);
    let grad = tape.gradient(node).expect("asked for");
    for ((g, a), b) in grad.data.iter().zip(&x).zip(&target) {
        assert!((g - 3.0 * 2.0 * (a - b) / 6300.0).abs() < 1e-14);
    }
}

/// The same pass over 3000 rows, enough for several chunks, on one and on three threads, and against a plain formula.
#[test]
fn gradients_of_many_rows_are_the_same_bits_on_any_thread_count() {
    let n = 3000;
    let x: Vec<f32> = numbers(n * 20, 1).iter().map(|&v| v as f32).collect();
    let c: Vec<f32> = numbers(n * 5, 2).iter().map(|&v| v as f32).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let mut parameters = Parameters::<f32>::new();
            let mut add = |name: &str, shape: (usize, usize), salt| {
                let values = numbers(shape.0 * shape.1, salt).iter().map(|&v| v as f32).collect();
                parameters.add(name, shape, values)
            };
            let ids = [add("w1", (20, 33), 3), add("b1", (1, 33), 4), add("w2", (33, 5), 5)];
            let attention = [add("omega", (5, 5), 6), add("u", (5, 1), 7)];
            let bias = add("bias", (1, 5), 8);
            let mut tape = TapeBuilder::<f32>::new();
            let (input, other) = (tape.differentiable_input(n, 20), tape.differentiable_input(n, 5));
            let dropped = tape.op(Corrupt { dropout: 0.2, permutation: None }, &[input], &[], (n, 20));
            let y = tape.op(Perceptron { n_in: 20, hidden: 33, n_out: 5 }, &[dropped], &ids, (n, 5));
            let y = tape.op(Bias, &[y], &[bias], (n, 5));
            let z = tape.op(Attention { width: 5, n_inputs: 2 }, &[y, other], &attention, (n, 5));
            tape.loss(Cosine, &[y, other], &[], 1.0);
            tape.loss(InnerProduct, &[z, other], &[], 1.0);
            let mut tape = tape.build(true);
            let inputs = [Mat::new(&x, n, 20), Mat::new(&c, n, 5)];
            let step = Step::training(Seed(1), &inputs);
            let loss = tape.run(&step, &mut parameters).expect("a finite loss");
            let grads: Vec<Vec<f32>> = parameters.iter().map(|p| p.grad.clone()).collect();
            (loss, grads, tape.gradient(input).expect("kept").data.to_vec())
        })
    };
    let one = run(1);
    assert!(one.1.iter().flatten().any(|g| *g != 0.0));
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn chunked_gradients_equal_the_plain_product() {
    let n = 1700;
    let (x, up) = (numbers(n * 6, 1), numbers(n * 4, 2));
    let mut parameters = Parameters::<f64>::new();
    let ids = [parameters.add("w", (6, 4), numbers(24, 3)), parameters.add("b", (1, 4), numbers(4, 4))];
    let mut tape = TapeBuilder::<f64>::new();
    let (node, weights) = (tape.input(n, 6), tape.input(n, 4));
    let y = tape.op(Dense { n_in: 6, n_out: 4 }, &[node], &ids, (n, 4));
    tape.loss(InnerProduct, &[y, weights], &[], 1.0);
    let inputs = [Mat::new(&x, n, 6), Mat::new(&up, n, 4)];
    let step = Step::training(Seed(1), &inputs);
    tape.build(true).run(&step, &mut parameters).expect("a finite loss");
    let expected = inputs[0].view().t().dot(&inputs[1].view());
    let found = &parameters.find("w").expect("added").grad;
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10));
    let sums = inputs[1].view().sum_axis(ndarray::Axis(0));
    let found = &parameters.find("b").expect("added").grad;
    assert!(found.iter().zip(&sums).all(|(a, b)| (a - b).abs() < 1e-10));
}

#[test]
fn buffers_are_shared_by_layers_that_do_not_live_at_once() {
    let mut tape = TapeBuilder::<f32>::new();
    let x = tape.input(1000, 10);
    let mut y = x;
    for _ in 0..8 {
        y = tape.op(Relu, &[y], &[], (1000, 10));
    }
    tape.keep(y);
    // Eight layers, two buffers: the one read and the one written.
    assert_eq!(tape.memory_bytes(false), 2 * 1000 * 10 * 4);
}

#[test]
fn nobody_asks_nobody_works() {
    let mut tape = TapeBuilder::<f64>::new();
    let x = tape.input(3, 2);
    let dead = tape.op(Tanh, &[x], &[], (3, 2));
    tape.keep(dead);
    let values = numbers(6, 1);
    let mut tape = tape.build(true);
    let inputs = [Mat::new(&values, 3, 2)];
    let step = Step::training(Seed(1), &inputs);
    assert_eq!(tape.run(&step, &mut Parameters::new()).expect("a finite loss"), 0.0);
    assert!(tape.gradient(x).is_none() && tape.value(x).is_none());
    assert_eq!(tape.value(dead).expect("kept").data[0], values[0].tanh());
}

fn close(found: &[f64], expected: &Array2<f64>, what: &str) {
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-10 * scale, "{what}: {a} {b}");
    }
}

fn adjacency(edges: &Array2<i64>, weights: Option<&Array1<f64>>, n: usize) -> CsrMatrix<f64> {
    let mut rows = vec![Vec::new(); n];
    for (e, edge) in edges.columns().into_iter().enumerate() {
        rows[edge[1] as usize].push((edge[0] as u32, weights.map_or(1.0, |w| w[e])));
    }
    let mut indptr = vec![0];
    let (mut indices, mut data) = (Vec::new(), Vec::new());
    for row in &rows {
        indices.extend(row.iter().map(|e| e.0));
        data.extend(row.iter().map(|e| e.1));
        indptr.push(indices.len());
    }
    CsrMatrix::try_new(n, n, indptr, indices, data).expect("edges form a matrix")
}

#[test]
fn graph_convolutions_equal_those_of_pytorch_geometric() {
    let mut npz = crate::oracles::open("gcn");
    let mut get = |name: &str| -> Array2<f64> { npz.by_name(name).expect(name) };
    let (x, w, upstream) = (get("x"), get("W"), get("upstream"));
    let outs = ["out", "out_weighted", "out_loops", "out_directed"].map(&mut get);
    let (grad_x, grad_w) = (get("grad_x"), get("grad_W"));
    let b: Array1<f64> = npz.by_name("b").expect("b");
    let grad_b: Array1<f64> = npz.by_name("grad_b").expect("grad_b");
    let weights: Array1<f64> = npz.by_name("edge_weight").expect("edge_weight");
    let mut edges = |name: &str| -> Array2<i64> { npz.by_name(name).expect(name) };
    let (plain, loops, directed) =
        (edges("edge_index"), edges("edge_index_loops"), edges("edge_index_directed"));
    let graphs = [
        adjacency(&plain, None, 50),
        adjacency(&plain, Some(&weights), 50),
        adjacency(&loops, None, 50),
        adjacency(&directed, None, 50),
    ];
    for (k, (graph, expected)) in graphs.iter().zip(&outs).enumerate() {
        let operator = Arc::new(SparseOperator::new(gcn_normalized(graph.view()).view()));
        let mut parameters = Parameters::<f64>::new();
        let weight = parameters.add("W", (12, 8), w.t().iter().copied().collect());
        let bias = parameters.add("b", (1, 8), b.to_vec());
        let mut tape = TapeBuilder::<f64>::new();
        let (node, up) = (tape.differentiable_input(50, 12), tape.input(50, 8));
        let near = tape.op(Dense { n_in: 12, n_out: 8 }, &[node], &[weight], (50, 8));
        let y = tape.op(Propagate { operator }, &[near], &[bias], (50, 8));
        tape.keep(y);
        tape.loss(InnerProduct, &[y, up], &[], 1.0);
        let mut tape = tape.build(true);
        let (xs, ups) = (x.as_standard_layout(), upstream.as_standard_layout());
        let inputs = [
            Mat::new(xs.as_slice().expect("standard"), 50, 12),
            Mat::new(ups.as_slice().expect("standard"), 50, 8),
        ];
        let step = Step::training(Seed(1), &inputs);
        tape.run(&step, &mut parameters).expect("a finite loss");
        close(tape.value(y).expect("kept").data, expected, "out");
        if k == 0 {
            close(tape.gradient(node).expect("kept").data, &grad_x, "grad_x");
            close(&parameters.get(0).grad, &grad_w.t().to_owned(), "grad_W");
            close(&parameters.get(1).grad, &grad_b.view().insert_axis(ndarray::Axis(0)).to_owned(), "grad_b");
        }
    }
}
