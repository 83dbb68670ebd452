//! Who is compared with whom: spots in classes that every comparison treats alike.

use std::collections::BTreeMap;

use brodmann_kernels::{CsrView, OptionError, Slices};

use super::columns::NO_CLASS;
use super::{MarkerGroups, Reference};
use crate::graph::{GraphError, grouped};
use crate::stats::StatsError;

/// The comparisons, in terms of classes.
///
/// Spots of one class have the same slice and group, and are in the reference of the same groups. All sums are taken
/// by class; what a comparison needs is put together from them.
pub(super) struct Design {
    /// Code of each group, rising.
    pub(super) codes: Vec<u32>,
    pub(super) against: Against,
    pub(super) n_slices: usize,
    /// Class of each spot, [`NO_CLASS`] without a label.
    pub(super) class_of: Vec<u32>,
    /// Spots of each class.
    pub(super) sizes: Vec<usize>,
    /// Group of each class.
    pub(super) groups: Vec<u32>,
    /// Slice of each class.
    pub(super) slices: Vec<u32>,
    /// For each class the groups in whose reference it is; none where that is all other groups.
    references: Lists,
    /// Spots of each group in each slice, `slice · n_groups + group`.
    pub(super) n_own: Vec<usize>,
    /// Spots of its reference there.
    pub(super) n_reference: Vec<usize>,
    /// Spots of each group.
    pub(super) n_own_total: Vec<usize>,
    /// Spots of its reference.
    pub(super) n_reference_total: Vec<usize>,
}

/// What groups are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// All other groups.
    Rest,
    /// The group at this place among the codes.
    Group(u32),
    /// Spots of their own each.
    Sets,
}

/// Lists one after the other.
struct Lists {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    fn new<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Self {
        let (mut starts, mut items) = (vec![0], Vec::new());
        for list in lists {
            items.extend_from_slice(list);
            starts.push(items.len());
        }
        Self { starts, items }
    }

    #[inline]
    fn get(&self, i: usize) -> &[u32] {
        &self.items[self.starts[i]..self.starts[i + 1]]
    }
}

impl Design {
    pub(super) fn new(n_obs: usize, groups: &MarkerGroups<'_>) -> Result<Self, StatsError> {
        let labels = groups.labels;
        if labels.len() != n_obs {
            return Err(StatsError::LabelCount { found: labels.len(), expected: n_obs });
        }
        if n_obs >= NO_CLASS as usize {
            return Err(GraphError::TooManyObs { found: n_obs }.into());
        }
        let mut codes: Vec<u32> = labels.iter().flatten().copied().collect();
        codes.sort_unstable();
        codes.dedup();
        if codes.is_empty() {
            return Err(StatsError::NoLabels { n_obs });
        }
        let slices = grouped(n_obs, groups.slices)?;
        let place = |code: u32| codes.partition_point(|&c| c < code) as u32;
        let group_of: Vec<u32> = labels.iter().map(|label| label.map_or(NO_CLASS, place)).collect();
        let (against, memberships) = match groups.reference {
            Reference::Rest => (Against::Rest, None),
            Reference::Group(code) => {
                let reference = place(code);
                if codes.get(reference as usize) != Some(&code) {
                    let expected = "the code of a group that has spots";
                    return Err(OptionError::new("reference", code, expected).into());
                }
                (Against::Group(reference), Some(Memberships::of_group(reference, codes.len())))
            }
            Reference::Neighborhood { graph, n_hops } => {
                let near = Memberships::of_neighborhoods(&group_of, codes.len(), graph, n_hops)?;
                (Against::Sets, Some(near))
            }
        };
        Ok(Self::of(codes, against, &group_of, &slices, memberships.as_ref()))
    }

    fn of(
        codes: Vec<u32>,
        against: Against,
        group_of: &[u32],
        slices: &Slices,
        memberships: Option<&Memberships>,
    ) -> Self {
        let none: &[u32] = &[];
        let mut numbers = BTreeMap::new();
        let class_of: Vec<u32> = group_of
            .iter()
            .enumerate()
            .map(|(i, &group)| {
                if group == NO_CLASS {
                    return NO_CLASS;
                }
                let references = memberships.map_or(none, |m| m.of(i, group));
                let n = numbers.len() as u32;
                *numbers.entry((slices.of(i) as u32, group, references)).or_insert(n)
            })
            .collect();
        let mut classes = vec![(0, 0, none); numbers.len()];
        for (class, number) in numbers {
            classes[number as usize] = class;
        }
        let mut sizes = vec![0; classes.len()];
        for &class in class_of.iter().filter(|class| **class != NO_CLASS) {
            sizes[class as usize] += 1;
        }
        let (n_groups, n_slices) = (codes.len(), slices.count());
        let mut design = Self {
            codes,
            against,
            n_slices,
            class_of,
            sizes,
            groups: classes.iter().map(|class| class.1).collect(),
            slices: classes.iter().map(|class| class.0).collect(),
            references: Lists::new(classes.iter().map(|class| class.2)),
            n_own: vec![0; n_slices * n_groups],
            n_reference: vec![0; n_slices * n_groups],
            n_own_total: Vec::new(),
            n_reference_total: Vec::new(),
        };
        design.count();
        design
    }

    fn count(&mut self) {
        let n_groups = self.codes.len();
        for class in 0..self.sizes.len() {
            let first = self.slices[class] as usize * n_groups;
            self.n_own[first + self.groups[class] as usize] += self.sizes[class];
            for &group in self.references.get(class) {
                self.n_reference[first + group as usize] += self.sizes[class];
            }
        }
        if self.against == Against::Rest {
            for (own, reference) in self.n_own.chunks(n_groups).zip(self.n_reference.chunks_mut(n_groups)) {
                let total: usize = own.iter().sum();
                for (to, n) in reference.iter_mut().zip(own) {
                    *to = total - n;
                }
            }
        }
        let over_slices = |counts: &[usize]| -> Vec<usize> {
            (0..n_groups).map(|g| counts.iter().skip(g).step_by(n_groups).sum()).collect()
        };
        self.n_own_total = over_slices(&self.n_own);
        self.n_reference_total = over_slices(&self.n_reference);
    }

    pub(super) fn n_groups(&self) -> usize {
        self.codes.len()
    }

    /// The groups in whose reference the spots of a class are; none where that is all other groups.
    #[inline]
    pub(super) fn references(&self, class: usize) -> &[u32] {
        self.references.get(class)
    }

    /// The groups that are compared: all but the one the others are compared with.
    pub(super) fn compared(&self) -> impl Iterator<Item = usize> {
        let against = self.against;
        (0..self.n_groups()).filter(move |&group| against != Against::Group(group as u32))
    }
}

/// For each spot the groups in whose reference it is.
enum Memberships {
    /// All others, for the spots of one group.
    OneGroup { reference: u32, others: Vec<u32> },
    /// A list per spot.
    Spots(Lists),
}

impl Memberships {
    fn of_group(reference: u32, n_groups: usize) -> Self {
        Self::OneGroup { reference, others: (0..n_groups as u32).filter(|&g| g != reference).collect() }
    }

    fn of(&self, spot: usize, group: u32) -> &[u32] {
        match self {
            Self::OneGroup { reference, others } if group == *reference => others,
            Self::OneGroup { .. } => &[],
            Self::Spots(lists) => lists.get(spot),
        }
    }

    /// Breadth first from all spots of a group at once, group by group; edges lead both ways.
    fn of_neighborhoods(
        group_of: &[u32],
        n_groups: usize,
        graph: CsrView<'_, f64>,
        n_hops: usize,
    ) -> Result<Self, StatsError> {
        let n_obs = group_of.len();
        let (rows, columns) = (graph.n_rows(), graph.n_cols());
        if rows != n_obs || columns != n_obs {
            return Err(StatsError::ShapeMismatch { rows, columns, n_obs });
        }
        if n_hops == 0 {
            return Err(OptionError::new("n_hops", n_hops, "at least 1").into());
        }
        let backwards = graph.transpose();
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); n_groups];
        for (i, &group) in group_of.iter().enumerate().filter(|(_, group)| **group != NO_CLASS) {
            members[group as usize].push(i as u32);
        }
        // The group that reached a spot last.
        let mut reached = vec![NO_CLASS; n_obs];
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (group, mut frontier) in members.into_iter().enumerate() {
            let group = group as u32;
            for &i in &frontier {
                reached[i as usize] = group;
            }
            for _ in 0..n_hops {
                let mut next = Vec::new();
                for &i in &frontier {
                    let (out, into) = (graph.row(i as usize).0, backwards.view().row(i as usize).0);
                    for &j in out.iter().chain(into) {
                        if reached[j as usize] != group {
                            reached[j as usize] = group;
                            next.push(j);
                        }
                    }
                }
                pairs.extend(next.iter().filter(|j| group_of[**j as usize] != NO_CLASS).map(|&j| (j, group)));
                if next.is_empty() {
                    break;
                }
                frontier = next;
            }
        }
        // Groups were visited in order, so that the list of every spot rises.
        pairs.sort_unstable();
        let (mut starts, mut at) = (Vec::with_capacity(n_obs + 1), 0);
        starts.push(0);
        for i in 0..n_obs as u32 {
            at += pairs[at..].iter().take_while(|pair| pair.0 == i).count();
            starts.push(at);
        }
        Ok(Self::Spots(Lists { starts, items: pairs.into_iter().map(|pair| pair.1).collect() }))
    }
}
