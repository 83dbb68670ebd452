//! Parallel loops that are quick to compile.

use crate::arch::gathered;
use rayon::iter::IndexedParallelIterator;

/// What ends a parallel loop of known length.
///
/// Rayon's own `collect` and `for_each` do the same, but compile their scheduler into every loop, and `collect` a second
/// code path for iterators of unknown length: of our largest crate, that was a fifth. These end in one scheduler that all
/// loops share. `with_min_len` is heeded, `with_max_len` is not.
pub trait ParallelLoop: IndexedParallelIterator {
    /// All items, in order.
    fn collect_vec(self) -> Vec<Self::Item> {
        gathered::gathered(self)
    }

    /// Does `work` with each item.
    fn each(self, work: impl Fn(Self::Item) + Sync) {
        gathered::each(self, work);
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

impl<I: IndexedParallelIterator> ParallelLoop for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn items_come_in_order_and_of_errors_the_first() {
        let squares = (0..1000_u32).into_par_iter().map(|i| i * i).collect_vec();
        assert!(squares.iter().enumerate().all(|(i, s)| *s as usize == i * i));
        let odd = |i: u32| if i.is_multiple_of(2) { Ok(i) } else { Err(i) };
        assert_eq!(
            (0..1000).into_par_iter().map(|i| odd(2 * i)).try_collect_vec().map(|v| v.len()),
            Ok(1000)
        );
        let mut seen = vec![0_u32; 777];
        seen.par_iter_mut().enumerate().each(|(i, s)| *s += i as u32);
        assert!(seen.iter().enumerate().all(|(i, s)| *s as usize == i));
        assert!((0..0_u32).into_par_iter().map(|i| i.to_string()).collect_vec().is_empty());
        // Loops within loops, parts of a least length, items that are dropped.
        let nested = (0..50_u32)
            .into_par_iter()
            .with_min_len(7)
            .map(|i| (0..i).into_par_iter().map(|j| vec![j]).collect_vec().concat().iter().sum::<u32>());
        assert!(
            nested.collect_vec().iter().enumerate().all(|(i, s)| *s as usize == i * i.saturating_sub(1) / 2)
        );
        let stopped = std::panic::catch_unwind(|| {
            (0..100_u32)
                .into_par_iter()
                .map(|i| {
                    assert!(i != 63, "one item fails");
                    vec![i]
                })
                .collect_vec()
        });
        assert!(stopped.is_err());
        for _ in 0..20 {
            assert_eq!((300..1000).into_par_iter().map(odd).try_collect_vec(), Err(301));
        }
    }
}
