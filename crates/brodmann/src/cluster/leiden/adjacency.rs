//! What a level of the hierarchy reads its edges from: the layers themselves, or a graph of its own.
//!
//! The ground level never copies the layers: a row of `B` (see `objective`) is the rows of all layers one after the
//! other. Each level above is written out, its weights summed in double and kept in single precision: moves that gain
//! less than that rounding are not made there, so that every move still improves the quality.

use brodmann_kernels::arch::prefetch::prefetch;
use brodmann_kernels::{CsrMatrix, CsrView};

use super::layer::{GraphView, Layer, LayerSums, wide, with_view};
use super::objective::normalisation;

/// Entries are asked for up to here; of longer rows the hardware guesses the rest.
const PREFETCH_ENTRIES: usize = 96;

/// A symmetric weighted graph without diagonal, no zeros. A row may name a neighbour more than once.
pub(crate) trait Adjacency: Sync {
    /// Error of a sum of weights, relatively: gains below this are no gains.
    const ROUNDING: f64;

    fn n_nodes(&self) -> usize;

    /// Stored entries, diagonal and zeros included: the work of reading every row.
    fn n_entries(&self) -> usize;

    /// Sum of the weights.
    fn total_weight(&self) -> f64;

    /// Entries of one row.
    fn degree(&self, node: usize) -> usize;

    /// Calls `f` with each neighbour of `node` and the weight, in a fixed order.
    fn for_each(&self, node: usize, f: impl FnMut(u32, f64));

    /// Asks for where row `node` starts.
    fn prefetch_start(&self, node: usize);

    /// Asks for the memory of row `node`, which soon will be read.
    fn prefetch_row(&self, node: usize);

    /// Asks for `values[j]` of the first neighbours `j` of `node`.
    fn prefetch_neighbours<V>(&self, node: usize, values: &[V]);

    /// Calls `f` with the first neighbours of `node`: a look ahead, which need not see all.
    fn peek(&self, node: usize, f: impl FnMut(u32));
}

/// A graph of its own, rows unsorted.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    pub indptr: Vec<usize>,
    pub indices: Vec<u32>,
    pub weights: Vec<f32>,
}

impl Edges {
    #[inline]
    fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.weights[range])
    }
}

impl Adjacency for Edges {
    // Each weight is within 2⁻²⁴ of what it stands for, and all are positive; four times that for the rest.
    const ROUNDING: f64 = 1.0 / (1 << 22) as f64;

    fn n_nodes(&self) -> usize {
        self.indptr.len() - 1
    }

    fn n_entries(&self) -> usize {
        self.indices.len()
    }

    fn total_weight(&self) -> f64 {
        self.weights.iter().map(|w| f64::from(*w)).sum()
    }

    fn degree(&self, node: usize) -> usize {
        self.indptr[node + 1] - self.indptr[node]
    }

    #[inline(always)]
    fn for_each(&self, node: usize, mut f: impl FnMut(u32, f64)) {
        let (neighbours, weights) = self.row(node);
        for (&j, &w) in neighbours.iter().zip(weights) {
            f(j, f64::from(w));
        }
    }

    #[inline(always)]
    fn prefetch_start(&self, node: usize) {
        prefetch(&self.indptr, node);
    }

    #[inline(always)]
    fn prefetch_row(&self, node: usize) {
        prefetch_entries(&self.indptr, &self.indices, &self.weights, node);
    }

    #[inline(always)]
    fn prefetch_neighbours<V>(&self, node: usize, values: &[V]) {
        self.peek(node, |j| prefetch(values, j as usize));
    }

    #[inline(always)]
    fn peek(&self, node: usize, f: impl FnMut(u32)) {
        self.row(node).0.iter().take(PREFETCH_ENTRIES).copied().for_each(f);
    }
}

/// Asks for the entries of one row: a cache line holds 16 indices or 8 wide weights.
#[inline(always)]
fn prefetch_entries<W>(indptr: &[usize], indices: &[u32], weights: &[W], row: usize) {
    let (start, end) = (indptr[row], indptr[row + 1].min(indptr[row] + PREFETCH_ENTRIES));
    for at in (start..end).step_by(16) {
        prefetch(indices, at);
    }
    for at in (start..end).step_by(64 / size_of::<W>().max(1)) {
        prefetch(weights, at);
    }
}

/// All layers of positive weight, read where they are; weights in units of their mean.
pub(crate) struct LayerEdges<'a> {
    sources: Vec<Source<'a>>,
    n_nodes: usize,
    n_entries: usize,
    total_weight: f64,
    /// What all weights were divided by, so that their mean is 1.
    unit: f64,
}

/// One matrix that contributes rows, with what its weights are multiplied by.
struct Source<'a> {
    rows: SourceRows<'a>,
    /// Whether stored values count as weights; otherwise each counts 1.
    weighted: bool,
    scale: f64,
}

enum SourceRows<'a> {
    Borrowed(GraphView<'a>),
    /// The mirror image of a layer that is not symmetric.
    Transposed(CsrMatrix<f64>),
}

impl<'a> LayerEdges<'a> {
    /// Reads the layers; those that are not symmetric are transposed, 12 bytes an entry.
    pub fn new(layers: &[Layer<'a>], sums: &[LayerSums]) -> Self {
        let mut sources = Vec::new();
        let (mut n_entries, mut total_weight) = (0, 0.0);
        for (layer, sum) in layers.iter().zip(sums) {
            if layer.weight == 0.0 || layer.graph.nnz() == 0 {
                continue;
            }
            let scale = layer.weight * normalisation(layer, sum);
            total_weight += scale * sum.total;
            n_entries += layer.graph.nnz();
            let (rows, weighted) = (SourceRows::Borrowed(layer.graph), layer.use_weights);
            if sum.into.is_none() {
                sources.push(Source { rows, weighted, scale });
                continue;
            }
            n_entries += layer.graph.nnz();
            sources.push(Source { rows, weighted, scale: 0.5 * scale });
            let transposed = with_view!(layer.graph, g => g.map(wide).view().transpose());
            let rows = SourceRows::Transposed(transposed);
            sources.push(Source { rows, weighted, scale: 0.5 * scale });
        }
        let unit = if total_weight > 0.0 { total_weight / n_entries as f64 } else { 1.0 };
        for source in &mut sources {
            source.scale /= unit;
        }
        Self { sources, n_nodes: sums[0].out.len(), n_entries, total_weight: total_weight / unit, unit }
    }

    /// The mean weight of an entry, 1 without edges: the unit of weights and gains, so that neither the layers' scale
    /// nor its square can leave the range of single precision.
    pub fn unit(&self) -> f64 {
        self.unit
    }
}

impl Source<'_> {
    #[inline(always)]
    fn view(&self) -> GraphView<'_> {
        match &self.rows {
            SourceRows::Borrowed(graph) => *graph,
            SourceRows::Transposed(matrix) => GraphView::F64(matrix.view()),
        }
    }
}

/// Entries of a row as they count: no loops, no stored zeros.
#[inline(always)]
fn for_each_entry<T: Copy + Send + Sync + Into<f64>>(
    graph: CsrView<'_, T>,
    source: &Source<'_>,
    node: usize,
    f: &mut impl FnMut(u32, f64),
) {
    let (columns, values) = graph.row(node);
    for (&j, &stored) in columns.iter().zip(values) {
        let stored: f64 = stored.into();
        let weight = source.scale * if source.weighted { stored } else { 1.0 };
        if stored != 0.0 && weight != 0.0 && j as usize != node {
            f(j, weight);
        }
    }
}

impl Adjacency for LayerEdges<'_> {
    /// Of double precision, with room for the terms a gain is the difference of, which for a hub can be many.
    const ROUNDING: f64 = 1e-13;

    fn n_nodes(&self) -> usize {
        self.n_nodes
    }

    fn n_entries(&self) -> usize {
        self.n_entries
    }

    fn total_weight(&self) -> f64 {
        self.total_weight
    }

    fn degree(&self, node: usize) -> usize {
        let entries = |source: &Source<'_>| with_view!(source.view(), g => g.row(node).0.len());
        self.sources.iter().map(entries).sum()
    }

    #[inline(always)]
    fn for_each(&self, node: usize, mut f: impl FnMut(u32, f64)) {
        for source in &self.sources {
            with_view!(source.view(), g => for_each_entry(g, source, node, &mut f));
        }
    }

    #[inline(always)]
    fn prefetch_start(&self, node: usize) {
        for source in &self.sources {
            with_view!(source.view(), g => prefetch(g.indptr(), node));
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, node: usize) {
        for source in &self.sources {
            with_view!(source.view(), g => prefetch_entries(g.indptr(), g.indices(), g.data(), node));
        }
    }

    #[inline(always)]
    fn prefetch_neighbours<V>(&self, node: usize, values: &[V]) {
        self.peek(node, |j| prefetch(values, j as usize));
    }

    #[inline(always)]
    fn peek(&self, node: usize, mut f: impl FnMut(u32)) {
        for source in &self.sources {
            with_view!(source.view(), g => g.row(node).0.iter().take(PREFETCH_ENTRIES).copied().for_each(&mut f));
        }
    }
}
