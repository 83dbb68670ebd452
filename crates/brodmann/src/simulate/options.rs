//! What can be asked of a simulation, and which questions are refused.

use brodmann_kernels::{Diagnosis, Opt, OptionError};
use brodmann_kernels::{Interrupted, Seed};

/// Spatial factors besides the background.
pub const N_FACTORS: usize = 4;

/// A kind of measurement, with the distribution its counts follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SimModality {
    /// Transcripts: zero-inflated negative binomial.
    Rna,
    /// Antibody-derived tags (proteins): negative binomial.
    Adt,
    /// Open chromatin peaks: zero-inflated Poisson.
    Atac,
}

impl SimModality {
    /// The modality's key in a MuData file: `rna`, `adt` or `atac`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rna => "rna",
            Self::Adt => "adt",
            Self::Atac => "atac",
        }
    }
}

impl std::str::FromStr for SimModality {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "rna" => Ok(Self::Rna),
            "adt" | "protein" | "proteins" => Ok(Self::Adt),
            "atac" | "peaks" => Ok(Self::Atac),
            _ => Err(SimulateError::UnknownModality { name: text.to_owned() }),
        }
    }
}

/// Why a simulation is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulateError {
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// No modality was asked for.
    #[error("no modality was given; expected at least one")]
    NoModality,
    /// A modality was asked for twice.
    #[error("the modality {name} is given twice; expected each once")]
    DuplicateModality {
        /// Its name.
        name: &'static str,
    },
    /// A modality name is unknown.
    #[error("the modality is called {name:?}; expected one of rna, adt, atac")]
    UnknownModality {
        /// The name found.
        name: String,
    },
    /// `visible` does not have one mask per modality.
    #[error("{found} masks of visible factors were given; expected {expected}, one per modality")]
    VisibleLength {
        /// Masks given.
        found: usize,
        /// Modalities.
        expected: usize,
    },
    /// The requested density cannot be reached.
    #[error("{} is {density}, which {name} cannot reach; expected at most {limit:.3}", Opt("density"))]
    Density {
        /// Modality.
        name: &'static str,
        /// Density asked for.
        density: f64,
        /// Density with infinite expression.
        limit: f64,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for SimulateError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoModality => "name some of rna, adt, atac".to_owned(),
            Self::DuplicateModality { .. } => "remove one".to_owned(),
            Self::UnknownModality { .. } => "correct the name".to_owned(),
            Self::VisibleLength { .. } => "add or remove masks".to_owned(),
            Self::Density { .. } => "ask for less, or lower the dropout".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// Options of [`super::simulate`] and [`super::SimulationStream`].
///
/// The defaults give the tissue of the papers: 36 × 36 spots, 1000 genes, 100 proteins, 1000 peaks.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationOptions {
    /// Spots along each side of the square grid, per slice.
    pub side: usize,
    /// Seed of everything random.
    pub seed: Seed,
    /// Standard deviation of the Gaussian noise, in units of [`SimulationOptions::noise_unit`] of the modality.
    ///
    /// `max(0, round(count + noise · unit · z))`, `z ~ N(0, 1)`, for every entry, zeros too: counts stay
    /// non-negative integers, and the noise makes the matrix dense.
    pub noise: f64,
    /// Modalities, in output order.
    pub modalities: Vec<SimModality>,
    /// Slices (sections); each has the same layout of domains and its own cells.
    pub slices: usize,
    /// Standard deviation of the per-feature shift of the log rate on the second slice; slice `k` (from 0) has
    /// `k` times as much, slice 0 none.
    pub batch_effect: f64,
    /// Draw a stain-like image of every slice.
    pub image: bool,
    /// How far the domains differ in the image: 1 as drawn by default, 0 not at all, larger than 1 more.
    pub image_strength: f64,
    /// Standard deviation of a blur of the image, in its pixels; 0: none.
    pub image_blur_px: f64,
    /// Standard deviation of the log amounts of haematoxylin and of eosin over a slide, whose staining drifts smoothly.
    pub stain_drift: f64,
    /// Standard deviation of the log amounts of haematoxylin and of eosin between slices; the light differs by a tenth
    /// of that in each colour.
    pub stain_tint: f64,
    /// Genes of [`SimModality::Rna`].
    pub n_genes: usize,
    /// Proteins of [`SimModality::Adt`].
    pub n_proteins: usize,
    /// Peaks of [`SimModality::Atac`].
    pub n_peaks: usize,
    /// Which factors each modality can see, one mask per entry of `modalities`.
    ///
    /// `None`: one modality sees all four; of several, factor `f` is hidden from modality
    /// `f mod (number of modalities)`, so that no factor is lost to all.
    pub visible: Option<Vec<[bool; N_FACTORS]>>,
    /// Expected fraction of non-zero counts in RNA and ATAC before noise, reached by scaling the expression;
    /// `None`: as the model has it (about 0.2). Proteins are dense and stay so.
    pub density: Option<f64>,
    /// Standard deviation of the log of the spots' library size factors.
    pub library_size_sd: f64,
    /// Distance between neighbouring spots, in coordinate units (pixels of the full-resolution image, and µm).
    pub spot_pitch: f64,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self {
            side: 36,
            seed: Seed::default(),
            noise: 0.0,
            modalities: vec![SimModality::Rna, SimModality::Adt, SimModality::Atac],
            slices: 1,
            batch_effect: 0.0,
            image: false,
            image_strength: 1.0,
            image_blur_px: 0.0,
            stain_drift: 0.0,
            stain_tint: 0.0,
            n_genes: 1000,
            n_proteins: 100,
            n_peaks: 1000,
            visible: None,
            density: None,
            library_size_sd: 0.25,
            spot_pitch: 100.0,
        }
    }
}

/// Rows are numbered in `u32` by the graphs downstream.
const MAX_OBS: u64 = u32::MAX as u64;

impl SimulationOptions {
    /// Spots of all slices together.
    pub fn n_obs(&self) -> usize {
        self.side.saturating_mul(self.side).saturating_mul(self.slices)
    }

    /// Features of a modality.
    pub fn n_vars(&self, modality: SimModality) -> usize {
        match modality {
            SimModality::Rna => self.n_genes,
            SimModality::Adt => self.n_proteins,
            SimModality::Atac => self.n_peaks,
        }
    }

    /// Counts that one unit of [`SimulationOptions::noise`] stands for: 1 for RNA and ATAC, 10 for proteins,
    /// whose counts are about ten times as large.
    pub fn noise_unit(modality: SimModality) -> f64 {
        match modality {
            SimModality::Rna | SimModality::Atac => 1.0,
            SimModality::Adt => 10.0,
        }
    }

    /// The factors seen by each modality, the default rule applied.
    pub fn visible_factors(&self) -> Vec<[bool; N_FACTORS]> {
        self.visible.clone().unwrap_or_else(|| {
            let m = self.modalities.len();
            (0..m).map(|k| std::array::from_fn(|f| m == 1 || f % m != k)).collect()
        })
    }

    /// Checks every option.
    ///
    /// # Errors
    /// [`SimulateError`], the first found.
    pub fn validate(&self) -> Result<(), SimulateError> {
        const MAX_SLICES: usize = 10_000;
        if self.slices > MAX_SLICES {
            let value = self.slices as u128;
            return Err(OptionError::new("slices", value, format!("at most {}", MAX_SLICES as u64)).into());
        }
        for (option, value) in [("side", self.side), ("slices", self.slices)] {
            if value == 0 {
                return Err(OptionError::new(option, 0, "at least 1").into());
            }
        }
        let n_obs = (self.side as u128).saturating_mul(self.side as u128).saturating_mul(self.slices as u128);
        if n_obs > u128::from(MAX_OBS) {
            return Err(OptionError::new(
                "side",
                format!("{}, which makes {n_obs} spots", self.side),
                format!("at most {MAX_OBS} spots"),
            )
            .into());
        }
        if self.modalities.is_empty() {
            return Err(SimulateError::NoModality);
        }
        for (k, m) in self.modalities.iter().enumerate() {
            if self.modalities[..k].contains(m) {
                return Err(SimulateError::DuplicateModality { name: m.name() });
            }
            let option = match m {
                SimModality::Rna => "n_genes",
                SimModality::Adt => "n_proteins",
                SimModality::Atac => "n_peaks",
            };
            match self.n_vars(*m) {
                0 => return Err(OptionError::new(option, 0, "at least 1").into()),
                n if n as u128 > u128::from(MAX_OBS) => {
                    return Err(OptionError::new(option, n as u128, format!("at most {MAX_OBS}")).into());
                }
                _ => {}
            }
        }
        let at_least_zero = "a finite number from 0 to 1e6";
        for (option, value, most) in [
            ("noise", self.noise, 1e6),
            ("batch_effect", self.batch_effect * (self.slices.max(2) - 1) as f64, 10.0),
            ("library_size_sd", self.library_size_sd, 3.0),
            ("image_strength", self.image_strength, 1.5),
            ("image_blur_px", self.image_blur_px, 100.0),
            ("stain_drift", self.stain_drift, 2.0),
            ("stain_tint", self.stain_tint, 2.0),
        ] {
            if !(0.0..=most).contains(&value) {
                let expected = match option {
                    "noise" => at_least_zero,
                    "batch_effect" => "0 to 10 on the last slice",
                    "image_strength" => "a number from 0 to 1.5",
                    "image_blur_px" => "0 to 100 pixels",
                    "stain_drift" | "stain_tint" => "a number from 0 to 2",
                    _ => "a number from 0 to 3",
                };
                return Err(OptionError::new(option, value, expected).into());
            }
        }
        // Beyond these distances lose their digits, or are no numbers any more when squared.
        if !(1e-100..=1e100).contains(&self.spot_pitch) {
            let expected = "a number from 1e-100 to 1e100";
            return Err(OptionError::new("spot_pitch", self.spot_pitch, expected).into());
        }
        if let Some(density) = self.density
            && !(density > 0.0 && density <= 1.0)
        {
            let expected = "a fraction above 0, at most 1";
            return Err(OptionError::new("density", density, expected).into());
        }
        if let Some(visible) = &self.visible
            && visible.len() != self.modalities.len()
        {
            return Err(SimulateError::VisibleLength {
                found: visible.len(),
                expected: self.modalities.len(),
            });
        }
        Ok(())
    }
}
