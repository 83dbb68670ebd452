//! Mean and variance of sets of values, put together from those of their parts.

/// The first two moments of some values, and whether they differ at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    /// How many there are.
    pub(super) n: f64,
    /// How many are not zero.
    pub(super) expressed: f64,
    /// Their mean; 0 where there are none.
    pub(super) mean: f64,
    /// Sum of squared deviations from the mean.
    pub(super) squares: f64,
    least: f64,
    most: f64,
}

/// Sums over the values of one class of spots that are not zero, in the order of the spots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) expressed: u32,
    pub(super) sum: f64,
    pub(super) squares: f64,
    least: f64,
    most: f64,
}

impl Sums {
    pub(super) const EMPTY: Self =
        Self { expressed: 0, sum: 0.0, squares: 0.0, least: f64::INFINITY, most: f64::NEG_INFINITY };

    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.expressed += 1;
        self.sum += value;
        // Not `min` and `max`: there is no NaN, and these are one instruction each.
        self.least = if value < self.least { value } else { self.least };
        self.most = if value > self.most { value } else { self.most };
    }

    /// With the zeros of a class of `n` spots; squares count when they were summed about [`Sums::mean`].
    pub(super) fn with_zeros(&self, n: usize) -> Moments {
        let (mean, zeros) = (self.mean(n), n as f64 - f64::from(self.expressed));
        let (mut least, mut most) = (self.least, self.most);
        if zeros > 0.0 {
            (least, most) = (least.min(0.0), most.max(0.0));
        }
        let squares = self.squares + zeros * mean * mean;
        let mut moments =
            Moments { n: n as f64, expressed: f64::from(self.expressed), mean, squares, least, most };
        // A repeated 0.1 has a mean that is not 0.1, and deviations from it.
        if least >= most {
            (moments.mean, moments.squares) = (least, 0.0);
        }
        moments
    }

    pub(super) fn mean(&self, n: usize) -> f64 {
        self.sum / n as f64
    }
}

impl Moments {
    pub(super) const EMPTY: Self = Self {
        n: 0.0,
        expressed: 0.0,
        mean: 0.0,
        squares: 0.0,
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
    };

    /// A single value.
    pub(super) fn one(value: f64) -> Self {
        Self { n: 1.0, expressed: 0.0, mean: value, squares: 0.0, least: value, most: value }
    }

    /// Takes in other values (Chan, Golub & LeVeque 1983, Am. Stat. 37:242).
    pub(super) fn merge(&mut self, other: &Self) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = *other;
            return;
        }
        let (n, between) = (self.n + other.n, other.mean - self.mean);
        self.mean += between * (other.n / n);
        self.squares += other.squares + between * between * (self.n * other.n / n);
        self.n = n;
        self.expressed += other.expressed;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    /// `Σ (x − x̄)² / (n − 1)`; NaN for fewer than two values.
    pub(super) fn variance(&self) -> f64 {
        if self.n < 2.0 { f64::NAN } else { self.squares / (self.n - 1.0) }
    }

    /// Share of values that are not zero; NaN where there are none.
    pub(super) fn fraction(&self) -> f64 {
        self.expressed / self.n
    }

    /// The mean, NaN where there are no values.
    pub(super) fn mean_or_nan(&self) -> f64 {
        if self.n == 0.0 { f64::NAN } else { self.mean }
    }
}
