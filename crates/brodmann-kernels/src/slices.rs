//! Which slice each observation belongs to.
//!
//! A tissue may be several slices, and most of what is done to it is done slice by slice: no edge crosses from one to
//! another, genes are judged within each. Codes are grouped once here, rather than by every step anew.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// The slices of a tissue, in the order of their codes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Slices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    n_obs: usize,
    /// Place of the slice of each observation; empty with a single slice.
    of: Vec<u32>,
    /// Code of each slice, rising.
    codes: Vec<u32>,
    /// Name of each slice; empty where they have none.
    names: Vec<String>,
    /// Observations of each slice.
    sizes: Vec<usize>,
    /// Their numbers; only some steps ask for them.
    rows: OnceLock<Vec<Vec<u32>>>,
}

/// Codes of other observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceLength {
    /// Codes given.
    pub found: usize,
    /// Observations.
    pub expected: usize,
}

impl Slices {
    /// A tissue of a single slice, code 0.
    pub fn one(n_obs: usize) -> Self {
        Self(Arc::new(Inner {
            n_obs,
            of: Vec::new(),
            codes: vec![0],
            names: Vec::new(),
            sizes: vec![n_obs],
            rows: OnceLock::new(),
        }))
    }

    /// The slices that a code per observation tells apart.
    ///
    /// # Inputs
    /// `codes`: any numbers. `names`: of the slice with code 0, 1, …; empty where they have none. Codes beyond the
    /// list go without.
    /// # Cost
    /// O(n_obs log n_slices).
    pub fn from_codes(codes: &[u32], names: &[String]) -> Self {
        let distinct: Vec<u32> = codes.iter().copied().collect::<BTreeSet<u32>>().into_iter().collect();
        let named = |code: &u32| names.get(*code as usize).cloned();
        let names: Vec<String> = distinct.iter().map_while(named).collect();
        let names = if names.len() == distinct.len() { names } else { Vec::new() };
        if distinct.len() < 2 {
            let (codes, n_obs) = (if distinct.is_empty() { vec![0] } else { distinct }, codes.len());
            return Self(Arc::new(Inner {
                n_obs,
                of: Vec::new(),
                codes,
                names,
                sizes: vec![n_obs],
                rows: OnceLock::new(),
            }));
        }
        let of: Vec<u32> = codes.iter().map(|code| distinct.partition_point(|d| d < code) as u32).collect();
        let mut sizes = vec![0; distinct.len()];
        for &slice in &of {
            sizes[slice as usize] += 1;
        }
        let n_obs = codes.len();
        Self(Arc::new(Inner { n_obs, of, codes: distinct, names, sizes, rows: OnceLock::new() }))
    }

    /// The slices of `n_obs` observations: by their codes, or one where there are none.
    ///
    /// # Errors
    /// [`SliceLength`] when there are more or fewer codes than observations.
    pub fn try_new(n_obs: usize, codes: Option<&[u32]>) -> Result<Self, SliceLength> {
        match codes {
            None => Ok(Self::one(n_obs)),
            Some(codes) if codes.len() == n_obs => Ok(Self::from_codes(codes, &[])),
            Some(codes) => Err(SliceLength { found: codes.len(), expected: n_obs }),
        }
    }

    /// `slices`, or one slice of all observations where there are none.
    ///
    /// # Errors
    /// [`SliceLength`] when the slices are those of more or fewer observations.
    pub fn or_one(slices: Option<&Self>, n_obs: usize) -> Result<Self, SliceLength> {
        match slices {
            None => Ok(Self::one(n_obs)),
            Some(slices) if slices.n_obs() == n_obs => Ok(slices.clone()),
            Some(slices) => Err(SliceLength { found: slices.n_obs(), expected: n_obs }),
        }
    }

    /// Observations.
    pub fn n_obs(&self) -> usize {
        self.0.n_obs
    }

    /// Number of slices, at least one.
    pub fn count(&self) -> usize {
        self.0.codes.len()
    }

    /// The place of the slice of observation `i`, below [`Slices::count`].
    ///
    /// # Panics
    /// When there is no such observation among several slices.
    #[inline]
    pub fn of(&self, i: usize) -> usize {
        if self.0.of.is_empty() { 0 } else { self.0.of[i] as usize }
    }

    /// The code of the slice of observation `i`.
    ///
    /// # Panics
    /// As [`Slices::of`].
    #[inline]
    pub fn code(&self, i: usize) -> u32 {
        self.0.codes[self.of(i)]
    }

    /// The code of the slice of every observation.
    pub fn to_codes(&self) -> Vec<u32> {
        (0..self.n_obs()).map(|i| self.code(i)).collect()
    }

    /// The code of each slice, rising.
    pub fn codes(&self) -> &[u32] {
        &self.0.codes
    }

    /// The name of a slice, or its code where it has none.
    ///
    /// # Panics
    /// When there is no such slice.
    pub fn label(&self, slice: usize) -> String {
        self.0.names.get(slice).cloned().unwrap_or_else(|| self.0.codes[slice].to_string())
    }

    /// Observations of each slice.
    pub fn sizes(&self) -> &[usize] {
        &self.0.sizes
    }

    /// The observations of each slice, rising.
    ///
    /// # Cost
    /// O(n_obs) and 4 bytes per observation the first time.
    pub fn rows(&self) -> &[Vec<u32>] {
        self.0.rows.get_or_init(|| {
            if self.0.of.is_empty() {
                return vec![(0..self.0.n_obs as u32).collect()];
            }
            let mut rows: Vec<Vec<u32>> = self.0.sizes.iter().map(|&n| Vec::with_capacity(n)).collect();
            for (i, &slice) in self.0.of.iter().enumerate() {
                rows[slice as usize].push(i as u32);
            }
            rows
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_come_in_the_order_of_their_codes_with_rows_rising() {
        let slices = Slices::from_codes(&[9, 2, 9, 5, 2], &[]);
        assert_eq!((slices.n_obs(), slices.count()), (5, 3));
        assert_eq!(slices.codes(), [2, 5, 9]);
        assert_eq!(slices.sizes(), [2, 1, 2]);
        assert_eq!(slices.rows(), [vec![1, 4], vec![3], vec![0, 2]]);
        assert_eq!((0..5).map(|i| slices.of(i)).collect::<Vec<_>>(), [2, 0, 2, 1, 0]);
        assert_eq!(slices.to_codes(), [9, 2, 9, 5, 2]);
        assert_eq!(slices.label(1), "5");
    }

    #[test]
    fn one_code_is_one_slice() {
        for slices in [Slices::one(3), Slices::from_codes(&[7, 7, 7], &[])] {
            assert_eq!((slices.count(), slices.sizes(), slices.of(2)), (1, &[3][..], 0));
            assert_eq!(slices.rows(), [vec![0, 1, 2]]);
        }
        let nobody = Slices::from_codes(&[], &[]);
        assert_eq!((nobody.count(), nobody.n_obs()), (1, 0));
        assert_eq!(nobody.rows(), [vec![]; 1]);
    }

    #[test]
    fn names_are_those_of_the_codes() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let slices = Slices::from_codes(&[2, 0, 2], &names);
        assert_eq!([slices.label(0), slices.label(1)], ["a", "c"]);
        assert_eq!(Slices::from_codes(&[2, 3], &names).label(0), "2", "a name for some is none for all");
    }

    #[test]
    fn codes_of_other_observations_are_refused() {
        let error = Slices::try_new(3, Some(&[0, 1])).expect_err("two codes");
        assert_eq!(error, SliceLength { found: 2, expected: 3 });
        assert_eq!(Slices::or_one(Some(&Slices::one(2)), 3).expect_err("two spots"), error);
        assert_eq!(Slices::or_one(None, 3).expect("one slice").n_obs(), 3);
        assert_eq!(Slices::try_new(3, None).expect("one slice").count(), 1);
    }
}
