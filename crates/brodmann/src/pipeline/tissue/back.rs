//! Results back to where they belong: every row of the input, in its own order, missing where nothing was found.

use std::collections::HashMap;

use brodmann_data::{Additions, Array, Categorical, Column, DataFrame, ElementAdditions, Matrix, Value};
use brodmann_kernels::CsrMatrix;
use ndarray::{Array2, ArrayD, Axis};

/// For each row of the input the row of the result, where it has one.
type Rows = [Option<usize>];

/// `rows[i]` is the row of the input that the `i`-th result belongs to.
pub(super) fn inverse(rows: &[usize], n: usize) -> Vec<Option<usize>> {
    let mut of = vec![None; n];
    for (i, &row) in rows.iter().enumerate() {
        of[row] = Some(i);
    }
    of
}

/// For each variable of the input its place among those that were worked on.
pub(super) fn by_name(worked_on: &[String], input: &[String]) -> Vec<Option<usize>> {
    let place: HashMap<&str, usize> = worked_on.iter().enumerate().map(|(j, n)| (n.as_str(), j)).collect();
    input.iter().map(|n| place.get(n.as_str()).copied()).collect()
}

/// Brings additions into the rows of the input.
pub(super) fn spread_obs(additions: &mut ElementAdditions, rows: &Rows) {
    let ElementAdditions { x, layers, obs, obsm, obsp, .. } = additions;
    obs.values_mut().for_each(|c| *c = column(c, rows));
    obsm.values_mut().for_each(|v| *v = value(v, rows));
    x.iter_mut().chain(layers.values_mut()).for_each(|m| *m = matrix_rows(m, rows));
    obsp.values_mut().for_each(|m| *m = columns(&matrix_rows(m, rows), rows));
}

/// Brings additions into the variables of the input.
pub(super) fn spread_var(additions: &mut ElementAdditions, places: &Rows) {
    let ElementAdditions { x, layers, var, varm, varp, .. } = additions;
    var.values_mut().for_each(|c| *c = var_column(c, places));
    varm.values_mut().for_each(|v| *v = value(v, places));
    x.iter_mut().chain(layers.values_mut()).for_each(|m| *m = columns(m, places));
    varp.values_mut().for_each(|m| *m = columns(&matrix_rows(m, places), places));
}

/// A modality's additions, or the whole's.
pub(super) fn target<'a>(
    additions: &'a mut Additions,
    key: Option<&str>,
) -> Option<&'a mut ElementAdditions> {
    match key {
        None => Some(&mut additions.root),
        Some(key) => additions.modalities.get_mut(key),
    }
}

fn pick<T: Clone>(values: &[T], rows: &Rows, missing: &T) -> Vec<T> {
    rows.iter().map(|row| row.map_or_else(|| missing.clone(), |i| values[i].clone())).collect()
}

fn optional<T: Clone>(values: &[T], rows: &Rows) -> Vec<Option<T>> {
    rows.iter().map(|row| row.map(|i| values[i].clone())).collect()
}

pub(super) fn column(column: &Column, rows: &Rows) -> Column {
    let complete = rows.iter().all(Option::is_some);
    match column {
        Column::Float64(v) => Column::Float64(pick(v, rows, &f64::NAN)),
        Column::Float32(v) => Column::Float32(pick(v, rows, &f32::NAN)),
        Column::Int(v) if complete => Column::Int(pick(v, rows, &0)),
        Column::Int(v) => Column::NullableInt(optional(v, rows)),
        Column::Bool(v) if complete => Column::Bool(pick(v, rows, &false)),
        Column::Bool(v) => Column::NullableBool(optional(v, rows)),
        Column::String(v) => Column::String(pick(v, rows, &None)),
        Column::NullableInt(v) => Column::NullableInt(pick(v, rows, &None)),
        Column::NullableBool(v) => Column::NullableBool(pick(v, rows, &None)),
        Column::Categorical(c) => {
            Column::Categorical(Categorical { codes: pick(&c.codes, rows, &-1), ..c.clone() })
        }
        Column::Opaque { encoding, .. } => Column::Opaque { len: rows.len(), encoding: encoding.clone() },
    }
}

/// A variable that was not worked on was not selected.
fn var_column(values: &Column, places: &Rows) -> Column {
    match values {
        Column::Bool(v) => Column::Bool(pick(v, places, &false)),
        other => column(other, places),
    }
}

fn array<T: Clone>(values: &ArrayD<T>, rows: &Rows, missing: &T) -> ArrayD<T> {
    let mut shape = values.shape().to_vec();
    shape[0] = rows.len();
    let mut spread = ArrayD::from_elem(shape, missing.clone());
    for (row, of) in rows.iter().enumerate() {
        if let Some(i) = of {
            spread.index_axis_mut(Axis(0), row).assign(&values.index_axis(Axis(0), *i));
        }
    }
    spread
}

fn value(value: &Value, rows: &Rows) -> Value {
    let complete = rows.iter().all(Option::is_some);
    match value {
        Value::Array(a) if a.shape().is_empty() => value.clone(),
        Value::Array(Array::F32(a)) => Value::Array(Array::F32(array(a, rows, &f32::NAN))),
        Value::Array(Array::F64(a)) => Value::Array(Array::F64(array(a, rows, &f64::NAN))),
        Value::Array(Array::String(a)) => Value::Array(Array::String(array(a, rows, &String::new()))),
        Value::Array(a) if complete => {
            let order: Vec<usize> = rows.iter().flatten().copied().collect();
            Value::Array(a.select_rows(&order))
        }
        // Only floats can be missing.
        Value::Array(a) => match a.to_f64() {
            Some(a) => Value::Array(Array::F64(array(&a, rows, &f64::NAN))),
            None => value.clone(),
        },
        Value::Sparse(m) => Value::Sparse(matrix_rows(m, rows)),
        Value::Frame(frame) => {
            let names = frame.columns.iter().map(|(k, c)| (k.clone(), column(c, rows))).collect();
            let index = pick(&frame.index, rows, &String::new());
            Value::Frame(DataFrame { index, index_name: frame.index_name.clone(), columns: names })
        }
        Value::Column(c) => Value::Column(column(c, rows)),
        other => other.clone(),
    }
}

fn sparse_rows<T: Copy + Send + Sync>(m: &CsrMatrix<T>, rows: &Rows) -> CsrMatrix<T> {
    let mut spread = CsrMatrix::with_capacity(m.n_cols(), rows.len(), m.nnz());
    for row in rows {
        match row {
            Some(i) => {
                let (columns, values) = m.view().row(*i);
                spread.push_row(columns.iter().copied().zip(values.iter().copied()));
            }
            None => spread.push_row([]),
        }
    }
    spread
}

/// Columns of which `places` says where they come from; those that come from nowhere are empty.
fn sparse_columns<T: Copy + Send + Sync>(m: &CsrMatrix<T>, places: &Rows) -> CsrMatrix<T> {
    let mut to: Vec<Option<u32>> = vec![None; m.n_cols()];
    for (j, of) in places.iter().enumerate() {
        if let Some(of) = of {
            to[*of] = Some(j as u32);
        }
    }
    let mut spread = CsrMatrix::with_capacity(places.len(), m.n_rows(), m.nnz());
    let mut row: Vec<(u32, T)> = Vec::new();
    for i in 0..m.n_rows() {
        let (columns, values) = m.view().row(i);
        row.clear();
        row.extend(columns.iter().zip(values).filter_map(|(c, v)| Some((to[*c as usize]?, *v))));
        row.sort_by_key(|(c, _)| *c);
        spread.push_row(row.iter().copied());
    }
    spread
}

fn matrix_rows(m: &Matrix, rows: &Rows) -> Matrix {
    match m {
        Matrix::CsrF32(m) => Matrix::CsrF32(sparse_rows(m, rows)),
        Matrix::CsrF64(m) => Matrix::CsrF64(sparse_rows(m, rows)),
        dense => {
            let values = dense.to_dense_f64().into_owned().into_dyn();
            let spread: Array2<f64> =
                array(&values, rows, &f64::NAN).into_dimensionality().expect("as many axes as before");
            match dense {
                Matrix::DenseF32(_) => Matrix::DenseF32(spread.mapv(|v| v as f32)),
                _ => Matrix::DenseF64(spread),
            }
        }
    }
}

fn columns(m: &Matrix, places: &Rows) -> Matrix {
    match m {
        Matrix::CsrF32(m) => Matrix::CsrF32(sparse_columns(m, places)),
        Matrix::CsrF64(m) => Matrix::CsrF64(sparse_columns(m, places)),
        dense => {
            let values = dense.to_dense_f64();
            let mut spread = Array2::from_elem((values.nrows(), places.len()), f64::NAN);
            for (j, of) in places.iter().enumerate() {
                if let Some(of) = of {
                    spread.column_mut(j).assign(&values.column(*of));
                }
            }
            match dense {
                Matrix::DenseF32(_) => Matrix::DenseF32(spread.mapv(|v| v as f32)),
                _ => Matrix::DenseF64(spread),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use ndarray::array;

    use super::*;

    #[test]
    fn results_go_to_their_rows_and_the_rest_is_missing() {
        // Three of five rows, out of order.
        let rows = inverse(&[4, 0, 2], 5);
        assert_eq!(rows, [Some(1), None, Some(2), None, Some(0)]);
        let mut additions = ElementAdditions::default();
        let labels = Column::Categorical(Categorical::from_labels(&[0, 1, 1]));
        additions.obs.insert("domains".to_owned(), labels);
        additions.obs.insert("n".to_owned(), Column::Int(vec![7, 8, 9]));
        additions.obsm.insert("X_e".to_owned(), array![[1.0f32], [2.0], [3.0]].into());
        let graph = CsrMatrix::from_dense(array![[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]].view());
        additions.obsp.insert("g".to_owned(), Matrix::CsrF64(graph));
        spread_obs(&mut additions, &rows);
        assert_eq!(additions.obs["domains"].to_categorical().codes, [1, -1, 1, -1, 0]);
        assert_eq!(additions.obs["n"], Column::NullableInt(vec![Some(8), None, Some(9), None, Some(7)]));
        let embedding = additions.obsm["X_e"].to_matrix_f64().expect("numbers");
        assert!(embedding[[1, 0]].is_nan() && embedding[[4, 0]] == 1.0);
        let graph = additions.obsp["g"].to_dense_f64().into_owned();
        assert_eq!((graph[[0, 4]], graph[[4, 0]], graph.sum()), (5.0, 5.0, 10.0));
    }

    #[test]
    fn variables_are_matched_by_name() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let places = by_name(&names(&["a", "b", "c"]), &names(&["c", "a"]));
        let mut additions = ElementAdditions {
            var: IndexMap::from([("hv".to_owned(), Column::Bool(vec![true, false, false]))]),
            layers: IndexMap::from([(
                "l".to_owned(),
                Matrix::CsrF32(CsrMatrix::from_dense(array![[1.0f32, 2.0, 3.0]].view())),
            )]),
            ..ElementAdditions::default()
        };
        spread_var(&mut additions, &places);
        assert_eq!(additions.var["hv"], Column::Bool(vec![false, true]));
        assert_eq!(additions.layers["l"].to_dense_f32().into_owned(), array![[3.0f32, 1.0]]);
    }
}
