//! Who is whose positive and who whose negative, in an order that keeps slices and classes together.

use std::ops::Range;

use brodmann_kernels::similarity::Pairs;
use brodmann_kernels::{CsrView, ParallelLoop, Slices};
use rayon::prelude::*;

use super::super::error::StaigError;

/// Rows of the stack are numbered by `u32`, and there are two per observation.
const MAX_OBS: usize = (u32::MAX / 2) as usize;

/// The fixed part of the loss: neighbours, slices, classes; made once per run.
///
/// *Places* number the observations sorted by slice, then class, then index. In the *stack* each slice has first its
/// rows of view 1, then those of view 2: with the slice's places in `a..b`, place `p` stands in rows `a + p` and
/// `b + p`.
#[derive(Clone, Debug)]
pub struct ContrastPairs {
    /// Observation at each place.
    order: Vec<u32>,
    /// Place of each observation.
    places: Vec<u32>,
    /// Places of each slice.
    slices: Vec<Range<usize>>,
    /// Slice of each place.
    slice_of: Vec<u32>,
    /// Places of each class of each slice, in order; `None` without classes.
    classes: Option<Vec<(u32, Range<usize>)>>,
    /// Class range (index into `classes`) of each place; empty without classes.
    class_of: Vec<u32>,
    /// Neighbours as places: row starts and columns.
    indptr: Vec<usize>,
    neighbors: Vec<u32>,
    /// Row ranges of the stack that belong together, and what each row excludes.
    groups: Vec<Range<usize>>,
    excluded: Vec<[u32; 4]>,
}

impl ContrastPairs {
    /// Checks the graph and sorts the observations.
    ///
    /// # Inputs
    /// `graph`: `(n, n)`, undirected, no diagonal, stored entries are edges whatever their value.
    /// `slices`: slice code per observation, or one slice. `classes`: image class per observation; pairs of
    /// one class are no negatives.
    /// # Errors
    /// `GraphShape`, `RowCount`, `SelfNeighbor`, `NotSymmetric`, `EdgeAcrossSlices`, `TooManyObs`.
    /// # Cost
    /// O(n log n + nnz).
    pub fn try_new(
        graph: CsrView<'_, f64>,
        slices: Option<&Slices>,
        classes: Option<&[u32]>,
    ) -> Result<Self, StaigError> {
        let n = graph.n_rows();
        check(graph, slices, classes)?;
        let slice = |i: u32| slices.map_or(0, |s| s.of(i as usize));
        let class = |i: u32| classes.map_or(0, |c| c[i as usize]);
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by_key(|&i| (slice(i), class(i), i));
        let mut place = vec![0u32; n];
        for (p, &i) in order.iter().enumerate() {
            place[i as usize] = p as u32;
        }

        let slice_ranges = runs(n, |p| slice(order[p]));
        let mut slice_of = vec![0u32; n];
        for (s, range) in slice_ranges.iter().enumerate() {
            slice_of[range.clone()].fill(s as u32);
        }
        let class_ranges = classes
            .map(|_| runs(n, |p| (slice(order[p]), class(order[p]))))
            .map(|ranges| ranges.into_iter().map(|range| (slice_of[range.start], range)).collect::<Vec<_>>());
        let mut class_of = Vec::new();
        if let Some(ranges) = &class_ranges {
            class_of.resize(n, 0);
            for (c, (_, range)) in ranges.iter().enumerate() {
                class_of[range.clone()].fill(c as u32);
            }
        }

        let mut indptr = Vec::with_capacity(n + 1);
        let mut neighbors = Vec::with_capacity(graph.nnz());
        indptr.push(0);
        for &i in &order {
            let start = neighbors.len();
            neighbors.extend(graph.row(i as usize).0.iter().map(|&j| place[j as usize]));
            neighbors[start..].sort_unstable();
            indptr.push(neighbors.len());
        }

        let groups: Vec<Range<usize>> = slice_ranges.iter().map(|r| 2 * r.start..2 * r.end).collect();
        let mut excluded = vec![[0u32; 4]; 2 * n];
        for p in 0..n {
            let places = &slice_ranges[slice_of[p] as usize];
            let rows = [places.start + p, places.end + p];
            match &class_ranges {
                Some(ranges) => {
                    let class = &ranges[class_of[p] as usize].1;
                    let both = [
                        (places.start + class.start) as u32,
                        (places.start + class.end) as u32,
                        (places.end + class.start) as u32,
                        (places.end + class.end) as u32,
                    ];
                    excluded[rows[0]] = both;
                    excluded[rows[1]] = both;
                }
                None => {
                    for row in rows {
                        excluded[row] = [row as u32, row as u32 + 1, 0, 0];
                    }
                }
            }
        }
        Ok(Self {
            order,
            places: place,
            slices: slice_ranges,
            slice_of,
            classes: class_ranges,
            class_of,
            indptr,
            neighbors,
            groups,
            excluded,
        })
    }

    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.order.len()
    }

    /// Number of slices.
    pub fn n_slices(&self) -> usize {
        self.slices.len()
    }

    /// Observations of each slice, rising.
    pub(in super::super) fn members(&self) -> Vec<Vec<u32>> {
        let sorted = |slice: &Range<usize>| {
            let mut members = self.order[slice.clone()].to_vec();
            members.sort_unstable();
            members
        };
        self.slices.iter().map(sorted).collect()
    }

    /// Pairs of observations within slices, both orders.
    pub fn n_pairs(&self) -> f64 {
        self.slices.iter().map(|s| (s.len() as f64).powi(2)).sum()
    }

    /// Are there image classes?
    pub fn is_debiased(&self) -> bool {
        self.classes.is_some()
    }

    /// For the sums over all pairs of the stack.
    pub(super) fn stacked(&self) -> Pairs<'_> {
        Pairs { groups: &self.groups, excluded: &self.excluded }
    }

    /// Places of each slice.
    pub(super) fn slices(&self) -> &[Range<usize>] {
        &self.slices
    }

    /// Slice and places of each class, if there are classes.
    pub(super) fn classes(&self) -> Option<&[(u32, Range<usize>)]> {
        self.classes.as_deref()
    }

    /// Neighbours of a place, as places, rising.
    pub(super) fn neighbors(&self, place: usize) -> &[u32] {
        &self.neighbors[self.indptr[place]..self.indptr[place + 1]]
    }

    /// Rows of the stack of a place, in view 1 and view 2.
    #[inline]
    pub(super) fn rows(&self, place: usize) -> [usize; 2] {
        let slice = &self.slices[self.slice_of[place] as usize];
        [slice.start + place, slice.end + place]
    }

    /// Are these two places of one class? Never without classes.
    #[inline]
    pub(super) fn same_class(&self, a: usize, b: usize) -> bool {
        !self.class_of.is_empty() && self.class_of[a] == self.class_of[b]
    }

    /// How many rows of the stack enter the dense sum of a place's rows.
    pub(super) fn n_negatives(&self, place: usize) -> usize {
        let slice = self.slices[self.slice_of[place] as usize].len();
        match &self.classes {
            Some(classes) => 2 * (slice - classes[self.class_of[place] as usize].1.len()),
            None => 2 * slice - 1,
        }
    }

    /// Observation at each place.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Values given by place, as values by observation.
    #[cfg(test)]
    pub(super) fn by_observation(&self, by_place: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; self.n_obs()];
        for (p, &i) in self.order.iter().enumerate() {
            out[i as usize] = by_place(p);
        }
        out
    }

    /// Calls `f(scratch, place, view, row)` on the rows of a stack, in parallel.
    pub(super) fn for_each_row<T: Send, S>(
        &self,
        stack: &mut [T],
        width: usize,
        scratch: impl Fn() -> S + Sync,
        f: impl Fn(&mut S, usize, usize, &mut [T]) + Sync,
    ) {
        if width == 0 {
            return;
        }
        let mut parts: Vec<(Range<usize>, usize, &mut [T])> = Vec::with_capacity(2 * self.slices.len());
        let mut rest = stack;
        for slice in &self.slices {
            for view in 0..2 {
                let (part, tail) = rest.split_at_mut(slice.len() * width);
                parts.push((slice.clone(), view, part));
                rest = tail;
            }
        }
        parts.into_par_iter().each(|(slice, view, part)| {
            part.par_chunks_mut(width)
                .with_min_len(64)
                .enumerate()
                .for_each_init(&scratch, |scratch, (k, row)| f(scratch, slice.start + k, view, row));
        });
    }

    /// Place of each observation.
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }
}

/// Ranges of `0..n` on which `key` is constant.
fn runs<K: PartialEq>(n: usize, key: impl Fn(usize) -> K) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for p in 1..=n {
        if p == n || key(p) != key(start) {
            ranges.push(start..p);
            start = p;
        }
    }
    ranges
}

fn check(
    graph: CsrView<'_, f64>,
    slices: Option<&Slices>,
    classes: Option<&[u32]>,
) -> Result<(), StaigError> {
    let n = graph.n_rows();
    if graph.n_cols() != n {
        return Err(StaigError::GraphShape { n_rows: n, n_cols: graph.n_cols() });
    }
    if n > MAX_OBS {
        return Err(StaigError::TooManyObs { found: n, limit: MAX_OBS });
    }
    let lengths =
        [("the slice column", slices.map(Slices::n_obs)), ("the image classes", classes.map(<[u32]>::len))];
    for (what, length) in lengths {
        if let Some(found) = length.filter(|found| *found != n) {
            return Err(StaigError::RowCount { what, found, expected: n });
        }
    }
    check_undirected(graph)?;
    if let Some(slices) = slices {
        for row in 0..n {
            let crossing = graph.row(row).0.iter().find(|&&j| slices.of(j as usize) != slices.of(row));
            if let Some(&column) = crossing {
                return Err(StaigError::EdgeAcrossSlices { row, column: column as usize });
            }
        }
    }
    Ok(())
}

/// Refuses a pattern with a diagonal or with an edge that has no mirror image.
pub(crate) fn check_undirected(graph: CsrView<'_, f64>) -> Result<(), StaigError> {
    let n = graph.n_rows();
    if graph.n_cols() != n {
        return Err(StaigError::GraphShape { n_rows: n, n_cols: graph.n_cols() });
    }
    for row in 0..n {
        for &column in graph.row(row).0 {
            let column = column as usize;
            if column == row {
                return Err(StaigError::SelfNeighbor { row });
            }
            if graph.get(column, row).is_none() {
                return Err(StaigError::NotSymmetric { row, column });
            }
        }
    }
    Ok(())
}
