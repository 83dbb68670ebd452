//! Nearly all of the k nearest observations in feature space, for large tables.

use brodmann_kernels::{Interrupted, Monitor, OptionError, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::blocked_distances::{BlockedPoints, Candidates};
use super::cells::{Cells, gather, sample};
use super::error::GraphError;
use super::latent_knn::{Neighbors, check_embedding, exact_knn, exact_rows};

/// Below this many observations the search is exact: cells would hold too few to choose from.
const SMALLEST: usize = 2048;
/// Cells searched per observation at first.
const FIRST_PROBES: usize = 4;
/// Observations whose true neighbours are computed to choose the number of cells, and as many to measure the
/// recall of the result.
const SAMPLE: usize = 500;
/// Asked for beyond `min_recall` when choosing: about three standard errors of a sample's recall.
const MARGIN: f64 = 0.01;
/// Fewest queries searched together, and most: the more there are, the more of them share a product with a cell.
const SMALLEST_BLOCK: usize = 256;
const LARGEST_BLOCK: usize = 4096;
/// Blocks that many queries are cut into at least, so that there is work for many threads.
const BLOCKS: usize = 64;
/// Queries of one product; with their distances to a cell they stay in a core's second-level cache.
const ROWS: usize = 512;

/// The k nearest among the observations of the nearest cells.
///
/// 1. k-means cuts the space into √n cells; observations are renumbered cell by cell.
/// 2. The true neighbours of 500 random observations tell how many nearest cells must be searched to find
///    `min_recall` + 0.01 of them.
/// 3. Every observation is compared with all those of that many cells: blocked products, ranked exactly.
/// 4. Another 500 observations measure the recall; below `min_recall`, step 3 is repeated with more cells.
///
/// When a third of the cells or more would be searched, the search is exact instead. The result is the same
/// bits on any thread count; of the neighbours found, ties go to the lower index.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite, d ≥ 1. `k`: neighbours, the observation itself not counted. `min_recall`: in (0, 1].
/// # Returns
/// `(n_obs, min(k, n_obs − 1))` by rising `(distance, index)`, distances exact; `recall` as measured, `None` where the search was exact after all.
/// # Errors
/// As [`exact_knn`]; `Option` when `min_recall` is out of range.
/// # Cost
/// O(n^1.5 p d) time for p cells (4–16 in clustered data, more where there is no structure); O(n (d + k + p)) memory.
/// # Source
/// Inverted file: Jégou, Douze & Schmid 2011, IEEE TPAMI 33:117.
///
/// # Example
///
/// ```
/// use brodmann::graph::{approximate_knn, exact_knn};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// let line = Array2::from_shape_fn((300, 1), |(i, _)| i as f64);
/// let found = approximate_knn(line.view(), 2, 0.9, Seed(0), &Silent)?;
/// let exact = exact_knn(line.view(), 2, &Silent)?;
/// let same = found.indices.iter().zip(&exact.indices).filter(|(a, b)| a == b).count();
/// assert!(same > 500, "{same} of 600");
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn approximate_knn(
    embedding: ArrayView2<'_, f64>,
    k: usize,
    min_recall: f64,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Neighbors, GraphError> {
    check_embedding(embedding, k)?;
    check_min_recall(min_recall)?;
    let n_obs = embedding.nrows();
    // Ten times fewer neighbours than observations in reach, or cells make no sense.
    if n_obs < SMALLEST || k.saturating_mul(10) > n_obs {
        return exact_knn(embedding, k, monitor);
    }
    monitor.stage("nearest neighbours: cells", 0);
    let index = CellIndex::new(embedding, n_obs, k, seed, monitor)?;
    let Some((n_probes, recall)) = index.probes(min_recall, n_obs, seed, monitor)? else {
        monitor.note(
            "too many cells would have to be searched for the recall asked for: exact neighbours instead",
        );
        drop(index);
        return exact_knn(embedding, k, monitor);
    };
    monitor.stage("nearest neighbours", n_obs as u64);
    let all: Vec<u32> = (0..n_obs as u32).collect();
    let rows = index.search(&all, n_probes, monitor)?;
    Ok(index.into_neighbors(&rows, recall))
}

/// [`approximate_knn`] of one table in another: for each query its nearest targets.
///
/// # Inputs
/// `targets`: `(n_targets, d)`, `queries`: `(n_queries, d)`, finite, d ≥ 1. `k`, `min_recall`: as there; a target at the
/// very place of a query counts.
/// # Returns
/// `(n_queries, min(k, n_targets))` target numbers by rising `(distance, index)`; exact where there are few targets, or
/// where too many cells would be searched.
/// # Errors
/// As [`approximate_knn`]; `Columns` when the tables differ in width.
/// # Cost
/// As [`approximate_knn`] of both tables together.
///
/// # Example
///
/// ```
/// use brodmann::graph::nearest_across;
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let (targets, queries) = (array![[0.0], [4.0]], array![[1.0], [4.0], [9.0]]);
/// let found = nearest_across(targets.view(), queries.view(), 1, 0.9, Seed(0), &Silent)?;
/// assert_eq!(found.indices, array![[0], [1], [1]]);
/// assert_eq!(found.distances, array![[1.0], [0.0], [5.0]]);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn nearest_across(
    targets: ArrayView2<'_, f64>,
    queries: ArrayView2<'_, f64>,
    k: usize,
    min_recall: f64,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Neighbors, GraphError> {
    check_embedding(targets, k)?;
    check_embedding(queries, k)?;
    check_min_recall(min_recall)?;
    let (n_targets, n_queries) = (targets.nrows(), queries.nrows());
    if targets.ncols() != queries.ncols() {
        return Err(GraphError::Columns { found: queries.ncols(), expected: targets.ncols() });
    }
    if n_targets + n_queries > u32::MAX as usize {
        return Err(GraphError::TooManyObs { found: n_targets + n_queries });
    }
    let k = k.min(n_targets);
    if n_queries == 0 || k == 0 {
        return Ok(Neighbors::from_rows(n_queries, k, &vec![Vec::new(); n_queries]));
    }
    let mut both = Array2::<f64>::zeros((n_targets + n_queries, targets.ncols()));
    for (mut row, from) in both.rows_mut().into_iter().zip(targets.rows().into_iter().chain(queries.rows())) {
        row.assign(&from);
    }
    let asking: Vec<u32> = (n_targets as u32..(n_targets + n_queries) as u32).collect();
    let mut recall = None;
    let mut rows = None;
    if n_targets >= SMALLEST && k.saturating_mul(10) <= n_targets {
        monitor.stage("nearest neighbours: cells", 0);
        let index = CellIndex::new(both.view(), n_targets, k, seed, monitor)?;
        if let Some((n_probes, measured)) = index.probes(min_recall, n_queries, seed, monitor)? {
            monitor.stage("nearest neighbours", n_queries as u64);
            rows = Some(index.search(&asking, n_probes, monitor)?);
            recall = Some(measured);
        }
    }
    let rows = if let Some(rows) = rows {
        rows
    } else {
        monitor.stage("nearest neighbours", n_queries as u64);
        exact_rows(&BlockedPoints::new(both.view()), n_targets, &asking, k, None, monitor)?
    };
    Ok(Neighbors { recall, ..Neighbors::from_rows(n_queries, k, &rows) })
}

/// Refuses a share outside (0, 1].
pub(crate) fn check_min_recall(min_recall: f64) -> Result<(), GraphError> {
    if min_recall > 0.0 && min_recall <= 1.0 {
        return Ok(());
    }
    Err(OptionError::new("min_recall", min_recall, "a share above 0 and at most 1").into())
}

/// Neighbours by rising `(squared distance, index)`.
type Row = Vec<(f64, u32)>;

/// Share of the true neighbours found; one as near as the last true one counts.
fn recall(found: &[Row], truth: &[Row]) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for (found, truth) in found.iter().zip(truth) {
        let furthest = truth.last().map_or(0.0, |entry| entry.0);
        hits += found.iter().filter(|entry| entry.0 <= furthest).count();
        wanted += truth.len();
    }
    hits as f64 / wanted as f64
}

/// The elements at rising `places`.
fn disjoint<T>(all: &mut [T], places: impl Iterator<Item = usize>) -> Vec<&mut T> {
    let (mut rest, mut passed) = (all, 0);
    let mut taken = Vec::new();
    for place in places {
        let (_, from) = std::mem::take(&mut rest).split_at_mut(place - passed);
        if let Some((one, after)) = from.split_first_mut() {
            taken.push(one);
            rest = after;
            passed = place + 1;
        }
    }
    taken
}

/// Observations renumbered so that each cell is a range; those that are only asked about stay behind the last cell.
struct CellIndex {
    points: BlockedPoints,
    /// Original number of each renumbered observation.
    originals: Vec<u32>,
    cells: Cells,
    /// Cell c holds `starts[c]..starts[c + 1]`.
    starts: Vec<usize>,
    k: usize,
}

impl CellIndex {
    fn new(
        embedding: ArrayView2<'_, f64>,
        n_targets: usize,
        k: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, Interrupted> {
        let n_obs = embedding.nrows();
        let points = BlockedPoints::new(embedding);
        let cells = Cells::new(&points, seed, monitor)?;
        let mut originals: Vec<u32> = (0..n_targets as u32).collect();
        let cell_of = cells.nearest(&points, &originals, 1, monitor)?;
        originals.sort_by_key(|&i| cell_of[i as usize]);
        originals.extend(n_targets as u32..n_obs as u32);
        let mut starts = vec![0usize; cells.count() + 1];
        for &cell in &cell_of {
            starts[cell as usize + 1] += 1;
        }
        for cell in 0..cells.count() {
            starts[cell + 1] += starts[cell];
        }
        let mut points = points;
        points.reorder(&originals);
        Ok(Self { points, originals, cells, starts, k })
    }

    /// The cells to be searched for a recall of the last `n_queries` observations, and the recall measured; `None` where
    /// these would be a third of all.
    fn probes(
        &self,
        min_recall: f64,
        n_queries: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Option<(usize, f64)>, Interrupted> {
        let first = (self.points.n_obs() - n_queries) as u32;
        let mut both = sample(n_queries, 2 * SAMPLE, seed, "graph/approximate_knn/recall");
        for i in &mut both {
            *i += first;
        }
        // Of few queries all choose, and all measure.
        let (choosing, measuring) =
            if both.len() < 2 * SAMPLE { (&both[..], &both[..]) } else { both.split_at(SAMPLE) };
        let truth = self.exact(choosing, monitor)?;
        let most = self.cells.count() / 3;
        let target = (min_recall + MARGIN).min(1.0);
        let mut n_probes = FIRST_PROBES;
        while n_probes < most && recall(&self.search(choosing, n_probes, monitor)?, &truth) < target {
            n_probes += n_probes / 2;
        }
        let truth = self.exact(measuring, monitor)?;
        while n_probes < most {
            let measured = recall(&self.search(measuring, n_probes, monitor)?, &truth);
            if measured >= min_recall {
                return Ok(Some((n_probes, measured)));
            }
            n_probes += n_probes / 2;
        }
        Ok(None)
    }

    /// The true neighbours, in original numbers.
    fn exact(&self, queries: &[u32], monitor: &dyn Monitor) -> Result<Vec<Row>, Interrupted> {
        let n_targets = self.starts.last().copied().unwrap_or(0);
        exact_rows(&self.points, n_targets, queries, self.k, Some(&self.originals), monitor)
    }

    /// The nearest in each query's `n_probes` nearest cells, in original numbers.
    fn search(
        &self,
        queries: &[u32],
        n_probes: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Row>, Interrupted> {
        let block = (queries.len() / BLOCKS).clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        let blocks: Vec<Vec<Row>> = queries
            .par_chunks(block)
            .map(|block| {
                monitor.check()?;
                let rows = self.search_block(block, n_probes, monitor)?;
                monitor.advance(block.len() as u64);
                Ok(rows)
            })
            .try_collect_vec::<_, Interrupted>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    fn search_block(
        &self,
        block: &[u32],
        n_probes: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Row>, Interrupted> {
        let probes = self.cells.nearest(&self.points, block, n_probes, monitor)?;
        // (other than the nearest, cell, place in the block), sorted: queries that visit a cell share a product, and
        // the nearest cell comes first, so that most of what the others hold is out of reach at once.
        let mut visits: Vec<(bool, u32, u32)> = probes
            .iter()
            .enumerate()
            .map(|(at, &cell)| (at % n_probes != 0, cell, (at / n_probes) as u32))
            .collect();
        visits.sort_unstable();
        let mut candidates: Vec<Candidates> =
            block.iter().map(|&i| Candidates::new(i as usize, self.k)).collect();
        let mut scratch = Vec::new();
        for visit in visits.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            monitor.check()?;
            let cell = visit[0].1 as usize;
            let cell_range = self.starts[cell]..self.starts[cell + 1];
            for visit in visit.chunks(ROWS) {
                let rows: Vec<u32> = visit.iter().map(|v| block[v.2 as usize]).collect();
                let queries = gather(self.points.queries.view(), &rows);
                let mut open = disjoint(&mut candidates, visit.iter().map(|v| v.2 as usize));
                self.points.offer(queries.view(), &mut open, cell_range.clone(), &mut scratch);
            }
        }
        let mut rows: Vec<Row> = candidates
            .into_iter()
            .map(|candidate| candidate.finish(&self.points, Some(&self.originals)))
            .collect();
        // Cells that together hold fewer than k others: rare, so searched in full.
        let short: Vec<usize> = (0..block.len()).filter(|&at| rows[at].len() < self.k).collect();
        if !short.is_empty() {
            let queries: Vec<u32> = short.iter().map(|&at| block[at]).collect();
            for (at, row) in short.into_iter().zip(self.exact(&queries, monitor)?) {
                rows[at] = row;
            }
        }
        Ok(rows)
    }

    fn into_neighbors(self, rows: &[Row], recall: f64) -> Neighbors {
        let mut indices = Array2::zeros((rows.len(), self.k));
        let mut distances = Array2::zeros((rows.len(), self.k));
        for (row, &original) in rows.iter().zip(&self.originals) {
            let mut row_indices = indices.index_axis_mut(Axis(0), original as usize);
            let mut row_distances = distances.index_axis_mut(Axis(0), original as usize);
            for (slot, &(d2, j)) in row.iter().enumerate() {
                row_indices[slot] = j;
                row_distances[slot] = d2.sqrt();
            }
        }
        Neighbors { indices, distances, recall: Some(recall) }
    }
}
