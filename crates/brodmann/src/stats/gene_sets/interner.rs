//! Names as numbers, in the order in which they first occur.

use std::hash::{BuildHasher, RandomState};

/// Slots per name, at least.
const ROOM: usize = 2;

/// Distinct names, one after the other in one text.
///
/// A map of strings touches a bucket and a string that lie anywhere for each of millions of mentions; half a megabyte
/// for 20,000 genes stays in the cache.
#[derive(Default)]
pub(super) struct Interner {
    text: String,
    ends: Vec<usize>,
    /// Number of a name plus 1, or 0 for none, beside half the hash; a power of two of them.
    slots: Vec<(u32, u32)>,
    hasher: RandomState,
}

impl Interner {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn name(&self, id: usize) -> &str {
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start..self.ends[id]]
    }

    /// Where `name` is or could be, with the half of the hash to store there.
    fn find(&self, name: &str) -> (usize, u32) {
        let hash = self.hasher.hash_one(name);
        let (mut at, tag) = (hash as usize & (self.slots.len() - 1), (hash >> 32) as u32);
        // There is always a free slot.
        while self.slots[at].0 != 0
            && (self.slots[at].1 != tag || self.name(self.slots[at].0 as usize - 1) != name)
        {
            at = (at + 1) & (self.slots.len() - 1);
        }
        (at, tag)
    }

    /// The number of `name` if it has one.
    pub fn get(&self, name: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots[self.find(name).0].0.checked_sub(1)
    }

    /// The number of `name`, a new one if need be; `None` when there are no more numbers.
    pub fn intern(&mut self, name: &str) -> Option<u32> {
        if (self.len() + 1) * ROOM > self.slots.len() {
            self.slots = vec![(0, 0); (4 * self.slots.len()).max(1024)];
            for id in 0..self.len() {
                let (at, tag) = self.find(self.name(id));
                self.slots[at] = (id as u32 + 1, tag);
            }
        }
        let (at, tag) = self.find(name);
        if let Some(id) = self.slots[at].0.checked_sub(1) {
            return Some(id);
        }
        let next = u32::try_from(self.len() + 1).ok()?;
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.slots[at] = (next, tag);
        Some(next - 1)
    }

    /// All names in the order of their numbers.
    pub fn into_names(self) -> Vec<String> {
        (0..self.len()).map(|id| self.name(id).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_as_the_table_grows() {
        let mut interner = Interner::default();
        assert_eq!(interner.get("G0"), None);
        let name = |i: u32| format!("G{}", i % 5000);
        for i in 0..20_000 {
            assert_eq!(interner.intern(&name(i)), Some(i % 5000));
        }
        assert_eq!((interner.get("G4999"), interner.get("G5000"), interner.len()), (Some(4999), None, 5000));
        assert_eq!(interner.intern(""), Some(5000));
        assert!(interner.into_names().iter().take(5000).enumerate().all(|(i, n)| *n == name(i as u32)));
    }
}
