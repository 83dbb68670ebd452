//! The promises of the module, as facts. Oracles in `oracle`, random graphs in `properties`.

mod edges;
mod hand;
mod oracle;
mod properties;

use brodmann_kernels::CsrMatrix;

use super::*;

/// A graph from edges; both directions when `undirected`.
fn graph(n: usize, edges: &[(u32, u32, f64)], undirected: bool) -> CsrMatrix<f64> {
    let mut rows = vec![Vec::new(); n];
    for &(i, j, w) in edges {
        rows[i as usize].push((j, w));
        if undirected && i != j {
            rows[j as usize].push((i, w));
        }
    }
    let mut indptr = vec![0];
    let (mut indices, mut data) = (Vec::new(), Vec::new());
    for row in rows {
        for (j, w) in row {
            indices.push(j);
            data.push(w);
        }
        indptr.push(indices.len());
    }
    CsrMatrix::try_new(n, n, indptr, indices, data).expect("a graph")
}

fn undirected(n: usize, edges: &[(u32, u32)]) -> CsrMatrix<f64> {
    let weighted: Vec<_> = edges.iter().map(|&(i, j)| (i, j, 1.0)).collect();
    graph(n, &weighted, true)
}

/// Zachary's karate club (1977): 34 members, 78 ties.
fn karate() -> CsrMatrix<f64> {
    let ties: [(u32, &[u32]); 26] = [
        (0, &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31]),
        (1, &[2, 3, 7, 13, 17, 19, 21, 30]),
        (2, &[3, 7, 8, 9, 13, 27, 28, 32]),
        (3, &[7, 12, 13]),
        (4, &[6, 10]),
        (5, &[6, 10, 16]),
        (6, &[16]),
        (8, &[30, 32, 33]),
        (9, &[33]),
        (13, &[33]),
        (14, &[32, 33]),
        (15, &[32, 33]),
        (18, &[32, 33]),
        (19, &[33]),
        (20, &[32, 33]),
        (22, &[32, 33]),
        (23, &[25, 27, 29, 32, 33]),
        (24, &[25, 27, 31]),
        (25, &[31]),
        (26, &[29, 33]),
        (27, &[33]),
        (28, &[31, 33]),
        (29, &[32, 33]),
        (30, &[32, 33]),
        (31, &[32, 33]),
        (32, &[33]),
    ];
    let edges: Vec<(u32, u32)> = ties.iter().flat_map(|(i, js)| js.iter().map(move |j| (*i, *j))).collect();
    assert_eq!(edges.len(), 78);
    undirected(34, &edges)
}

/// `n_cliques` cliques of `size` nodes, neighbours on a ring joined by one edge.
fn ring_of_cliques(n_cliques: u32, size: u32) -> CsrMatrix<f64> {
    let mut edges = Vec::new();
    for c in 0..n_cliques {
        let base = c * size;
        for i in 0..size {
            edges.extend((i + 1..size).map(|j| (base + i, base + j)));
        }
        edges.push((base, ((c + 1) % n_cliques) * size + 1));
    }
    undirected((n_cliques * size) as usize, &edges)
}

/// Every cluster is connected by edges of positive weight of layers of positive weight.
fn assert_connected(layers: &[Layer<'_>], membership: &[u32]) {
    let n = membership.len();
    let mut neighbours = vec![Vec::new(); n];
    for layer in layers.iter().filter(|l| l.weight > 0.0) {
        for i in 0..n {
            layer::with_view!(layer.graph, g => {
                let (columns, values) = g.row(i);
                for (&j, &v) in columns.iter().zip(values) {
                    if layer::wide(v) > 0.0 {
                        neighbours[i].push(j as usize);
                        neighbours[j as usize].push(i);
                    }
                }
            });
        }
    }
    let mut seen = vec![false; n];
    let mut started = std::collections::BTreeSet::new();
    for v in 0..n {
        if seen[v] {
            continue;
        }
        assert!(started.insert(membership[v]), "cluster {} falls apart at node {v}", membership[v]);
        let mut stack = vec![v];
        seen[v] = true;
        while let Some(u) = stack.pop() {
            for &j in &neighbours[u] {
                if membership[j] == membership[v] && !seen[j] {
                    seen[j] = true;
                    stack.push(j);
                }
            }
        }
    }
}

/// No move of one node to any cluster, nor to a new one, improves the total.
fn assert_no_better_move(layers: &[Layer<'_>], partition: &Partition) {
    let scale: f64 = layers
        .iter()
        .map(|l| {
            l.weight
                * layer::with_view!(l.graph, g => g.data().iter().map(|v| layer::wide(*v).abs()).sum::<f64>())
        })
        .sum::<f64>()
        / partition.membership.len() as f64;
    for node in 0..partition.membership.len() {
        for target in 0..=partition.n_clusters as u32 {
            let differences = move_difference(layers, &partition.membership, node, target).expect("checked");
            let total: f64 = layers.iter().zip(&differences).map(|(l, d)| l.weight * d).sum();
            assert!(total <= 1e-9 * scale.max(1e-300), "moving {node} to {target} would gain {total:e}");
        }
    }
}

fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(f)
}
