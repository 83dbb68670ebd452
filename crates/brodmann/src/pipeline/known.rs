//! Domains that a saved model knows: its own file gets the same ones again, and another slice gets them too.
//!
//! ```text
//! training:  embedding, domains ─ a Gaussian per domain ─ model file
//! applying:  embedding ─ the likeliest Gaussian ─ vote of the neighbours ─ domains under their old numbers
//! ```
//!
//! A mixture is kept as it is. What Leiden, k-means or several networks found is not a function of an embedding: a
//! Gaussian is fitted to each domain, with one covariance for all or one each, whichever gives more spots their own domain
//! again. An embedding with the bits of the training's has the domains of the training, without any Gaussian.

use brodmann_kernels::{Monitor, Opt};
use ndarray::{Array2, Array3, ArrayView2, Axis};
use serde_json::{Value as Json, json};

use super::PipelineError;
use super::clustering::{DomainOptions, EmbeddingMethod};
use super::domains::Domains;
use super::fingerprint::Fingerprint;
use super::tensor_file::{TensorFile, TensorFileError};
use crate::cluster::{CovarianceModel, Gaussians};

/// Of the spots trained on, this share is less likely than the bound from which on a spot is like none of the domains.
const UNLIKE: f64 = 0.01;
/// Where this share of a slice is like none of the domains, the result is in doubt.
const IN_DOUBT: f64 = 0.1;
/// Below this share of spots that get their own domain again, that is said.
const FAITHFUL: f64 = 0.9;
/// A domain has a covariance of its own where it has this many spots per dimension.
const SPOTS_PER_DIMENSION: usize = 5;

/// What tells the domains of a training apart in another embedding of the same network.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownDomains {
    /// One per domain, by number.
    pub gaussians: Gaussians,
    /// How the domains had been found: `gmm`, `leiden`, `kmeans`.
    pub method: String,
    /// Share of the spots trained on that get their own domain again, before the vote of the neighbours.
    pub faithful: f64,
    /// Log-density that all but a hundredth of the spots trained on exceed.
    pub floor: f64,
    /// Nearest spots in space whose majority a spot followed; 0 for none.
    pub refine: usize,
    /// Domain of each spot trained on, before the vote.
    pub labels: Vec<u32>,
    /// Fingerprint of the embedding that the domains were found in.
    pub embedding: String,
}

/// Domains of the rows of an embedding.
pub(super) struct Recognised {
    pub labels: Vec<u32>,
    /// Sum of the log-densities.
    pub loglik: f64,
}

impl KnownDomains {
    /// Of domains just found in `embedding`.
    ///
    /// # Errors
    /// As [`Gaussians::of_groups`].
    pub(super) fn of(
        domains: &Domains,
        embedding: ArrayView2<'_, f64>,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let (method, refine) = match &domains.method {
            // Applied and saved once more.
            Some(EmbeddingMethod::Known(known)) => return Ok(known.as_ref().clone()),
            method => (method.as_ref().map_or("labels", EmbeddingMethod::name).to_owned(), domains.refine),
        };
        let labels = domains.unrefined.as_ref().unwrap_or(&domains.labels);
        let mixture = domains.fitted.as_ref().filter(|_| domains.consensus.is_none());
        let candidates = if let Some((gaussians, raw)) = mixture {
            vec![gaussians.renumbered(&numbers(raw, labels, gaussians.n_groups()))]
        } else {
            let mut sizes = vec![0usize; labels.iter().max().map_or(0, |m| *m as usize + 1)];
            for &label in labels {
                sizes[label as usize] += 1;
            }
            let enough = sizes.iter().all(|&n| n >= SPOTS_PER_DIMENSION * embedding.ncols());
            let models = [CovarianceModel::Eee, CovarianceModel::Vvv];
            models[..if enough { 2 } else { 1 }]
                .iter()
                .map(|&model| Gaussians::of_groups(embedding, labels, model, monitor))
                .collect::<Result<_, _>>()?
        };
        let mut best: Option<Self> = None;
        for gaussians in candidates {
            let mut again = gaussians.assign(embedding, monitor)?;
            let same = again.labels.iter().zip(labels).filter(|(a, b)| a == b).count();
            let faithful = same as f64 / labels.len().max(1) as f64;
            if best.as_ref().is_none_or(|b| faithful > b.faithful) {
                again.log_densities.sort_unstable_by(f64::total_cmp);
                let floor = again.log_densities[(UNLIKE * again.log_densities.len() as f64) as usize];
                best = Some(Self {
                    gaussians,
                    method: method.clone(),
                    faithful,
                    floor,
                    refine,
                    labels: labels.clone(),
                    embedding: fingerprint(embedding),
                });
            }
        }
        Ok(best.expect("at least one candidate"))
    }

    /// The domains of another embedding, and what is to be said of them.
    ///
    /// # Errors
    /// As [`Gaussians::assign`].
    pub(super) fn recognise(
        &self,
        embedding: ArrayView2<'_, f64>,
        monitor: &dyn Monitor,
    ) -> Result<Recognised, PipelineError> {
        monitor.stage("domains of the model", 0);
        let mut found = self.gaussians.assign(embedding, monitor)?;
        let same = self.labels.len() == found.labels.len() && fingerprint(embedding) == self.embedding;
        if same {
            found.labels.clone_from(&self.labels);
        }
        let n = found.labels.len();
        let of_its_own = format!("{} finds domains of this file's own", Opt("n_clusters").set("N"));
        monitor.note(&format!(
            "domains are those of the model, {} by {}; {of_its_own}",
            self.gaussians.n_groups(),
            self.method
        ));
        if !same && self.faithful < FAITHFUL {
            monitor.note(&format!(
                "{:.0} % of the spots the model was trained on would be given their own domain again",
                100.0 * self.faithful
            ));
        }
        let unlike = found.log_densities.iter().filter(|d| **d < self.floor).count();
        if unlike as f64 > IN_DOUBT * n as f64 {
            monitor.warn(&format!(
                "{:.0} % of the spots are like none of the model's domains, where {:.0} % would be expected: the slice \
                 was measured differently or holds other tissue; {of_its_own}",
                100.0 * unlike as f64 / n as f64,
                100.0 * UNLIKE
            ));
        }
        Ok(Recognised { labels: found.labels, loglik: found.log_densities.iter().sum() })
    }

    /// What a card says of it.
    pub(super) fn describe(&self) -> Json {
        json!({
            "n": self.gaussians.n_groups(),
            "method": self.method,
            "faithful": self.faithful,
            "refine": self.refine,
            "embedding": self.embedding,
        })
    }

    /// Adds its numbers.
    pub(super) fn insert(&self, file: &mut TensorFile) {
        let Gaussians { weights, means, covariances } = &self.gaussians;
        file.insert_vector(WEIGHTS, weights);
        file.insert_f64(MEANS, means.clone());
        let (n, d, _) = covariances.dim();
        let rows = covariances.to_shape((n * d, d)).expect("as many numbers").into_owned();
        file.insert_f64(COVARIANCES, rows);
        file.insert_vector(FLOOR, &[self.floor]);
        file.insert_f32(
            LABELS,
            Array2::from_shape_fn((1, self.labels.len()), |(_, i)| self.labels[i] as f32),
        );
    }

    /// What the entry of a card and the arrays of its file say; `width`: columns of what is clustered.
    ///
    /// # Errors
    /// [`TensorFileError`] where they contradict each other.
    pub(super) fn from_file(
        file: &TensorFile,
        card: &Json,
        width: usize,
    ) -> Result<Option<Self>, TensorFileError> {
        if card.is_null() {
            return Ok(None);
        }
        let number = |key: &str| card[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let text = |key: &str| card[key].as_str().map(str::to_owned);
        let (Some(k @ 1..), Some(refine), Some(faithful), Some(method), Some(embedding)) =
            (number("n"), number("refine"), card["faithful"].as_f64(), text("method"), text("embedding"))
        else {
            return Err(file.invalid("its card does not say how its domains were found"));
        };
        let weights = file.vector(WEIGHTS, Some(k))?;
        let means = file.f64(MEANS, Some(k))?.clone();
        let rows = file.f64(COVARIANCES, None)?;
        let n = if rows.nrows() == width { 1 } else { k };
        if width == 0 || means.ncols() != width || rows.dim() != (n * width, width) {
            return Err(file.invalid(format!(
                "its domains were found in {} dimensions, its embedding has {width}",
                means.ncols()
            )));
        }
        if weights.iter().any(|w| *w < 0.0) || weights.iter().sum::<f64>() <= 0.0 {
            return Err(file.invalid("the shares of its domains are not shares"));
        }
        let mut covariances = Array3::zeros((n, width, width));
        for (c, mut matrix) in covariances.axis_iter_mut(Axis(0)).enumerate() {
            matrix.assign(&rows.slice_axis(Axis(0), (c * width..(c + 1) * width).into()));
        }
        let floor = file.vector(FLOOR, Some(1))?[0];
        let gaussians = Gaussians { weights, means, covariances };
        let stored = file.f32_below(LABELS).find(|(rest, _)| rest.is_empty()).map(|(_, labels)| labels);
        let label = |v: &f32| (v.fract() == 0.0 && *v >= 0.0 && (*v as usize) < k).then_some(*v as u32);
        let Some(labels) = stored.and_then(|labels| labels.iter().map(label).collect()) else {
            return Err(file.invalid("it does not hold the domains of its spots"));
        };
        Ok(Some(Self { gaussians, method, faithful, floor, refine, labels, embedding }))
    }
}

const WEIGHTS: &str = "domains.weights";
const MEANS: &str = "domains.means";
const COVARIANCES: &str = "domains.covariances";
const FLOOR: &str = "domains.floor";
const LABELS: &str = "domains.labels";

fn fingerprint(embedding: ArrayView2<'_, f64>) -> String {
    Fingerprint::default().table(embedding).hex()
}

/// How an embedding becomes domains: by those of the model where nothing else was asked for.
///
/// # Inputs
/// `by_default`: what `options` are where nothing is said.
/// # Errors
/// As [`DomainOptions::method`].
pub(super) fn clustering(
    options: &DomainOptions,
    by_default: &DomainOptions,
    known: Option<&KnownDomains>,
    n_neighbors: usize,
) -> Result<EmbeddingMethod, PipelineError> {
    let untouched = DomainOptions { refine: options.refine, umap: options.umap, ..by_default.clone() };
    match known {
        Some(known) if *options == untouched => {
            let refine = if options.refine == by_default.refine { known.refine } else { options.refine };
            Ok(EmbeddingMethod::Known(Box::new(KnownDomains { refine, ..known.clone() })))
        }
        _ => options.method(n_neighbors),
    }
}

/// The number that each group of `raw` has in `labels`, which are the same groups under other numbers; groups without
/// a row come last.
fn numbers(raw: &[u32], labels: &[u32], n_groups: usize) -> Vec<u32> {
    let mut number = vec![None; n_groups];
    raw.iter().zip(labels).for_each(|(&group, &label)| number[group as usize] = Some(label));
    let mut next = number.iter().flatten().max().map_or(0, |m| m + 1);
    number
        .into_iter()
        .map(|known| {
            known.unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use brodmann_kernels::{Seed, Silent};

    use super::*;
    use crate::pipeline::clustering::ClusterNumber;

    fn known() -> KnownDomains {
        let x = Array2::from_shape_fn((60, 2), |(i, j)| {
            (i / 20 * 8) as f64 + Seed(5).word((2 * i + j) as u64) as f64 / 2f64.powi(64)
        });
        let labels: Vec<u32> = (0..60).map(|i| i / 20).collect();
        let domains = Domains {
            labels: labels.clone(),
            unrefined: None,
            quality: 0.0,
            mixture: None,
            fitted: None,
            reached: true,
            method: Some(EmbeddingMethod::Leiden { n_clusters: Some(3), resolution: 1.0, n_neighbors: 5 }),
            tried: Vec::new(),
            kept: 0,
            consensus: None,
            refine: 4,
            known: None,
        };
        let known = KnownDomains::of(&domains, x.view(), &Silent).expect("fits");
        assert_eq!(known.recognise(x.view(), &Silent).expect("finite").labels, labels);
        known
    }

    #[test]
    fn a_file_keeps_them_and_holes_in_it_are_named() {
        let known = known();
        assert!((known.faithful - 1.0).abs() < 1e-12 && known.method == "leiden");
        let mut file = TensorFile::new(Json::Null);
        known.insert(&mut file);
        let back = KnownDomains::from_file(&file, &known.describe(), 2).expect("whole");
        assert_eq!(back.as_ref(), Some(&known));
        assert_eq!(KnownDomains::from_file(&file, &Json::Null, 2).expect("of an earlier version"), None);
        let mut holed = known.describe();
        holed["n"] = json!(4);
        let none = KnownDomains {
            gaussians: Gaussians { means: Array2::zeros((3, 0)), ..known.gaussians.clone() },
            ..known.clone()
        };
        let mut empty = TensorFile::new(Json::Null);
        none.insert(&mut empty);
        let broken = [
            KnownDomains::from_file(&file, &known.describe(), 3),
            KnownDomains::from_file(&empty, &known.describe(), 0),
            KnownDomains::from_file(&file, &holed, 2),
            KnownDomains::from_file(&file, &json!({ "n": 3 }), 2),
            KnownDomains::from_file(&TensorFile::new(Json::Null), &known.describe(), 2),
        ];
        for error in broken.map(|b| b.expect_err("refused")) {
            assert!(error.to_string().contains("domains"), "{error}");
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Monitor for Heard {
        fn warn(&self, message: &str) {
            self.0.lock().expect("nobody panicked").push(message.to_owned());
        }
    }

    #[test]
    fn a_slice_like_none_of_them_is_warned_of() {
        let known = known();
        for (shift, warned) in [(0.0, false), (400.0, true)] {
            let heard = Heard::default();
            let x = Array2::from_shape_fn((30, 2), |(i, j)| {
                (i / 10 * 8) as f64
                    + 0.2
                    + 0.6 * Seed(6).word((2 * i + j) as u64) as f64 / 2f64.powi(64)
                    + shift
            });
            let found = known.recognise(x.view(), &heard).expect("finite");
            let lines = heard.0.into_inner().expect("nobody panicked");
            assert_eq!(!lines.is_empty(), warned, "{lines:?}");
            if warned {
                assert!(lines[0].contains("100 % of the spots are like none"), "{lines:?}");
            } else {
                assert_eq!(found.labels, (0..30).map(|i| i / 10).collect::<Vec<u32>>());
            }
        }
    }

    #[test]
    fn what_is_asked_for_comes_before_what_is_known() {
        let (known, by_default) = (known(), DomainOptions::mixture(3));
        let chosen = |options: &DomainOptions| {
            clustering(options, &by_default, Some(&known), 50).expect("goes together")
        };
        let refine = |method: EmbeddingMethod| match method {
            EmbeddingMethod::Known(known) => Some(known.refine),
            _ => None,
        };
        assert_eq!(refine(chosen(&by_default)), Some(4));
        assert_eq!(refine(chosen(&DomainOptions { refine: 7, umap: true, ..by_default.clone() })), Some(7));
        let k = Some(ClusterNumber::Given(2));
        assert_eq!(refine(chosen(&DomainOptions { n_clusters: k, ..by_default.clone() })), None);
        assert_eq!(refine(clustering(&by_default, &by_default, None, 50).expect("mixture")), None);
    }

    #[test]
    fn groups_are_followed_to_their_numbers() {
        assert_eq!(numbers(&[0, 1, 1, 3], &[2, 0, 0, 1], 5), [2, 0, 3, 1, 4]);
    }
}
