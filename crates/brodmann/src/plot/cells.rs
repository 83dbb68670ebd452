//! A grid of coloured cells, and its pixels where there are more cells than pixels.

use super::color::Rgb;

/// Cells that meet edge to edge and fill a rectangle.
#[derive(Clone, Debug)]
pub(super) struct CellLayer {
    /// x, y, width, height.
    pub place: [f64; 4],
    pub rows: usize,
    pub columns: usize,
    /// Row by row.
    pub colors: Vec<Rgb>,
}

impl CellLayer {
    /// x, y, width, height of one cell.
    pub(super) fn cell(&self, row: usize, column: usize) -> [f64; 4] {
        let [x, y, w, h] = self.place;
        let (w, h) = (w / self.columns as f64, h / self.rows as f64);
        [x + column as f64 * w, y + row as f64 * h, w, h]
    }

    /// The rectangle as pixels: the colour of the cell in a pixel's middle, or the mean of the cells that share it.
    pub(super) fn pixels(&self, width: usize, height: usize) -> Vec<Rgb> {
        if self.rows == 0 || self.columns == 0 {
            return vec![Rgb(255, 255, 255); width * height];
        }
        let across: Vec<[usize; 2]> = (0..width).map(|x| share(x, width, self.columns)).collect();
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let [top, bottom] = share(y, height, self.rows);
            for &[left, right] in &across {
                let (mut sum, n) = ([0u64; 3], ((bottom - top) * (right - left)) as u64);
                for row in top..bottom {
                    let from = row * self.columns;
                    for &Rgb(r, g, b) in &self.colors[from + left..from + right] {
                        sum[0] += u64::from(r);
                        sum[1] += u64::from(g);
                        sum[2] += u64::from(b);
                    }
                }
                let [r, g, b] = sum.map(|s| ((s + n / 2) / n) as u8);
                pixels.push(Rgb(r, g, b));
            }
        }
        pixels
    }
}

/// Which of `cells` a pixel of `pixels` shows: at least one.
fn share(pixel: usize, pixels: usize, cells: usize) -> [usize; 2] {
    if cells <= pixels {
        let middle = (2 * pixel + 1) * cells / (2 * pixels);
        return [middle, middle + 1];
    }
    let from = pixel * cells / pixels;
    [from, ((pixel + 1) * cells / pixels).max(from + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_shows_a_cell_or_the_mean_of_those_it_holds() {
        let grey = |v: u8| Rgb(v, v, v);
        let layer = CellLayer {
            place: [0.0, 0.0, 4.0, 2.0],
            rows: 1,
            columns: 4,
            colors: [0, 100, 200, 100].map(grey).to_vec(),
        };
        assert_eq!(layer.pixels(2, 1), [grey(50), grey(150)]);
        assert_eq!(layer.pixels(4, 2), [[0, 100, 200, 100].map(grey); 2].concat());
        assert_eq!(layer.pixels(8, 1)[..4], [0, 0, 100, 100].map(grey));
        assert_eq!(layer.cell(0, 3), [3.0, 0.0, 1.0, 2.0]);
        for (pixels, cells) in [(7, 1000), (3, 2), (5, 5), (1, 9)] {
            let shares: Vec<_> = (0..pixels).map(|p| share(p, pixels, cells)).collect();
            assert!(shares.iter().all(|s| s[0] < s[1] && s[1] <= cells), "{shares:?}");
            assert_eq!((shares[0][0], shares[pixels - 1][1]), (0, cells));
        }
    }
}
