//! Is a graph that came from a file fit for use?

use brodmann_kernels::CsrView;

use super::error::GraphError;
use super::slices::merge_rows;

/// Relative difference up to which mirrored weights count as equal: what f32 storage leaves.
const SYMMETRY_TOLERANCE: f64 = 1e-6;

/// Refuses a graph that is not `n_obs × n_obs` with finite weights of at least 0.
///
/// # Inputs
/// `graph`: as read from `obsp[key]`. `n_obs`: observations of the table.
/// # Returns
/// Nothing; stored zeros and a diagonal are allowed.
/// # Errors
/// `Shape`, `NonFiniteWeight`, `NegativeWeight`, each naming `key`.
/// # Cost
/// O(nnz).
pub fn validate_graph(graph: CsrView<'_, f64>, n_obs: usize, key: &str) -> Result<(), GraphError> {
    if graph.n_rows() != n_obs || graph.n_cols() != n_obs {
        return Err(GraphError::Shape {
            key: key.to_owned(),
            n_rows: graph.n_rows(),
            n_cols: graph.n_cols(),
            n_obs,
        });
    }
    check_weights(graph, key)
}

/// Refuses a graph without a weight above 0.
///
/// # Errors
/// `NoWeight`, naming `key`.
pub fn require_weight(graph: CsrView<'_, f64>, key: &str) -> Result<(), GraphError> {
    if graph.data().iter().any(|&v| v > 0.0) {
        return Ok(());
    }
    Err(GraphError::NoWeight { key: key.to_owned() })
}

/// Refuses a square graph that differs from its transpose by more than f32 rounding; a missing entry is 0.
///
/// # Errors
/// `NotSymmetric` with the first such pair, naming `key`; `Shape` when it is not square.
/// # Cost
/// O(nnz) time and memory.
pub fn require_symmetric(graph: CsrView<'_, f64>, key: &str) -> Result<(), GraphError> {
    let n_obs = graph.n_rows();
    validate_graph(graph, n_obs, key)?;
    let transposed = graph.transpose();
    for i in 0..n_obs {
        let mut differing = None;
        merge_rows(graph.row(i), transposed.view().row(i), |column, a, b| {
            let (value, mirrored) = (a.unwrap_or(0.0), b.unwrap_or(0.0));
            if differing.is_none() && (value - mirrored).abs() > SYMMETRY_TOLERANCE * value.max(mirrored) {
                differing = Some((column as usize, value, mirrored));
            }
        });
        if let Some((column, value, mirrored)) = differing {
            return Err(GraphError::NotSymmetric { key: key.to_owned(), row: i, column, value, mirrored });
        }
    }
    Ok(())
}

/// Does a square graph equal its transpose up to f32 rounding?
pub fn is_symmetric(graph: CsrView<'_, f64>) -> bool {
    require_symmetric(graph, "").is_ok()
}

pub(crate) fn check_weights(graph: CsrView<'_, f64>, key: &str) -> Result<(), GraphError> {
    for row in 0..graph.n_rows() {
        let (columns, values) = graph.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            let column = column as usize;
            if !value.is_finite() {
                return Err(GraphError::NonFiniteWeight { key: key.to_owned(), row, column, value });
            }
            if value < 0.0 {
                return Err(GraphError::NegativeWeight { key: key.to_owned(), row, column, value });
            }
        }
    }
    Ok(())
}
