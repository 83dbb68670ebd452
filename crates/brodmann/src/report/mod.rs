//! Where are the domains, how sure are they, what is in each, and how was it made? One HTML file that answers.
//!
//! Last in the pipeline, beside [`crate::plot`]: takes plain data, writes a page that needs no network and no server,
//! prints, and can be read without colour vision and without a mouse. It holds what it shows: spots can be coloured by
//! any column, zoomed into and read one by one.
//!
//! * [`content`]: [`Report`], [`Slice`], [`SpotColumn`], [`DomainPanel`], [`Section`], [`Provenance`]: what is to be told.
//! * [`table`]: [`Table`]: columns of text and numbers; sortable, saved as CSV.
//! * [`ReportError`]: why a report could not be written.
//! * [`write_report`]: the page.
//! * `check`: what is refused before the first byte is written.
//! * `html`: text that cannot become markup.
//! * `pack`: the order of the spots, coordinates and values as few bytes, base64.
//! * `panels`: the page of one domain. `page`: the whole page. `sha256`: which scripts the page may run.
//! * `assets/`: the style and the scripts.
//!
//! # Safety of the page
//! Whatever came from a file is escaped text or lies in a block of data; a Content-Security-Policy lets the page load
//! nothing and run nothing but its own scripts, named by their SHA-256.

mod check;
pub mod content;
mod error;
mod html;
mod pack;
mod page;
mod panels;
mod sha256;
pub mod table;

pub use content::{
    Confidence, DomainPanel, DomainShapeRow, GeneSet, Graphic, Illustration, Marker, Neighbor, Note,
    NumberBits, NumberScale, Patch, Picture, Provenance, Report, Section, Severity, Slice, SpotColumn,
    SpotValues,
};
pub use error::ReportError;
pub use page::write_report;
pub use table::{Cells, Table, TableColumn};

#[cfg(test)]
mod tests;
