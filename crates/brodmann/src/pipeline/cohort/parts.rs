//! What of a cohort's results belongs to each of its files, by rows and by the names of genes.

use std::ops::Range;
use std::path::Path;

use brodmann_data::{Additions, Column, DataError, ElementAdditions, Matrix, Value};

use crate::pipeline::align::places;

/// One file of a cohort, as a part of the whole.
pub(in crate::pipeline) struct Part<'a> {
    pub(in crate::pipeline) path: &'a Path,
    /// Its rows in the whole.
    pub(in crate::pipeline) rows: Range<usize>,
    pub(in crate::pipeline) obs_names: &'a [String],
    pub(in crate::pipeline) var_names: &'a [String],
}

impl Part<'_> {
    /// The share of `whole`, over the genes `shared`, that belongs to this file.
    ///
    /// # Errors
    /// [`DataError::CannotSplit`] for what cannot be cut along the files: nothing is left out in silence.
    pub(in crate::pipeline) fn of(
        &self,
        whole: &Additions,
        shared: &[String],
    ) -> Result<ElementAdditions, DataError> {
        if let Some(name) = whole.modalities.keys().next() {
            return Err(
                self.refused(format!("mod[{name:?}]"), "belongs to one of several modalities".to_owned())
            );
        }
        let whole = &whole.root;
        let rows: Vec<usize> = self.rows.clone().collect();
        // A gene that is not shared has no place in the whole.
        let columns = places(self.var_names, shared);
        let every = columns.iter().copied().collect::<Option<Vec<usize>>>();
        let genes = |element: String| {
            every.as_deref().ok_or_else(|| {
                let n = columns.iter().filter(|c| c.is_some()).count();
                let found = format!("is known for {n} of the {} genes", self.var_names.len());
                self.refused(element, found)
            })
        };
        let mut own = ElementAdditions { uns: whole.uns.clone(), ..ElementAdditions::default() };
        if let Some(x) = &whole.x {
            own.x = Some(x.select_rows(&rows).select_columns(genes("X".to_owned())?));
        }
        for (key, layer) in &whole.layers {
            let columns = genes(format!("layers[{key:?}]"))?;
            own.layers.insert(key.clone(), layer.select_rows(&rows).select_columns(columns));
        }
        for (key, column) in &whole.obs {
            own.obs.insert(key.clone(), column.select_rows(&rows));
        }
        for (key, value) in &whole.obsm {
            own.obsm.insert(key.clone(), named(value.select_rows(&rows), self.obs_names));
        }
        for (key, column) in &whole.var {
            let part = of_genes(column, &columns)
                .ok_or_else(|| self.refused(format!("var[{key:?}]"), format!("holds {}", column.kind())))?;
            own.var.insert(key.clone(), part);
        }
        for (key, value) in &whole.varm {
            let part = value.select_rows(genes(format!("varm[{key:?}]"))?);
            own.varm.insert(key.clone(), named(part, self.var_names));
        }
        for (key, graph) in &whole.obsp {
            if !self.holds(graph) {
                let found = "joins observations to those of other files".to_owned();
                return Err(self.refused(format!("obsp[{key:?}]"), found));
            }
            own.obsp.insert(key.clone(), graph.select_rows(&rows).select_columns(&rows));
        }
        for (key, graph) in &whole.varp {
            let columns = genes(format!("varp[{key:?}]"))?;
            own.varp.insert(key.clone(), graph.select_rows(columns).select_columns(columns));
        }
        Ok(own)
    }

    /// Whether every edge of this file's observations leads to one of them.
    pub(super) fn holds(&self, graph: &Matrix) -> bool {
        let rows: Vec<usize> = self.rows.clone().collect();
        let own = graph.select_rows(&rows);
        // Entries are counted where they are stored: one that is lost leads to another file.
        entries(&own) == entries(&own.select_columns(&rows))
    }

    /// Whether the file has no genes but the `shared` ones.
    pub(super) fn has_only(&self, shared: &[String]) -> bool {
        places(self.var_names, shared).iter().all(Option::is_some)
    }

    fn refused(&self, element: String, found: String) -> DataError {
        DataError::CannotSplit { element, found, path: self.path.to_path_buf() }
    }
}

/// Entries other than zero; a dense matrix stores all.
fn entries(matrix: &Matrix) -> usize {
    matrix.to_csr_f64().data().iter().filter(|v| **v != 0.0).count()
}

/// A table names its rows.
fn named(mut value: Value, names: &[String]) -> Value {
    if let Value::Frame(frame) = &mut value {
        frame.index = names.to_vec();
    }
    value
}

/// A column of genes in another order; missing where a gene has no place. A flag is not set there: it says that a
/// gene was chosen.
fn of_genes(column: &Column, places: &[Option<usize>]) -> Option<Column> {
    if let Some(rows) = places.iter().copied().collect::<Option<Vec<usize>>>() {
        return Some(column.select_rows(&rows));
    }
    fn at<T: Clone>(values: &[T], places: &[Option<usize>], missing: &T) -> Vec<T> {
        places.iter().map(|p| p.and_then(|j| values.get(j)).unwrap_or(missing).clone()).collect()
    }
    Some(match column {
        Column::Float64(v) => Column::Float64(at(v, places, &f64::NAN)),
        Column::Float32(v) => Column::Float32(at(v, places, &f32::NAN)),
        Column::Int(v) => {
            let v: Vec<Option<i64>> = v.iter().copied().map(Some).collect();
            Column::NullableInt(at(&v, places, &None))
        }
        Column::Bool(v) => Column::Bool(at(v, places, &false)),
        Column::String(v) => Column::String(at(v, places, &None)),
        Column::Categorical(c) => {
            let mut c = c.clone();
            c.codes = at(&c.codes, places, &-1);
            Column::Categorical(c)
        }
        Column::NullableInt(v) => Column::NullableInt(at(v, places, &None)),
        Column::NullableBool(v) => Column::NullableBool(at(v, places, &None)),
        Column::Opaque { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::CsrMatrix;
    use indexmap::IndexMap;
    use ndarray::{Array2, array};

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    /// The second of two files of two spots each; the whole knows genes b and a.
    fn split(whole: &ElementAdditions, var: &[&str]) -> Result<ElementAdditions, DataError> {
        let (obs_names, var_names) = (names(&["3", "4"]), names(var));
        let path = Path::new("second.h5ad");
        let part = Part { path, rows: 2..4, obs_names: &obs_names, var_names: &var_names };
        part.of(&Additions { root: whole.clone(), modalities: IndexMap::new() }, &names(&["b", "a"]))
    }

    fn graph(rows: [Vec<(u32, f64)>; 4]) -> Matrix {
        CsrMatrix::from_rows(4, &rows).into()
    }

    #[test]
    fn rows_and_genes_reach_the_file_in_its_order() {
        let mut whole = ElementAdditions::default();
        let layer = array![[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]];
        whole.layers.insert("denoised".to_owned(), Matrix::DenseF32(layer));
        whole.var.insert("score".to_owned(), Column::Float64(vec![0.5, 0.25]));
        whole.varm.insert("PCs".to_owned(), array![[1.0f64], [2.0]].into());
        let blocks = graph([vec![(1, 1.0)], vec![(0, 1.0)], vec![(3, 2.0)], vec![(2, 3.0)]]);
        whole.obsp.insert("near".to_owned(), blocks);
        let own = split(&whole, &["a", "b"]).expect("splits");
        assert_eq!(own.layers["denoised"], Matrix::DenseF32(array![[6.0f32, 5.0], [8.0, 7.0]]));
        assert_eq!(own.var["score"], Column::Float64(vec![0.25, 0.5]));
        assert_eq!(own.varm["PCs"], array![[2.0f64], [1.0]].into());
        let expected = CsrMatrix::from_rows(2, &[vec![(1, 2.0)], vec![(0, 3.0)]]);
        assert_eq!(own.obsp["near"].to_csr_f64().into_owned(), expected);
    }

    #[test]
    fn genes_that_are_not_shared_are_missing_in_columns() {
        let mut whole = ElementAdditions::default();
        whole.var.insert("chosen".to_owned(), Column::Bool(vec![true, true]));
        whole.var.insert("rank".to_owned(), Column::Int(vec![1, 2]));
        let own = split(&whole, &["a", "other", "b"]).expect("splits");
        assert_eq!(own.var["chosen"], Column::Bool(vec![true, false, true]));
        assert_eq!(own.var["rank"], Column::NullableInt(vec![Some(2), None, Some(1)]));
    }

    #[test]
    fn what_cannot_be_split_is_refused_by_name() {
        let refused = |whole: &ElementAdditions, var: &[&str]| {
            let message = split(whole, var).expect_err("refused").to_string();
            assert!(message.contains("second.h5ad") && !message.contains("; "), "{message}");
            message
        };
        let mut layer = ElementAdditions::default();
        layer.layers.insert("denoised".to_owned(), Matrix::DenseF32(Array2::zeros((4, 2))));
        assert!(
            refused(&layer, &["a", "b", "c"]).contains("layers[\"denoised\"] is known for 2 of the 3 genes")
        );
        let mut across = ElementAdditions::default();
        let edge = graph([vec![(2, 1.0)], vec![], vec![(0, 1.0)], vec![]]);
        across.obsp.insert("near".to_owned(), edge);
        assert!(refused(&across, &["a", "b"]).contains("obsp[\"near\"] joins observations"));
        let mut modality = Additions::default();
        modality.target(Some("rna")).uns.insert("x".to_owned(), Value::Null);
        let part = Part { path: Path::new("a"), rows: 0..0, obs_names: &[], var_names: &[] };
        assert!(part.of(&modality, &[]).expect_err("refused").to_string().contains("mod[\"rna\"]"));
    }
}
