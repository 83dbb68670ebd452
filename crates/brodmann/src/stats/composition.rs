//! Which cell types, or slices, do domains consist of?

use ndarray::{Array2, Axis};

use super::labels::{MAX_GROUPS, NONE};
use super::{Labels, StatsError};

/// Two labels crossed; every table is `(groups of the first, groups of the second)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    /// Spots with both labels.
    pub counts: Array2<u64>,
    /// Share of each row: what a domain consists of. NaN in empty rows.
    pub row_fractions: Array2<f64>,
    /// Share of each column: where a cell type is found. NaN in empty columns.
    pub column_fractions: Array2<f64>,
    /// Counts if the labels had nothing to do with each other.
    pub expected: Array2<f64>,
    /// `(counts − expected) / √(expected (1 − row share) (1 − column share))`, about standard normal for independent
    /// spots; NaN where the row or column is empty or holds all spots.
    pub residuals: Array2<f64>,
    /// `Σ (counts − expected)² / expected`.
    pub chi_square: f64,
    /// `(rows − 1) (columns − 1)`, empty ones not counted.
    pub degrees_of_freedom: usize,
    /// Cramér's V, from 0 (nothing in common) to 1 (one label tells the other); NaN with a single row or column.
    pub cramers_v: f64,
}

/// Domains crossed with cell types, slices, or any other label.
///
/// No p-value is given: spots near each other are not independent, so that it would be far too small.
///
/// # Inputs
/// Two labels per spot; spots without either are left out.
/// # Returns
/// [`Composition`].
/// # Errors
/// `LabelCount` when there are not as many of one as of the other; `LabelOutOfRange`, `TooManyGroups`.
/// # Cost
/// O(n_obs + groups × groups) time; 8 bytes per spot.
/// # Source
/// The residuals: Haberman 1973, Biometrics 29:205. V: Cramér 1946, Mathematical Methods of Statistics, ch. 21.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Labels, composition};
///
/// let domain = Labels { codes: &[Some(0), Some(0), Some(1), Some(1)], n_groups: 2 };
/// let cell_type = Labels { codes: &[Some(0), Some(0), Some(0), Some(1)], n_groups: 2 };
/// let found = composition(domain, cell_type)?;
/// assert_eq!(found.row_fractions[[1, 1]], 0.5);
/// assert_eq!(found.expected[[0, 0]], 1.5);
/// // 0.5 / √(1.5 · ½ · ¼).
/// assert!((found.residuals[[0, 0]] - 1.1547).abs() < 1e-4);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn composition(rows: Labels<'_>, columns: Labels<'_>) -> Result<Composition, StatsError> {
    let row_codes = rows.checked(rows.codes.len(), MAX_GROUPS)?;
    let column_codes = columns.checked(row_codes.len(), MAX_GROUPS)?;
    let mut counts = Array2::<u64>::zeros((rows.n_groups, columns.n_groups));
    for (&row, &column) in row_codes.iter().zip(&column_codes) {
        if row != NONE && column != NONE {
            counts[[row as usize, column as usize]] += 1;
        }
    }
    let of_row: Vec<f64> = counts.axis_iter(Axis(0)).map(|row| row.sum() as f64).collect();
    let of_column: Vec<f64> = counts.axis_iter(Axis(1)).map(|column| column.sum() as f64).collect();
    let all: f64 = of_row.iter().sum();
    let table = |value: &dyn Fn(f64, f64, f64) -> f64| {
        Array2::from_shape_fn(counts.dim(), |(i, j)| value(counts[[i, j]] as f64, of_row[i], of_column[j]))
    };
    let expected = table(&|_, row, column| row * column / all);
    let residuals = table(&|count, row, column| {
        let spread = row * column / all * (1.0 - row / all) * (1.0 - column / all);
        if spread > 0.0 { (count - row * column / all) / spread.sqrt() } else { f64::NAN }
    });
    let terms = table(&|count, row, column| {
        let expected = row * column / all;
        if expected > 0.0 { (count - expected) * (count - expected) / expected } else { 0.0 }
    });
    let chi_square = terms.sum();
    let occupied = |sums: &[f64]| sums.iter().filter(|&&sum| sum > 0.0).count();
    let (n_rows, n_columns) = (occupied(&of_row), occupied(&of_column));
    let fewer = n_rows.min(n_columns).saturating_sub(1);
    Ok(Composition {
        row_fractions: table(&|count, row, _| count / row),
        column_fractions: table(&|count, _, column| count / column),
        expected,
        residuals,
        chi_square,
        degrees_of_freedom: n_rows.saturating_sub(1) * n_columns.saturating_sub(1),
        cramers_v: if fewer > 0 { (chi_square / (all * fewer as f64)).sqrt() } else { f64::NAN },
        counts,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn cross(pairs: &[(Option<u32>, Option<u32>)], rows: usize, columns: usize) -> Composition {
        let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        composition(Labels { codes: &a, n_groups: rows }, Labels { codes: &b, n_groups: columns })
            .expect("valid")
    }

    #[test]
    fn a_table_equals_scipy() {
        let counts = [[12, 5, 0], [3, 9, 14]];
        let mut pairs = vec![(None, Some(0)), (Some(1), None)];
        for (a, row) in counts.iter().enumerate() {
            for (b, &n) in row.iter().enumerate() {
                pairs.extend(vec![(Some(a as u32), Some(b as u32)); n]);
            }
        }
        // A fourth column without a spot changes no number.
        let found = cross(&pairs, 2, 4);
        assert_eq!(found.counts, array![[12, 5, 0, 0], [3, 9, 14, 0]]);
        // scipy 1.17.1: stats.chi2_contingency([[12, 5, 0], [3, 9, 14]], correction=False).
        assert!((found.chi_square - 19.513_994_828_700_71).abs() < 1e-12, "{}", found.chi_square);
        assert_eq!(found.degrees_of_freedom, 2);
        assert!((found.expected[[0, 0]] - 5.930_232_558_139_535).abs() < 1e-12);
        // stats.contingency.association(…, method="cramer").
        assert!((found.cramers_v - 0.673_657_059_063_139_3).abs() < 1e-12, "{}", found.cramers_v);
        // (12 − 5.93) / √(5.93 · 26/43 · 28/43).
        let residual: f64 =
            6.069_767_441_860_465 / (5.930_232_558_139_535 * (26.0 / 43.0) * (28.0 / 43.0_f64)).sqrt();
        assert!((found.residuals[[0, 0]] - residual).abs() < 1e-12);
        assert_eq!(found.row_fractions.row(0).to_vec(), [12.0 / 17.0, 5.0 / 17.0, 0.0, 0.0]);
        assert_eq!(found.column_fractions[[1, 2]], 1.0);
        assert!(found.column_fractions[[0, 3]].is_nan() && found.residuals[[0, 3]].is_nan());
    }

    #[test]
    fn a_label_that_tells_the_other_has_v_one() {
        let pairs: Vec<_> = (0..30).map(|i| (Some(i % 3), Some((i + 1) % 3))).collect();
        assert!((cross(&pairs, 3, 3).cramers_v - 1.0).abs() < 1e-15);
        let pairs: Vec<_> = (0..36).map(|i| (Some(i % 3), Some(i / 3 % 2))).collect();
        let none = cross(&pairs, 3, 2);
        assert_eq!((none.chi_square, none.cramers_v), (0.0, 0.0));
        assert!(none.residuals.iter().all(|&r| r == 0.0));
    }

    #[test]
    fn one_group_and_nothing_have_no_association() {
        let one = cross(&[(Some(0), Some(0)), (Some(0), Some(1))], 1, 2);
        assert!(one.cramers_v.is_nan() && one.residuals[[0, 0]].is_nan());
        assert_eq!(one.degrees_of_freedom, 0);
        let nothing = cross(&[(None, Some(0))], 1, 1);
        assert_eq!((nothing.counts[[0, 0]], nothing.chi_square), (0, 0.0));
        assert!(cross(&[], 0, 0).cramers_v.is_nan());
        let short =
            composition(Labels { codes: &[Some(0)], n_groups: 1 }, Labels { codes: &[], n_groups: 1 });
        assert_eq!(short, Err(StatsError::LabelCount { found: 0, expected: 1 }));
    }
}
