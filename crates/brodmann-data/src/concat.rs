//! Several slices as one container.

use std::collections::HashMap;

use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;
use ndarray::{Array2, Axis, concatenate};

use crate::{AnnData, Array, Categorical, Column, DataError, DataFrame, Matrix, Value, keys};

/// A part of a container to be: its name, and what it holds.
pub type Part<'a> = (&'a str, &'a AnnData);

/// Observations of several AnnData below each other, over the variables all of them have.
///
/// As Python's `anndata.concat(join="inner")`, with what a tissue of several slices needs beside it:
/// * Variables are matched by name, in the order of the first part; columns of `var` stay where all parts agree.
/// * Columns of `obs` stay where any part has them, missing elsewhere: one slice may be annotated and another not.
///   Where names of observations repeat between parts, all get `-<part>` appended.
/// * `X`, `layers` and `obsm` stay where all parts have them (tables of `obsm` of one width).
/// * `uns["spatial"]` is merged; the single library of a part takes the part's name.
/// * `obs[label]` names the part.
///
/// # Errors
/// [`DataError::DuplicateNames`] when a part's variables share a name.
pub fn concat(parts: &[Part<'_>], label: &str) -> Result<AnnData, DataError> {
    for (_, adata) in parts {
        adata.var.require_unique("var")?;
    }
    let columns = shared_columns(parts);
    let Some(((_, first), first_columns)) = parts.first().zip(columns.first()) else {
        return Ok(AnnData::default());
    };
    let n_shared = first_columns.len();
    let repeat = names_repeat(parts);
    let mut joined = AnnData {
        obs: obs_of(parts, label, repeat),
        var: var_of(parts, &columns),
        uns: uns_of(parts, repeat),
        ..AnnData::default()
    };
    let stacked = |of: &dyn Fn(&AnnData) -> Option<&Matrix>| {
        let matrices: Option<Vec<Matrix>> = parts
            .iter()
            .zip(&columns)
            .map(|((_, adata), columns)| of(adata).map(|m| selected(m, columns)))
            .collect();
        matrices.map(|m| stack(&m, n_shared))
    };
    joined.x = stacked(&|a| a.x.as_ref());
    for key in first.layers.keys() {
        if let Some(matrix) = stacked(&|a| a.layers.get(key)) {
            joined.layers.insert(key.clone(), matrix);
        }
    }
    for key in first.obsm.keys() {
        let tables: Option<Vec<Array2<f64>>> =
            parts.iter().map(|(_, a)| a.obsm.get(key).and_then(Value::to_matrix_f64)).collect();
        let views: Vec<_> = tables.iter().flatten().map(|t| t.view()).collect();
        if tables.is_some()
            && let Ok(table) = concatenate(Axis(0), &views)
        {
            joined.obsm.insert(key.clone(), Value::Array(Array::F64(table.into_dyn())));
        }
    }
    Ok(joined)
}

/// For each part, the column of each shared variable, in the order of the first part.
fn shared_columns(parts: &[Part<'_>]) -> Vec<Vec<usize>> {
    let places: Vec<HashMap<&str, usize>> = parts
        .iter()
        .map(|(_, a)| a.var_names().iter().enumerate().map(|(j, n)| (n.as_str(), j)).collect())
        .collect();
    let names = parts.first().map_or(&[][..], |(_, a)| a.var_names());
    let shared: Vec<Vec<usize>> = names
        .iter()
        .filter_map(|n| places.iter().map(|p| p.get(n.as_str()).copied()).collect::<Option<Vec<_>>>())
        .collect();
    (0..parts.len()).map(|p| shared.iter().map(|places| places[p]).collect()).collect()
}

fn selected(matrix: &Matrix, columns: &[usize]) -> Matrix {
    if columns.len() == matrix.n_cols() && columns.iter().enumerate().all(|(k, &j)| k == j) {
        return matrix.clone();
    }
    matrix.select_columns(columns)
}

fn stack(matrices: &[Matrix], n_cols: usize) -> Matrix {
    let wide = |m: &Matrix| matches!(m, Matrix::CsrF64(_) | Matrix::DenseF64(_) | Matrix::DenseI64(_));
    match (matrices.iter().any(Matrix::is_sparse), matrices.iter().any(wide)) {
        (true, false) => Matrix::CsrF32(stack_sparse(matrices.iter().map(|m| m.to_csr_f32()), n_cols)),
        (true, true) => Matrix::CsrF64(stack_sparse(matrices.iter().map(|m| m.to_csr_f64()), n_cols)),
        (false, false) => Matrix::DenseF32(stack_dense(matrices.iter().map(|m| m.to_dense_f32()), n_cols)),
        (false, true) => Matrix::DenseF64(stack_dense(matrices.iter().map(|m| m.to_dense_f64()), n_cols)),
    }
}

fn stack_sparse<'a, T: Copy + Send + Sync + std::ops::Add<Output = T> + 'a>(
    matrices: impl Iterator<Item = std::borrow::Cow<'a, CsrMatrix<T>>>,
    n_cols: usize,
) -> CsrMatrix<T> {
    let (mut indptr, mut indices, mut data) = (vec![0], Vec::new(), Vec::new());
    for matrix in matrices {
        let before = indices.len();
        indptr.extend(matrix.indptr().iter().skip(1).map(|p| before + p));
        indices.extend_from_slice(matrix.indices());
        data.extend_from_slice(matrix.data());
    }
    CsrMatrix::try_new(indptr.len() - 1, n_cols, indptr, indices, data).expect("rows of valid matrices")
}

fn stack_dense<'a, T: Copy + 'a>(
    matrices: impl Iterator<Item = std::borrow::Cow<'a, Array2<T>>>,
    n_cols: usize,
) -> Array2<T> {
    let (mut values, mut n_rows) = (Vec::new(), 0);
    for matrix in matrices {
        n_rows += matrix.nrows();
        values.extend(matrix.iter().copied());
    }
    Array2::from_shape_vec((n_rows, n_cols), values).expect("whole rows")
}

/// Whether two observations, of whichever parts, have one name.
fn names_repeat(parts: &[Part<'_>]) -> bool {
    let mut seen = std::collections::HashSet::new();
    parts.iter().flat_map(|(_, a)| a.obs_names()).any(|n| !seen.insert(n.as_str()))
}

/// What an observation is called where names repeat.
fn renamed(name: &str, part: &str) -> String {
    [name, part].join("-")
}

fn obs_of(parts: &[Part<'_>], label: &str, repeat: bool) -> DataFrame {
    let names = parts.iter().flat_map(|(part, a)| {
        a.obs_names().iter().map(move |n| if repeat { renamed(n, part) } else { n.clone() })
    });
    let mut obs = DataFrame::new(names.collect());
    let keys: indexmap::IndexSet<&String> = parts.iter().flat_map(|(_, a)| a.obs.columns.keys()).collect();
    for key in keys {
        let columns: Vec<(usize, Option<&Column>)> =
            parts.iter().map(|(_, a)| (a.n_obs(), a.obs.columns.get(key))).collect();
        obs.columns.insert(key.clone(), stack_columns(&columns));
    }
    let of: Vec<Option<&str>> =
        parts.iter().flat_map(|(part, a)| std::iter::repeat_n(Some(*part), a.n_obs())).collect();
    // In the order of the parts, not of the alphabet.
    let mut categories: Vec<String> = Vec::new();
    for (part, _) in parts.iter().filter(|(_, a)| a.n_obs() > 0) {
        if !categories.iter().any(|c| c == part) {
            categories.push((*part).to_owned());
        }
    }
    let place: HashMap<&str, i32> =
        categories.iter().enumerate().map(|(k, c)| (c.as_str(), k as i32)).collect();
    let codes = of.iter().flatten().map(|part| place[part]).collect();
    let named = Categorical { codes, categories, ..Categorical::default() };
    obs.columns.insert(label.to_owned(), Column::Categorical(named));
    obs
}

/// Columns below each other; numbers stay numbers, whatever else there is becomes texts or categories.
fn stack_columns(columns: &[(usize, Option<&Column>)]) -> Column {
    let complete = columns.iter().all(|(_, c)| c.is_some());
    let present = || columns.iter().filter_map(|(_, c)| *c);
    if complete && present().all(|c| matches!(c, Column::Bool(_))) {
        let values = present().flat_map(|c| if let Column::Bool(v) = c { v.clone() } else { Vec::new() });
        return Column::Bool(values.collect());
    }
    if complete && present().all(|c| matches!(c, Column::Int(_))) {
        let values = present().flat_map(|c| if let Column::Int(v) = c { v.clone() } else { Vec::new() });
        return Column::Int(values.collect());
    }
    let is_number =
        |c: &Column| !matches!(c, Column::Categorical(_) | Column::Bool(_)) && c.to_f64().is_some();
    if present().all(is_number) {
        let values = columns
            .iter()
            .flat_map(|(n, c)| c.and_then(Column::to_f64).unwrap_or_else(|| vec![f64::NAN; *n]));
        return Column::Float64(values.collect());
    }
    let texts: Vec<Option<String>> =
        columns.iter().flat_map(|(n, c)| c.map_or_else(|| vec![None; *n], Column::to_strings)).collect();
    if present().any(|c| matches!(c, Column::Categorical(_))) {
        return Column::Categorical(Categorical::from_strings(&texts));
    }
    Column::String(texts)
}

fn var_of(parts: &[Part<'_>], columns: &[Vec<usize>]) -> DataFrame {
    let (_, first) = parts[0];
    let mut var = DataFrame::new(columns[0].iter().map(|&j| first.var_names()[j].clone()).collect());
    for (key, column) in &first.var.columns {
        let own = column.select_rows(&columns[0]);
        let agrees = |((_, adata), columns): (&Part<'_>, &Vec<usize>)| {
            adata
                .var
                .columns
                .get(key)
                .is_some_and(|c| c.select_rows(columns).to_strings() == own.to_strings())
        };
        if parts.iter().zip(columns).skip(1).all(agrees) {
            var.columns.insert(key.clone(), own);
        }
    }
    var
}

fn uns_of(parts: &[Part<'_>], repeat: bool) -> IndexMap<String, Value> {
    let mut libraries: IndexMap<String, Value> = IndexMap::new();
    for (part, adata) in parts {
        let Some(Value::Dict(own)) = adata.uns.get(keys::SPATIAL) else { continue };
        for (name, library) in own {
            let name = if own.len() == 1 || libraries.contains_key(name) {
                (*part).to_owned()
            } else {
                name.clone()
            };
            let mut library = library.clone();
            if repeat {
                rename_outlines(&mut library, part);
            }
            libraries.insert(name, library);
        }
    }
    if libraries.is_empty() {
        return IndexMap::new();
    }
    IndexMap::from([(keys::SPATIAL.to_owned(), Value::Dict(libraries))])
}

/// Outlines are found by the names of their cells.
fn rename_outlines(library: &mut Value, part: &str) {
    let Value::Dict(library) = library else { return };
    for key in [keys::CELL_BOUNDARIES, keys::NUCLEUS_BOUNDARIES] {
        let Some(Value::Dict(outlines)) = library.get_mut(key) else { continue };
        if let Some(Value::Array(Array::String(ids))) = outlines.get_mut("ids") {
            ids.iter_mut().for_each(|id| *id = renamed(id, part));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    fn part(genes: &[&str], spots: &[&str], x: Array2<f32>) -> AnnData {
        let mut adata =
            AnnData::new(Matrix::DenseF32(x), DataFrame::new(names(spots)), DataFrame::new(names(genes)))
                .expect("fits");
        adata.obsm.insert("spatial".to_owned(), Array2::<f64>::ones((spots.len(), 2)).into());
        adata
    }

    #[test]
    fn variables_are_matched_by_name_and_observations_kept_apart() {
        let mut a = part(&["x", "y", "z"], &["1", "2"], array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let mut b = part(&["z", "w", "x"], &["1"], array![[7.0, 8.0, 9.0]]);
        b.x = Some(Matrix::CsrF32(CsrMatrix::from_dense(array![[7.0f32, 8.0, 9.0]].view())));
        a.obs.columns.insert("layer".to_owned(), Column::Categorical(Categorical::from_labels(&[0, 1])));
        a.obs.columns.insert("n".to_owned(), Column::Int(vec![1, 2]));
        b.obs.columns.insert("n".to_owned(), Column::Int(vec![3]));
        let library = |n: i64| {
            let outlines = Value::from([("ids", Value::from(names(&["1"]))), ("n", Value::Int(n))]);
            Value::from([("V1", Value::from([("cell_boundaries", outlines)]))])
        };
        a.uns.insert("spatial".to_owned(), library(1));
        b.uns.insert("spatial".to_owned(), library(2));
        a.layers.insert("only_a".to_owned(), Matrix::DenseF32(Array2::zeros((2, 3))));
        let joined = concat(&[("s2", &a), ("s1", &b)], "slice").expect("joined");
        joined.validate().expect("whole");
        assert_eq!(joined.var_names(), ["x", "z"]);
        assert_eq!(joined.obs_names(), ["1-s2", "2-s2", "1-s1"]);
        let x = joined.matrix(None).expect("X").to_dense_f32().into_owned();
        assert_eq!(x, array![[1.0, 3.0], [4.0, 6.0], [9.0, 7.0]]);
        assert!(joined.layers.is_empty());
        assert_eq!(joined.obs.columns["n"], Column::Int(vec![1, 2, 3]));
        assert_eq!(joined.obs.columns["layer"].to_categorical().codes, [0, 1, -1]);
        let slices = joined.obs.columns["slice"].to_categorical();
        assert_eq!((slices.codes, slices.categories), (vec![0, 0, 1], names(&["s2", "s1"])));
        let outlines = joined.uns["spatial"].get("s1").and_then(|library| library.get("cell_boundaries"));
        let outlines = outlines.expect("outlines");
        assert_eq!(outlines.get("n"), Some(&Value::Int(2)));
        // Under the new name of the cell.
        assert_eq!(outlines.get("ids"), Some(&Value::from(names(&["1-s1"]))));
        assert_eq!(joined.obsm_f64("spatial").expect("numbers").nrows(), 3);
    }

    #[test]
    fn names_that_do_not_clash_stay_and_repeated_genes_are_refused() {
        let a = part(&["x"], &["1"], array![[1.0]]);
        let b = part(&["x"], &["2"], array![[2.0]]);
        assert_eq!(concat(&[("a", &a), ("b", &b)], "slice").expect("joined").obs_names(), ["1", "2"]);
        let twice = part(&["x", "x"], &["1"], array![[1.0, 2.0]]);
        assert!(matches!(concat(&[("a", &twice)], "slice"), Err(DataError::DuplicateNames { .. })));
        assert_eq!(concat(&[], "slice").expect("nothing").n_obs(), 0);
    }
}
