//! One partition from many runs, and how far they agree on each spot.

use brodmann_kernels::assignment::best_assignment;
use brodmann_kernels::{Diagnosis, Interrupted, Monitor, ParallelLoop};
use rayon::prelude::*;

use crate::metrics::{MetricsError, adjusted_rand_index};

/// Rounds of voting at most; a handful is usual.
const MAX_ROUNDS: usize = 50;
/// Clusters of one run at most: the tables of the alignment are dense.
const MOST_CLUSTERS: usize = 2000;
/// Spots that vote together in one task; fixed.
const CHUNK: usize = 4096;

/// Why there is no consensus.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConsensusError {
    /// No runs.
    #[error("no labels were given; expected those of at least one run")]
    NoRuns,
    /// A run of another length.
    #[error("run {run} has {found} labels; expected {expected}, as in the first")]
    LengthMismatch {
        /// Run, from 0.
        run: usize,
        /// Labels found.
        found: usize,
        /// Labels of the first run.
        expected: usize,
    },
    /// A run of very many clusters.
    #[error("run {run} has {found} clusters; expected at most {limit}")]
    TooManyClusters {
        /// Run, from 0.
        run: usize,
        /// Clusters found.
        found: usize,
        /// Clusters allowed.
        limit: usize,
    },
    /// Agreement could not be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for ConsensusError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Metrics(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoRuns => "run the clustering first".to_owned(),
            Self::LengthMismatch { .. } => "give runs on one table".to_owned(),
            Self::TooManyClusters { .. } => "lower the resolution".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// What many runs agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct Consensus {
    /// Cluster of each spot, `0` the largest; equal sizes by first member.
    pub labels: Vec<u32>,
    /// Share of the runs that put the spot there, in [0, 1].
    pub stability: Vec<f64>,
    /// Each run's labels in the names of the consensus.
    pub aligned: Vec<Vec<u32>>,
    /// Mean adjusted Rand index over pairs of runs; 1 for one run.
    pub agreement: f64,
    /// Adjusted Rand index of each run with the consensus.
    pub run_agreement: Vec<f64>,
    /// Rounds of voting.
    pub n_rounds: usize,
    /// The last round changed nothing.
    pub converged: bool,
}

/// The partition that most runs vote for, once their clusters have been given common names.
///
/// 1. The first reference is the run that agrees best with all others (highest mean ARI).
/// 2. Each run's clusters are matched one to one with those of the reference so that the most spots agree
///    (Hungarian method); clusters left over go to the reference cluster that they overlap most.
/// 3. Every spot takes the name most runs give it (ties: the reference's own, then the lower name). The outcome is
///    the next reference, until nothing changes.
///
/// The names of labels do not matter. A cluster that loses every vote vanishes.
///
/// # Inputs
/// `runs`: one labeling each, all of the same spots.
/// # Returns
/// [`Consensus`]; identical runs give stability 1 everywhere.
/// # Errors
/// [`ConsensusError`].
/// # Cost
/// O(R² n log n) time for the pairs, O(R n) per round; O(R n + k²) memory: no N×N co-association.
/// # Source
/// Dimitriadou, Weingessel & Hornik 2002 (voting); Kuhn 1955 (alignment).
///
/// # Example
///
/// ```
/// use brodmann::cluster::consensus;
/// use brodmann_kernels::Silent;
///
/// // Two runs agree but for the names of their labels; the third moves one spot.
/// let found = consensus(&[&[0, 0, 1, 1], &[5, 5, 2, 2], &[0, 1, 1, 1]], &Silent)?;
/// assert_eq!(found.labels, [0, 0, 1, 1]);
/// assert_eq!(found.stability, [1.0, 2.0 / 3.0, 1.0, 1.0]);
/// # Ok::<(), brodmann::cluster::ConsensusError>(())
/// ```
pub fn consensus(runs: &[&[u32]], monitor: &dyn Monitor) -> Result<Consensus, ConsensusError> {
    let n_obs = runs.first().ok_or(ConsensusError::NoRuns)?.len();
    let mut named = Vec::with_capacity(runs.len());
    for (run, labels) in runs.iter().enumerate() {
        if labels.len() != n_obs {
            return Err(ConsensusError::LengthMismatch { run, found: labels.len(), expected: n_obs });
        }
        let canonical = Named::new(labels);
        if canonical.count > MOST_CLUSTERS {
            let (found, limit) = (canonical.count, MOST_CLUSTERS);
            return Err(ConsensusError::TooManyClusters { run, found, limit });
        }
        named.push(canonical);
    }
    let (agreement, medoid) = pairwise(&named, n_obs, monitor)?;
    let mut reference = named[medoid].clone();
    let (mut n_rounds, mut converged) = (0, false);
    let mut aligned = Vec::new();
    while n_rounds < MAX_ROUNDS && !converged {
        monitor.check()?;
        n_rounds += 1;
        aligned = named.par_iter().map(|run| align(run, &reference)).collect_vec();
        let votes = vote(&aligned, &reference.labels);
        converged = votes == reference.labels;
        reference.labels = votes;
    }
    let stability = (0..n_obs)
        .into_par_iter()
        .map(|i| {
            let agreeing = aligned.iter().filter(|run| run[i] == reference.labels[i]).count();
            agreeing as f64 / aligned.len() as f64
        })
        .collect_vec();
    let number = by_size(&reference.labels, reference.count);
    let rename = |labels: &[u32]| -> Vec<u32> { labels.iter().map(|&l| number[l as usize]).collect() };
    let labels = rename(&reference.labels);
    let aligned: Vec<Vec<u32>> = aligned.iter().map(|run| rename(run)).collect();
    let run_agreement = if n_obs == 0 {
        vec![1.0; runs.len()]
    } else {
        named
            .par_iter()
            .map(|run| adjusted_rand_index(&run.labels, &labels))
            .try_collect_vec::<_, MetricsError>()?
    };
    Ok(Consensus { labels, stability, aligned, agreement, run_agreement, n_rounds, converged })
}

/// Labels named 0, 1, … by first appearance.
#[derive(Clone)]
pub(super) struct Named {
    pub labels: Vec<u32>,
    pub count: usize,
}

impl Named {
    pub fn new(labels: &[u32]) -> Self {
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut name = vec![u32::MAX; distinct.len()];
        let mut count = 0;
        let labels = labels
            .iter()
            .map(|label| {
                let at = distinct.partition_point(|d| d < label);
                if name[at] == u32::MAX {
                    name[at] = count;
                    count += 1;
                }
                name[at]
            })
            .collect();
        Self { labels, count: count as usize }
    }
}

/// Mean ARI over pairs, and the run whose mean with the others is highest.
fn pairwise(named: &[Named], n_obs: usize, monitor: &dyn Monitor) -> Result<(f64, usize), ConsensusError> {
    let r = named.len();
    if r == 1 || n_obs == 0 {
        return Ok((1.0, 0));
    }
    let pairs: Vec<(usize, usize)> = (0..r).flat_map(|a| (a + 1..r).map(move |b| (a, b))).collect();
    monitor.stage("consensus", pairs.len() as u64);
    let scores: Vec<f64> = pairs
        .par_iter()
        .map(|&(a, b)| {
            monitor.check()?;
            let score = adjusted_rand_index(&named[a].labels, &named[b].labels)?;
            monitor.advance(1);
            Ok(score)
        })
        .try_collect_vec::<_, ConsensusError>()?;
    let mut sums = vec![0.0; r];
    for (&(a, b), score) in pairs.iter().zip(&scores) {
        sums[a] += score;
        sums[b] += score;
    }
    let mut medoid = 0;
    for run in 1..r {
        if sums[run] > sums[medoid] {
            medoid = run;
        }
    }
    Ok((scores.iter().sum::<f64>() / scores.len() as f64, medoid))
}

/// A run's labels in the names of the reference.
pub(super) fn align(run: &Named, reference: &Named) -> Vec<u32> {
    let mut overlap = vec![vec![0i64; reference.count]; run.count];
    for (&own, &other) in run.labels.iter().zip(&reference.labels) {
        overlap[own as usize][other as usize] += 1;
    }
    let matched = best_assignment(&overlap);
    let name: Vec<u32> = matched
        .iter()
        .zip(&overlap)
        .map(|(matched, row)| {
            if let Some(name) = matched {
                return *name as u32;
            }
            let mut most = 0;
            for (name, count) in row.iter().enumerate() {
                if *count > row[most] {
                    most = name;
                }
            }
            most as u32
        })
        .collect();
    run.labels.iter().map(|&l| name[l as usize]).collect()
}

/// The most frequent name of each spot, ties to `reference`, then to the lower name.
fn vote(aligned: &[Vec<u32>], reference: &[u32]) -> Vec<u32> {
    let mut winners = reference.to_vec();
    winners.par_chunks_mut(CHUNK).enumerate().each(|(chunk, out)| {
        let mut names = Vec::with_capacity(aligned.len());
        for (offset, winner) in out.iter_mut().enumerate() {
            let i = chunk * CHUNK + offset;
            names.clear();
            names.extend(aligned.iter().map(|run| run[i]));
            names.sort_unstable();
            let mut most = 0;
            let mut best = *winner;
            for same in names.chunk_by(|a, b| a == b) {
                if same.len() > most || (same.len() == most && same[0] == *winner) {
                    (most, best) = (same.len(), same[0]);
                }
            }
            *winner = best;
        }
    });
    winners
}

/// New number of each name: the largest cluster first, then by first member; names without spots last.
pub(super) fn by_size(labels: &[u32], count: usize) -> Vec<u32> {
    let (mut sizes, mut first) = (vec![0usize; count], vec![usize::MAX; count]);
    for (i, &l) in labels.iter().enumerate() {
        sizes[l as usize] += 1;
        first[l as usize] = first[l as usize].min(i);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&c| (std::cmp::Reverse(sizes[c]), first[c]));
    let mut number = vec![0u32; count];
    for (new, &c) in order.iter().enumerate() {
        number[c] = new as u32;
    }
    number
}

#[cfg(test)]
mod tests;
