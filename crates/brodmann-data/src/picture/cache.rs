//! The tiles used last, up to a number of bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::tile::Tile;

/// Level, row and column of a tile.
type Key = (usize, usize, usize);

/// Decoded tiles; the one not used for longest goes first.
pub(super) struct Cache {
    budget: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tiles: HashMap<Key, (Arc<Tile>, u64)>,
    /// Keys by when they were used last.
    by_use: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

impl Cache {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, held: Mutex::default() }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<Tile>> {
        let held = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (tile, used) = held.tiles.get_mut(&key)?;
        held.clock += 1;
        held.by_use.remove(used);
        held.by_use.insert(held.clock, key);
        *used = held.clock;
        Some(Arc::clone(tile))
    }

    /// Keeps a tile, whatever its size: one strip may be a whole picture, and would be decoded for each region.
    pub(super) fn insert(&self, key: Key, tile: Arc<Tile>) {
        let held = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        held.bytes += tile.rgb.len();
        held.by_use.insert(held.clock, key);
        if let Some((before, used)) = held.tiles.insert(key, (tile, held.clock)) {
            held.bytes -= before.rgb.len();
            held.by_use.remove(&used);
        }
        while held.bytes > self.budget && held.by_use.len() > 1 {
            let Some((_, oldest)) = held.by_use.pop_first() else { break };
            if let Some((gone, _)) = held.tiles.remove(&oldest) {
                held.bytes -= gone.rgb.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_last_stays() {
        let tile = |n: usize| Arc::new(Tile { height: 1, width: n, rgb: vec![0; 3 * n] });
        let cache = Cache::new(30);
        cache.insert((0, 0, 0), tile(4));
        cache.insert((0, 0, 1), tile(4));
        assert!(cache.get((0, 0, 0)).is_some());
        cache.insert((0, 0, 2), tile(4));
        assert!(cache.get((0, 0, 1)).is_none() && cache.get((0, 0, 0)).is_some());
        // The same again takes no more room.
        cache.insert((0, 0, 2), tile(4));
        assert!(cache.get((0, 0, 0)).is_some());
        cache.insert((1, 0, 0), tile(100));
        assert!(cache.get((1, 0, 0)).is_some() && cache.get((0, 0, 2)).is_none());
    }
}
