//! Are the spots of a label clustered or spread out, and at which distances?

mod window;

use brodmann_kernels::{Monitor, OptionError, ParallelLoop, Seed, Slices};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rayon::prelude::*;

use super::co_occurrence::Intervals;
use super::labels::{MAX_GROUPS, NONE};
use super::pair_strips::{Bins, Edge, Strips};
use super::{Labels, StatsError};
use crate::graph::{KdTree, Nearest, Points, grouped};
use window::Region;

#[cfg(test)]
mod tests;

/// Spots of a group within the largest radius where nobody names it.
const SPOTS_WITHIN: f64 = 1000.0;
/// Queries handled together; fixed.
const CHUNK: usize = 1024;

/// Which function of the distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RipleyFunction {
    /// `L(r) = √(K(r)/π)`: how many spots of the group are within `r` of one, as a radius; `r` without a pattern.
    #[default]
    L,
    /// The share of spots whose nearest other spot of the group is within `r`.
    G,
    /// The share of the region that has a spot of the group within `r`, from random places.
    F,
}

/// Where spots could have been, in each slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// The convex hull of all spots of the slice, those without a label included.
    #[default]
    ConvexHull,
    /// The smallest rectangle along the axes that holds them.
    Rectangle,
}

/// What pairs are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairNormalization {
    /// The ordered pairs of the group, `n (n − 1)`: what makes `L(r) = r` without a pattern.
    #[default]
    Group,
    /// The square of the number of all spots of the slice, and pairs nearer than `r` rather than within it: squidpy's.
    AllSpots,
}

/// What makes up for neighbours beyond the edge of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdgeCorrection {
    /// Nothing: values fall short near the edge.
    #[default]
    None,
    /// Each pair counts by the share of the window from which it could have been seen (rectangles only).
    Translation,
}

/// Patterns without the structure that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullPattern {
    /// The group's spots anywhere in the window.
    CompleteRandomness,
    /// The labels of a slice dealt anew to its labelled spots.
    RandomLabels,
}

/// Simulations to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What is simulated.
    pub null: NullPattern,
    /// How often: a value outside `low` to `high` at a radius chosen beforehand has a two-sided p-value of
    /// `2 / (n_simulations + 1)`.
    pub n_simulations: usize,
}

/// Options of [`ripley()`].
#[derive(Clone, Debug, PartialEq)]
pub struct RipleyOptions {
    /// Which function.
    pub function: RipleyFunction,
    /// Radii. A `longest` of `None` is a quarter of the shortest side of a slice, or less, so that a spot of the densest
    /// group has about 1000 others of it within (the rule of Baddeley, Rubak & Turner 2015).
    pub radii: Intervals,
    /// Where spots could have been.
    pub window: Window,
    /// `L` only.
    pub normalization: PairNormalization,
    /// `L` only.
    pub correction: EdgeCorrection,
    /// Random places in each slice, for `F`.
    pub n_places: usize,
    /// Simulations, if any.
    pub envelope: Option<Envelope>,
}

impl Default for RipleyOptions {
    fn default() -> Self {
        Self {
            function: RipleyFunction::L,
            radii: Intervals::Even { n_edges: 50, longest: None },
            window: Window::ConvexHull,
            normalization: PairNormalization::Group,
            correction: EdgeCorrection::None,
            n_places: 10_000,
            envelope: None,
        }
    }
}

/// A function of the distance for each group; every table is `(n_groups, n_radii)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ripley {
    /// Radii, in the unit of the coordinates: squidpy's `["bins"]`.
    pub radii: Vec<f64>,
    /// The function; NaN for groups of too few spots (below 2; for `F` none).
    pub statistic: Array2<f64>,
    /// Its value without a pattern and without edges.
    pub expected: Array2<f64>,
    /// The lowest value of the simulations at each radius.
    pub low: Option<Array2<f64>>,
    /// The highest.
    pub high: Option<Array2<f64>>,
}

/// Ripley's L, or the distributions G and F of nearest distances, of the spots of each label.
///
/// With `n_s` spots of the group in slice `s` of area `A_s`, and `c_s(r)` unordered pairs of them at most `r` apart,
///
/// ```text
/// K(r) = 2 Σ_s c_s(r) / Σ_s n_s (n_s − 1) / A_s        L(r) = √(K(r) / π)
/// G(r) = Σ_s #(spots whose nearest other one is within r) / Σ_s n_s
/// F(r) = Σ_s A_s · share of random places with a spot within r / Σ_s A_s
/// ```
///
/// `EdgeCorrection::Translation` counts a pair `(dx, dy)` as `w h / ((w − |dx|)(h − |dy|))` in a window of `w × h`.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2)`, finite. `labels`: spots without one shape the window alone. `slices`: pairs are of one
/// slice. `seed`: for `F` and simulations.
/// # Returns
/// [`Ripley`]; the same for any number of threads.
/// # Errors
/// `Option` for radii that are none, no places, and a translation that the window or the radii do not allow; `NotPlanar`;
/// `NoArea` for a slice with labels on one line; `LabelCount`, `LabelOutOfRange`, `TooManyGroups`; `Graph` for coordinates
/// that are no points and for slices of other spots; `Interrupted`.
/// # Cost
/// L: every pair of a group within the largest radius is looked at once; G and F: O(n log n). 60 bytes per spot. Times
/// the simulations.
/// # Source
/// Ripley 1977, J. R. Stat. Soc. B 39:172; Ohser 1983, Math. Oper. Stat. 14:63 (translation); several slices as Baddeley,
/// Rubak & Turner 2015, Spatial Point Patterns, ch. 7, 8 and 16.
/// # Differences
/// squidpy divides by all spots (see [`PairNormalization`]), and scales its G and F so that they end at 1.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Intervals, Labels, RipleyOptions, Window, ripley};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let spots = array![[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]];
/// let labels = Labels { codes: &[Some(0); 4], n_groups: 1 };
/// let radii = Intervals::Edges(vec![0.0, 4.0, 6.0]);
/// let options = RipleyOptions { radii, window: Window::Rectangle, ..Default::default() };
/// let found = ripley(spots.view(), labels, None, &options, Seed(0), &Silent)?;
/// // Four pairs within 4, all six within 6: K = 16 · 2 · 6 / (4 · 3).
/// assert_eq!(found.statistic[[0, 2]], (16.0 / std::f64::consts::PI).sqrt());
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn ripley(
    coordinates: ArrayView2<'_, f64>,
    labels: Labels<'_>,
    slices: Option<&Slices>,
    options: &RipleyOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Ripley, StatsError> {
    if options.function == RipleyFunction::F && options.n_places == 0 {
        return Err(OptionError::new("n_places", 0, "at least 1").into());
    }
    let n_obs = coordinates.nrows();
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let Points::Plane(points) = Points::try_new(coordinates)? else {
        return Err(StatsError::NotPlanar { what: "Ripley's function" });
    };
    let slices = grouped(n_obs, slices)?;
    let mut parts = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let all: Vec<[f64; 2]> = rows.iter().map(|&i| points[i as usize]).collect();
        let labelled = rows.iter().filter(|&&i| codes[i as usize] != NONE);
        let spots: Vec<([f64; 2], u32)> =
            labelled.map(|&i| (points[i as usize], codes[i as usize])).collect();
        if spots.is_empty() {
            continue;
        }
        let region = match options.window {
            Window::ConvexHull => Region::hull(&all),
            Window::Rectangle => Region::rectangle(&all),
        };
        let region = region.ok_or(StatsError::NoArea { slice: slices.codes()[slice] })?;
        let places = if options.function == RipleyFunction::F {
            let mut rng = seed.stream("stats/ripley/places", slice as u64);
            (0..options.n_places).map(|_| region.draw(&mut rng)).collect()
        } else {
            Vec::new()
        };
        parts.push(Part { n_all: all.len(), spots, region, places });
    }
    let k = labels.n_groups;
    let radii = options.radii.edges(|| usual_reach(&parts, k))?;
    check_translation(options, &parts, radii[radii.len() - 1])?;
    let n_spots: usize = parts.iter().map(|part| part.spots.len()).sum();
    let n_simulations = options.envelope.map_or(0, |envelope| envelope.n_simulations);
    monitor.stage("Ripley", n_spots as u64 * (n_simulations as u64 + 1));

    let task = Task { options, k, radii: &radii, parts: &parts, monitor };
    let groups: Vec<Groups> = parts.iter().map(|part| by_group(part.spots.iter().copied(), k)).collect();
    let statistic = task.statistic(&groups)?;
    let expected = task.expected(&groups);
    let (mut low, mut high) = (None, None);
    if let Some(envelope) = options.envelope {
        for simulation in 0..envelope.n_simulations {
            let drawn = task.statistic(&task.simulated(envelope.null, seed, simulation))?;
            extend(&mut low, &drawn, f64::min);
            extend(&mut high, &drawn, f64::max);
        }
    }
    Ok(Ripley { radii, statistic, expected, low, high })
}

/// Spots of each group.
type Groups = Vec<Vec<[f64; 2]>>;

/// One slice.
struct Part {
    /// Its spots, those without a label included.
    n_all: usize,
    /// Place and label of the labelled ones.
    spots: Vec<([f64; 2], u32)>,
    region: Region,
    places: Vec<[f64; 2]>,
}

fn by_group(spots: impl Iterator<Item = ([f64; 2], u32)>, k: usize) -> Groups {
    let mut groups = vec![Vec::new(); k];
    for (place, label) in spots {
        groups[label as usize].push(place);
    }
    groups
}

/// Takes `drawn` into a bound, where a NaN is only replaced.
fn extend(bound: &mut Option<Array2<f64>>, drawn: &Array2<f64>, pick: fn(f64, f64) -> f64) {
    match bound {
        Some(bound) => bound.zip_mut_with(drawn, |b, &d| *b = pick(*b, d)),
        None => *bound = Some(drawn.clone()),
    }
}

/// A quarter of the shortest side of a slice, or the radius that holds [`SPOTS_WITHIN`] of the densest group; 1 without
/// a spot.
fn usual_reach(parts: &[Part], k: usize) -> f64 {
    let mut longest = f64::INFINITY;
    for part in parts {
        let [width, height] = part.region.extent();
        let sizes = super::labels::group_sizes(part.spots.iter().map(|spot| spot.1), k);
        let most = sizes.into_iter().max().unwrap_or(0).max(1) as f64;
        let held = (SPOTS_WITHIN * part.region.area() / (most * std::f64::consts::PI)).sqrt();
        longest = longest.min(width.min(height) / 4.0).min(held);
    }
    if longest.is_finite() { longest } else { 1.0 }
}

fn check_translation(options: &RipleyOptions, parts: &[Part], longest: f64) -> Result<(), StatsError> {
    if options.function != RipleyFunction::L || options.correction == EdgeCorrection::None {
        return Ok(());
    }
    if options.window != Window::Rectangle {
        return Err(OptionError::new(
            "window",
            "a convex hull",
            "a rectangle, for the correction by translation",
        )
        .into());
    }
    let sides = parts.iter().flat_map(|part| part.region.extent());
    let shortest = sides.fold(f64::INFINITY, f64::min);
    if longest < shortest {
        return Ok(());
    }
    let expected =
        format!("less than {shortest}, the shortest side of a slice, for the correction by translation");
    Err(OptionError::new("longest", longest, expected).into())
}

struct Task<'a> {
    options: &'a RipleyOptions,
    k: usize,
    radii: &'a [f64],
    parts: &'a [Part],
    monitor: &'a dyn Monitor,
}

impl Task<'_> {
    /// The function of every group, whose spots are given slice by slice.
    fn statistic(&self, slices: &[Groups]) -> Result<Array2<f64>, StatsError> {
        let squidpy = self.options.normalization == PairNormalization::AllSpots;
        let is_l = self.options.function == RipleyFunction::L;
        let edge = if squidpy && is_l { Edge::Excluded } else { Edge::Included };
        let bins = Bins::new(self.radii.iter().map(|&radius| (radius, edge)));
        let mut table = Array2::from_elem((self.k, self.radii.len()), f64::NAN);
        for group in 0..self.k {
            let mut sums = vec![0.0; bins.count()];
            let (mut whole, mut enough) = (0.0, false);
            for (part, groups) in self.parts.iter().zip(slices) {
                let spots = &groups[group];
                let (n, area) = (spots.len() as f64, part.region.area());
                match self.options.function {
                    RipleyFunction::L => {
                        self.add_pairs(spots, &part.region, &bins, &mut sums)?;
                        let n_all = part.n_all as f64;
                        whole += if squidpy { n_all * n_all } else { n * (n - 1.0) } / area;
                        enough |= spots.len() > 1;
                    }
                    RipleyFunction::G => {
                        self.add_nearest(spots, None, 1.0, &bins, &mut sums)?;
                        whole += n;
                        enough |= spots.len() > 1;
                    }
                    RipleyFunction::F => {
                        let weight = area / part.places.len() as f64;
                        self.add_nearest(spots, Some(&part.places), weight, &bins, &mut sums)?;
                        whole += area;
                        enough |= !spots.is_empty();
                    }
                }
            }
            if !enough {
                continue;
            }
            let mut sum = 0.0;
            for (value, bin) in table.row_mut(group).iter_mut().zip(&sums) {
                sum += bin;
                *value = match self.options.function {
                    RipleyFunction::L => (2.0 * sum / whole / std::f64::consts::PI).sqrt(),
                    RipleyFunction::G | RipleyFunction::F => sum / whole,
                };
            }
        }
        Ok(table)
    }

    /// Adds the pairs of one group and slice to the bins of their distances.
    fn add_pairs(
        &self,
        spots: &[[f64; 2]],
        region: &Region,
        bins: &Bins,
        sums: &mut [f64],
    ) -> Result<(), StatsError> {
        let reach = bins.reach();
        let strips = Strips::new(spots, reach.max(0.0).sqrt());
        if self.options.correction == EdgeCorrection::None {
            let new = || vec![0u64; bins.count()];
            let found = strips.pairs(reach, self.monitor, new, |counts, i, run| {
                bins.each(&strips.point(i), &strips.run(run), |_, bin| counts[bin] += 1);
            })?;
            // Added up as integers: rounding would depend on how threads shared the work.
            for (bin, sum) in sums.iter_mut().enumerate() {
                *sum += found.iter().map(|counts| counts[bin]).sum::<u64>() as f64;
            }
            return Ok(());
        }
        let ([width, height], area) = (region.extent(), region.area());
        let new = || vec![0.0; bins.count()];
        let found = strips.ordered_pairs(reach, self.monitor, new, |weights, i, run| {
            let (point, others) = (strips.point(i), strips.run(run));
            bins.each(&point, &others, |j, bin| {
                let (dx, dy) = ((others[0][j] - point[0]).abs(), (others[1][j] - point[1]).abs());
                weights[bin] += area / ((width - dx) * (height - dy));
            });
        })?;
        for weights in found {
            // Beyond the largest radius a pair may span the window, and weigh infinity.
            for (sum, weight) in sums.iter_mut().zip(weights).take(bins.count() - 1) {
                *sum += weight;
            }
        }
        Ok(())
    }

    /// Adds `weight` to the bin of the distance from each place, or each spot itself, to the nearest other spot.
    fn add_nearest(
        &self,
        spots: &[[f64; 2]],
        places: Option<&[[f64; 2]]>,
        weight: f64,
        bins: &Bins,
        sums: &mut [f64],
    ) -> Result<(), StatsError> {
        let tree = KdTree::new(spots);
        let n_queries = places.map_or(spots.len(), <[_]>::len);
        let chunks: Vec<usize> = (0..n_queries).step_by(CHUNK).collect();
        let found: Vec<Vec<u64>> = chunks
            .into_par_iter()
            .map(|first| {
                self.monitor.check()?;
                let mut counts = vec![0; bins.count()];
                let mut nearest = Nearest::new(1);
                for at in first..n_queries.min(first + CHUNK) {
                    let (query, exclude) = places.map_or_else(|| tree.entry(at), |p| (p[at], u32::MAX));
                    tree.nearest(&query, exclude, &mut nearest);
                    if let [(square, _)] = nearest.pairs() {
                        counts[bins.of(*square)] += 1;
                    }
                }
                Ok(counts)
            })
            .try_collect_vec::<_, StatsError>()?;
        self.monitor.advance(spots.len() as u64);
        for (bin, sum) in sums.iter_mut().enumerate() {
            *sum += weight * found.iter().map(|counts| counts[bin]).sum::<u64>() as f64;
        }
        Ok(())
    }

    /// The function of a pattern without structure, as dense as each group, in windows without edges.
    fn expected(&self, slices: &[Groups]) -> Array2<f64> {
        Array2::from_shape_fn((self.k, self.radii.len()), |(group, at)| {
            let radius = self.radii[at];
            let (mut sum, mut whole) = (0.0, 0.0);
            for (part, groups) in self.parts.iter().zip(slices) {
                let (n, area) = (groups[group].len() as f64, part.region.area());
                let weight = match self.options.function {
                    RipleyFunction::L => return radius,
                    RipleyFunction::G => n,
                    RipleyFunction::F => area,
                };
                sum -= weight * (-n / area * std::f64::consts::PI * radius * radius).exp_m1();
                whole += weight;
            }
            sum / whole
        })
    }

    /// The groups of a simulated pattern, slice by slice.
    fn simulated(&self, null: NullPattern, seed: Seed, simulation: usize) -> Vec<Groups> {
        let mut rng = seed.stream("stats/ripley/simulation", simulation as u64);
        let of_part = |part: &Part| match null {
            NullPattern::CompleteRandomness => {
                let labels = part.spots.iter().map(|spot| spot.1);
                let spots: Vec<_> = labels.map(|label| (part.region.draw(&mut rng), label)).collect();
                by_group(spots.into_iter(), self.k)
            }
            NullPattern::RandomLabels => {
                let mut labels: Vec<u32> = part.spots.iter().map(|spot| spot.1).collect();
                for i in (1..labels.len()).rev() {
                    labels.swap(i, rng.random_range(0..=i));
                }
                by_group(part.spots.iter().map(|spot| spot.0).zip(labels), self.k)
            }
        };
        self.parts.iter().map(of_part).collect()
    }
}
