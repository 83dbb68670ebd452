//! Whether the groups of a file form a tree that can be walked: before anything recurses over them.
//!
//! HDF5 is a graph. A group may hold itself, groups may be nested until a stack overflows, and thirty groups each linked
//! twice to the next unfold to a thousand million. Every object is visited once here, by its address, without recursion.

use std::collections::HashMap;

use rust_hdf5::format::FormatResult;

use super::headers::{DATASPACE, Headers, LAYOUT};

/// Groups nested deeper than this are no container.
const MAX_DEPTH: usize = 100;
/// A file may unfold to this many objects, and to so many times those it has.
const MAX_UNFOLDED: u64 = 100_000;
const MAX_TIMES: u64 = 16;

/// What is wrong with the groups of a file.
pub(super) struct Tangle {
    /// Path of the object.
    pub(super) element: String,
    /// In words.
    pub(super) found: String,
}

/// A group whose links are being followed.
struct Open {
    address: u64,
    name: String,
    left: std::vec::IntoIter<(String, u64)>,
    /// Objects below it so far, each as often as it is reached, itself counted.
    unfolded: u64,
    /// Levels below it so far.
    height: usize,
}

/// Looks for what cannot be walked; `None` where all is well. Headers that cannot be read end a branch: whoever reads
/// them says so.
pub(super) fn tangle(headers: &Headers) -> Option<Tangle> {
    let mut done: HashMap<u64, (u64, usize)> = HashMap::new();
    let mut open = vec![entered(headers, headers.root(), String::new())];
    loop {
        let depth = open.len();
        let path = |open: &[Open], name: &str| {
            // Of a hundred names the last tell nothing more.
            let mut names: Vec<&str> = open.iter().skip(1).map(|o| o.name.as_str()).collect();
            names.push(name);
            names.truncate(6);
            names.join("/")
        };
        let current = open.last_mut()?;
        let Some((name, address)) = current.left.next() else {
            let Open { address, unfolded, height, .. } = open.pop()?;
            done.insert(address, (unfolded, height));
            let Some(above) = open.last_mut() else {
                let most = MAX_UNFOLDED.saturating_add(MAX_TIMES.saturating_mul(done.len() as u64));
                return (unfolded > most).then(|| Tangle {
                    element: "/".to_owned(),
                    found: format!(
                        "unfolds to {unfolded} objects, as {} are linked again and again",
                        done.len()
                    ),
                });
            };
            above.add(unfolded, height);
            continue;
        };
        if let Some(&(unfolded, height)) = done.get(&address) {
            current.add(unfolded, height);
            if depth + height > MAX_DEPTH {
                return Some(Tangle { element: path(&open, &name), found: too_deep() });
            }
            continue;
        }
        if let Some(own) = open.iter().find(|o| o.address == address) {
            let own = if own.name.is_empty() { "the root" } else { &own.name };
            let found = format!("is {own} again, so that it holds itself");
            return Some(Tangle { element: path(&open, &name), found });
        }
        if depth >= MAX_DEPTH {
            return Some(Tangle { element: path(&open, &name), found: too_deep() });
        }
        open.push(entered(headers, address, name));
    }
}

fn too_deep() -> String {
    format!("is nested more than {MAX_DEPTH} groups deep")
}

impl Open {
    fn add(&mut self, unfolded: u64, height: usize) {
        self.unfolded = self.unfolded.saturating_add(unfolded);
        self.height = self.height.max(height + 1);
    }
}

fn entered(headers: &Headers, address: u64, name: String) -> Open {
    let left = below(headers, address).unwrap_or_default().into_iter();
    Open { address, name, left, unfolded: 1, height: 0 }
}

fn below(headers: &Headers, address: u64) -> FormatResult<Vec<(String, u64)>> {
    let is_array = headers.messages(address)?.iter().any(|m| m.kind == DATASPACE || m.kind == LAYOUT);
    if is_array { Ok(Vec::new()) } else { headers.targets(address) }
}
