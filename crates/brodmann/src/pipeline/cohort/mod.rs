//! One file, or several slices in several files, as one tissue; results go back the same way.
//!
//! Several files become one tissue over the genes they share ([`concat()`]). Where the output is a `.h5ad`, that tissue is
//! written with the results; where it is a folder, a copy of every input with its part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use brodmann_data::{
    Additions, AnnData, Categorical, Column, Container, DataError, OpenFile, Opened, ReadOptions,
    Reservation, Select, Value, concat, keys, open_any, sample_name, samples,
};
use brodmann_kernels::{Monitor, Opt, OptionError};
use indexmap::{IndexMap, IndexSet};

pub(in crate::pipeline) mod parts;

use parts::Part;

use super::PipelineError;
use super::record::is_record;
use super::tissue::{Destination, Opening, Tissue, is_zarr, put_in_place};

/// Fewer genes than this in common are a mistake in names, not a panel...
const FEW_SHARED: usize = 50;
/// ... unless they are at least this share of the smallest file's.
const SHARE_SHARED: f64 = 0.5;

/// One or several files as one tissue.
#[derive(Debug)]
pub struct Cohort {
    /// The tissue.
    pub tissue: Tissue,
    /// `obs` column that names the slice; always there with several files.
    pub library_key: Option<String>,
    /// The files and their rows; empty for a single one.
    files: Vec<File>,
    /// The rights to write the outputs, from the check of the destination on.
    reserved: Mutex<Vec<Reservation>>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// The file where results can go into a copy of it: held open, so that the copy is of what was read.
    opened: Option<OpenFile>,
    rows: Range<usize>,
    var_names: Vec<String>,
    obs_names: Vec<String>,
}

impl Cohort {
    /// Opens one file, or several as slices.
    ///
    /// Several must be `.h5ad` (or anything [`open_any`] reads as one modality). Slices are named by
    /// `obs[library_key]` where the files have that column (`library_id` when none is named), else by the files; without
    /// a name asked for, a file of several slices says so for itself.
    ///
    /// # Inputs
    /// `inputs`: a single folder of samples stands for these. `opening`: how a single file is read; of several, everything
    /// that can be joined is.
    /// # Errors
    /// As the readers; [`PipelineError::SharedGenes`] when the files have hardly a gene in common.
    pub fn open(
        inputs: &[PathBuf],
        opening: &Opening<'_>,
        library_key: Option<&str>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let project;
        let mut inputs = inputs;
        if let [input] = inputs {
            project = samples(input);
            if project.is_empty() {
                let tissue = Tissue::open(input, opening, monitor)?;
                let found = tissue.library_key.clone().filter(|_| library_key.is_none());
                if let Some(key) = &found {
                    monitor.note(&format!("slices are told apart by obs[{key:?}]"));
                }
                let key = library_key.map(str::to_owned).or(found);
                return Ok(Self::new(tissue, key, Vec::new()));
            }
            monitor.note(&format!("{} holds {} samples", input.display(), project.len()));
            inputs = &project;
        }
        let mut parts = Vec::with_capacity(inputs.len());
        let mut opened = Vec::with_capacity(inputs.len());
        for input in inputs {
            monitor.stage(&format!("reading {}", input.display()), 0);
            let (mut part, file) = read_part(input, opening, monitor)?;
            let own_names = part.var.index.clone();
            if let Some(features) = opening.features {
                let note = put_in_place(&mut part, features, &input.display().to_string())?;
                if let Some(note) = note {
                    monitor.note(&note);
                }
                part.raw = None;
            }
            parts.push(part);
            opened.push((file, own_names));
        }
        let Some(first) = inputs.first() else {
            return Err(PipelineError::option("input", "not given", "at least one input"));
        };
        let key = library_key.unwrap_or(keys::LIBRARY_ID).to_owned();
        let joined = join(inputs, &mut parts, &key, library_key.is_some())?;
        check_shared(inputs, &parts, joined.n_vars())?;
        monitor.note(&format!(
            "{} files joined: {} spots, {} genes in common",
            inputs.len(),
            joined.n_obs(),
            joined.n_vars()
        ));
        let mut files = Vec::with_capacity(parts.len());
        let mut start = 0;
        for ((path, part), (opened, var_names)) in inputs.iter().zip(parts).zip(opened) {
            let rows = start..start + part.n_obs();
            start = rows.end;
            let obs_names = part.obs.index;
            files.push(File { path: path.clone(), opened, rows, var_names, obs_names });
        }
        let tissue = Tissue::joined(first, joined, opening, monitor)?;
        Ok(Self::new(tissue, Some(key), files))
    }

    fn new(tissue: Tissue, library_key: Option<String>, files: Vec<File>) -> Self {
        Self { tissue, library_key, files, reserved: Mutex::default() }
    }

    /// Rows of the whole in each file.
    pub fn rows(&self) -> Vec<Range<usize>> {
        if self.files.is_empty() {
            let all = 0..self.tissue.n_obs();
            return vec![all];
        }
        // Among those that take part: a file's rows lie one after the other.
        let before = |row: usize| match self.tissue.kept_rows() {
            Some(kept) => kept.partition_point(|k| *k < row),
            None => row,
        };
        self.files.iter().map(|f| before(f.rows.start)..before(f.rows.end)).collect()
    }

    /// Refuses, before any work, a destination that cannot take the result.
    ///
    /// # Errors
    /// As [`Tissue::check_destination`].
    pub fn check_destination(&self, destination: &Destination) -> Result<(), PipelineError> {
        if self.files.is_empty() {
            return self.tissue.check_destination(destination);
        }
        let outputs = match destination {
            Destination::File(output) if !is_folder(output) => {
                if output.extension().is_none_or(|e| e != "h5ad" && e != "zarr") {
                    return Err(PipelineError::OutputEnding {
                        path: output.display().to_string(),
                        expected: ".h5ad or .zarr, which joins the inputs, or name a folder, which takes a copy of each",
                    });
                }
                for file in &self.files {
                    brodmann_data::check_output(&file.path, output)?;
                }
                vec![output.clone()]
            }
            _ => self.outputs(destination)?,
        };
        let reserved = outputs.iter().filter(|path| has_folder(path)).map(Reservation::of);
        let reserved = reserved.collect::<Result<Vec<_>, _>>()?;
        self.check_unchanged()?;
        // A panic elsewhere leaves nothing half done here.
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = reserved;
        Ok(())
    }

    /// Refuses to replace, in an input itself, a column that no run of this program wrote: it would be lost.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub fn check_replaced(&self, key: &str) -> Result<(), PipelineError> {
        let alone = self.tissue.file().filter(|_| self.files.is_empty());
        for file in self.files.iter().filter_map(|f| f.opened.as_ref()).chain(alone) {
            if !file.element_names(None, "obs")?.iter().any(|name| name == key) {
                continue;
            }
            let options = ReadOptions { uns: Select::only([key]), ..ReadOptions::names_only() };
            let read = file.read(&options)?;
            let uns = match &read {
                Container::AnnData(adata) => &adata.uns,
                Container::MuData(mdata) => &mdata.uns,
            };
            if uns.get(key).is_some_and(is_record) {
                continue;
            }
            let found = format!(
                "{key:?}, a column of obs that is in {} already and that no run of this program wrote",
                file.path().display()
            );
            let error = OptionError::new("key_added", found, "a name of its own for the result");
            return Err(error
                .advise(format!(
                    "choose another, write elsewhere with {}, or replace it with {}",
                    Opt("out"),
                    Opt("force")
                ))
                .into());
        }
        Ok(())
    }

    /// The output of each file, in the folder of the destination or in place.
    fn outputs(&self, destination: &Destination) -> Result<Vec<PathBuf>, PipelineError> {
        if let Some(file) = self.files.iter().find(|f| f.opened.is_none()) {
            let file = file.path.display();
            let error = if *destination == Destination::InPlace {
                OptionError::new("in_place", format!("asked of {file}"), "inputs that are .h5ad or .zarr")
            } else {
                let found = format!("a folder for a copy of each input, {file} among them");
                OptionError::new("out", found, "inputs that are .h5ad or .zarr")
            };
            let way = format!("name a single .h5ad for all of them with {}", Opt("out"));
            return Err(error.advise(way).into());
        }
        let Destination::File(folder) = destination else {
            return Ok(self.files.iter().map(|file| file.path.clone()).collect());
        };
        let mut names = BTreeSet::new();
        let mut outputs = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let Some(name) = file.path.file_name().filter(|name| names.insert(name.to_owned())) else {
                let found = format!("a folder for two inputs called {}", file.path.display());
                let expected = "inputs of different names, or a single .h5ad";
                return Err(OptionError::new("out", found, expected).into());
            };
            outputs.push(folder.join(name));
        }
        if folder.is_dir() {
            for (file, output) in self.files.iter().zip(&outputs) {
                brodmann_data::check_output(&file.path, output)?;
            }
        } else {
            // It is made when the results are written; until then it is enough that it can be.
            brodmann_data::check_new_folder(folder)?;
        }
        Ok(outputs)
    }

    fn check_unchanged(&self) -> Result<(), DataError> {
        self.files.iter().filter_map(|file| file.opened.as_ref()).try_for_each(OpenFile::check_unchanged)
    }

    /// Takes out of `additions` what belongs to all files together, where each file is written for itself, and names it.
    ///
    /// A graph that joins spots of several files has no part in one of them, and neither have loadings in a file with
    /// genes that the others lack.
    pub fn leave_joint_out(&self, destination: &Destination, additions: &mut Additions) -> Vec<String> {
        let whole = matches!(destination, Destination::File(output) if !is_folder(output));
        if self.files.is_empty() || whole {
            return Vec::new();
        }
        let shared = self.tissue.var_names(&self.tissue.modalities()[0]);
        let all_shared = self.files.iter().all(|f| f.part().has_only(shared));
        let (mut left, root) = (Vec::new(), &mut additions.root);
        let mut keep = |element: &str, key: &str, keeps: bool| {
            if !keeps {
                left.push(format!("{element}[{key:?}]"));
            }
            keeps
        };
        root.obsp.retain(|key, graph| {
            let within = self.files.iter().all(|f| f.part().holds(graph));
            keep("obsp", key, within)
        });
        root.varm.retain(|key, _| keep("varm", key, all_shared));
        root.varp.retain(|key, _| keep("varp", key, all_shared));
        root.layers.retain(|key, _| keep("layers", key, all_shared));
        left
    }

    /// Writes the tissue, or each file, with `additions`.
    ///
    /// # Errors
    /// As [`Tissue::write`]; with several outputs those before the one that failed stay.
    pub fn write(
        self,
        destination: &Destination,
        additions: &Additions,
        monitor: &dyn Monitor,
    ) -> Result<(), PipelineError> {
        let whole = match destination {
            Destination::File(output) => !is_folder(output),
            Destination::InPlace => false,
        };
        if self.files.is_empty() || whole {
            return self.tissue.write(destination, additions, monitor);
        }
        let shared = self.tissue.var_names(&self.tissue.modalities()[0]);
        let outputs = self.outputs(destination)?;
        // All of it before the first is written: what cannot be split is refused with every file as it was.
        let parts: Vec<_> =
            self.files.iter().map(|f| f.part().of(additions, shared)).collect::<Result<_, DataError>>()?;
        self.check_unchanged()?;
        if let Destination::File(folder) = destination {
            std::fs::create_dir_all(folder)
                .map_err(|source| DataError::Write { path: folder.clone(), source })?;
        }
        let in_place = *destination == Destination::InPlace;
        for ((file, output), root) in self.files.iter().zip(outputs).zip(parts) {
            monitor.stage(&format!("writing {}", file.path.display()), 0);
            let own = Additions { root, modalities: IndexMap::new() };
            if let Some(opened) = &file.opened {
                opened.write_with_additions(&output, &own, in_place)?;
            }
        }
        Ok(())
    }
}

impl File {
    fn part(&self) -> Part<'_> {
        Part {
            path: &self.path,
            rows: self.rows.clone(),
            obs_names: &self.obs_names,
            var_names: &self.var_names,
        }
    }
}

/// Parts that were read of files as one, its slices in `obs[key]`.
///
/// Slices are named by the parts' own `obs[key]` where all of them have it, else by the files; a name that two files use
/// becomes `<file>_<name>`. Pictures and outlines follow.
///
/// # Inputs
/// `asked`: whether `key` was asked for, and then either all parts have it or none.
/// # Errors
/// [`PipelineError::SharedGenes`] when the parts have no gene in common; [`DataError::DuplicateNames`].
pub fn join(
    inputs: &[PathBuf],
    parts: &mut [AnnData],
    key: &str,
    asked: bool,
) -> Result<AnnData, PipelineError> {
    let slices = name_slices(inputs, parts, key, asked)?;
    let names = part_names(inputs, parts, &slices);
    let named: Vec<(&str, &AnnData)> = names.iter().map(String::as_str).zip(&*parts).collect();
    let mut joined = concat(&named, key).map_err(|e| in_file(e, inputs, parts))?;
    joined.obs.columns.insert(key.to_owned(), slices);
    if joined.n_vars() == 0 {
        check_shared(inputs, parts, 0)?;
    }
    Ok(joined)
}

/// Whether the folder of an output is there; what lies in one to be made nobody else writes.
fn has_folder(output: &Path) -> bool {
    output.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
}

/// A folder that exists, or a name without an ending.
fn is_folder(output: &Path) -> bool {
    !is_zarr(output) && (output.is_dir() || output.extension().is_none())
}

pub(super) fn read_part(
    input: &Path,
    opening: &Opening<'_>,
    monitor: &dyn Monitor,
) -> Result<(AnnData, Option<OpenFile>), PipelineError> {
    let options = ReadOptions {
        x_as_f32: true,
        varm: Select::None,
        obsp: Select::None,
        varp: Select::None,
        uns: Select::only([keys::SPATIAL]),
        raw: opening.features.is_some(),
        ..ReadOptions::default()
    };
    let Opened { container, file, .. } = open_any(input, opening.source, &options, monitor)?;
    match container {
        Container::AnnData(adata) => Ok((adata, file)),
        Container::MuData(_) => Err(PipelineError::option(
            "input",
            format!("{}, which holds several modalities, beside other files", input.display()),
            "files of one modality (.h5ad) when there are several",
        )),
    }
}

/// The stems of the files, made different where they are not.
fn file_names(inputs: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = inputs.iter().map(|path| sample_name(path)).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() < names.len() {
        for (k, name) in names.iter_mut().enumerate() {
            *name = format!("{name}_{}", k + 1);
        }
    }
    names
}

/// The slice of every spot: the files' own column, or the file. The column leaves the parts.
fn name_slices(
    inputs: &[PathBuf],
    parts: &mut [AnnData],
    key: &str,
    asked: bool,
) -> Result<Column, PipelineError> {
    let stems = file_names(inputs);
    let own: Vec<Option<Vec<Option<String>>>> =
        parts.iter_mut().map(|p| p.obs.columns.shift_remove(key).map(|c| c.to_strings())).collect();
    let has = own.iter().filter(|c| c.is_some()).count();
    if asked && has > 0 && has < inputs.len() {
        let lacking = own.iter().position(Option::is_none).unwrap_or(0);
        return Err(DataError::MissingKey {
            container: "obs".to_owned(),
            key: key.to_owned(),
            place: inputs[lacking].display().to_string(),
            existing: parts[lacking].obs.columns.keys().cloned().collect(),
            named_by: None,
            otherwise: vec![format!(
                "add the column to it, or leave {} out: every file is then a slice",
                Opt("library_key")
            )],
        }
        .into());
    }
    let mut names: Vec<Option<String>> = Vec::new();
    // Where some files do not say, those that hold several slices still do.
    let by_file = has < inputs.len();
    let several = |column: &[Option<String>]| {
        column.iter().all(Option::is_some) && column.iter().any(|c| *c != column[0])
    };
    let own: Vec<Option<Vec<Option<String>>>> =
        own.into_iter().map(|column| column.filter(|c| !by_file || several(c))).collect();
    // A name that two files use is two slices.
    let mut files_of: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (k, column) in own.iter().enumerate() {
        for name in column.iter().flatten().flatten() {
            files_of.entry(name).or_default().insert(k);
        }
        if column.is_none() {
            files_of.entry(&stems[k]).or_default().insert(k);
        }
    }
    let clash = files_of.values().any(|files| files.len() > 1);
    for (k, column) in own.iter().enumerate() {
        let n_obs = parts[k].n_obs();
        match column {
            Some(column) if column.iter().any(Option::is_none) => {
                return Err(PipelineError::Column {
                    element: format!("obs[{key:?}] of {}", inputs[k].display()),
                    found: "missing values".to_owned(),
                    expected: "the slice of every spot",
                });
            }
            Some(column) => {
                let several = several(column);
                if several {
                    name_libraries(&mut parts[k], column, clash.then_some(stems[k].as_str()));
                }
                names.extend(column.iter().flatten().map(|name| {
                    Some(match (clash, several) {
                        (false, _) => name.clone(),
                        (true, false) => stems[k].clone(),
                        (true, true) => format!("{}_{name}", stems[k]),
                    })
                }));
            }
            None => names.extend(std::iter::repeat_n(Some(stems[k].clone()), n_obs)),
        }
    }
    // In the order of the files, not of the alphabet.
    let mut categories: IndexMap<&str, i32> = IndexMap::new();
    let mut codes = Vec::with_capacity(names.len());
    for name in names.iter().flatten() {
        let next = categories.len() as i32;
        codes.push(*categories.entry(name).or_insert(next));
    }
    let categories = categories.keys().map(|c| (*c).to_owned()).collect();
    Ok(Column::Categorical(Categorical { codes, categories, ..Categorical::default() }))
}

/// Pictures and outlines are found by the name of their slice: those of a file of several `slices`, renamed as they are, and
/// one that is of all of them under each name.
fn name_libraries(part: &mut AnnData, slices: &[Option<String>], stem: Option<&str>) {
    let Some(Value::Dict(libraries)) = part.uns.get_mut(keys::SPATIAL) else { return };
    let renamed = |name: &str| stem.map_or_else(|| name.to_owned(), |stem| [stem, name].join("_"));
    if libraries.len() == 1
        && let Some((_, shared)) = libraries.shift_remove_index(0)
    {
        let names: IndexSet<&String> = slices.iter().flatten().collect();
        libraries.extend(names.into_iter().map(|name| (renamed(name), shared.clone())));
        return;
    }
    *libraries = libraries.drain(..).map(|(name, library)| (renamed(&name), library)).collect();
}

/// What each file is called: its slice, or itself where it holds several.
fn part_names(inputs: &[PathBuf], parts: &[AnnData], slices: &Column) -> Vec<String> {
    let slices = slices.to_strings();
    let mut start = 0;
    let mut own = parts.iter().map(|part| {
        let rows = &slices[start..start + part.n_obs()];
        start += part.n_obs();
        rows.first().filter(|first| rows.iter().all(|s| s == *first)).cloned().flatten()
    });
    file_names(inputs).into_iter().map(|stem| own.next().flatten().unwrap_or(stem)).collect()
}

/// Says in which file names repeat.
fn in_file(error: DataError, inputs: &[PathBuf], parts: &[AnnData]) -> DataError {
    match error {
        DataError::DuplicateNames { axis, count, example } => {
            let file = parts.iter().position(|p| p.var.require_unique("var").is_err());
            let axis = file.map_or(axis, |k| format!("var of {}", inputs[k].display()));
            DataError::DuplicateNames { axis, count, example }
        }
        other => other,
    }
}

fn check_shared(inputs: &[PathBuf], parts: &[AnnData], n_shared: usize) -> Result<(), PipelineError> {
    let named = inputs.iter().zip(parts).map(|(path, part)| (path.display().to_string(), part.var_names()));
    check_shared_names(&named.collect::<Vec<_>>(), n_shared)
}

/// Refuses parts, each with its genes, that hardly have one in common.
pub(super) fn check_shared_names(
    parts: &[(String, &[String])],
    n_shared: usize,
) -> Result<(), PipelineError> {
    let smallest = parts.iter().map(|(_, genes)| genes.len()).min().unwrap_or(0);
    let enough = n_shared >= FEW_SHARED || (n_shared as f64) >= SHARE_SHARED * smallest as f64;
    if n_shared > 0 && enough {
        return Ok(());
    }
    let describe = |(name, genes): &(String, &[String])| {
        let example = genes.first().map_or("none", String::as_str);
        format!("{name} has {} (e.g. {example})", genes.len())
    };
    Err(PipelineError::SharedGenes { n_shared, files: parts.iter().map(describe).collect() })
}

#[cfg(test)]
mod tests {
    use brodmann_data::{DataFrame, Matrix};
    use ndarray::Array2;

    use super::*;

    fn part(spots: &[&str], slice: Option<&[&str]>) -> AnnData {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
        let x = Matrix::DenseF32(Array2::zeros((spots.len(), 1)));
        let mut adata =
            AnnData::new(x, DataFrame::new(names(spots)), DataFrame::new(names(&["g"]))).expect("fits");
        if let Some(slice) = slice {
            let column = slice.iter().map(|s| Some((*s).to_owned())).collect();
            adata.obs.columns.insert("library_id".to_owned(), Column::String(column));
        }
        adata
    }

    fn slices(inputs: &[&str], mut parts: Vec<AnnData>, asked: bool) -> Vec<String> {
        let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        let column = name_slices(&inputs, &mut parts, "library_id", asked).expect("names");
        column.to_strings().into_iter().flatten().collect()
    }

    #[test]
    fn slices_are_the_files_unless_the_files_say_otherwise() {
        let plain = || part(&["1", "2"], None);
        assert_eq!(slices(&["b.h5ad", "a.h5ad"], vec![plain(), plain()], false), ["b", "b", "a", "a"]);
        assert_eq!(slices(&["x/a.h5ad", "y/a.h5ad"], vec![plain(), plain()], true)[1..3], ["a_1", "a_2"]);
        let named = |s: &[&str]| part(&["1", "2"], Some(s));
        let two = vec![named(&["p", "q"]), named(&["r", "r"])];
        assert_eq!(slices(&["a", "b"], two, true), ["p", "q", "r", "r"]);
        let same = vec![named(&["p", "q"]), named(&["p", "p"])];
        assert_eq!(slices(&["a", "b"], same, true), ["a_p", "a_q", "b", "b"]);
        let paths = [PathBuf::from("a"), PathBuf::from("b")];
        let half = vec![named(&["p", "q"]), plain()];
        assert_eq!(slices(&["a", "b"], half.clone(), false), ["p", "q", "b", "b"]);
        // A slice called as another file is.
        let called = vec![named(&["p", "b"]), plain()];
        assert_eq!(slices(&["a", "b"], called, false), ["a_p", "a_b", "b", "b"]);
        // One picture of a file of two slices is that of both.
        let mut pictured = vec![named(&["p", "q"]), plain()];
        pictured[0].uns.insert(keys::SPATIAL.to_owned(), Value::from([("p", Value::Int(1))]));
        let joined = join(&paths, &mut pictured, "library_id", false).expect("joined");
        let found = joined.uns[keys::SPATIAL].as_dict().expect("libraries");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["p", "q"]);
        // A column that says nothing of a file's slices.
        let one = vec![named(&["p", "p"]), plain()];
        assert_eq!(slices(&["a", "b"], one, false), ["a", "a", "b", "b"]);
        assert!(name_slices(&paths, &mut half.clone(), "library_id", true).is_err());
    }
}
