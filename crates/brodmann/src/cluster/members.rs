//! One map from several methods' maps: what they agree on, how sure that is, and who stands apart.

use brodmann_kernels::eigen::{NotConverged, symmetric_eigen};
use brodmann_kernels::{CsrView, Diagnosis, Interrupted, Monitor, Seed};
use ndarray::Array2;
use rayon::prelude::*;

use super::kmeans::{KMeansError, KMeansOptions, kmeans};
use crate::graph::neighbor_means;
use crate::metrics::{Codes, MetricsError, adjusted_rand_index};

/// Sweeps over the members at most; agreement rises with every change, so that the choice settles by itself.
const SWEEPS: usize = 20;

/// Why there is no common map.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// Nobody votes.
    #[error("no labels were given; expected those of at least one member")]
    NoMembers,
    /// Labels of other spots.
    #[error("member {member} has {found} labels; expected {expected}")]
    LengthMismatch {
        /// Member, from 0.
        member: usize,
        /// Labels found.
        found: usize,
        /// Labels of the first, or rows of the graph.
        expected: usize,
    },
    /// Of the agreement.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Of the components of the labels.
    #[error(transparent)]
    Eigen(#[from] NotConverged),
    /// Of the clustering.
    #[error(transparent)]
    KMeans(#[from] KMeansError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for MembersError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Metrics(e) => Some(e),
            Self::Eigen(e) => Some(e),
            Self::KMeans(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoMembers => "name at least one".to_owned(),
            Self::LengthMismatch { .. } => "give labels of the same spots".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// How the members' maps become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MembersOptions {
    /// Domains wanted.
    pub n_clusters: usize,
    /// Components of the labels that are clustered.
    pub n_components: usize,
    /// Starts of k-means.
    pub n_init: usize,
}

impl Default for MembersOptions {
    fn default() -> Self {
        Self { n_clusters: 8, n_components: 15, n_init: 50 }
    }
}

/// What several members agree on.
#[derive(Clone, Debug)]
pub struct Members {
    /// Domain of each spot, `0` the largest.
    pub labels: Vec<u32>,
    /// `(members, members)`: adjusted Rand index of each pair.
    pub agreement: Array2<f64>,
    /// Weight of each member's vote; they add up to 1.
    pub weights: Vec<f64>,
}

impl Members {
    /// Mean adjusted Rand index of a member with the others; 1 where it is alone.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn agreement_with_others(&self, member: usize) -> f64 {
        with_others(&self.agreement, member)
    }

    /// Mean adjusted Rand index of two members; 1 where there is one.
    pub fn mean_agreement(&self) -> f64 {
        let pairs: Vec<f64> =
            (0..self.weights.len()).flat_map(|a| (0..a).map(move |b| self.agreement[[a, b]])).collect();
        if pairs.is_empty() { 1.0 } else { pairs.iter().sum::<f64>() / pairs.len() as f64 }
    }
}

/// How a map fares in the votes of the members.
#[derive(Clone, Debug)]
pub struct MemberVotes {
    /// `(n_obs, n_domains)`: how likely each domain is; rows add up to 1.
    pub probabilities: Array2<f64>,
    /// Entropy of the votes, 0 (all agree) to 1 (every domain as likely).
    pub entropy: Vec<f64>,
}

/// The map that several members' labels have in common.
///
/// 1. A member weighs by the square of its mean ARI with the others (none below 0): one that stands apart fades by
///    itself. Where nobody agrees with anybody all weigh the same.
/// 2. Labels become indicator columns, divided by the root of the cluster's size and times the weight; their leading
///    components, averaged over a spot and its neighbours in `graph`, are clustered by k-means.
///
/// How sure a spot is of its domain: [`member_votes`].
///
/// # Inputs
/// `members`: labels of the same spots, any names. `graph`: `(n_obs, n_obs)`, stored entries are neighbours.
/// # Errors
/// [`MembersError`].
/// # Cost
/// O(members² n) for the pairs, k-means on `n × n_components`; `16 n n_components` bytes.
/// # Source
/// Ours; the weights follow Strehl & Ghosh 2002 (cluster ensembles) in using labels alone.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{MembersOptions, members};
/// use brodmann_kernels::{Seed, Silent};
///
/// // Two agree, the third has a map of its own and no weight.
/// let maps: [&[u32]; 3] = [&[0, 0, 0, 1, 1, 1], &[4, 4, 4, 2, 2, 2], &[0, 1, 2, 0, 1, 2]];
/// let options = MembersOptions { n_clusters: 2, ..Default::default() };
/// let found = members(&maps, None, &options, Seed(0), &Silent)?;
/// assert_eq!(found.labels, [0, 0, 0, 1, 1, 1]);
/// assert!(found.weights[2] < 0.01);
/// # Ok::<(), brodmann::cluster::MembersError>(())
/// ```
pub fn members(
    members: &[&[u32]],
    graph: Option<CsrView<'_, f64>>,
    options: &MembersOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Members, MembersError> {
    let n_obs = members.first().ok_or(MembersError::NoMembers)?.len();
    let expected = graph.map_or(n_obs, CsrView::n_rows);
    if let Some((member, labels)) = members.iter().enumerate().find(|(_, l)| l.len() != expected) {
        return Err(MembersError::LengthMismatch { member, found: labels.len(), expected });
    }
    let named: Vec<Codes> = members.iter().map(|labels| Codes::new(labels)).collect();
    let agreement = agreements(members, |_, _| true, monitor)?;
    let weights = weights_of(&agreement);
    let mut scores = components(&named, &weights, n_obs, options.n_components)?;
    if let Some(graph) = graph {
        scores = neighbor_means(scores.view(), graph);
    }
    let k_means =
        KMeansOptions { n_clusters: options.n_clusters, n_init: options.n_init, ..Default::default() };
    let labels = kmeans(scores.view(), &k_means, seed.derive("cluster/members", 0), monitor)?.labels;
    Ok(Members { labels, agreement, weights })
}

/// The votes of the members on a map: `p_i(d) = Σ_m w_m P(d | label of i by m)`, with `P` the share of the spots of that
/// label that the map has in `d`.
///
/// # Inputs
/// `labels`: the map, one domain per spot, 0, 1, … `members`: labels of the same spots, any names. `weights`: one per
/// member, adding up to 1.
/// # Errors
/// [`MembersError::NoMembers`], [`MembersError::LengthMismatch`].
/// # Cost
/// O(members · n · n_domains); `8 n n_domains` bytes.
///
/// # Example
///
/// ```
/// use brodmann::cluster::member_votes;
///
/// // Of the last two spots one member says that they are as the first two.
/// let votes = member_votes(&[0, 0, 1, 1], &[&[0, 0, 1, 1], &[5, 5, 5, 5]], &[0.5, 0.5])?;
/// assert_eq!(votes.probabilities[[0, 0]], 0.75);
/// assert!((votes.entropy[0] - 0.811).abs() < 1e-3);
/// # Ok::<(), brodmann::cluster::MembersError>(())
/// ```
pub fn member_votes(
    labels: &[u32],
    members: &[&[u32]],
    weights: &[f64],
) -> Result<MemberVotes, MembersError> {
    if members.is_empty() {
        return Err(MembersError::NoMembers);
    }
    let k = labels.iter().max().map_or(0, |m| *m as usize + 1);
    let mut probabilities = Array2::<f64>::zeros((labels.len(), k));
    for (member, (own, weight)) in members.iter().zip(weights).enumerate() {
        if own.len() != labels.len() {
            return Err(MembersError::LengthMismatch { member, found: own.len(), expected: labels.len() });
        }
        let Codes { of: own, counts: sizes } = Codes::new(own);
        let mut shares = Array2::<f64>::zeros((sizes.len(), k));
        own.iter().zip(labels).for_each(|(&l, &d)| shares[[l as usize, d as usize]] += 1.0);
        for (mut row, size) in shares.rows_mut().into_iter().zip(sizes) {
            row *= weight / size as f64;
        }
        for (mut row, &l) in probabilities.rows_mut().into_iter().zip(&own) {
            row += &shares.row(l as usize);
        }
    }
    let most = libm::log(k.max(2) as f64);
    let entropy = probabilities
        .rows()
        .into_iter()
        .map(|row| row.iter().filter(|p| **p > 0.0).map(|p| -p * libm::log(*p)).sum::<f64>().max(0.0) / most)
        .collect();
    Ok(MemberVotes { probabilities, entropy })
}

/// Of several runs of each member the one that agrees best with the other members.
///
/// The likeliest of several mixtures is not the best, and its likelihood knows nothing of the tissue; that other views of
/// the same tissue find the same is evidence of its own.
///
/// ```text
/// each member starts with the run that agrees best with all runs of the others
/// until nothing changes: each member in turn takes the run that agrees best with the runs taken by the others
/// ```
///
/// # Inputs
/// `runs`: of each member the labels of its runs, all of the same spots.
/// # Returns
/// The number of the run taken, per member; the first of equals.
/// # Errors
/// [`MembersError::NoMembers`] without a run of each, [`MembersError::Metrics`] when lengths differ.
/// # Cost
/// One adjusted Rand index per pair of runs of different members.
/// # Source
/// Ours.
///
/// # Example
///
/// ```
/// use brodmann::cluster::agreeing_runs;
/// use brodmann_kernels::Silent;
///
/// let (halves, thirds) = (vec![0, 0, 0, 1, 1, 1], vec![0, 0, 1, 1, 2, 2]);
/// let runs = [vec![thirds, halves.clone()], vec![halves]];
/// assert_eq!(agreeing_runs(&runs, &Silent)?, [1, 0]);
/// # Ok::<(), brodmann::cluster::MembersError>(())
/// ```
pub fn agreeing_runs(runs: &[Vec<Vec<u32>>], monitor: &dyn Monitor) -> Result<Vec<usize>, MembersError> {
    if runs.is_empty() || runs.iter().any(Vec::is_empty) {
        return Err(MembersError::NoMembers);
    }
    let of_member: Vec<usize> =
        runs.iter().enumerate().flat_map(|(m, runs)| runs.iter().map(move |_| m)).collect();
    let first: Vec<usize> = (0..runs.len()).map(|m| of_member.partition_point(|own| *own < m)).collect();
    let all: Vec<&[u32]> = runs.iter().flatten().map(Vec::as_slice).collect();
    let agreement = agreements(&all, |a, b| of_member[a] != of_member[b], monitor)?;
    // With one run of each other member, or with the mean of several.
    let take = |m: usize, score: &dyn Fn(usize) -> f64| {
        let mut best = (0, f64::NEG_INFINITY);
        for r in 0..runs[m].len() {
            let found = score(first[m] + r);
            if found > best.1 {
                best = (r, found);
            }
        }
        best.0
    };
    let with_all = |run: usize| -> f64 {
        let of = |(other, &start): (usize, &usize)| {
            let n = runs[other].len();
            (0..n).map(|r| agreement[[run, start + r]]).sum::<f64>() / n as f64
        };
        first.iter().enumerate().filter(|(other, _)| *other != of_member[run]).map(of).sum()
    };
    let mut taken: Vec<usize> = (0..runs.len()).map(|m| take(m, &with_all)).collect();
    for _ in 0..SWEEPS {
        let before = taken.clone();
        for m in 0..runs.len() {
            let with_taken = |run: usize| -> f64 {
                let others = (0..runs.len()).filter(|other| *other != m);
                others.map(|other| agreement[[run, first[other] + taken[other]]]).sum()
            };
            taken[m] = take(m, &with_taken);
        }
        if taken == before {
            break;
        }
    }
    Ok(taken)
}

/// Scores along the leading components of the members' weighted indicator columns, `(n_obs, ≤ n_components)`.
///
/// `B` has the entry `w_m / √size` at a spot's label by member `m`; `BᵀB` counts the spots that two labels share, so that
/// the columns, a few per member, are all that is decomposed.
fn components(
    named: &[Codes],
    weights: &[f64],
    n_obs: usize,
    n_components: usize,
) -> Result<Array2<f64>, NotConverged> {
    let mut first = Vec::with_capacity(named.len());
    let mut entries: Vec<f64> = Vec::new();
    for (codes, weight) in named.iter().zip(weights) {
        first.push(entries.len());
        entries.extend(codes.counts.iter().map(|&size| weight / (size as f64).sqrt()));
    }
    let column = |m: usize, i: usize| first[m] + named[m].of[i] as usize;
    let d = entries.len();
    let mut shared = Array2::<f64>::zeros((d, d));
    for i in 0..n_obs {
        for a in 0..named.len() {
            for b in 0..named.len() {
                shared[[column(a, i), column(b, i)]] += 1.0;
            }
        }
    }
    // Of each column, the number of its spots times its entry, over all spots: its mean.
    let mean: Vec<f64> = (0..d).map(|j| shared[[j, j]] * entries[j] / n_obs.max(1) as f64).collect();
    let product = Array2::from_shape_fn((d, d), |(a, b)| {
        entries[a] * shared[[a, b]] * entries[b] - n_obs as f64 * mean[a] * mean[b]
    });
    let (_, vectors) = symmetric_eigen(product.view(), n_components)?;
    let k = vectors.ncols();
    let shift: Vec<f64> =
        (0..k).map(|t| mean.iter().zip(vectors.column(t)).map(|(m, v)| m * v).sum()).collect();
    let mut scores = Array2::zeros((n_obs, k));
    for (i, mut row) in scores.rows_mut().into_iter().enumerate() {
        for m in 0..named.len() {
            let j = column(m, i);
            row.scaled_add(entries[j], &vectors.row(j));
        }
        row.iter_mut().zip(&shift).for_each(|(v, s)| *v -= s);
    }
    Ok(scores)
}

/// Adjusted Rand index of the pairs that are wanted, 0 elsewhere; 1 on the diagonal.
fn agreements(
    members: &[&[u32]],
    is_wanted: impl Fn(usize, usize) -> bool,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, MembersError> {
    let pairs: Vec<(usize, usize)> = (0..members.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .filter(|&(a, b)| is_wanted(a, b))
        .collect();
    let found: Vec<f64> = pairs
        .par_iter()
        .map(|&(a, b)| {
            monitor.check()?;
            Ok(adjusted_rand_index(members[a], members[b])?)
        })
        .collect::<Result<_, MembersError>>()?;
    let mut agreement = Array2::eye(members.len());
    for (&(a, b), ari) in pairs.iter().zip(found) {
        agreement[[a, b]] = ari;
        agreement[[b, a]] = ari;
    }
    Ok(agreement)
}

/// Mean of a row but for the diagonal; 1 where there is nothing else.
fn with_others(agreement: &Array2<f64>, member: usize) -> f64 {
    match agreement.nrows() {
        1 => 1.0,
        n => (agreement.row(member).sum() - 1.0) / (n - 1) as f64,
    }
}

fn weights_of(agreement: &Array2<f64>) -> Vec<f64> {
    let m = agreement.nrows();
    let squares: Vec<f64> = (0..m).map(|member| with_others(agreement, member).max(0.0).powi(2)).collect();
    let total: f64 = squares.iter().sum();
    squares.iter().map(|s| if total > 0.0 { s / total } else { 1.0 / m as f64 }).collect()
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Silent};

    use super::*;

    fn of(maps: &[&[u32]], k: usize) -> (Members, MemberVotes) {
        let options = MembersOptions { n_clusters: k, ..Default::default() };
        let found = members(maps, None, &options, Seed(1), &Silent).expect("valid");
        let votes = member_votes(&found.labels, maps, &found.weights).expect("as long");
        (found, votes)
    }

    #[test]
    fn members_that_agree_are_followed_without_a_doubt() {
        let map: Vec<u32> = (0..60).map(|i| i / 20).collect();
        let renamed: Vec<u32> = map.iter().map(|l| 9 - l).collect();
        let (found, votes) = of(&[&map, &renamed, &map], 3);
        assert!((adjusted_rand_index(&found.labels, &map).expect("labels") - 1.0).abs() < 1e-12);
        assert!(votes.entropy.iter().all(|e| e.abs() < 1e-12));
        assert!(found.weights.iter().all(|w| (w - 1.0 / 3.0).abs() < 1e-12));
        assert!(found.agreement.iter().all(|a| (a - 1.0).abs() < 1e-12));
    }

    #[test]
    fn spots_on_which_members_differ_are_in_doubt() {
        let one: Vec<u32> = (0..60).map(|i| u32::from(i >= 30)).collect();
        let other: Vec<u32> = (0..60).map(|i| u32::from(i >= 36)).collect();
        let (_, votes) = of(&[&one, &other], 2);
        assert!(votes.probabilities.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-12));
        let (torn, sure) = (votes.entropy[33], votes.entropy[0]);
        assert!(torn > 0.8 && sure < 0.4, "{torn} {sure}");
    }

    #[test]
    fn votes_follow_the_numbers_of_the_map() {
        let map: Vec<u32> = (0..60).map(|i| i / 20).collect();
        let turned: Vec<u32> = map.iter().map(|l| 2 - l).collect();
        let (found, _) = of(&[&map, &turned], 3);
        let votes = |labels: &[u32]| member_votes(labels, &[&map, &turned], &found.weights).expect("as long");
        let (as_found, renamed) = (votes(&map), votes(&turned));
        for i in 0..60 {
            let own = map[i] as usize;
            assert_eq!(as_found.probabilities[[i, own]], renamed.probabilities[[i, 2 - own]]);
        }
        let short = member_votes(&map[..3], &[&map], &[1.0]);
        assert!(matches!(short, Err(MembersError::LengthMismatch { member: 0, found: 60, expected: 3 })));
        assert!(matches!(member_votes(&map, &[], &[]), Err(MembersError::NoMembers)));
    }

    #[test]
    fn neighbours_outvote_a_spot_on_its_own() {
        // A path of 40 spots in two halves; one member has put spot 5 into the other half.
        let rows: Vec<Vec<(u32, f64)>> = (0..40u32)
            .map(|i| {
                [i.checked_sub(1), Some(i + 1).filter(|j| *j < 40)]
                    .into_iter()
                    .flatten()
                    .map(|j| (j, 1.0))
                    .collect()
            })
            .collect();
        let path = CsrMatrix::from_rows(40, &rows);
        let halves: Vec<u32> = (0..40).map(|i| u32::from(i >= 20)).collect();
        let mut slip = halves.clone();
        slip[5] = 1;
        let options = MembersOptions { n_clusters: 2, ..Default::default() };
        let found = members(&[&halves, &slip], Some(path.view()), &options, Seed(1), &Silent).expect("valid");
        assert_eq!(found.labels[5], found.labels[4]);
    }

    #[test]
    fn the_runs_that_agree_are_taken_and_the_first_of_equals() {
        let halves: Vec<u32> = (0..60).map(|i| i / 30).collect();
        let thirds: Vec<u32> = (0..60).map(|i| i / 20).collect();
        let noise: Vec<u32> = (0..60).map(|i| i % 2).collect();
        let runs = [
            vec![noise.clone(), thirds.clone(), halves.clone()],
            vec![thirds.clone(), halves.clone()],
            vec![halves.clone(), halves, noise],
        ];
        assert_eq!(agreeing_runs(&runs, &Silent).expect("as long"), [2, 1, 0]);
        assert_eq!(agreeing_runs(&runs[..1], &Silent).expect("one member"), [0]);
        assert!(matches!(agreeing_runs(&[], &Silent), Err(MembersError::NoMembers)));
        assert!(matches!(agreeing_runs(&[vec![], vec![thirds]], &Silent), Err(MembersError::NoMembers)));
    }

    #[test]
    fn one_member_is_its_own_consensus_and_none_is_refused() {
        let map: Vec<u32> = (0..30).map(|i| i / 10).collect();
        let (found, _) = of(&[&map], 3);
        assert!((adjusted_rand_index(&found.labels, &map).expect("labels") - 1.0).abs() < 1e-12);
        assert_eq!(found.weights, [1.0]);
        let options = MembersOptions::default();
        assert!(matches!(members(&[], None, &options, Seed(1), &Silent), Err(MembersError::NoMembers)));
        let other = members(&[&map, &map[..3]], None, &options, Seed(1), &Silent);
        assert!(matches!(other, Err(MembersError::LengthMismatch { member: 1, found: 3, expected: 30 })));
    }
}
