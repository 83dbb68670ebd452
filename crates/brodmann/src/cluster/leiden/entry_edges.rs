//! Undirected graphs in which every stored entry is an edge of its own.
//!
//! `spatialleiden`, and igraph below it, read an undirected graph so: of a symmetric matrix each pair then is two
//! parallel edges. The quality is that of `S = A + Aᵀ`; partitions of symmetric RB layers do not change by it, CPM
//! layers see half the resolution. Everything else in this crate counts a symmetric pair once.

use brodmann_kernels::{CsrMatrix, CsrView};

use super::layer::{GraphView, Layer, Quality, with_view};

/// How a layer is to be read, see [`entry_edges`].
#[derive(Clone, Debug)]
pub enum EntryEdges {
    /// Twice the matrix as it is: [`Layer::with_parallel_edges`].
    Doubled,
    /// `S`, weights included.
    Sum(CsrMatrix<f64>),
}

/// Reads each stored entry of `layer` as an undirected edge of its own.
///
/// # Returns
/// [`EntryEdges`]; its `layer` method makes the layer to cluster.
/// # Cost
/// O(nnz) time and memory where degrees count, nothing for CPM and RBER.
pub fn entry_edges(layer: &Layer<'_>) -> EntryEdges {
    // Sums over ordered pairs: S and 2A agree in them, symmetric or not.
    let degrees_count = matches!(layer.quality, Quality::RbConfiguration | Quality::Modularity);
    if !degrees_count || layer.graph.n_rows() != layer.graph.n_cols() {
        return EntryEdges::Doubled;
    }
    with_view!(layer.graph, g => sum_with_transpose(g, layer.use_weights))
}

impl EntryEdges {
    /// `layer`, which [`entry_edges`] was given, with its entries as edges.
    pub fn layer<'a>(&'a self, layer: Layer<'a>) -> Layer<'a> {
        match self {
            Self::Doubled => Layer { directed: true, ..layer }.with_parallel_edges(),
            Self::Sum(sum) => {
                Layer { graph: GraphView::from(sum), directed: true, use_weights: true, ..layer }
            }
        }
    }
}

impl Layer<'_> {
    /// The layer with every edge twice: the same quality as with all weights doubled.
    #[must_use]
    pub fn with_parallel_edges(self) -> Self {
        match self.quality {
            // Divided by the total weight, which doubles too.
            Quality::Modularity => self,
            // The null models grow with the weights.
            Quality::RbConfiguration | Quality::Rber => Self { weight: 2.0 * self.weight, ..self },
            // 2A − γ = 2 (A − γ/2)
            Quality::Cpm => Self { weight: 2.0 * self.weight, resolution: 0.5 * self.resolution, ..self },
        }
    }
}

fn sum_with_transpose<T: Copy + Send + Sync + Into<f64>>(
    graph: CsrView<'_, T>,
    use_weights: bool,
) -> EntryEdges {
    let weights = graph.map(|stored| {
        let stored: f64 = stored.into();
        if use_weights || stored == 0.0 { stored } else { 1.0 }
    });
    // What is refused is left as it is, so that the refusal names the entry and not a sum.
    if weights.data().iter().any(|w| !(*w >= 0.0 && w.is_finite())) {
        return EntryEdges::Doubled;
    }
    let transposed = weights.view().transpose();
    if weights == transposed {
        return EntryEdges::Doubled;
    }
    let n = weights.n_rows();
    let mut indptr = Vec::with_capacity(n + 1);
    indptr.push(0);
    let mut indices = Vec::with_capacity(2 * weights.nnz());
    let mut data = Vec::with_capacity(2 * weights.nnz());
    for i in 0..n {
        let (columns, values) = weights.view().row(i);
        let (mirrored_columns, mirrored) = transposed.view().row(i);
        let (mut a, mut b) = (0, 0);
        while a < columns.len() || b < mirrored_columns.len() {
            let left = columns.get(a).copied().unwrap_or(u32::MAX);
            let right = mirrored_columns.get(b).copied().unwrap_or(u32::MAX);
            let mut weight = 0.0;
            if left <= right {
                weight += values[a];
                a += 1;
            }
            if right <= left {
                weight += mirrored[b];
                b += 1;
            }
            indices.push(left.min(right));
            data.push(weight);
        }
        indptr.push(indices.len());
    }
    // Both rows rise, so the merged row does: the arrays describe a matrix of the same size.
    match CsrMatrix::try_new(n, n, indptr, indices, data) {
        Ok(sum) => EntryEdges::Sum(sum),
        Err(_) => EntryEdges::Doubled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::leiden::quality;

    const QUALITIES: [Quality; 4] =
        [Quality::RbConfiguration, Quality::Modularity, Quality::Cpm, Quality::Rber];

    /// Two triangles, a bridge and a loop; symmetric.
    fn symmetric() -> CsrMatrix<f64> {
        let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::new(); 6];
        for (i, j, w) in
            [(0, 1, 1.0), (0, 2, 2.0), (1, 2, 0.5), (3, 4, 1.5), (3, 5, 1.0), (4, 5, 3.0), (2, 3, 0.25)]
        {
            rows[i].push((j as u32, w));
            rows[j].push((i as u32, w));
        }
        rows[4].push((4, 0.75));
        for row in &mut rows {
            row.sort_by_key(|e| e.0);
        }
        CsrMatrix::from_rows(6, &rows)
    }

    fn sum(layer: &Layer<'_>) -> CsrMatrix<f64> {
        let EntryEdges::Sum(sum) = entry_edges(layer) else { panic!("the matrix is not symmetric") };
        sum
    }

    #[test]
    fn symmetric_layers_count_each_pair_twice() {
        let graph = symmetric();
        let doubled = graph.view().map(|w| 2.0 * w);
        for kind in QUALITIES {
            for labels in [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], [0; 6]] {
                let layer = Layer { quality: kind, resolution: 0.7, ..Layer::new(&graph) };
                let edges = entry_edges(&layer);
                let (ours, _) = quality(&[edges.layer(layer)], &labels).expect("valid");
                let explicit = Layer { graph: GraphView::from(&doubled), ..layer };
                let (expected, _) = quality(&[explicit], &labels).expect("valid");
                assert!((ours - expected).abs() < 1e-12, "{kind:?}: {ours} is not {expected}");
            }
        }
    }

    /// 0 → 1 (2), 1 → 0 (1), 1 → 2 (4), and a loop on 2 (1), which both its ends count.
    fn one_sided() -> CsrMatrix<f64> {
        CsrMatrix::from_rows(3, &[vec![(1u32, 2.0)], vec![(0, 1.0), (2, 4.0)], vec![(2, 1.0)]])
    }

    #[test]
    fn one_sided_entries_are_edges_of_both_ends() {
        let graph = one_sided();
        let weighted = sum(&Layer::new(&graph));
        assert_eq!(
            weighted.view().to_dense(),
            ndarray::arr2(&[[0.0, 3.0, 0.0], [3.0, 0.0, 4.0], [0.0, 4.0, 2.0]])
        );
        let counted = sum(&Layer { use_weights: false, ..Layer::new(&graph) });
        assert_eq!(
            counted.view().to_dense(),
            ndarray::arr2(&[[0.0, 2.0, 0.0], [2.0, 0.0, 1.0], [0.0, 1.0, 2.0]])
        );
    }

    #[test]
    fn weights_that_are_not_used_do_not_make_a_graph_asymmetric() {
        let graph = CsrMatrix::from_rows(2, &[vec![(1u32, 2.0f32)], vec![(0, 1.0)]]);
        assert!(matches!(entry_edges(&Layer::new(&graph)), EntryEdges::Sum(_)));
        let unweighted = Layer { use_weights: false, ..Layer::new(&graph) };
        assert!(matches!(entry_edges(&unweighted), EntryEdges::Doubled));
    }

    #[test]
    fn weights_that_are_refused_are_left_for_the_refusal() {
        let graph = CsrMatrix::from_rows(2, &[vec![(1u32, 2.0)], vec![(0, -1.0)]]);
        assert!(matches!(entry_edges(&Layer::new(&graph)), EntryEdges::Doubled));
    }
}
