//! Many genes in blocks of like ones.
//!
//! Each gene is a point: its correlations with the leading principal components. Blocks are halved around two opposite
//! genes until each is small enough; a gene and its mirror image belong together.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Seed, Slices};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::preprocess::error::PreprocessError;
use crate::preprocess::pca::{PcaOptions, pca_by_slice};
use crate::preprocess::scale::ScaleOptions;

/// Components that genes are compared in.
const COMPONENTS: usize = 30;
/// Rounds of moving genes to the nearer centre.
const ROUNDS: usize = 20;
/// Neither side of a division is smaller than this share of the block.
const LEAST_SHARE: f64 = 0.25;

/// Genes in blocks of at most `most`; genes rising within each, blocks by their first gene.
pub(super) fn blocks(
    x: CsrView<'_, f32>,
    slices: &Slices,
    most: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<usize>>, PreprocessError> {
    let all: Vec<usize> = (0..x.n_cols()).collect();
    if all.len() <= most {
        return Ok(if all.is_empty() { Vec::new() } else { vec![all] });
    }
    let scaled = ScaleOptions { zero_center: true, max_value: None };
    let components = PcaOptions { n_components: COMPONENTS };
    let found = pca_by_slice(x, slices, Some(&scaled), &components, seed, monitor)?;
    // Loadings times standard deviations are correlations.
    let mut points = found.components;
    for (mut column, variance) in points.columns_mut().into_iter().zip(&found.variance) {
        column *= variance.max(0.0).sqrt();
    }
    let (mut done, mut open) = (Vec::new(), vec![all]);
    while let Some(block) = open.pop() {
        monitor.check()?;
        if block.len() <= most {
            done.push(block);
        } else {
            let (a, b) = halve(&points, &block);
            open.extend([a, b]);
        }
    }
    done.sort_by_key(|block| block[0]);
    Ok(done)
}

/// A block in two: genes by which of two centres they are nearer to.
fn halve(points: &Array2<f64>, block: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let length = |v: ArrayView1<'_, f64>| v.dot(&v).sqrt();
    let near = |gene: usize, centre: &Array1<f64>| points.row(gene).dot(centre).abs();
    let unit = |v: ArrayView1<'_, f64>| {
        let of = length(v);
        if of > 0.0 { v.to_owned() / of } else { v.to_owned() }
    };
    // The gene the components know best, and of those known as well the one most unlike it.
    let first = best(block, |g| length(points.row(g)));
    let mut one = unit(points.row(first));
    let second = best(block, |g| length(points.row(g)) - near(g, &one));
    let mut two = unit(points.row(second));
    let mut order: Vec<(f64, usize)> = Vec::new();
    let mut n_one = 0;
    for _ in 0..ROUNDS {
        order = block.par_iter().map(|&g| (near(g, &two) - near(g, &one), g)).collect_vec();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let least = ((block.len() as f64 * LEAST_SHARE).ceil() as usize).max(1);
        let now = order.partition_point(|o| o.0 < 0.0).clamp(least, block.len() - least);
        let centre = |members: &[(f64, usize)], old: &Array1<f64>| {
            let mut sum = Array1::<f64>::zeros(points.ncols());
            for &(_, g) in members {
                let sign = points.row(g).dot(old).signum();
                sum.scaled_add(sign, &points.row(g));
            }
            unit(sum.view())
        };
        let new = (centre(&order[..now], &one), centre(&order[now..], &two));
        let settled = now == n_one && new.0 == one && new.1 == two;
        n_one = now;
        if settled {
            break;
        }
        (one, two) = new;
    }
    let side = |part: &[(f64, usize)]| {
        let mut genes: Vec<usize> = part.iter().map(|o| o.1).collect();
        genes.sort_unstable();
        genes
    };
    (side(&order[..n_one]), side(&order[n_one..]))
}

/// The gene of the largest score, the first of those that tie.
fn best(block: &[usize], score: impl Fn(usize) -> f64) -> usize {
    let mut best = (f64::NEG_INFINITY, block[0]);
    for &gene in block {
        let score = score(gene);
        if score > best.0 {
            best = (score, gene);
        }
    }
    best.1
}
