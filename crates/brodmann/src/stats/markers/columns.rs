//! Rows turned into columns, some genes at a time.

use std::ops::Range;

use brodmann_kernels::{CsrView, Monitor};
use rayon::prelude::*;

use super::expression::{Expression, ExpressionRows};
use crate::stats::StatsError;

/// Spots turned together: their entries of one block of genes fit the cache.
const CHUNK: usize = 8192;
/// The class of spots that take no part.
pub(super) const NO_CLASS: u32 = u32::MAX;

/// A value as a key, and the class of the spot that has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    pub(super) class: u32,
}

/// Consecutive genes of consecutive spots.
struct Part<K> {
    /// Where the entries of each gene begin, and an end.
    starts: Vec<u32>,
    /// Gene by gene, spots rising.
    entries: Vec<Entry<K>>,
}

/// Consecutive genes of all spots: what is not zero, of spots that have a class.
pub(super) struct Columns<K> {
    pub(super) genes: Range<usize>,
    parts: Vec<Part<K>>,
}

impl<K: Copy> Columns<K> {
    /// The entries of gene `gene`, spots rising, in place of what `to` held.
    pub(super) fn collect(&self, gene: usize, to: &mut Vec<Entry<K>>) {
        let at = gene - self.genes.start;
        to.clear();
        for part in &self.parts {
            to.extend_from_slice(&part.entries[part.starts[at] as usize..part.starts[at + 1] as usize]);
        }
    }
}

/// What is done with the genes that are held.
pub(super) type VisitColumns<'v, K> = dyn FnMut(&Columns<K>) -> Result<(), StatsError> + 'v;

/// Calls `visit` with all genes, as many at a time as may be held.
///
/// # Inputs
/// `classes`: one per spot, [`NO_CLASS`] for those whose row is not looked at.
pub(super) fn for_each_columns<R: ExpressionRows + ?Sized>(
    rows: &R,
    classes: &[u32],
    monitor: &dyn Monitor,
    visit: &mut VisitColumns<'_, Key<R>>,
) -> Result<(), R::Error> {
    if let Some(matrix) = rows.in_memory() {
        check_shape(rows, 0, matrix)?;
        let counts = Some(matrix).filter(|m| m.nnz() > rows.entries_at_once()).map(column_counts);
        let mut cursors = vec![0; classes.len()];
        for genes in cut(counts.as_deref(), rows) {
            monitor.check().map_err(StatsError::from)?;
            let chunks = cursors.par_chunks_mut(CHUNK).enumerate();
            let parts = first_error(
                chunks
                    .map(|(chunk, cursors)| turn(matrix, chunk * CHUNK, 0, classes, &genes, cursors))
                    .collect(),
            )?;
            visit(&Columns { genes, parts })?;
        }
        return Ok(());
    }
    let counts = if rows.nnz() > rows.entries_at_once() {
        let mut counts = vec![0; rows.n_vars()];
        rows.for_each_block(&mut |first, block| {
            monitor.check()?;
            check_shape(rows, first, block)?;
            counts.iter_mut().zip(column_counts(block)).for_each(|(sum, n)| *sum += n);
            Ok(())
        })?;
        Some(counts)
    } else {
        None
    };
    for genes in cut(counts.as_deref(), rows) {
        let (mut parts, mut next) = (Vec::new(), 0);
        rows.for_each_block(&mut |first, block| {
            monitor.check()?;
            check_shape(rows, first, block)?;
            if first != next {
                return Err(StatsError::RowCount { found: first, expected: next });
            }
            next += block.n_rows();
            let starts: Vec<usize> = (0..block.n_rows()).step_by(CHUNK).collect();
            let turned = starts.par_iter().map(|&start| {
                let end = block.n_rows().min(start + CHUNK);
                let mut cursors: Vec<u32> = (start..end)
                    .map(|i| block.row(i).0.partition_point(|&c| (c as usize) < genes.start) as u32)
                    .collect();
                turn(block, start, first, classes, &genes, &mut cursors)
            });
            parts.extend(first_error(turned.collect())?);
            Ok(())
        })?;
        if next != classes.len() {
            return Err(StatsError::RowCount { found: next, expected: classes.len() }.into());
        }
        visit(&Columns { genes, parts })?;
    }
    Ok(())
}

/// The key of a source's values.
pub(super) type Key<R> = <<R as ExpressionRows>::Value as Expression>::Key;

fn check_shape<R: ExpressionRows + ?Sized>(
    rows: &R,
    first: usize,
    block: CsrView<'_, R::Value>,
) -> Result<(), StatsError> {
    let (found, n_obs) = (first.saturating_add(block.n_rows()), rows.n_obs());
    if found > n_obs {
        return Err(StatsError::RowCount { found, expected: n_obs });
    }
    if block.n_cols() != rows.n_vars() {
        return Err(StatsError::ColumnCount { found: block.n_cols(), expected: rows.n_vars() });
    }
    Ok(())
}

/// The parts in order, or what is wrong with the first that has an error: the same one on any number of threads.
fn first_error<T>(parts: Vec<Result<T, StatsError>>) -> Result<Vec<T>, StatsError> {
    parts.into_iter().collect()
}

/// Consecutive genes that may be held at a time; all of them where they need not be counted.
fn cut<R: ExpressionRows + ?Sized>(counts: Option<&[usize]>, rows: &R) -> Vec<Range<usize>> {
    let Some(counts) = counts else { return std::iter::once(0..rows.n_vars()).collect() };
    let (mut blocks, mut start, mut held) = (Vec::new(), 0, 0usize);
    for (gene, &n) in counts.iter().enumerate() {
        if gene > start && held + n > rows.entries_at_once() {
            blocks.push(start..gene);
            (start, held) = (gene, 0);
        }
        held += n;
    }
    blocks.push(start..counts.len());
    blocks
}

/// Stored entries of each column.
fn column_counts<V: Expression>(matrix: CsrView<'_, V>) -> Vec<usize> {
    let n_cols = matrix.n_cols();
    // Few and large pieces: each brings counts of its own. Integers, so that their order does not matter.
    matrix
        .indices()
        .par_chunks(matrix.nnz().div_ceil(16).max(1))
        .map(|columns| {
            let mut counts = vec![0usize; n_cols];
            for &column in columns {
                counts[column as usize] += 1;
            }
            counts
        })
        .reduce(
            || vec![0; n_cols],
            |mut sums, counts| {
                sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
                sums
            },
        )
}

/// Some rows turned into columns by a counting sort, and their cursors moved to the genes that follow.
///
/// # Inputs
/// `start`: first row in `matrix`, as many as there are `cursors`; `offset`: spot of row 0 of `matrix`. `cursors`: for
/// each row the place of its first entry that is not before `genes`.
fn turn<V: Expression>(
    matrix: CsrView<'_, V>,
    start: usize,
    offset: usize,
    classes: &[u32],
    genes: &Range<usize>,
    cursors: &mut [u32],
) -> Result<Part<V::Key>, StatsError> {
    let classes = &classes[offset + start..][..cursors.len()];
    let mut next = vec![0u32; genes.len() + 1];
    let mut ends = Vec::with_capacity(cursors.len());
    for (at, (&cursor, &class)) in cursors.iter().zip(classes).enumerate() {
        let (columns, values) = matrix.row(start + at);
        let (columns, values) = (&columns[cursor as usize..], &values[cursor as usize..]);
        let mut n = 0u32;
        let mut finite = true;
        for (&column, &value) in columns.iter().zip(values) {
            let Some(count) = (column as usize - genes.start < genes.len())
                .then(|| &mut next[column as usize - genes.start + 1])
            else {
                break;
            };
            // A stored zero is a zero.
            *count += u32::from(class != NO_CLASS && value.as_f64() != 0.0);
            finite &= value.as_f64().is_finite();
            n += 1;
        }
        if !finite && class != NO_CLASS {
            let unfit = columns.iter().zip(values).find(|(_, v)| !v.as_f64().is_finite());
            if let Some((&column, value)) = unfit {
                let (row, column) = (offset + start + at, column as usize);
                return Err(StatsError::BadExpression { row, column, value: value.to_string() });
            }
        }
        ends.push(cursor + n);
    }
    for gene in 0..genes.len() {
        next[gene + 1] += next[gene];
    }
    let starts = next.clone();
    let mut entries = vec![Entry::default(); starts[genes.len()] as usize];
    for (at, (cursor, &class)) in cursors.iter_mut().zip(classes).enumerate() {
        let (columns, values) = matrix.row(start + at);
        let own = *cursor as usize..ends[at] as usize;
        *cursor = ends[at];
        if class == NO_CLASS {
            continue;
        }
        for (&column, &value) in columns[own.clone()].iter().zip(&values[own]) {
            if value.as_f64() != 0.0 {
                let to = &mut next[column as usize - genes.start];
                entries[*to as usize] = Entry { key: value.key(), class };
                *to += 1;
            }
        }
    }
    Ok(Part { starts, entries })
}
