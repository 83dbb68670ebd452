//! Decoders of other crates, kept from ending the run.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What is said of a Parquet file whose decoder gave up.
pub(crate) const GAVE_UP_PARQUET: &str = "damaged pages, on which the decoder gave up";

/// Runs a decoder of another crate. What makes it panic is a damaged file, and no more than that: `gave_up` says so.
pub(crate) fn guarded<T, E>(
    decode: impl FnOnce() -> Result<T, E>,
    gave_up: impl FnOnce() -> E,
) -> Result<T, E> {
    let before = GUARDED.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(before);
    decoded.unwrap_or_else(|_| Err(gave_up()))
}

/// Keeps off the terminal that a decoder of another crate gave up on a damaged file, which ends as an error in words; what panics
/// outside of a guard is told as before. For programs, once at their start.
pub fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                tell(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_guard_ends_with_it() {
        silence_guarded_panics();
        let damaged =
            guarded(|| -> Result<u8, String> { panic!("out of its depth") }, || "gave up".to_owned());
        assert_eq!(damaged, Err("gave up".to_owned()));
        assert!(!GUARDED.get());
        let nested = guarded(
            || {
                let inner = guarded(|| -> Result<u8, ()> { panic!("out of its depth") }, || ());
                assert!(GUARDED.get());
                inner
            },
            || (),
        );
        assert_eq!((nested, GUARDED.get()), (Err(()), false));
        assert_eq!(guarded(|| Ok::<u8, ()>(3), || ()), Ok(3));
    }
}
