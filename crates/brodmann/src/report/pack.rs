//! The order of the spots, and coordinates and values as few bytes.
//!
//! Spots are put in the order of a grid over their slice, row by row: what lies side by side in the tissue then lies side
//! by side in every column, which makes columns compress well, and the page finds the spots of a rectangle as a few runs.
//! Numbers become whole steps between two limits; of wider numbers all low bytes come first, then all high ones.

use miniz_oxide::deflate::compress_to_vec_zlib;
use ndarray::Array2;

use super::content::{NumberBits, NumberScale, SpotValues};

/// Spots per cell of the grid, on average.
const SPOTS_PER_CELL: usize = 8;
/// Cells along a side, at most.
const MAX_GRID: usize = 1024;
/// Steps that must fit into a spot, or coordinates take 32 bits: 65,535 steps span some 2000 spots.
const STEPS_PER_SPOT: f64 = 32.0;
/// Below this share of spots off zero, places and values are written instead of a value per spot.
const SPARSE: f64 = 0.125;
/// The usual trade of time and bytes; higher levels take twice the time for 2 % less.
const LEVEL: u8 = 6;

/// The places of a slice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    /// Spots (counted within the slice) in the order of the page; those without a finite place are left out.
    pub order: Vec<u32>,
    /// Cells along either side of the grid.
    pub grid: usize,
    /// 16 or 32: bits per quantised coordinate.
    pub bits: u32,
    /// Coordinate of step 0, and length of a step, of x and of y.
    pub axes: [(f64, f64); 2],
    /// Steps of x and of y, in order.
    pub steps: [Vec<u32>; 2],
}

/// Quantises places and sorts them.
///
/// A place is its axis' start plus steps; the nearest step is within half a step of it. `size`: of a spot, in units of
/// the coordinates; what a few spots far away would make coarse gets finer steps.
///
/// O(n log n) time; 12 bytes per spot, and 20 more while sorting.
pub(super) fn places(coordinates: &Array2<f64>, size: f64) -> Places {
    let n = if coordinates.ncols() < 2 { 0 } else { coordinates.nrows() };
    let placed: Vec<u32> =
        (0..n as u32).filter(|&i| (0..2).all(|axis| coordinates[[i as usize, axis]].is_finite())).collect();
    let range = |axis: usize| {
        let values = placed.iter().map(|&i| coordinates[[i as usize, axis]]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let ranges = if placed.is_empty() { [(0.0, 0.0); 2] } else { [range(0), range(1)] };

    // Halves first: the difference of two large numbers of unlike sign must not overflow.
    let widths = |most: f64| ranges.map(|(lo, hi)| (lo, (hi / most - lo / most).max(0.0)));
    let is_fine = |&(_, width): &(f64, f64)| width * STEPS_PER_SPOT <= size;
    let bits: u32 = if widths(65_535.0).iter().all(is_fine) { 16 } else { 32 };
    let most = f64::from(u32::MAX >> (32 - bits));
    let axes = widths(most);
    let step = |i: u32, axis: usize| {
        let (lo, width) = axes[axis];
        let v = coordinates[[i as usize, axis]];
        if width > 0.0 { (v / width - lo / width).round().clamp(0.0, most) as u32 } else { 0 }
    };

    let grid = ((placed.len() / SPOTS_PER_CELL) as f64).sqrt().ceil().clamp(1.0, MAX_GRID as f64) as usize;
    let cell = |step: u32| ((u64::from(step) * grid as u64) >> bits) as u32;
    // Cell row, cell column, then the place within: the last index makes the order the same whatever sorts.
    let mut sorted: Vec<([u16; 2], [u32; 2], u32)> = placed
        .iter()
        .map(|&i| {
            let (x, y) = (step(i, 0), step(i, 1));
            ([cell(y) as u16, cell(x) as u16], [y, x], i)
        })
        .collect();
    sorted.sort_unstable();
    Places {
        grid,
        bits,
        axes,
        steps: [sorted.iter().map(|s| s.1[1]).collect(), sorted.iter().map(|s| s.1[0]).collect()],
        order: sorted.into_iter().map(|s| s.2).collect(),
    }
}

/// Differences between one step and the next, deflated.
pub(super) fn pack_steps(steps: &[u32], bits: u32) -> Vec<u8> {
    let mut before = 0u32;
    let differences = steps.iter().map(|&step| {
        let difference = step.wrapping_sub(before);
        before = step;
        difference
    });
    compress_to_vec_zlib(&planes(differences, bits as usize / 8), LEVEL)
}

/// The bytes of numbers: the lowest of all of them, then the next.
fn planes(values: impl ExactSizeIterator<Item = u32>, width: usize) -> Vec<u8> {
    let n = values.len();
    let mut bytes = vec![0; n * width];
    for (i, value) in values.enumerate() {
        for (plane, byte) in value.to_le_bytes().into_iter().take(width).enumerate() {
            bytes[plane * n + i] = byte;
        }
    }
    bytes
}

/// A packed column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packed {
    /// Deflated.
    pub bytes: Vec<u8>,
    /// Bytes per spot before that; all bits set: no value.
    pub width: usize,
    /// Whether places and values were written, not a value per spot.
    pub sparse: bool,
    /// Of numbers: value of step 0, and of the last step.
    pub limits: (f32, f32),
    /// Of numbers: whether some lay beyond the limits, below and above.
    pub clipped: (bool, bool),
}

/// Packs a column; `order`: the spots of all slices in the order of the page.
///
/// O(n) time; up to 8 bytes per spot beside the column.
pub(super) fn pack_column(values: &SpotValues, order: &[u32], n_obs: usize) -> Packed {
    match values {
        SpotValues::Categories { codes, names, .. } => {
            // The largest number means none.
            let width = [1, 2].into_iter().find(|width| names.len() < 1 << (8 * width)).unwrap_or(4);
            let coded = order.iter().map(|&i| codes[i as usize].unwrap_or(u32::MAX));
            let bytes = compress_to_vec_zlib(&planes(coded, width), LEVEL);
            Packed { bytes, width, sparse: false, limits: (0.0, 0.0), clipped: (false, false) }
        }
        SpotValues::Numbers { values, scale } => {
            let steps = Steps::new(values, false, scale);
            let coded: Vec<u16> = order.iter().map(|&i| steps.of(values[i as usize])).collect();
            steps.pack(&coded)
        }
        SpotValues::Sparse { rows, values, scale } => {
            let steps = Steps::new(values, rows.len() < n_obs, scale);
            let mut all = vec![steps.of(0.0); n_obs];
            for (&row, &value) in rows.iter().zip(values) {
                all[row as usize] = steps.of(value);
            }
            let coded: Vec<u16> = order.iter().map(|&i| all[i as usize]).collect();
            steps.pack(&coded)
        }
    }
}

/// The steps of numbers between two limits.
struct Steps {
    limits: (f32, f32),
    clipped: (bool, bool),
    /// The last step; one more means no value.
    last: u16,
    width: usize,
}

impl Steps {
    fn new(values: &[f32], and_zero: bool, scale: &NumberScale) -> Self {
        let zero: &[f32] = if and_zero { &[0.0] } else { &[] };
        let finite = values.iter().chain(zero).copied().filter(|v| v.is_finite());
        let (least, greatest) =
            finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let found = if least <= greatest { (least, greatest) } else { (0.0, 0.0) };
        let given = scale.limits.filter(|(lo, hi)| lo.is_finite() && hi.is_finite() && lo <= hi);
        let limits = given.unwrap_or(found);
        let (last, width) = match scale.bits {
            NumberBits::Eight => (254, 1),
            NumberBits::Sixteen => (65_534, 2),
        };
        Self { limits, clipped: (found.0 < limits.0, found.1 > limits.1), last, width }
    }

    fn of(&self, value: f32) -> u16 {
        if !value.is_finite() {
            return self.last + 1;
        }
        // In f64: the width of the range can be beyond f32.
        let (lo, hi) = (f64::from(self.limits.0), f64::from(self.limits.1));
        if hi > lo {
            let share = (f64::from(value) - lo) / (hi - lo);
            (share * f64::from(self.last)).round().clamp(0.0, f64::from(self.last)) as u16
        } else {
            0
        }
    }

    fn pack(&self, coded: &[u16]) -> Packed {
        let n_off_zero = coded.iter().filter(|&&step| step != 0).count();
        let sparse = self.width == 1 && (n_off_zero as f64) < SPARSE * coded.len() as f64;
        let plain = if sparse {
            gaps_and_values(coded)
        } else {
            planes(coded.iter().map(|&step| u32::from(step)), self.width)
        };
        let bytes = compress_to_vec_zlib(&plain, LEVEL);
        Packed { bytes, width: self.width, sparse, limits: self.limits, clipped: self.clipped }
    }
}

/// How far to the next spot off zero, seven bits a byte, the eighth: more follows; then a byte for each such spot.
fn gaps_and_values(coded: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut values = Vec::new();
    let mut next = 0;
    for (i, &step) in coded.iter().enumerate().filter(|&(_, &step)| step != 0) {
        let mut gap = i - next;
        while gap >= 128 {
            out.push(gap as u8 | 128);
            gap >>= 7;
        }
        out.push(gap as u8);
        values.push(step as u8);
        next = i + 1;
    }
    out.extend(values);
    out
}
