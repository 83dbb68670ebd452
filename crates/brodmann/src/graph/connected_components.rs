//! Pieces of a graph that no edge joins.

use brodmann_kernels::CsrView;

/// The connected components of a graph, edge directions ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// Component of each observation, numbered in order of first appearance.
    pub labels: Vec<u32>,
    /// Observations in each component.
    pub sizes: Vec<usize>,
}

impl Components {
    /// Number of components.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }
}

/// Which observations are joined by a path of stored entries, in either direction.
///
/// # Inputs
/// `graph`: `(n_obs, n_obs)`; stored zeros join too. Columns beyond the rows are ignored.
/// # Returns
/// A label per observation and the size of each component.
/// # Cost
/// O(nnz · α(n_obs)) time, O(n_obs) memory.
/// # Source
/// Union–find with path halving (Tarjan & van Leeuwen 1984, J. ACM 31:245).
///
/// # Example
///
/// ```
/// use brodmann::graph::connected_components;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let graph = CsrMatrix::from_dense(array![[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]].view());
/// assert_eq!(connected_components(graph.view()).count(), 2);
/// ```
pub fn connected_components(graph: CsrView<'_, f64>) -> Components {
    let n_obs = graph.n_rows();
    let mut parent: Vec<u32> = (0..n_obs as u32).collect();
    fn root(parent: &mut [u32], mut i: u32) -> u32 {
        while parent[i as usize] != i {
            let above = parent[parent[i as usize] as usize];
            parent[i as usize] = above;
            i = above;
        }
        i
    }
    for i in 0..n_obs {
        for &j in graph.row(i).0.iter().filter(|&&j| (j as usize) < n_obs) {
            let (a, b) = (root(&mut parent, i as u32), root(&mut parent, j));
            // The lower index becomes the root, so roots appear before their members.
            parent[a.max(b) as usize] = a.min(b);
        }
    }
    let mut labels = vec![0u32; n_obs];
    let mut sizes: Vec<usize> = Vec::new();
    for i in 0..n_obs {
        let top = root(&mut parent, i as u32) as usize;
        if top == i {
            labels[i] = sizes.len() as u32;
            sizes.push(0);
        } else {
            labels[i] = labels[top];
        }
        sizes[labels[i] as usize] += 1;
    }
    Components { labels, sizes }
}
