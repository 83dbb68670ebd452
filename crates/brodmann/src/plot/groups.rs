//! Groups of observations, domains for instance, with the colour that each has in every picture.

use super::color::{Rgb, palette};
use super::figure::PlotError;

/// Names and colours of groups, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    /// Names.
    pub names: Vec<String>,
    /// Colours; where there are fewer than names, the others are those of [`palette`].
    pub colors: Vec<Rgb>,
}

impl Groups {
    /// Groups in the colours of [`palette`].
    pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), colors: Vec::new() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A colour for each name.
    pub(super) fn all_colors(&self) -> Vec<Rgb> {
        let mut colors = palette(self.len());
        colors.iter_mut().zip(&self.colors).for_each(|(own, given)| *own = *given);
        colors
    }

    /// Refuses codes that have no name, and another number of them than `expected`.
    pub(super) fn check_codes(
        &self,
        title: &str,
        codes: &[Option<u32>],
        expected: usize,
    ) -> Result<(), PlotError> {
        same_length(title, "groups of observations", codes.len(), expected)?;
        match codes.iter().flatten().find(|&&code| code as usize >= self.len()) {
            Some(&code) => {
                Err(PlotError::UnnamedCategory { title: title.to_owned(), code, n_names: self.len() })
            }
            None => Ok(()),
        }
    }
}

/// Refuses `found` of what there should be `expected`.
pub(super) fn same_length(
    title: &str,
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), PlotError> {
    if found == expected {
        return Ok(());
    }
    Err(PlotError::Mismatch { title: title.to_owned(), what, found, expected })
}
