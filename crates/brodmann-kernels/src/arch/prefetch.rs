//! Telling the processor which memory comes next, where it cannot guess: graph rows in random order.

/// Asks for the cache line of `slice[index]`; an index out of range asks for nothing. Never changes a result.
#[inline]
pub fn prefetch<T>(slice: &[T], index: usize) {
    if let Some(element) = slice.get(index) {
        hint(std::ptr::from_ref(element).cast());
    }
}

#[inline]
#[cfg(target_arch = "x86_64")]
fn hint(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: prefetching has no effect on memory and does not fault; the address is that of a live element.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

/// Without a stable intrinsic there is no hint, and the hardware prefetcher is on its own.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
fn hint(_address: *const i8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_index_may_be_asked_for() {
        let values = [1.0f64, 2.0];
        for index in [0, 1, 2, usize::MAX] {
            prefetch(&values, index);
        }
        prefetch::<u32>(&[], 0);
        assert_eq!(values, [1.0, 2.0]);
    }
}
