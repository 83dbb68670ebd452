//! Tables: named columns of text and numbers.

/// A table that can be sorted and saved as CSV.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its caption.
    pub title: String,
    /// A sentence below the caption; may be empty.
    pub about: String,
    /// All of one length.
    pub columns: Vec<TableColumn>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    /// Its heading.
    pub name: String,
    /// What it means, shown on the heading; may be empty.
    pub about: String,
    /// One per row.
    pub cells: Cells,
}

/// The cells of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Words.
    Text(Vec<String>),
    /// Numbers, shown with three digits and saved with all; NaN: empty.
    Numbers(Vec<f64>),
    /// Whole numbers.
    Counts(Vec<u64>),
    /// Shares from 0 to 1, shown in per cent; NaN: empty.
    Shares(Vec<f64>),
}

impl Cells {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Numbers(cells) | Self::Shares(cells) => cells.len(),
            Self::Counts(cells) => cells.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TableColumn {
    /// A column of words.
    pub fn text<S: Into<String>>(name: &str, cells: impl IntoIterator<Item = S>) -> Self {
        Self::new(name, Cells::Text(cells.into_iter().map(Into::into).collect()))
    }

    /// A column of numbers.
    pub fn numbers(name: &str, cells: impl IntoIterator<Item = f64>) -> Self {
        Self::new(name, Cells::Numbers(cells.into_iter().collect()))
    }

    /// A column of whole numbers.
    pub fn counts(name: &str, cells: impl IntoIterator<Item = u64>) -> Self {
        Self::new(name, Cells::Counts(cells.into_iter().collect()))
    }

    /// A column of shares from 0 to 1.
    pub fn shares(name: &str, cells: impl IntoIterator<Item = f64>) -> Self {
        Self::new(name, Cells::Shares(cells.into_iter().collect()))
    }

    fn new(name: &str, cells: Cells) -> Self {
        Self { name: name.to_owned(), about: String::new(), cells }
    }

    /// The same column, explained.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        about.clone_into(&mut self.about);
        self
    }

    /// Whether no cell holds anything.
    pub(super) fn is_blank(&self) -> bool {
        match &self.cells {
            Cells::Text(cells) => cells.iter().all(String::is_empty),
            Cells::Numbers(cells) | Cells::Shares(cells) => cells.iter().all(|v| v.is_nan()),
            Cells::Counts(cells) => cells.is_empty(),
        }
    }
}

impl Table {
    /// A table without an explanation.
    pub fn new(title: &str, columns: Vec<TableColumn>) -> Self {
        Self { title: title.to_owned(), about: String::new(), columns }
    }

    /// Number of rows: of its first column.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.cells.len())
    }
}
