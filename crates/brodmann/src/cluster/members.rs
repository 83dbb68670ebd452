//! One map from several methods' maps: what they agree on, how sure that is, and who stands apart.

use brodmann_kernels::{CsrView, Diagnosis, Interrupted, Monitor, ParallelLoop};
use ndarray::Array2;
use rayon::prelude::*;

use super::consensus::{Named, align, by_size};
use crate::metrics::{Codes, MetricsError, adjusted_rand_index};

/// Sweeps over the members at most; agreement rises with every change, so that the choice settles by itself.
const SWEEPS: usize = 20;
/// Rounds of voting at most; a handful is usual.
const MAX_ROUNDS: usize = 50;
/// Spots that vote in one task; fixed.
const CHUNK: usize = 4096;

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
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for MembersError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Metrics(e) => Some(e),
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

/// What several members agree on.
#[derive(Clone, Debug)]
pub struct Members {
    /// Domain of each spot, `0` the largest.
    pub labels: Vec<u32>,
    /// `(members, members)`: mean adjusted Rand index of a run of the one with a run of the other; 1 on the diagonal.
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

/// The map that the runs of several members vote for, spots and their neighbours together.
///
/// ```text
/// weight of a member = square of the mean ARI of its runs with those of the others (none below 0), shared by its runs:
///                      one that stands apart fades by itself; where nobody agrees with anybody all weigh the same
/// map = the run of n_clusters that agrees best with all others; the next one, should the vote leave a domain without spots
/// until nothing changes:
///     match the clusters of each run one to one with the domains of the map, so that most spots agree; a cluster
///     left over goes to the domain that it overlaps most
///     map = for each spot the domain that has most votes of the spot and its neighbours
/// where no start keeps every domain, the first one does, and domains without votes keep the spots that they have
/// ```
///
/// How sure a spot is of its domain: [`member_votes`].
///
/// # Inputs
/// `runs`: of each member the labels of its runs, any names, all of the same spots. `graph`: `(n_obs, n_obs)`, stored
/// entries are neighbours. `n_clusters`: domains wanted; where no run has that many, the map has as many as the run that it
/// starts from.
/// # Errors
/// [`MembersError`].
/// # Cost
/// With R runs O(R² n) for the pairs; O(R (n + entries of the graph)) per round, of which there are a handful for each start
/// tried; `8 R n` bytes.
/// # Source
/// Ours; voting after alignment as in Dimitriadou, Weingessel & Hornik 2002.
///
/// # Example
///
/// ```
/// use brodmann::cluster::members;
/// use brodmann_kernels::Silent;
///
/// // Two agree, the third has a map of its own and no weight.
/// let runs = [vec![vec![0, 0, 0, 1, 1, 1]], vec![vec![4, 4, 4, 2, 2, 2]], vec![vec![0, 1, 1, 1, 1, 0]]];
/// let found = members(&runs, None, 2, &Silent)?;
/// assert_eq!(found.labels, [0, 0, 0, 1, 1, 1]);
/// assert!(found.weights[2] < 0.01);
/// # Ok::<(), brodmann::cluster::MembersError>(())
/// ```
pub fn members(
    runs: &[Vec<Vec<u32>>],
    graph: Option<CsrView<'_, f64>>,
    n_clusters: usize,
    monitor: &dyn Monitor,
) -> Result<Members, MembersError> {
    let Runs { all, of_member, .. } = Runs::new(runs)?;
    let expected = graph.map_or(all[0].len(), CsrView::n_rows);
    if let Some((run, labels)) = all.iter().enumerate().find(|(_, l)| l.len() != expected) {
        return Err(MembersError::LengthMismatch { member: of_member[run], found: labels.len(), expected });
    }
    let of_runs = agreements(&all, |_, _| true, monitor)?;
    let agreement = mean_of_runs(&of_runs, &of_member, runs.len());
    let weights = weights_of(&agreement);
    let of_run: Vec<f64> = of_member.iter().map(|&m| weights[m] / runs[m].len() as f64).collect();

    let named: Vec<Named> = all.iter().map(|labels| Named::new(labels)).collect();
    let mut map: Option<Named> = None;
    for start in starts(&named, &of_runs, n_clusters) {
        let voted = settle(named[start].clone(), &named, &of_run, graph, monitor)?;
        let is_last = voted.every_domain_has_votes;
        if is_last || map.is_none() {
            map = Some(voted.map);
        }
        if is_last {
            break;
        }
    }
    let map = map.expect("there are runs");
    let number = by_size(&map.labels, map.count);
    let labels = map.labels.iter().map(|&l| number[l as usize]).collect();
    Ok(Members { labels, agreement, weights })
}

/// The runs that the vote may start from: those with the number of clusters wanted, else all; who agrees best with all others
/// comes first, of equals the first.
fn starts(named: &[Named], agreement: &Array2<f64>, n_clusters: usize) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..named.len()).filter(|&run| named[run].count == n_clusters).collect();
    if starts.is_empty() {
        starts = (0..named.len()).collect();
    }
    let with_all: Vec<f64> = agreement.rows().into_iter().map(|row| row.sum()).collect();
    starts.sort_by(|&a, &b| with_all[b].total_cmp(&with_all[a]));
    starts
}

/// Where a vote ended.
struct Voted {
    map: Named,
    /// No domain had to be kept.
    every_domain_has_votes: bool,
}

/// Votes until nothing changes.
fn settle(
    mut map: Named,
    named: &[Named],
    weights: &[f64],
    graph: Option<CsrView<'_, f64>>,
    monitor: &dyn Monitor,
) -> Result<Voted, Interrupted> {
    let mut every_domain_has_votes = true;
    for _ in 0..MAX_ROUNDS {
        monitor.check()?;
        let aligned: Vec<Vec<u32>> = named.par_iter().map(|run| align(run, &map)).collect_vec();
        let mut next = vote(&aligned, weights, graph, &map);
        every_domain_has_votes = keep_every_domain(&mut next, &map);
        if next == map.labels {
            break;
        }
        map.labels = next;
    }
    Ok(Voted { map, every_domain_has_votes })
}

/// The name with most votes of each spot and its neighbours, the votes added in a fixed order; ties to the map's own, then to the
/// lower name.
fn vote(aligned: &[Vec<u32>], weights: &[f64], graph: Option<CsrView<'_, f64>>, map: &Named) -> Vec<u32> {
    let mut winners = map.labels.clone();
    winners.par_chunks_mut(CHUNK).enumerate().each(|(chunk, out)| {
        let mut votes = vec![0.0; map.count];
        for (offset, winner) in out.iter_mut().enumerate() {
            let i = chunk * CHUNK + offset;
            votes.fill(0.0);
            let near = graph.map_or(&[][..], |graph| graph.row(i).0);
            for j in std::iter::once(i).chain(near.iter().map(|&j| j as usize).filter(|&j| j != i)) {
                for (run, weight) in aligned.iter().zip(weights) {
                    votes[run[j] as usize] += weight;
                }
            }
            for (name, of_name) in votes.iter().enumerate() {
                if *of_name > votes[*winner as usize] {
                    *winner = name as u32;
                }
            }
        }
    });
    winners
}

/// Gives domains that lost every vote the spots back that they had; whether there were none.
fn keep_every_domain(next: &mut [u32], map: &Named) -> bool {
    let mut all_had_votes = true;
    loop {
        let mut has_spots = vec![false; map.count];
        for &name in next.iter() {
            has_spots[name as usize] = true;
        }
        if !has_spots.contains(&false) {
            return all_had_votes;
        }
        all_had_votes = false;
        // Those may have been all that another domain had won.
        for (name, &before) in next.iter_mut().zip(&map.labels) {
            if !has_spots[before as usize] {
                *name = before;
            }
        }
    }
}

/// The runs of all members in one list.
struct Runs<'a> {
    all: Vec<&'a [u32]>,
    of_member: Vec<usize>,
    /// Place of each member's first.
    first: Vec<usize>,
}

impl<'a> Runs<'a> {
    fn new(runs: &'a [Vec<Vec<u32>>]) -> Result<Self, MembersError> {
        if runs.is_empty() || runs.iter().any(Vec::is_empty) {
            return Err(MembersError::NoMembers);
        }
        let of_member: Vec<usize> =
            runs.iter().enumerate().flat_map(|(m, runs)| runs.iter().map(move |_| m)).collect();
        let first = (0..runs.len()).map(|m| of_member.partition_point(|own| *own < m)).collect();
        let all = runs.iter().flatten().map(Vec::as_slice).collect();
        Ok(Self { all, of_member, first })
    }
}

/// Of members, from that of their runs.
fn mean_of_runs(of_runs: &Array2<f64>, of_member: &[usize], n_members: usize) -> Array2<f64> {
    let mut sums = Array2::<f64>::zeros((n_members, n_members));
    let mut counts = Array2::<f64>::zeros((n_members, n_members));
    for ((a, b), agreement) in of_runs.indexed_iter() {
        let at = [of_member[a], of_member[b]];
        sums[at] += agreement;
        counts[at] += 1.0;
    }
    let mut mean = sums / counts;
    mean.diag_mut().fill(1.0);
    mean
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
    let Runs { all, of_member, first } = Runs::new(runs)?;
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
        .try_collect_vec::<_, MembersError>()?;
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

    /// One run of each.
    fn runs(maps: &[&[u32]]) -> Vec<Vec<Vec<u32>>> {
        maps.iter().map(|map| vec![map.to_vec()]).collect()
    }

    fn of(maps: &[&[u32]], k: usize) -> (Members, MemberVotes) {
        let found = members(&runs(maps), None, k, &Silent).expect("valid");
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
        // The map is the first's; of the 36 spots that the second puts to the left, 30 lie there.
        let p: f64 = 0.5 + 0.5 * 30.0 / 36.0;
        let expected = -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
        assert!((sure - expected).abs() < 1e-12 && torn > 2.0 * sure, "{torn} {sure}");
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
        let found = members(&runs(&[&halves, &slip]), Some(path.view()), 2, &Silent).expect("valid");
        assert_eq!(found.labels, halves);
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
    fn every_run_votes_and_a_member_has_one_weight_whatever_its_runs() {
        // Of twelve spots the sixth is torn: two of three runs of the first member, and the second, put it to the left.
        let left: Vec<u32> = (0..12).map(|i| u32::from(i >= 6)).collect();
        let right: Vec<u32> = (0..12).map(|i| u32::from(i >= 5)).collect();
        let found =
            members(&[vec![left.clone(), right.clone(), left.clone()], vec![left.clone()]], None, 2, &Silent)
                .expect("valid");
        assert_eq!(found.labels, left);
        assert!((found.weights[0] - 0.5).abs() < 1e-12);
        let mean = (2.0 + adjusted_rand_index(&left, &right).expect("labels")) / 3.0;
        assert!((found.agreement[[0, 1]] - mean).abs() < 1e-12);
        assert_eq!(found.agreement[[0, 0]], 1.0);
    }

    #[test]
    fn a_domain_that_would_lose_all_its_spots_stays() {
        // Each of three finds the last pair somewhere else; the first agrees best and has three clusters.
        let three: Vec<u32> = (0..24).map(|i| if i >= 22 { 2 } else { u32::from(i >= 11) }).collect();
        let two: Vec<u32> = (0..24).map(|i| u32::from(i >= 11)).collect();
        let found = members(&runs(&[&three, &two, &two, &two]), None, 3, &Silent).expect("valid");
        assert_eq!(found.labels, three);
    }

    #[test]
    fn the_vote_starts_where_every_domain_keeps_votes() {
        // Most find two halves, which the first run of three cuts elsewhere than the two others of three do.
        let halves: Vec<u32> = (0..40).map(|i| i / 20).collect();
        let lonely: Vec<u32> = (0..40).map(|i| if i == 0 { 2 } else { i / 20 }).collect();
        let ends: Vec<u32> = (0..40).map(|i| if i > 34 { 2 } else { i / 20 }).collect();
        let maps = [&lonely[..], &ends, &ends, &ends, &halves, &halves];
        let found = members(&runs(&maps), None, 3, &Silent).expect("valid");
        assert_eq!(found.labels, ends);
        // Without them the lonely spot is all that there is of a third.
        let found = members(&runs(&[maps[0], maps[4], maps[5]]), None, 3, &Silent).expect("valid");
        assert_eq!(found.labels[0], 2);
        assert_eq!(found.labels.iter().filter(|l| **l == 2).count(), 1);
    }

    #[test]
    fn spots_given_back_leave_no_other_domain_empty() {
        let map = Named::new(&[0, 1, 2, 2, 2]);
        let mut next = vec![1, 2, 2, 2, 2];
        assert!(!keep_every_domain(&mut next, &map));
        assert_eq!(next, [0, 1, 2, 2, 2]);
        assert!(keep_every_domain(&mut next, &map));
    }

    #[test]
    fn one_member_is_its_own_consensus_and_none_is_refused() {
        let map: Vec<u32> = (0..30).map(|i| i / 10).collect();
        let (found, _) = of(&[&map], 3);
        assert!((adjusted_rand_index(&found.labels, &map).expect("labels") - 1.0).abs() < 1e-12);
        assert_eq!(found.weights, [1.0]);
        assert!(matches!(members(&[], None, 3, &Silent), Err(MembersError::NoMembers)));
        assert!(matches!(members(&[vec![]], None, 3, &Silent), Err(MembersError::NoMembers)));
        let other = members(&runs(&[&map, &map[..3]]), None, 3, &Silent);
        assert!(matches!(other, Err(MembersError::LengthMismatch { member: 1, found: 3, expected: 30 })));
    }
}
