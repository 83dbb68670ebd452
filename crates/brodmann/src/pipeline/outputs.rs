//! Where the results of a command that looks at a tissue go: into a file, into a table, into a picture.

use std::path::{Path, PathBuf};

use brodmann_data::{Additions, Column, check_output, is_table_ending, write_bytes, write_table};
use brodmann_kernels::Monitor;

use super::PipelineError;
use super::picture::check_ending;
use super::run::{Run, Stage};
use super::tissue::{Destination, Tissue};
use crate::plot::{PictureFormat, RenderOptions, Sheet, undrawn_in_sheet};

/// Where the results go; at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// A copy of the input with the results added, or the input itself.
    pub destination: Option<Destination>,
    /// A .csv, .tsv or .parquet.
    pub table: Option<PathBuf>,
    /// A .png, .svg or .pdf.
    pub plot: Option<PathBuf>,
}

/// Columns of one length, by name.
pub type Table = Vec<(String, Column)>;

/// What a command finds of a tissue in memory.
#[derive(Clone, Debug)]
pub struct Answer<R> {
    /// What is to be added to the container.
    pub additions: Additions,
    /// Tables by name.
    pub tables: Vec<(&'static str, Table)>,
    /// For a person and as JSON.
    pub report: R,
}

impl<R: serde::Serialize> Answer<R> {
    /// With the report as JSON.
    ///
    /// # Errors
    /// [`PipelineError::Option`] for a report that JSON cannot hold, of which there is none.
    pub fn in_json(self) -> Result<Answer<String>, PipelineError> {
        let report = serde_json::to_string(&self.report)
            .map_err(|e| PipelineError::option("options", "a report that is not JSON", e.to_string()))?;
        Ok(Answer { additions: self.additions, tables: self.tables, report })
    }
}

/// What there is to write.
pub(super) struct Results {
    /// What is added to the container; the caller leaves it empty where nobody asked for it.
    pub additions: Additions,
    /// What the table holds.
    pub table: Table,
    /// What is drawn.
    pub sheet: Option<Sheet>,
}

impl Outputs {
    /// Refuses, before any work, what cannot be written.
    ///
    /// # Errors
    /// [`PipelineError::OutputEnding`]; [`brodmann_data::DataError`] for an output that is the input, or in no folder.
    pub(super) fn check(&self, input: &Path) -> Result<(), PipelineError> {
        if let Some(plot) = &self.plot {
            check_ending(input, plot)?;
        }
        if let Some(table) = &self.table {
            check_table(input, table)?;
        }
        Ok(())
    }

    /// Writes what was asked for; all pictures are drawn before the first file is written.
    ///
    /// # Errors
    /// As the writers and [`PictureFormat::sheet`].
    pub(super) fn write(
        &self,
        tissue: Tissue,
        results: &Results,
        run: &mut Run<'_>,
    ) -> Result<(), PipelineError> {
        let monitor = run.monitor;
        let picture = match (&self.plot, &results.sheet) {
            (Some(path), Some(sheet)) => Some((path, drawn(path, sheet, monitor)?)),
            _ => None,
        };
        run.timed(Stage::Write, || -> Result<(), PipelineError> {
            if let Some(destination) = &self.destination {
                tissue.write(destination, &results.additions, monitor)?;
            }
            if let Some(path) = &self.table {
                write_table(path, &results.table)?;
            }
            if let Some((path, bytes)) = &picture {
                write_bytes(path, bytes)?;
            }
            Ok(())
        })
    }
}

/// Refuses a table that cannot be written.
pub(super) fn check_table(input: &Path, table: &Path) -> Result<(), PipelineError> {
    if !is_table_ending(table) {
        return Err(PipelineError::OutputEnding {
            path: table.display().to_string(),
            expected: ".csv, .tsv or .parquet",
        });
    }
    Ok(check_output(input, table)?)
}

/// The bytes of a picture, by the ending of its path.
fn drawn(path: &Path, sheet: &Sheet, monitor: &dyn Monitor) -> Result<Vec<u8>, PipelineError> {
    monitor.stage("drawing", 0);
    let format = PictureFormat::of(path).unwrap_or(PictureFormat::Png);
    if format != PictureFormat::Svg {
        tell_undrawn(&undrawn_in_sheet(sheet, &RenderOptions::default())?, monitor);
    }
    rendered(sheet, format)
}

/// Characters shown as examples.
const SHOWN: usize = 8;

/// Says which characters of a PNG are boxes.
pub(super) fn tell_undrawn(characters: &[char], monitor: &dyn Monitor) {
    if characters.is_empty() {
        return;
    }
    let shown: Vec<String> = characters.iter().take(SHOWN).map(char::to_string).collect();
    let more = if characters.len() > SHOWN {
        format!(" and {} more", characters.len() - SHOWN)
    } else {
        String::new()
    };
    monitor.warn(&format!(
        "the letters {}{more} cannot be drawn in a .png or .pdf and are boxes there; name an .svg, which has the letters of every \
         script",
        shown.join(" ")
    ));
}

/// The bytes of a picture.
pub(super) fn rendered(sheet: &Sheet, format: PictureFormat) -> Result<Vec<u8>, PipelineError> {
    Ok(format.sheet(sheet, &RenderOptions::default())?)
}
