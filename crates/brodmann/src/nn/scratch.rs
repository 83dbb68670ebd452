//! Work space for parallel blocks, kept between uses.

use std::sync::{Mutex, PoisonError};

/// Buffers that blocks borrow and give back: as many live as threads worked at once, none is made twice.
#[derive(Debug, Default)]
pub struct ScratchPool<T> {
    free: Mutex<Vec<Vec<T>>>,
}

impl<T: Clone + Default> ScratchPool<T> {
    /// Runs `body` with `len` elements whose content is left over from before.
    pub fn with<R>(&self, len: usize, body: impl FnOnce(&mut [T]) -> R) -> R {
        // A panic elsewhere cannot leave a list of buffers half changed.
        let mut buffer = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, T::default());
        }
        let result = body(&mut buffer[..len]);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        result
    }
}
