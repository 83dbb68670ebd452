//! How a picture goes on beyond its border.

use serde::{Deserialize, Serialize};

/// How a picture goes on beyond its border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// Mirrored at the centre of the last pixel, which is not repeated: `dcb|abcd|cba`. OpenCV's default.
    #[default]
    Reflect101,
    /// Mirrored at the edge of the last pixel, which is repeated: `cba|abcd|dcb`.
    Reflect,
}

impl Border {
    /// Which of `n` pixels stands at `i`, however far beyond; 0 where there is none.
    pub fn index(self, i: i64, n: usize) -> usize {
        let n = n as i64;
        if (0..n).contains(&i) {
            return i as usize;
        }
        if n <= 1 {
            return 0;
        }
        let mirrored = match self {
            Self::Reflect101 => {
                let m = i.rem_euclid(2 * (n - 1));
                if m < n { m } else { 2 * (n - 1) - m }
            }
            Self::Reflect => {
                let m = i.rem_euclid(2 * n);
                if m < n { m } else { 2 * n - 1 - m }
            }
        };
        mirrored as usize
    }
}
