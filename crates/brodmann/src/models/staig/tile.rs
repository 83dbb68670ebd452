//! How a giant slice is cut into tiles: by its graph alone.

use std::collections::VecDeque;

use brodmann_kernels::{CsrMatrix, CsrView};

/// How large a slice may be and a tile shall be. Both shape the last bits of a training, so they are no options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Spots of a slice up to which it is left in one piece.
    pub(super) whole: usize,
    /// Spots of a tile.
    pub(super) tile: usize,
}

impl Tiling {
    /// What every training uses.
    pub(super) const USUAL: Self = Self { whole: 1 << 18, tile: 1 << 16 };

    /// Rows that the layers see at once, of a slice of `n_obs` spots: a halo is at most a fraction of its tile.
    pub(super) fn rows(self, n_obs: usize) -> usize {
        if n_obs <= self.whole { n_obs } else { self.whole.min(2 * self.tile) }
    }
}

/// Spots near each other, and those that their network sees beside them.
pub(super) struct Tile {
    /// Spots of tile and halo, rising.
    members: Vec<u32>,
    /// Which of them are the tile's own.
    own: Vec<bool>,
}

impl Tile {
    /// Rows that the network sees of one view.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Spots of tile and halo, rising: the rows that the network sees of one view.
    pub(super) fn members(&self) -> &[u32] {
        &self.members
    }

    /// Own spots, and the row of each in the tile.
    pub(super) fn own(&self) -> impl Iterator<Item = (usize, usize)> {
        let each = self.members.iter().zip(&self.own).enumerate();
        each.filter(|(_, (_, own))| **own).map(|(row, (&i, _))| (i as usize, row))
    }

    /// The spot of a row that is the tile's own.
    pub(super) fn own_at(&self, row: usize) -> Option<usize> {
        self.own[row].then(|| self.members[row] as usize)
    }
}

/// Cuts a slice into tiles of at most `size` spots with halos of `hops` steps: each tile grows around a spot beside the
/// tile before it, so that it is about as wide as long.
///
/// # Inputs
/// `n`: spots. `neighbors`: those of a spot.
pub(super) fn divide<'g>(
    n: usize,
    neighbors: impl Fn(usize) -> &'g [u32],
    (size, hops): (usize, usize),
) -> Vec<Tile> {
    let mut tiles = Vec::with_capacity(n.div_ceil(size));
    let mut taken = vec![false; n];
    // The last tile that had a spot in its queue, or in itself and its halo.
    let (mut queued, mut seen) = (vec![u32::MAX; n], vec![u32::MAX; n]);
    let mut queue = VecDeque::new();
    let mut first_left = 0;
    let mut left = n;
    while left > 0 {
        let number = tiles.len() as u32;
        let beside = queue.drain(..).find(|&i: &u32| !taken[i as usize]);
        queue.extend(beside);
        let mut own = Vec::with_capacity(size.min(left));
        while own.len() < size && left > 0 {
            let i = queue.pop_front().unwrap_or_else(|| {
                while taken[first_left] {
                    first_left += 1;
                }
                first_left as u32
            });
            taken[i as usize] = true;
            left -= 1;
            own.push(i);
            for &j in neighbors(i as usize) {
                if !taken[j as usize] && queued[j as usize] != number {
                    queued[j as usize] = number;
                    queue.push_back(j);
                }
            }
        }
        let mut members = own.clone();
        for &i in &own {
            seen[i as usize] = number;
        }
        let mut from = 0;
        for _ in 0..hops {
            let to = members.len();
            for at in from..to {
                for &j in neighbors(members[at] as usize) {
                    if seen[j as usize] != number {
                        seen[j as usize] = number;
                        members.push(j);
                    }
                }
            }
            from = to;
        }
        members.sort_unstable();
        own.sort_unstable();
        let mut rest = own.iter().peekable();
        let own = members.iter().map(|i| rest.next_if_eq(&i).is_some()).collect();
        tiles.push(Tile { members, own });
    }
    tiles
}

/// The graph on some observations, renumbered: edges to those that have no place (`u32::MAX`) are left out.
///
/// # Inputs
/// `members`: rising. `places`: for each observation of the whole its place among the members.
pub(super) fn within<T: Copy + Send + Sync>(
    graph: CsrView<'_, T>,
    members: &[u32],
    places: &[u32],
) -> CsrMatrix<T> {
    let nnz = members.iter().map(|&i| graph.row(i as usize).0.len()).sum();
    let mut rows = CsrMatrix::with_capacity(members.len(), members.len(), nnz);
    for &i in members {
        let (columns, values) = graph.row(i as usize);
        let each = columns.iter().zip(values).map(|(&j, &v)| (places[j as usize], v));
        rows.push_row(each.filter(|(place, _)| *place != u32::MAX));
    }
    rows
}
