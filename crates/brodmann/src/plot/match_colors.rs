//! The same colour for the same thing in two pictures.

use brodmann_kernels::assignment::best_assignment;

use super::color::{Rgb, palette};

/// Cells of the table of overlaps at most: beyond, all predicted categories have colours of their own.
const MOST_CELLS: usize = 4_000_000;

/// Colours of predicted categories that resemble those of the truth.
///
/// Predicted and true categories are matched one to one so that the most observations agree (Hungarian method). A
/// predicted category takes the colour of its match, if they share an observation; the others take colours of
/// [`palette`] that the truth does not have, in its order.
///
/// # Inputs
/// `truth`, `prediction`: a category for each observation, in one order; an observation without one of them says
/// nothing, nor does a code beyond the colours or beyond `n_prediction`. `truth_colors`: one for each true category.
/// # Returns
/// `n_prediction` colours.
/// # Cost
/// O(n + k³) time, O(k²) memory for k categories.
/// # Source
/// Kuhn 1955, Naval Research Logistics 2:83.
///
/// # Example
///
/// ```
/// use brodmann::plot::{match_colors, palette};
///
/// let truth = [Some(0), Some(0), Some(1), Some(1), None];
/// // The same domains under other numbers, and one more.
/// let prediction = [Some(2), Some(2), Some(0), Some(0), Some(1)];
/// let colors = match_colors(&truth, &prediction, &palette(2), 3);
/// assert_eq!(colors, [palette(2)[1], palette(3)[2], palette(2)[0]]);
/// ```
pub fn match_colors(
    truth: &[Option<u32>],
    prediction: &[Option<u32>],
    truth_colors: &[Rgb],
    n_prediction: usize,
) -> Vec<Rgb> {
    let n_truth = truth_colors.len();
    let mut colors: Vec<Option<Rgb>> = vec![None; n_prediction];
    if n_truth.saturating_mul(n_prediction) <= MOST_CELLS {
        let mut overlap = vec![vec![0i64; n_truth]; n_prediction];
        for (&t, &p) in truth.iter().zip(prediction) {
            if let (Some(t), Some(p)) = (t, p)
                && let Some(count) = overlap.get_mut(p as usize).and_then(|row| row.get_mut(t as usize))
            {
                *count += 1;
            }
        }
        for (k, matched) in best_assignment(&overlap).into_iter().enumerate() {
            colors[k] = matched.filter(|&t| overlap[k][t] > 0).map(|t| truth_colors[t]);
        }
    }
    // As many as there can be of both, so that enough are left.
    let mut unused = palette(n_truth + n_prediction).into_iter().filter(|c| !truth_colors.contains(c));
    colors.into_iter().map(|c| c.or_else(|| unused.next()).unwrap_or(super::color::MISSING)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_overlap_in_total_decides() {
        // Prediction 0 overlaps truth 0 most, but leaving it to prediction 1 agrees on more.
        let pairs = [(0, 0); 5].into_iter().chain([(1, 0); 4]).chain([(0, 1); 5]);
        let (truth, prediction): (Vec<_>, Vec<_>) = pairs.map(|(t, p)| (Some(t), Some(p))).unzip();
        let colors = [Rgb(1, 1, 1), Rgb(2, 2, 2)];
        assert_eq!(match_colors(&truth, &prediction, &colors, 2), [Rgb(2, 2, 2), Rgb(1, 1, 1)]);
    }

    #[test]
    fn what_has_no_match_takes_unused_colours() {
        let truth_colors = [palette(3)[0], palette(3)[2]];
        let colors = match_colors(&[Some(1)], &[Some(1)], &truth_colors, 4);
        let all = palette(5);
        assert_eq!(colors, [all[1], all[2], all[3], all[4]]);
    }

    #[test]
    fn odd_input_is_no_obstacle() {
        assert!(match_colors(&[], &[], &[], 0).is_empty());
        assert_eq!(match_colors(&[None], &[Some(9)], &[], 2), palette(2));
        assert_eq!(match_colors(&[Some(7), Some(0)], &[Some(0)], &palette(1), 1), [palette(2)[1]]);
        assert_eq!(match_colors(&[Some(u32::MAX)], &[Some(u32::MAX)], &palette(2), 1), [palette(3)[2]]);
    }
}
