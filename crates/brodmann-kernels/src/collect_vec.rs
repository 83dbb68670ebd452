//! Results of parallel work, in order.

use rayon::iter::IndexedParallelIterator;

/// Collects a parallel iterator of known length.
///
/// Rayon's `collect` does the same, but a second code path, for iterators of unknown length, is compiled beside it at
/// every call: 168 of the 544 parallel loops that our largest crate came to.
pub trait CollectVec: IndexedParallelIterator {
    /// All items, in order.
    fn collect_vec(self) -> Vec<Self::Item> {
        let mut all = Vec::new();
        self.collect_into_vec(&mut all);
        all
    }

    /// All values in order, or the first error in order (rayon's `collect` returns whichever came first in time).
    ///
    /// # Errors
    /// That of the first item that has one. The others are worked out all the same: a long one should ask its monitor first,
    /// so that an interruption is not waited for.
    fn try_collect_vec<T, E>(self) -> Result<Vec<T>, E>
    where
        Self: IndexedParallelIterator<Item = Result<T, E>>,
        T: Send,
        E: Send,
    {
        self.collect_vec().into_iter().collect()
    }
}

impl<I: IndexedParallelIterator> CollectVec for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::iter::{IntoParallelIterator, ParallelIterator};

    #[test]
    fn items_come_in_order_and_of_errors_the_first() {
        let squares = (0..1000_u32).into_par_iter().map(|i| i * i).collect_vec();
        assert!(squares.iter().enumerate().all(|(i, s)| *s as usize == i * i));
        let odd = |i: u32| if i.is_multiple_of(2) { Ok(i) } else { Err(i) };
        assert_eq!(
            (0..1000).into_par_iter().map(|i| odd(2 * i)).try_collect_vec().map(|v| v.len()),
            Ok(1000)
        );
        for _ in 0..20 {
            assert_eq!((300..1000).into_par_iter().map(odd).try_collect_vec(), Err(301));
        }
    }
}
