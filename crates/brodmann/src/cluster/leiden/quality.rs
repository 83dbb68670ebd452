//! The exact quality of a partition, and of one move, layer by layer in `f64`.

use brodmann_kernels::CsrView;
use brodmann_kernels::reduce::sum_by;

use super::error::LeidenError;
use super::layer::{Layer, LayerSums, Quality, check_layers, entry_weight, wide, with_view};

/// The quality of `membership`: `(Σ w_l Q_l, [Q_l])`, each as `leidenalg` defines it (see [`Quality`]).
///
/// # Inputs
/// `membership`: one label per node, any `u32` values.
/// # Returns
/// The weighted total and each layer's own, unweighted quality; 0 for a layer without edges.
/// # Errors
/// As [`leiden_multiplex`](super::leiden_multiplex), and a membership of the wrong length.
/// # Cost
/// O(nnz) time, O(n_obs) memory.
/// # Source
/// Traag, Waltman & van Eck 2019, Sci. Rep. 9:5233; the definitions stand at [`Quality`].
///
/// # Example
///
/// ```
/// use brodmann::cluster::{Layer, quality};
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::Array2;
///
/// // Two triangles, joined by one edge.
/// let edges = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)];
/// let mut graph = Array2::<f64>::zeros((6, 6));
/// for (i, j) in edges {
///     graph[[i, j]] = 1.0;
///     graph[[j, i]] = 1.0;
/// }
/// let graph = CsrMatrix::from_dense(graph.view());
/// let (together, _) = quality(&[Layer::new(&graph)], &[0; 6])?;
/// let (apart, _) = quality(&[Layer::new(&graph)], &[0, 0, 0, 1, 1, 1])?;
/// assert!(together.abs() < 1e-12 && (apart - 5.0).abs() < 1e-12);
/// # Ok::<(), brodmann::cluster::LeidenError>(())
/// ```
pub fn quality(layers: &[Layer<'_>], membership: &[u32]) -> Result<(f64, Vec<f64>), LeidenError> {
    let sums = check_layers(layers)?;
    let membership = compact(membership, sums[0].out.len())?;
    Ok(quality_of(layers, &sums, &membership))
}

/// [`quality`] of checked layers and labels below the number of nodes.
pub(crate) fn quality_of(layers: &[Layer<'_>], sums: &[LayerSums], membership: &[u32]) -> (f64, Vec<f64>) {
    let per_layer: Vec<f64> =
        layers.iter().zip(sums).map(|(layer, sum)| layer_quality(layer, sum, membership)).collect();
    let total = layers.iter().zip(&per_layer).map(|(layer, q)| layer.weight * q).sum();
    (total, per_layer)
}

fn layer_quality(layer: &Layer<'_>, sums: &LayerSums, membership: &[u32]) -> f64 {
    if layer.graph.nnz() == 0 {
        return 0.0;
    }
    let internal = with_view!(layer.graph, g => internal_weight(layer, g, membership));
    let n = membership.len();
    let resolution = layer.effective_resolution();
    match layer.quality {
        Quality::RbConfiguration | Quality::Modularity => {
            let mut out = vec![0.0; n];
            let mut into = vec![0.0; n];
            for (i, &c) in membership.iter().enumerate() {
                out[c as usize] += sums.out[i];
                into[c as usize] += sums.in_degrees()[i];
            }
            let expected: f64 = out.iter().zip(&into).map(|(o, i)| o * i).sum::<f64>() / sums.total;
            let value = internal - resolution * expected;
            if layer.quality == Quality::Modularity { value / sums.total } else { value }
        }
        Quality::Cpm | Quality::Rber => {
            let mut members = vec![0u64; n];
            for &c in membership {
                members[c as usize] += 1;
            }
            let pairs: f64 =
                members.iter().filter(|&&m| m > 0).map(|&m| possible_pairs(layer, sums, m as f64)).sum();
            internal - resolution * pairs * density(layer, sums)
        }
    }
}

/// Ordered pairs inside a community of `size`; CPM counts loops where the layer has any (undirected ones twice).
fn possible_pairs(layer: &Layer<'_>, sums: &LayerSums, size: f64) -> f64 {
    if layer.quality == Quality::Cpm && sums.has_loops {
        if layer.directed { size * size } else { size * (size + 1.0) }
    } else {
        size * (size - 1.0)
    }
}

/// What one pair is expected to weigh before the resolution.
fn density(layer: &Layer<'_>, sums: &LayerSums) -> f64 {
    let n = sums.out.len() as f64;
    match layer.quality {
        Quality::Rber if n > 1.0 => sums.total / (n * (n - 1.0)),
        Quality::Rber => 0.0,
        _ => 1.0,
    }
}

fn internal_weight<T: Copy + Send + Sync + Into<f64>>(
    layer: &Layer<'_>,
    graph: CsrView<'_, T>,
    membership: &[u32],
) -> f64 {
    sum_by(graph.n_rows(), |i| {
        let (columns, values) = graph.row(i);
        let own = membership[i];
        columns
            .iter()
            .zip(values)
            .filter(|(j, _)| membership[**j as usize] == own)
            .filter_map(|(&j, &v)| entry_weight(layer, i, j, v.into()))
            .sum()
    })
}

/// What moving `node` to the community labelled `target` would change, per layer (unweighted by layer weights).
///
/// # Inputs
/// `target`: any label; one that no node carries stands for a new community.
/// # Returns
/// `Q_l(after) − Q_l(before)` for each layer; `Σ w_l` times these is the change of the total.
/// # Errors
/// As [`quality`], and a node out of range.
/// # Cost
/// O(nnz) time for the checks, O(n_obs) memory.
pub fn move_difference(
    layers: &[Layer<'_>],
    membership: &[u32],
    node: usize,
    target: u32,
) -> Result<Vec<f64>, LeidenError> {
    let sums = check_layers(layers)?;
    let n = sums[0].out.len();
    if membership.len() != n {
        return Err(LeidenError::MembershipLength { found: membership.len(), expected: n });
    }
    if node >= n {
        return Err(LeidenError::NodeOutOfRange { node, n_nodes: n });
    }
    let source = membership[node];
    if source == target {
        return Ok(vec![0.0; layers.len()]);
    }
    Ok(layers
        .iter()
        .zip(&sums)
        .map(|(layer, sum)| layer_move_difference(layer, sum, membership, node, target))
        .collect())
}

fn layer_move_difference(
    layer: &Layer<'_>,
    sums: &LayerSums,
    membership: &[u32],
    node: usize,
    target: u32,
) -> f64 {
    if layer.graph.nnz() == 0 {
        return 0.0;
    }
    let source = membership[node];
    // Weight between the node and either community, both directions, the node's own loop aside.
    let mut to_source = 0.0;
    let mut to_target = 0.0;
    let mut add = |other: usize, weight: f64| {
        if other == node {
            return;
        }
        if membership[other] == source {
            to_source += weight;
        } else if membership[other] == target {
            to_target += weight;
        }
    };
    with_view!(layer.graph, g => {
        let (columns, values) = g.row(node);
        for (&j, &v) in columns.iter().zip(values) {
            if let Some(w) = entry_weight(layer, node, j, wide(v)) {
                add(j as usize, w);
            }
        }
        for i in 0..g.n_rows() {
            if let Some(w) = g.get(i, node).and_then(|v| entry_weight(layer, i, node as u32, wide(v))) {
                add(i, w);
            }
        }
    });
    let resolution = layer.effective_resolution();
    match layer.quality {
        Quality::RbConfiguration | Quality::Modularity => {
            let into = sums.in_degrees();
            let degrees = |community: u32| {
                let members = (0..membership.len()).filter(|&i| i != node && membership[i] == community);
                members.fold((0.0, 0.0), |(o, k), i| (o + sums.out[i], k + into[i]))
            };
            let expected = |(out, ins): (f64, f64)| sums.out[node] * ins + into[node] * out;
            let change = (to_target - to_source)
                - resolution * (expected(degrees(target)) - expected(degrees(source))) / sums.total;
            if layer.quality == Quality::Modularity { change / sums.total } else { change }
        }
        Quality::Cpm | Quality::Rber => {
            let others = |community: u32| {
                (0..membership.len()).filter(|&i| i != node && membership[i] == community).count() as f64
            };
            let pairs = 2.0 * (others(target) - others(source));
            (to_target - to_source) - resolution * density(layer, sums) * pairs
        }
    }
}

/// Labels renumbered `0..` in order of first use.
pub(crate) fn compact(membership: &[u32], n_nodes: usize) -> Result<Vec<u32>, LeidenError> {
    if membership.len() != n_nodes {
        return Err(LeidenError::MembershipLength { found: membership.len(), expected: n_nodes });
    }
    let mut labels: Vec<u32> = membership.to_vec();
    labels.sort_unstable();
    labels.dedup();
    let mut number = vec![u32::MAX; labels.len()];
    let mut next = 0;
    Ok(membership
        .iter()
        .map(|label| {
            // Every label is in the list built from the same membership.
            let slot = &mut number[labels.binary_search(label).unwrap_or_default()];
            if *slot == u32::MAX {
                *slot = next;
                next += 1;
            }
            *slot
        })
        .collect())
}
