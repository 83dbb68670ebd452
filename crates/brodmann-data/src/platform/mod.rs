//! Files of measuring platforms: what an instrument or a database hands out becomes a container.
//!
//! [`open_any`] asks the rows of one table ([`PLATFORMS`]) in turn whether the path is theirs; a platform is recognised by
//! the files it consists of, never by the name of a folder. The next instrument is one file here and one row there.
//!
//! * `scverse`: `.h5ad`, `.h5mu`, Zarr, SpatialData.
//! * `xenium`, `visium_hd`, `visium`, `cosmx`, `merscope`, `stereo_seq`: folders (and `.gef`, `.gem`) as the instruments write them.
//! * [`read_tenx_h5`], [`read_tenx_mtx`]: 10x feature-barcode matrices, versions 2 and 3.
//! * [`read_table`] and `table_folder`: counts and coordinates as text tables or Parquet.
//! * What they share: `text`, `parquet_table`, `wide` (cells x genes as text), `transcripts` (one line per molecule), `join`
//!   (tables by identifier), `features` (controls and modalities), `polygons`, `picture`, `space` (`uns["spatial"]`).

use std::path::{Path, PathBuf};

use brodmann_kernels::{Monitor, Opt, OptionError};
use indexmap::IndexMap;

use crate::input::no_file;
use crate::scverse::{Container, MatrixRows, OpenFile};
use crate::{DataError, ReadOptions};

mod cosmx;
mod features;
mod foreign;
mod join;
mod merscope;
mod mtx;
mod parquet_table;
mod picture;
mod polygons;
mod scverse;
mod space;
mod stereo_seq;
mod table;
mod table_folder;
mod tenx;
mod text;
mod transcripts;
mod visium;
mod visium_hd;
mod wide;
mod xenium;

#[cfg(test)]
pub(crate) use text::any_columns;

pub use mtx::read_tenx_mtx;
pub use table::{Orientation, TableOptions, coordinate_columns, read_named_rows, read_table};
pub use tenx::read_tenx_h5;
pub use text::{open_text, read_text};

/// What is said of an input beside its path; by default it is found out by looking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// One of [`formats`].
    pub format: Option<String>,
    /// Which squares, or cells, are the observations.
    pub bin: Option<Bin>,
    /// Which genome of an old 10x file that holds several.
    pub genome: Option<String>,
    /// Of a SpatialData store: which table.
    pub table_name: Option<String>,
    /// Of a SpatialData store: what the coordinates are wanted in.
    pub coordinate_system: Option<String>,
    /// The name of the slide in `uns["spatial"]`; by default what the files say, else the folder's name.
    pub library_id: Option<String>,
    /// Of tables, and of a 10x matrix: where the coordinates are.
    pub table: TableOptions,
}

impl OpenOptions {
    /// Names of the options that were given and that not every platform has a use for.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("bin", self.bin.is_some()),
            ("genome", self.genome.is_some()),
            ("table_name", self.table_name.is_some()),
            ("coordinate_system", self.coordinate_system.is_some()),
            ("coordinates", self.table.coordinates.is_some()),
            ("transposed", self.table.orientation != Orientation::Auto),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
    }
}

/// Which observations are taken of an instrument that measures finer than cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin {
    /// Squares of this side: micrometres of Visium HD, spots of the chip of Stereo-seq, units of the coordinates where
    /// molecules are counted.
    Side(u32),
    /// Segmented cells.
    Cells,
}

impl std::str::FromStr for Bin {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        if text == "cells" {
            return Ok(Self::Cells);
        }
        let side = text.parse().ok().filter(|side| *side > 0).map(Self::Side);
        side.ok_or_else(|| OptionError::new("bin", format!("{text:?}"), "the side of a square, or cells"))
    }
}

/// What a path held.
#[derive(Debug)]
pub struct Opened {
    /// The container; of a `.h5ad` or `.h5mu` the parts that were asked for.
    pub container: Container,
    /// The file where it is one of scverse: what was left out can be read of it later, and results go into a copy of it.
    pub file: Option<OpenFile>,
    /// `obs` column that names the slide, where there are several.
    pub library_key: Option<String>,
    /// Where `X` was not asked for and can be read in blocks of rows of a file that is not one of scverse: by modality.
    pub rows: IndexMap<Option<String>, MatrixRows>,
}

impl Opened {
    fn of(container: impl Into<Container>) -> Self {
        Self { container: container.into(), file: None, library_key: None, rows: IndexMap::new() }
    }
}

/// A path on its way to a reader.
pub(crate) struct Source<'a> {
    path: &'a Path,
    options: &'a OpenOptions,
    /// Which parts are wanted.
    read: &'a ReadOptions,
    monitor: &'a dyn Monitor,
}

impl Source<'_> {
    /// The name of the slide: as asked, as the files say, or that of the folder.
    fn library(&self, stored: Option<String>) -> String {
        let said = self.options.library_id.clone().or(stored);
        // A slash would be read as a group.
        said.unwrap_or_else(|| sample_name(self.path)).replace('/', "_")
    }

    /// Whether pictures and outlines are wanted.
    fn wants_pictures(&self) -> bool {
        self.read.to_write || self.read.uns.wants(crate::keys::SPATIAL)
    }
}

/// One kind of input.
pub(crate) trait Platform: Sync {
    /// Names of the format, as they are given.
    fn names(&self) -> &'static [&'static str];
    /// What it consists of, for whoever has named the format.
    fn looks_for(&self) -> &'static str;
    /// The options it obeys beside those that every input has.
    fn takes(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether the path is one.
    fn matches(&self, path: &Path) -> bool;
    /// Reads it.
    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError>;
}

/// Every kind of input, in the order they are tried.
static PLATFORMS: [&dyn Platform; 11] = [
    &scverse::Scverse,
    &xenium::Xenium,
    &visium_hd::VisiumHd,
    &visium::Visium,
    &cosmx::CosMx,
    &merscope::Merscope,
    &stereo_seq::StereoSeq,
    &tenx::TenX,
    &table_folder::TableFolder,
    &transcripts::Transcripts,
    &table::Table,
];

/// Names of the formats.
pub fn formats() -> impl Iterator<Item = &'static str> {
    PLATFORMS.iter().flat_map(|platform| platform.names().iter().copied())
}

/// Reads whatever lies at `path`.
///
/// # Inputs
/// `read`: the parts wanted of a `.h5ad` or `.h5mu`, and whether pictures are; counts of the others are read whole.
/// # Errors
/// [`DataError::NoFormat`]; with a format named [`DataError::UnknownFormat`], saying what that consists of; the errors of each
/// reader.
pub fn open_any(
    path: impl AsRef<Path>,
    options: &OpenOptions,
    read: &ReadOptions,
    monitor: &dyn Monitor,
) -> Result<Opened, DataError> {
    let path = path.as_ref();
    let source = Source { path, options, read, monitor };
    let open = |platform: &dyn Platform| {
        if let Some(option) = options.given().find(|option| !platform.takes().contains(option)) {
            let taking = PLATFORMS.iter().filter(|p| p.takes().contains(&option));
            let taking: Vec<&str> = taking.flat_map(|p| p.names().iter().copied()).collect();
            let format = platform.names().join(" or ");
            let found = format!("given for {}, which is read as {format}", path.display());
            let expected = format!("an input of the format {}", list_of(&taking));
            let way = format!("leave {} out", Opt(option));
            return Err(OptionError::new(option, found, expected).advise(way).into());
        }
        platform.open(&source)
    };
    if let Some(name) = &options.format {
        let platform = PLATFORMS.iter().find(|p| p.names().contains(&name.as_str())).ok_or_else(|| {
            let known = formats().collect::<Vec<_>>().join(", ");
            OptionError::new("format", format!("{name:?}"), format!("one of {known}"))
        })?;
        return open(*platform);
    }
    let metadata = std::fs::metadata(path).map_err(|e| DataError::read(path, e))?;
    if let Some(found) = no_file(&metadata) {
        return Err(DataError::NoFile { path: path.to_path_buf(), found });
    }
    if let Some(platform) = PLATFORMS.iter().find(|p| p.matches(path)) {
        return open(*platform);
    }
    Err(foreign::refuse(path).unwrap_or_else(|| unknown(path)))
}

/// [`open_any`] for what is wanted whole.
///
/// # Errors
/// As [`open_any`].
pub fn read_any(
    path: impl AsRef<Path>,
    options: &OpenOptions,
    monitor: &dyn Monitor,
) -> Result<Container, DataError> {
    open_any(path, options, &ReadOptions::default(), monitor).map(|opened| opened.container)
}

/// `a, b or c`.
fn list_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn unknown(path: &Path) -> DataError {
    let formats = formats().collect::<Vec<_>>().join(", ");
    match what_lies_at(path) {
        Ok(found) => DataError::NoFormat { path: path.to_path_buf(), found, formats },
        Err(e) => DataError::read(path, e),
    }
}

/// The first names in a folder, or the ending of a file.
fn what_lies_at(path: &Path) -> std::io::Result<String> {
    const SHOWN: usize = 6;
    if !path.is_dir() {
        let ending = path.extension().map(|e| e.to_string_lossy().into_owned());
        return Ok(ending.map_or("a file without an ending".to_owned(), |e| format!("a file ending in .{e}")));
    }
    let entries = std::fs::read_dir(path)?.filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(match names.len() {
        0 => "an empty folder".to_owned(),
        n if n <= SHOWN => format!("a folder with {}", names.join(", ")),
        n => format!("a folder with {} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    })
}

/// The samples of a project: the folders in `path`, where itself it is of no known format and they are. Sorted by name.
pub fn samples(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() || PLATFORMS.iter().any(|p| p.matches(path)) {
        return Vec::new();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    // A file beside the samples (a list of them, say) is none, and a matrix alone lies inside a sample.
    let is_sample = |p: &Path| !mtx::is_mtx(p) && PLATFORMS.iter().any(|platform| platform.matches(p));
    let mut found: Vec<PathBuf> = entries.filter(|p| p.is_dir() && is_sample(p)).collect();
    found.sort();
    found
}

/// What a sample is called: its folder or file without endings; of `outs` and what lies in it, the folder above.
pub fn sample_name(path: &Path) -> String {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let inner = |name: &str| {
        ["outs", "binned_outputs", "segmented_outputs"].contains(&name) || name.starts_with("square_")
    };
    let mut names = whole.ancestors().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    let name = names.find(|name| !inner(name)).unwrap_or_else(|| "library".to_owned());
    let mut stem = name.as_str();
    while let Some((rest, ending)) = stem.rsplit_once('.') {
        let known = ["h5ad", "h5mu", "h5", "zarr", "zip", "csv", "tsv", "txt", "gz", "parquet", "gef", "gem"];
        if rest.is_empty() || !known.contains(&ending.to_lowercase().as_str()) {
            break;
        }
        stem = rest;
    }
    stem.to_owned()
}

/// Files of `folder` whose name ends in one of `endings`, plain or with `.gz`; sorted.
fn ending_with(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        // What a system leaves beside a file that was copied.
        path.is_file() && !name.starts_with("._") && endings.iter().any(|e| plain.ends_with(e))
    };
    let mut found: Vec<PathBuf> = entries.filter(fits).collect();
    found.sort();
    found
}

/// What was chosen of several, and the option that chooses otherwise.
fn note_choice(monitor: &dyn Monitor, found: &str, taken: &str, option: Opt) {
    monitor.note(&format!("{found} found; {taken} taken ({option} says otherwise)"));
}
