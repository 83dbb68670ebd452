//! A file whose matrices come in blocks of rows: `X` is never whole in memory.

use std::path::{Path, PathBuf};

use brodmann_kernels::CsrView;

use super::write::{
    USERBLOCK, beside_x, checked_key, encoded_group, encoding, mark_mudata, mudata, prepare, row_starts,
    verify,
};
use super::{Container, join};
use crate::hdf5::Hdf5Writer;
use crate::store::{Attribute, GrowingData, GrowingKind, StoreWriter};
use crate::temporary::Temporary;
use crate::{AnnData, DataError, WriteOptions};

/// A `.h5ad` or `.h5mu` that is written while its rows come, under a temporary name until [`RowAppender::finish`].
///
/// Dropped before that, or interrupted, it leaves nothing. Elements are those of [`super::write_h5ad`] and
/// [`super::write_h5mu`]; only where chunks lie in the file differs.
///
/// # Cost
/// One pass. Memory: 8 bytes a row, and for each modality two batches of 16 chunks of 64 Ki values.
pub struct RowAppender {
    // Dropped in this order: datasets before their file, the file before its name.
    matrices: Vec<Growing>,
    writer: Hdf5Writer,
    temporary: Temporary,
    path: PathBuf,
    gzip: u8,
}

struct Growing {
    /// Key of the modality; empty for a `.h5ad`.
    name: String,
    path: String,
    n_vars: usize,
    indptr: Vec<usize>,
    indices: <Hdf5Writer as StoreWriter>::Growing,
    data: <Hdf5Writer as StoreWriter>::Growing,
}

impl RowAppender {
    /// Begins a `.h5ad` of `n_vars` variables.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn h5ad(path: impl AsRef<Path>, n_vars: usize, options: &WriteOptions) -> Result<Self, DataError> {
        let mut this = Self::begin(path.as_ref(), 0, options)?;
        encoded_group(&this.writer, "", "anndata", "0.1.0")?;
        this.add_matrix("", "X", n_vars)?;
        Ok(this)
    }

    /// Begins a `.h5mu` of these modalities: keys and numbers of variables.
    ///
    /// # Errors
    /// [`DataError::Write`]; [`DataError::Kind`] for a key with a slash.
    pub fn h5mu(
        path: impl AsRef<Path>,
        modalities: &[(&str, usize)],
        options: &WriteOptions,
    ) -> Result<Self, DataError> {
        let mut this = Self::begin(path.as_ref(), USERBLOCK, options)?;
        this.writer.create_group("mod")?;
        for &(name, n_vars) in modalities {
            let root = join("mod", checked_key("mod", name)?);
            encoded_group(&this.writer, &root, "anndata", "0.1.0")?;
            this.add_matrix(name, &join(&root, "X"), n_vars)?;
        }
        Ok(this)
    }

    fn begin(path: &Path, userblock: u64, options: &WriteOptions) -> Result<Self, DataError> {
        let temporary = prepare(path, options)?;
        let writer = Hdf5Writer::create(temporary.path(), path, userblock)?;
        let path = path.to_path_buf();
        Ok(Self { matrices: Vec::new(), writer, temporary, path, gzip: options.gzip })
    }

    fn add_matrix(&mut self, name: &str, path: &str, n_vars: usize) -> Result<(), DataError> {
        encoded_group(&self.writer, path, "csr_matrix", "0.1.0")?;
        // scipy wants signed indices; 32 bits while they suffice.
        let kind = if i32::try_from(n_vars).is_ok() { GrowingKind::I32 } else { GrowingKind::U32 };
        self.matrices.push(Growing {
            name: name.to_owned(),
            path: path.to_owned(),
            n_vars,
            indptr: vec![0],
            indices: self.writer.grow(&join(path, "indices"), kind, self.gzip),
            data: self.writer.grow(&join(path, "data"), GrowingKind::F32, self.gzip),
        });
        Ok(())
    }

    /// Appends rows to `X` of the `modality`-th modality (0 in a `.h5ad`).
    ///
    /// # Errors
    /// [`DataError::Shape`] for another number of columns or an unknown modality; [`DataError::Write`].
    pub fn append(&mut self, modality: usize, rows: CsrView<'_, f32>) -> Result<(), DataError> {
        let n_modalities = self.matrices.len();
        let Some(matrix) = self.matrices.get_mut(modality) else {
            return Err(DataError::Shape {
                element: format!("rows of modality {modality}"),
                found: vec![rows.n_rows(), rows.n_cols()],
                expected: format!("a modality below {n_modalities}"),
            });
        };
        if rows.n_cols() != matrix.n_vars {
            return Err(DataError::Shape {
                element: format!("a block of {}", matrix.path),
                found: vec![rows.n_rows(), rows.n_cols()],
                expected: format!("{} columns", matrix.n_vars),
            });
        }
        let before = matrix.indptr.last().copied().unwrap_or(0);
        matrix.indptr.extend(rows.indptr().iter().skip(1).map(|end| before + end));
        self.writer.append(&mut matrix.indices, GrowingData::U32(rows.indices()))?;
        self.writer.append(&mut matrix.data, GrowingData::F32(rows.data()))
    }

    /// Rows appended to the first modality so far.
    pub fn n_obs(&self) -> usize {
        self.matrices.first().map_or(0, |m| m.indptr.len() - 1)
    }

    /// Values appended to all modalities so far.
    pub fn nnz(&self) -> usize {
        self.matrices.iter().map(|m| m.indptr.last().copied().unwrap_or(0)).sum()
    }

    /// Writes what stands beside the matrices, and puts the file in place.
    ///
    /// # Inputs
    /// `rest`: the container without its `X`; names and numbers as they were begun and appended.
    /// # Errors
    /// [`DataError::Shape`] where they differ; [`DataError::Kind`] for the other container or an `X` in
    /// it; [`DataError::Write`].
    pub fn finish(self, rest: &Container) -> Result<(), DataError> {
        match rest {
            Container::AnnData(adata) => adata.validate()?,
            Container::MuData(mdata) => mdata.validate()?,
        }
        let parts: Vec<(&str, &AnnData)> = match rest {
            Container::AnnData(adata) => vec![("", adata)],
            Container::MuData(mdata) => mdata.modalities.iter().map(|(n, a)| (n.as_str(), a)).collect(),
        };
        let begun = self.matrices.iter().map(|m| m.name.as_str());
        if !begun.eq(parts.iter().map(|(name, _)| *name)) {
            return Err(DataError::Kind {
                element: format!("the container to finish {}", self.path.display()),
                found: format!("of modalities {:?}", parts.iter().map(|p| p.0).collect::<Vec<_>>()),
                expected: "those the file was begun with".to_owned(),
            });
        }
        for (matrix, (_, adata)) in self.matrices.iter().zip(&parts) {
            if adata.x.is_some() {
                return Err(DataError::Kind {
                    element: matrix.path.clone(),
                    found: "in the container as well as appended".to_owned(),
                    expected: "in one of both".to_owned(),
                });
            }
            let appended = [matrix.indptr.len() - 1, matrix.n_vars];
            if appended != [adata.n_obs(), adata.n_vars()] {
                return Err(DataError::Shape {
                    element: matrix.path.clone(),
                    found: appended.to_vec(),
                    expected: format!("{} x {}", adata.n_obs(), adata.n_vars()),
                });
            }
        }
        let Self { matrices, writer, temporary, path, gzip } = self;
        for matrix in matrices {
            let shape = vec![matrix.indptr.len() as i64 - 1, matrix.n_vars as i64];
            writer.group_attribute(&matrix.path, "shape", &Attribute::Ints(shape))?;
            writer.finish_growing(matrix.data, &encoding("array", "0.2.0"))?;
            writer.finish_growing(matrix.indices, &encoding("array", "0.2.0"))?;
            row_starts(&writer, &matrix.path, &matrix.indptr, gzip)?;
        }
        match rest {
            Container::AnnData(adata) => beside_x(&writer, "", adata, gzip)?,
            Container::MuData(mdata) => mudata(&writer, mdata, gzip, true)?,
        }
        writer.close()?;
        if matches!(rest, Container::MuData(_)) {
            mark_mudata(&temporary, &path)?;
        }
        verify(&temporary, &path)?;
        temporary.persist(None)
    }
}
