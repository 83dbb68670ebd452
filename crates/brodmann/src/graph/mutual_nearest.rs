//! Pairs of two tables that are among each other's nearest, by cosine.

use brodmann_kernels::{CsrMatrix, Monitor, Seed};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::approximate_knn::nearest_across;
use super::error::GraphError;

/// The pairs `(i, j)` of which row `j` of `b` is among the `k` rows of `b` nearest to row `i` of `a`, and the other way
/// round; near is a large cosine.
///
/// # Inputs
/// `a`: `(n_a, d)`, `b`: `(n_b, d)`, finite, d ≥ 1. `k`: nearest looked at, at least 1. `min_recall`: share of the true
/// nearest to be found in large tables.
/// # Returns
/// `(n_a, n_b)`, the cosine of each pair. A row of zeros has none.
/// # Errors
/// As [`nearest_across`].
/// # Cost
/// Two searches; O((n_a + n_b) (d + k)) memory.
/// # Source
/// Haghverdi et al. 2018, Nat Biotechnol 36:421.
///
/// # Example
///
/// ```
/// use brodmann::graph::mutual_nearest;
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let a = array![[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]];
/// let b = array![[0.1, 3.0], [5.0, 0.1]];
/// let pairs = mutual_nearest(a.view(), b.view(), 1, 0.9, Seed(0), &Silent)?;
/// // The third of a has a nearest in b, which has a nearer one.
/// assert_eq!([0, 1, 2].map(|i| pairs.view().row(i).0.to_vec()), [vec![1], vec![0], vec![]]);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn mutual_nearest(
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    k: usize,
    min_recall: f64,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<CsrMatrix<f64>, GraphError> {
    let (a, b) = (unit_rows(a), unit_rows(b));
    let there = nearest_across(b.view(), a.view(), k, min_recall, seed, monitor)?;
    let back = nearest_across(a.view(), b.view(), k, min_recall, seed, monitor)?;
    let empty = |row: ndarray::ArrayView1<'_, f64>| row.iter().all(|v| *v == 0.0);
    let rows: Vec<Vec<(u32, f64)>> = (0..a.nrows())
        .into_par_iter()
        .map(|i| {
            let mutual = |&j: &u32| back.indices.row(j as usize).iter().any(|&other| other as usize == i);
            let own = a.row(i);
            if empty(own) {
                return Vec::new();
            }
            let mut row: Vec<(u32, f64)> = there
                .indices
                .row(i)
                .iter()
                .filter(|j| mutual(j) && !empty(b.row(**j as usize)))
                .map(|&j| (j, own.dot(&b.row(j as usize))))
                .collect();
            row.sort_unstable_by_key(|e| e.0);
            row
        })
        .collect();
    Ok(CsrMatrix::from_rows(b.nrows(), &rows))
}

/// Rows of length one; zeros stay.
fn unit_rows(table: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut unit = table.to_owned();
    for mut row in unit.rows_mut() {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 0.0 {
            row.mapv_inplace(|v| v / length);
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;

    use super::*;

    /// Rows in a few bundles of directions, without ties.
    fn table(n: usize, salt: u64) -> Array2<f64> {
        let word = |i: usize| (Seed(salt).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64;
        Array2::from_shape_fn((n, 4), |(i, j)| f64::from(u8::from(i % 3 == j)) + 0.4 * word(i * 4 + j))
    }

    fn nearest(row: ndarray::ArrayView1<'_, f64>, among: &Array2<f64>, k: usize) -> Vec<usize> {
        let length = |x: ndarray::ArrayView1<'_, f64>| x.dot(&x).sqrt();
        let cosines: Vec<f64> =
            among.rows().into_iter().map(|y| row.dot(&y) / (length(row) * length(y))).collect();
        let mut all: Vec<usize> = (0..among.nrows()).collect();
        all.sort_by(|&p, &q| cosines[q].total_cmp(&cosines[p]));
        all.truncate(k);
        all
    }

    /// The partners of the first rows of `a`.
    fn by_hand(a: &Array2<f64>, b: &Array2<f64>, k: usize, rows: usize) -> Vec<Vec<u32>> {
        let pairs = |i: usize| {
            let there = nearest(a.row(i), b, k);
            let mut row: Vec<u32> =
                there.iter().filter(|&&j| nearest(b.row(j), a, k).contains(&i)).map(|&j| j as u32).collect();
            row.sort_unstable();
            row
        };
        (0..rows).map(pairs).collect()
    }

    #[test]
    fn pairs_are_those_of_all_cosines() {
        let (a, b) = (table(70, 1), table(50, 2));
        for k in [1, 5, 20, 200] {
            let found = mutual_nearest(a.view(), b.view(), k, 1.0, Seed(0), &Silent).expect("sound");
            let found: Vec<Vec<u32>> = (0..70).map(|i| found.view().row(i).0.to_vec()).collect();
            assert_eq!(found, by_hand(&a, &b, k, 70), "{k}");
        }
    }

    #[test]
    fn large_tables_are_searched_by_cells_and_hardly_anything_is_missed() {
        let (a, b) = (table(3000, 3), table(2500, 4));
        let exact = by_hand(&a, &b, 5, 60);
        let found = mutual_nearest(a.view(), b.view(), 5, 0.95, Seed(0), &Silent).expect("sound");
        let common: usize =
            (0..60).map(|i| found.view().row(i).0.iter().filter(|j| exact[i].contains(j)).count()).sum();
        let wanted: usize = exact.iter().map(Vec::len).sum();
        assert!(common as f64 > 0.9 * wanted as f64, "{common} of {wanted}");
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        let again = alone.install(|| mutual_nearest(a.view(), b.view(), 5, 0.95, Seed(0), &Silent));
        assert_eq!(again.expect("sound"), found);
    }

    #[test]
    fn rows_of_zeros_have_no_partner_and_other_widths_are_refused() {
        let mut a = table(6, 5);
        a.row_mut(2).fill(0.0);
        let b = table(6, 6);
        let found = mutual_nearest(a.view(), b.view(), 6, 1.0, Seed(0), &Silent).expect("sound");
        assert!(found.view().row(2).0.is_empty() && found.nnz() == 30);
        let narrow = Array2::<f64>::zeros((3, 2));
        let error =
            mutual_nearest(a.view(), narrow.view(), 2, 1.0, Seed(0), &Silent).expect_err("other width");
        assert!(error.to_string().contains("columns"), "{error}");
        let none = Array2::<f64>::zeros((0, 4));
        let found = mutual_nearest(a.view(), none.view(), 2, 1.0, Seed(0), &Silent).expect("nobody there");
        assert_eq!((found.n_rows(), found.nnz()), (6, 0));
    }
}
