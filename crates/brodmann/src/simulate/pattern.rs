//! The four "ggblocks" patterns, scaled to a grid of any side.
//!
//! # Source
//! Griffiths & Ghahramani 2011, J. Mach. Learn. Res. 12:1185 (6 × 6 binary images); as a tissue of 36 × 36
//! spots: Townes & Engelhardt 2023, Nat. Methods 20:229.

use super::options::N_FACTORS;

/// Names of the domains, in the order of their codes.
pub const DOMAIN_NAMES: [&str; N_FACTORS + 1] = ["background", "factor1", "factor2", "factor3", "factor4"];

/// 0 is background; 1 a cross, 2 a ring, 3 a staircase, 4 a diagonal cross: 5, 8, 6 and 5 of 36 blocks.
const BLOCKS: [[u8; 6]; 6] = [
    [0, 1, 0, 2, 2, 2],
    [1, 1, 1, 2, 0, 2],
    [0, 1, 0, 2, 2, 2],
    [3, 0, 0, 4, 0, 4],
    [3, 3, 0, 0, 4, 0],
    [3, 3, 3, 4, 0, 4],
];

/// The domain of the spot at (`row`, `column`) of a grid of `side` × `side` spots: 0 background, 1–4 factors.
///
/// Grids of fewer than 6 spots a side sample the pattern at their spots' centres.
pub fn domain_at(side: usize, row: usize, column: usize) -> u32 {
    // Twice the coordinate plus one is the spot's centre in half-spots: exact for every side.
    let block = |i: usize| (((2 * i + 1) * 6) / (2 * side.max(1))).min(5);
    u32::from(BLOCKS[block(row)][block(column)])
}
