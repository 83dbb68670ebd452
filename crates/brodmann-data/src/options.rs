//! Which parts of a file are read.

/// Which keys of a group are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// Every key.
    #[default]
    All,
    /// No key.
    None,
    /// These keys, where present.
    Only(Vec<String>),
}

impl Select {
    /// These keys.
    pub fn only<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self::Only(keys.into_iter().map(Into::into).collect())
    }

    /// Whether `key` is read.
    pub fn wants(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(keys) => keys.iter().any(|k| k == key),
        }
    }
}

/// Which parts of a file are read; everything by default.
///
/// Row names are always read. What is left out costs neither time nor memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// `X`.
    pub x: bool,
    /// Numbers of `X`, `layers` and `raw` become `f32` as they are read, whatever the file holds: half the memory.
    pub x_as_f32: bool,
    /// `layers`.
    pub layers: Select,
    /// Columns of `obs`.
    pub obs: Select,
    /// Columns of `var`.
    pub var: Select,
    /// `obsm`.
    pub obsm: Select,
    /// `varm`.
    pub varm: Select,
    /// `obsp`.
    pub obsp: Select,
    /// `varp`.
    pub varp: Select,
    /// `uns`.
    pub uns: Select,
    /// `raw`.
    pub raw: bool,
    /// Modalities of a `.h5mu`.
    pub modalities: Select,
    /// What was not read is going to be written: of a file of scverse it is read again then, but the readers of instruments
    /// and tables take pictures and boundaries now.
    pub to_write: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            x: true,
            x_as_f32: false,
            layers: Select::All,
            obs: Select::All,
            var: Select::All,
            obsm: Select::All,
            varm: Select::All,
            obsp: Select::All,
            varp: Select::All,
            uns: Select::All,
            raw: true,
            modalities: Select::All,
            to_write: false,
        }
    }
}

impl ReadOptions {
    /// Row names only (of every modality); set the fields wanted.
    pub fn names_only() -> Self {
        Self {
            x: false,
            x_as_f32: false,
            layers: Select::None,
            obs: Select::None,
            var: Select::None,
            obsm: Select::None,
            varm: Select::None,
            obsp: Select::None,
            varp: Select::None,
            uns: Select::None,
            raw: false,
            modalities: Select::All,
            to_write: false,
        }
    }

    /// As [`ReadOptions::names_only`], of what is going to be written with results.
    pub fn to_write() -> Self {
        Self { to_write: true, ..Self::names_only() }
    }
}

/// How a file is written from scratch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// gzip level of large arrays, 0 (none) to 9. Level 1 is within a few per cent of the size of anndata's
    /// level 4 at a third of the time.
    pub gzip: u8,
    /// Replace an existing file.
    pub overwrite: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { gzip: 1, overwrite: true }
    }
}
