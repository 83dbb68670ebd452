//! Refinement: each community is rebuilt from single nodes by randomised, well-connected merges.
//!
//! A node merges only while still alone and only if it is well connected to its community,
//! `B(v, C∖v) ≥ y_v·(X_C − x_v)`; it joins a group `S ⊆ C` that is itself well connected,
//! `B(S, C∖S) ≥ Y_S·(X_C − X_S)`, where it gains `g ≥ 0`, with probability `∝ exp(g / θ)`. The groups become the
//! nodes of the next level. Communities do not see each other here, so they are refined in parallel, each with
//! random words named by position: the thread that does it cannot matter.

use brodmann_kernels::{Interrupted, Monitor, Seed};
use rayon::prelude::*;

use super::adjacency::Adjacency;
use super::level::{Accumulator, Level, add, below, dot, subtract};

/// Gains this many times θ below the best are never drawn: `exp(−40) < 2⁻⁵³`.
const NEGLIGIBLE: f64 = 40.0;

/// Nodes per parallel task, unless one community is larger.
const TASK_NODES: usize = 4096;

/// Nodes in order of their group, and where each group starts.
pub(crate) struct Grouping {
    pub order: Vec<u32>,
    pub starts: Vec<usize>,
}

impl Grouping {
    /// Nodes sorted by `group` (`0..n_groups`), by number within.
    pub fn new(group: &[u32], n_groups: usize) -> Self {
        let mut starts = vec![0usize; n_groups + 1];
        for &g in group {
            starts[g as usize + 1] += 1;
        }
        for g in 0..n_groups {
            starts[g + 1] += starts[g];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; group.len()];
        for (v, &g) in group.iter().enumerate() {
            order[next[g as usize]] = v as u32;
            next[g as usize] += 1;
        }
        Self { order, starts }
    }

    pub fn n_groups(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn members(&self, group: usize) -> &[u32] {
        &self.order[self.starts[group]..self.starts[group + 1]]
    }
}

/// The refined partition: groups numbered community by community.
pub(crate) struct Refined {
    /// Group of each node.
    pub groups: Vec<u32>,
    /// Community of each group.
    pub community_of_group: Vec<u32>,
}

/// Refines `communities` (labels `0..n_communities`, all in use); `theta` is the randomness in units of gain. Communities
/// that are `whole` (none where the list is empty) are left as one group.
pub(crate) fn refine<G: Adjacency, const T: usize>(
    level: &Level<'_, G, T>,
    (communities, n_communities): (&[u32], usize),
    whole: &[bool],
    theta: f64,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Refined, Interrupted> {
    let n = level.n_nodes();
    let grouping = Grouping::new(communities, n_communities);
    let mut position = vec![0u32; n];
    for (p, &v) in grouping.order.iter().enumerate() {
        position[v as usize] = p as u32;
    }

    // Local group of each position, written by disjoint tasks of whole communities.
    let mut local = vec![0u32; n];
    let mut n_groups = vec![0u32; n_communities];
    let mut tasks = Vec::new();
    let (mut rest_local, mut rest_groups) = (local.as_mut_slice(), n_groups.as_mut_slice());
    let mut first = 0;
    while first < n_communities {
        let start = grouping.starts[first];
        let mut end = first + 1;
        while end < n_communities && grouping.starts[end + 1] - start <= TASK_NODES {
            end += 1;
        }
        let (task_local, tail) = rest_local.split_at_mut(grouping.starts[end] - start);
        rest_local = tail;
        let (task_groups, tail) = rest_groups.split_at_mut(end - first);
        rest_groups = tail;
        tasks.push((first, task_local, task_groups));
        first = end;
    }
    tasks.into_par_iter().try_for_each(|(first, mut task_local, task_groups)| {
        let largest = (first..first + task_groups.len())
            .filter(|&c| whole.get(c).is_none_or(|whole| !whole))
            .map(|c| grouping.starts[c + 1] - grouping.starts[c])
            .max()
            .unwrap_or(0);
        let mut workspace = Workspace::<T>::new(largest);
        for (k, count) in task_groups.iter_mut().enumerate() {
            let c = first + k;
            let (community_local, tail) =
                std::mem::take(&mut task_local).split_at_mut(grouping.starts[c + 1] - grouping.starts[c]);
            task_local = tail;
            if whole.get(c).is_some_and(|whole| *whole) {
                // All of it is group 0 already.
                *count = 1;
                continue;
            }
            let community =
                Community { level, grouping: &grouping, position: &position, start: grouping.starts[c] };
            *count = community.refine(community_local, theta, seed, &mut workspace);
        }
        monitor.check()
    })?;

    let mut community_of_group = Vec::new();
    let mut groups = vec![0u32; n];
    for c in 0..n_communities {
        let offset = community_of_group.len() as u32;
        community_of_group.extend(std::iter::repeat_n(c as u32, n_groups[c] as usize));
        for p in grouping.starts[c]..grouping.starts[c + 1] {
            groups[grouping.order[p] as usize] = offset + local[p];
        }
    }
    Ok(Refined { groups, community_of_group })
}

/// Arrays for one community at a time, sized for the largest of a task.
struct Workspace<const T: usize> {
    /// Group of each position, and one entry more for all nodes outside.
    groups: Vec<u32>,
    /// Weight from each group to the rest of its community.
    external: Vec<f64>,
    totals: Vec<[f64; T]>,
    members: Vec<u32>,
    visit: Vec<u32>,
    candidates: Vec<(u32, f64)>,
    sums: Accumulator,
}

impl<const T: usize> Workspace<T> {
    fn new(n: usize) -> Self {
        Self {
            groups: vec![0; n + 1],
            external: vec![0.0; n],
            totals: vec![[0.0; T]; n],
            members: vec![0; n],
            visit: vec![0; n],
            candidates: Vec::new(),
            sums: Accumulator::new(n + 1),
        }
    }
}

struct Community<'a, 'l, G, const T: usize> {
    level: &'a Level<'l, G, T>,
    grouping: &'a Grouping,
    position: &'a [u32],
    start: usize,
}

impl<G: Adjacency, const T: usize> Community<'_, '_, G, T> {
    /// Fills `groups` (by local position) with groups `0..k` in order of their first node; returns `k`.
    fn refine(&self, groups: &mut [u32], theta: f64, seed: Seed, work: &mut Workspace<T>) -> u32 {
        let n = groups.len();
        if n == 1 {
            groups[0] = 0;
            return 1;
        }
        let community_total = self.start_alone(work, n);
        // Two words per position: one for the order, one for the choice.
        let word = |kind: u64, i: usize| seed.word((self.start + i) as u64 * 2 + kind);
        for i in (1..n).rev() {
            work.visit.swap(i, below(word(0, i), i + 1));
        }
        let level = self.level;
        let well_connected = |external: f64, total: &[f64; T]| {
            let mut others = community_total;
            subtract(&mut others, total);
            external >= dot(&level.signed(total), &others)
        };
        let nodes = &self.grouping.order[self.start..self.start + n];
        let outside = n as u32;
        for k in 0..n {
            self.look_ahead(nodes, &work.visit[k..n]);
            let i = work.visit[k] as usize;
            let v = nodes[i] as usize;
            let size = &level.sizes[v];
            let alone = work.groups[i] as usize == i && work.members[i] == 1;
            if !alone || !well_connected(work.external[i], size) {
                continue;
            }
            let (groups, sums) = (&work.groups, &mut work.sums);
            level.edges.for_each(v, |j, w| sums.add(groups[self.local(j, n)], w));
            let y = level.signed(size);
            let mut best = 0.0f64;
            work.candidates.clear();
            let (candidates, totals, external) = (&mut work.candidates, &work.totals, &work.external);
            work.sums.drain(|g, weight| {
                if g == outside {
                    return;
                }
                let total = &totals[g as usize];
                let gain = weight - dot(&y, total);
                // weight > 0: groups stay connected even where negative edges exist.
                if gain >= 0.0 && weight > 0.0 && well_connected(external[g as usize], total) {
                    candidates.push((g, gain));
                    best = best.max(gain);
                }
            });
            let Some((chosen, gain)) = choose(&work.candidates, best, theta, word(1, i)) else { continue };
            let g = chosen as usize;
            let weight = gain + dot(&y, &work.totals[g]);
            work.external[g] += work.external[i] - 2.0 * weight;
            add(&mut work.totals[g], size);
            work.members[g] += 1;
            work.members[i] = 0;
            work.groups[i] = chosen;
        }
        groups.copy_from_slice(&work.groups[..n]);
        number_by_first_use(groups, &mut work.visit)
    }

    /// Position of node `j` in this community of `n`; `n` for a node of another.
    #[inline(always)]
    fn local(&self, j: u32, n: usize) -> usize {
        (self.position[j as usize] as usize).wrapping_sub(self.start).min(n)
    }

    /// Every node its own group; returns `X_C`.
    fn start_alone(&self, work: &mut Workspace<T>, n: usize) -> [f64; T] {
        let level = self.level;
        let nodes = &self.grouping.order[self.start..self.start + n];
        let mut community_total = [0.0; T];
        for (i, &v) in nodes.iter().enumerate() {
            if let Some(&soon) = nodes.get(i + 6) {
                level.edges.prefetch_row(soon as usize);
            }
            if let Some(&soon) = nodes.get(i + 3) {
                level.edges.prefetch_neighbours(soon as usize, self.position);
            }
            let size = &level.sizes[v as usize];
            work.groups[i] = i as u32;
            work.totals[i] = *size;
            work.members[i] = 1;
            work.visit[i] = i as u32;
            add(&mut community_total, size);
            let mut inside = 0.0;
            level.edges.for_each(v as usize, |j, w| inside += if self.local(j, n) < n { w } else { 0.0 });
            work.external[i] = inside;
        }
        // Weights to other communities are summed too, into a slot nobody reads: cheaper than a branch that
        // cannot be predicted.
        work.groups[n] = n as u32;
        community_total
    }

    /// Asks for what the nodes after `visit[0]` will need.
    #[inline(always)]
    fn look_ahead(&self, nodes: &[u32], visit: &[u32]) {
        if let Some(&soon) = visit.get(6) {
            self.level.edges.prefetch_row(nodes[soon as usize] as usize);
        }
        if let Some(&soon) = visit.get(3) {
            self.level.edges.prefetch_neighbours(nodes[soon as usize] as usize, self.position);
        }
    }
}

/// Draws a candidate with probability `∝ exp(gain / θ)`; staying alone, gain 0, is one too (`None`).
fn choose(candidates: &[(u32, f64)], best: f64, theta: f64, word: u64) -> Option<(u32, f64)> {
    let likely = |gain: f64| gain - best > -NEGLIGIBLE * theta;
    let alone = if likely(0.0) { (-best / theta).exp() } else { 0.0 };
    let mut n_likely = usize::from(alone > 0.0);
    let mut last = None;
    for &(g, gain) in candidates.iter().filter(|c| likely(c.1)) {
        n_likely += 1;
        last = Some((g, gain));
    }
    if n_likely <= 1 {
        return last;
    }
    let share = |gain: f64| if likely(gain) { ((gain - best) / theta).exp() } else { 0.0 };
    let total: f64 = alone + candidates.iter().map(|c| share(c.1)).sum::<f64>();
    // 53 random bits in [0, 1).
    let mut left = (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64) * total;
    for &candidate in candidates {
        left -= share(candidate.1);
        if left < 0.0 {
            return Some(candidate);
        }
    }
    if alone > 0.0 { None } else { last }
}

fn number_by_first_use(labels: &mut [u32], number: &mut [u32]) -> u32 {
    number[..labels.len()].fill(u32::MAX);
    let mut next = 0;
    for label in labels {
        let slot = &mut number[*label as usize];
        if *slot == u32::MAX {
            *slot = next;
            next += 1;
        }
        *label = *slot;
    }
    next
}
