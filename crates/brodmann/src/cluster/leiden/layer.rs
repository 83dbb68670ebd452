//! What a layer is: a graph, how to read it, and what to reward in it.

use brodmann_kernels::arch::prefetch::prefetch;
use brodmann_kernels::{CsrMatrix, CsrView};

use super::error::LeidenError;
use super::limits::{is_layer_weight, is_resolution};

/// The quality function of one layer, in the scale `leidenalg` reports it.
///
/// With `A` the weights (`m = Σ A`, a self-loop of an undirected layer counted twice, as in a degree), `k` the
/// weighted degrees and `γ` the resolution, each is a sum over ordered pairs of one community:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// `Σ (Aᵢⱼ − γ kᵢᵒᵘᵗ kⱼⁱⁿ / m)`, un-normalised (Reichardt & Bornholdt 2006; Leicht & Newman 2008).
    #[default]
    #[serde(rename = "rb")]
    RbConfiguration,
    /// `Σ (Aᵢⱼ − kᵢᵒᵘᵗ kⱼⁱⁿ / m) / m`: no resolution (Newman & Girvan 2004).
    Modularity,
    /// `Σ_{i≠j} (Aᵢⱼ − γ)`: the constant Potts model (Traag, Van Dooren & Nesterov 2011).
    Cpm,
    /// `Σ_{i≠j} (Aᵢⱼ − γ p)` with `p = m / n(n−1)` the density (Reichardt & Bornholdt 2006).
    Rber,
}

impl Quality {
    /// Short name: `rb`, `modularity`, `cpm`, `rber`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RbConfiguration => "rb",
            Self::Modularity => "modularity",
            Self::Cpm => "cpm",
            Self::Rber => "rber",
        }
    }
}

/// A borrowed graph, weights in either precision.
#[derive(Clone, Copy, Debug)]
pub enum GraphView<'a> {
    /// Weights in `f32`.
    F32(CsrView<'a, f32>),
    /// Weights in `f64`.
    F64(CsrView<'a, f64>),
}

impl<'a> From<CsrView<'a, f32>> for GraphView<'a> {
    fn from(view: CsrView<'a, f32>) -> Self {
        Self::F32(view)
    }
}
impl<'a> From<CsrView<'a, f64>> for GraphView<'a> {
    fn from(view: CsrView<'a, f64>) -> Self {
        Self::F64(view)
    }
}
impl<'a> From<&'a CsrMatrix<f32>> for GraphView<'a> {
    fn from(matrix: &'a CsrMatrix<f32>) -> Self {
        Self::F32(matrix.view())
    }
}
impl<'a> From<&'a CsrMatrix<f64>> for GraphView<'a> {
    fn from(matrix: &'a CsrMatrix<f64>) -> Self {
        Self::F64(matrix.view())
    }
}

/// Runs `$body` with `$view` bound to the typed view.
macro_rules! with_view {
    ($graph:expr, $view:ident => $body:expr) => {
        match $graph {
            $crate::cluster::leiden::layer::GraphView::F32($view) => $body,
            $crate::cluster::leiden::layer::GraphView::F64($view) => $body,
        }
    };
}
pub(crate) use with_view;

impl GraphView<'_> {
    /// Rows of the matrix.
    pub fn n_rows(self) -> usize {
        with_view!(self, g => g.n_rows())
    }

    /// Columns of the matrix.
    pub fn n_cols(self) -> usize {
        with_view!(self, g => g.n_cols())
    }

    /// Stored entries.
    pub fn nnz(self) -> usize {
        with_view!(self, g => g.nnz())
    }
}

/// One layer of a multiplex graph.
///
/// A symmetric matrix without self-loops gives the same quality read as directed or undirected, for every
/// [`Quality`]: `directed: false` adds the check that it *is* symmetric, and counts a self-loop twice.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `(n_obs, n_obs)`; row `i` holds the edges `i → j`. Stored zeros are no edges.
    pub graph: GraphView<'a>,
    /// `true` (default): each entry is an edge `i → j`. `false`: the matrix must be symmetric.
    pub directed: bool,
    /// `true` (default): entries are weights. `false`: each stored non-zero counts 1.
    pub use_weights: bool,
    /// What to reward.
    pub quality: Quality,
    /// `γ > 0`, higher gives more clusters; [`Quality::Modularity`] has none and ignores it.
    pub resolution: f64,
    /// How much this layer counts, ≥ 0. A layer of weight 0 joins nothing.
    pub weight: f64,
}

impl<'a> Layer<'a> {
    /// A directed, weighted RB-configuration layer of resolution 1 and weight 1.
    pub fn new(graph: impl Into<GraphView<'a>>) -> Self {
        Self {
            graph: graph.into(),
            directed: true,
            use_weights: true,
            quality: Quality::RbConfiguration,
            resolution: 1.0,
            weight: 1.0,
        }
    }

    /// The resolution in force: 1 for modularity, which has none.
    pub(crate) fn effective_resolution(&self) -> f64 {
        if self.quality == Quality::Modularity { 1.0 } else { self.resolution }
    }
}

/// Degrees and total of one layer, checked.
#[derive(Clone, Debug)]
pub(crate) struct LayerSums {
    /// Weighted out-degrees.
    pub out: Vec<f64>,
    /// Weighted in-degrees, `None` when the matrix is symmetric.
    pub into: Option<Vec<f64>>,
    /// `m`: the sum of all weights, both directions of an undirected edge.
    pub total: f64,
    /// Whether any self-loop is stored.
    pub has_loops: bool,
}

impl LayerSums {
    /// In-degrees.
    pub fn in_degrees(&self) -> &[f64] {
        self.into.as_deref().unwrap_or(&self.out)
    }
}

/// A stored value in double precision, whatever the graph's.
#[inline(always)]
pub(crate) fn wide<T: Into<f64>>(stored: T) -> f64 {
    stored.into()
}

/// The weight an entry counts with; `None` for a stored zero.
#[inline]
pub(crate) fn entry_weight(layer: &Layer<'_>, row: usize, column: u32, stored: f64) -> Option<f64> {
    if stored == 0.0 {
        return None;
    }
    let weight = if layer.use_weights { stored } else { 1.0 };
    // A loop adds 2 to the degree of an undirected node, so that Σ k = m holds.
    Some(if !layer.directed && row == column as usize { 2.0 * weight } else { weight })
}

/// Checks all layers and returns their sums; the number of nodes is `sums[0].out.len()`.
pub(crate) fn check_layers(layers: &[Layer<'_>]) -> Result<Vec<LayerSums>, LeidenError> {
    let Some(first) = layers.first() else { return Err(LeidenError::NoLayers) };
    let n_nodes = first.graph.n_rows();
    if n_nodes >= u32::MAX as usize {
        return Err(LeidenError::TooManyNodes { n_nodes });
    }
    for (l, layer) in layers.iter().enumerate() {
        let (n_rows, n_cols) = (layer.graph.n_rows(), layer.graph.n_cols());
        if n_rows != n_cols {
            return Err(LeidenError::NotSquare { layer: l.into(), n_rows, n_cols });
        }
        if n_rows != n_nodes {
            return Err(LeidenError::NodeCount { layer: l.into(), found: n_rows, expected: n_nodes });
        }
        let resolution = layer.effective_resolution();
        if !is_resolution(resolution) {
            return Err(LeidenError::Resolution { layer: l.into(), resolution });
        }
        if !is_layer_weight(layer.weight) {
            return Err(LeidenError::LayerWeight { layer: l.into(), weight: layer.weight });
        }
    }
    if layers.iter().all(|layer| layer.weight == 0.0) {
        return Err(LeidenError::AllLayerWeightsZero);
    }
    layers
        .iter()
        .enumerate()
        .map(|(l, layer)| with_view!(layer.graph, g => layer_sums(l, layer, g)))
        .collect()
}

/// Weights of an undirected pair may differ by this much, relatively: rounding, not direction.
const SYMMETRY_TOLERANCE: f64 = 1e-6;

fn layer_sums<T: Copy + Send + Sync + Into<f64>>(
    l: usize,
    layer: &Layer<'_>,
    graph: CsrView<'_, T>,
) -> Result<LayerSums, LeidenError> {
    let n = graph.n_rows();
    let mut out = vec![0.0; n];
    let mut has_loops = false;
    let mut any_weight = false;
    for i in 0..n {
        let (columns, values) = graph.row(i);
        let mut degree = 0.0;
        for (&j, &value) in columns.iter().zip(values) {
            let stored: f64 = value.into();
            if !stored.is_finite() {
                return Err(LeidenError::NonFiniteWeight {
                    layer: l.into(),
                    row: i,
                    column: j as usize,
                    weight: stored,
                });
            }
            let Some(weight) = entry_weight(layer, i, j, stored) else { continue };
            if weight < 0.0 && layer.quality != Quality::Cpm {
                let quality = layer.quality;
                return Err(LeidenError::NegativeWeight {
                    layer: l.into(),
                    row: i,
                    column: j as usize,
                    weight,
                    quality,
                });
            }
            any_weight = true;
            has_loops |= i == j as usize;
            degree += weight;
        }
        out[i] = degree;
    }
    if !any_weight && graph.nnz() > 0 {
        return Err(LeidenError::AllWeightsZero { layer: l.into(), n_entries: graph.nnz() });
    }
    let asymmetry = first_asymmetry(layer, graph);
    if let Some(a) = &asymmetry
        && !layer.directed
        && (a.forward - a.backward).abs() > SYMMETRY_TOLERANCE * a.forward.abs().max(a.backward.abs())
    {
        let (row, column, forward, backward) = (a.row, a.column, a.forward, a.backward);
        return Err(LeidenError::NotSymmetric { layer: l.into(), row, column, forward, backward });
    }
    let total = out.iter().sum();
    let into = asymmetry.map(|_| {
        let mut into = vec![0.0; n];
        for i in 0..n {
            let (columns, values) = graph.row(i);
            for (&j, &value) in columns.iter().zip(values) {
                into[j as usize] += entry_weight(layer, i, j, value.into()).unwrap_or(0.0);
            }
        }
        into
    });
    Ok(LayerSums { out, into, total, has_loops })
}

struct Asymmetry {
    row: usize,
    column: usize,
    forward: f64,
    backward: f64,
}

/// The first pair of entries that differ beyond rounding, or else the first that differ at all.
///
/// Rows are visited in order and sorted, so the partner of each `(i, j)`, `i < j`, is the next unread entry of
/// row `j`: one cursor per row makes this one pass without a transpose.
fn first_asymmetry<T: Copy + Send + Sync + Into<f64>>(
    layer: &Layer<'_>,
    graph: CsrView<'_, T>,
) -> Option<Asymmetry> {
    let n = graph.n_rows();
    let indptr = graph.indptr();
    let mut cursor: Vec<usize> = indptr[..n].to_vec();
    let mut rounding = None;
    let weight = |row: usize, at: usize| -> f64 {
        entry_weight(layer, row, graph.indices()[at], graph.data()[at].into()).unwrap_or(0.0)
    };
    let columns_of = |i: usize| if i < n { &graph.indices()[indptr[i]..indptr[i + 1]] } else { &[] };
    for i in 0..n {
        // Rows arrive in order, their partners from anywhere: cursors are asked for first, then what they point to.
        for &j in columns_of(i + 4) {
            prefetch(&cursor, j as usize);
        }
        for &j in columns_of(i + 2).iter().filter(|j| **j as usize > i + 2) {
            prefetch(graph.indices(), cursor[j as usize]);
            prefetch(graph.data(), cursor[j as usize]);
        }
        // What is still unread left of the diagonal has no partner above it.
        while cursor[i] < indptr[i + 1] && (graph.indices()[cursor[i]] as usize) < i {
            let column = graph.indices()[cursor[i]] as usize;
            let forward = weight(i, cursor[i]);
            if forward != 0.0 {
                return Some(Asymmetry { row: i, column, forward, backward: 0.0 });
            }
            cursor[i] += 1;
        }
        for at in cursor[i]..indptr[i + 1] {
            let j = graph.indices()[at] as usize;
            let forward = weight(i, at);
            if j == i || forward == 0.0 {
                continue;
            }
            while cursor[j] < indptr[j + 1]
                && (graph.indices()[cursor[j]] as usize) < i
                && weight(j, cursor[j]) == 0.0
            {
                cursor[j] += 1;
            }
            // An unread entry further left has no partner: row `column` was read already.
            if cursor[j] < indptr[j + 1] && (graph.indices()[cursor[j]] as usize) < i {
                let (column, forward) = (graph.indices()[cursor[j]] as usize, weight(j, cursor[j]));
                return Some(Asymmetry { row: j, column, forward, backward: 0.0 });
            }
            let here = cursor[j] < indptr[j + 1] && graph.indices()[cursor[j]] as usize == i;
            let backward = if here { weight(j, cursor[j]) } else { 0.0 };
            if here {
                cursor[j] += 1;
            }
            if forward != backward {
                let found = Asymmetry { row: i, column: j, forward, backward };
                if (forward - backward).abs() > SYMMETRY_TOLERANCE * forward.abs().max(backward.abs()) {
                    return Some(found);
                }
                rounding.get_or_insert(found);
            }
        }
    }
    rounding
}
