//! The trained network, and the tissue it is shown.

use brodmann_kernels::{CsrView, Monitor, Seed, Slices};
use ndarray::{Array2, ArrayView2};

use super::augment::{EdgeDrop, GraphAugmenter};
use super::error::StaigError;
use super::network;
use super::options::StaigOptions;
use super::parts::places_in;
use super::tile::Tiling;
use super::tiled::embed;
use super::views::Views;
use crate::nn::{Parameters, Step, TapeBuilder};

/// What the network is shown of a tissue, of one slice or of many.
#[derive(Clone, Copy, Debug)]
pub struct StaigTissue<'a> {
    /// `(n_obs, n_features)`: log-normalised, scaled without centring; counts for small panels.
    pub features: CsrView<'a, f32>,
    /// `(n_obs, n_obs)`: spatial neighbours, undirected, no diagonal, no edge between slices; stored entries are edges.
    pub graph: CsrView<'a, f64>,
    /// Slice of each observation; `None` for one slice.
    pub slices: Option<&'a Slices>,
    /// Image class of each observation: spots of one class are no negatives of each other.
    pub classes: Option<&'a [u32]>,
    /// How likely edges are dropped.
    pub edge_drop: &'a EdgeDrop,
}

impl StaigTissue<'_> {
    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.features.n_rows()
    }

    /// Refuses features that do not fit the graph or are not finite.
    pub(super) fn check_features(&self) -> Result<(), StaigError> {
        if self.n_obs() == 0 {
            return Err(StaigError::Empty { what: "observations" });
        }
        if self.features.n_cols() == 0 {
            return Err(StaigError::Empty { what: "features" });
        }
        if self.graph.n_rows() != self.n_obs() {
            return Err(StaigError::RowCount {
                what: "the spatial graph",
                found: self.graph.n_rows(),
                expected: self.n_obs(),
            });
        }
        for row in 0..self.n_obs() {
            let (columns, values) = self.features.row(row);
            if let Some((&column, &value)) = columns.iter().zip(values).find(|(_, v)| !v.is_finite()) {
                return Err(StaigError::NonFinite {
                    what: "the expression",
                    row,
                    column: column as usize,
                    value: f64::from(value),
                });
            }
        }
        Ok(())
    }
}

/// A network: its options and its named parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigModel {
    options: StaigOptions,
    seed: Seed,
    n_features: usize,
    parameters: Vec<(String, Array2<f32>)>,
}

impl StaigModel {
    pub(super) fn new(
        options: StaigOptions,
        seed: Seed,
        n_features: usize,
        parameters: &Parameters<f32>,
    ) -> Self {
        let parameters = parameters.named_values();
        Self { options, seed, n_features, parameters }
    }

    /// From saved parameters, each under its name, in any order.
    ///
    /// # Errors
    /// `Option`; `ParameterShape`, `UnknownParameter` when they are another network's.
    pub fn from_parameters(
        options: StaigOptions,
        seed: Seed,
        n_features: usize,
        saved: Vec<(String, Array2<f32>)>,
    ) -> Result<Self, StaigError> {
        options.validate()?;
        let (mut parameters, _) = network::parameters::<f32>(&options, n_features, seed);
        parameters.load(&saved)?;
        Ok(Self::new(options, seed, n_features, &parameters))
    }

    /// How it was built and trained.
    pub fn options(&self) -> &StaigOptions {
        &self.options
    }

    /// The seed it was trained with.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Features it was trained on.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Every parameter under its name; biases are `(1, n)`.
    pub fn parameters(&self) -> Vec<(String, ArrayView2<'_, f32>)> {
        self.parameters.iter().map(|(name, value)| (name.clone(), value.view())).collect()
    }

    /// The embedding of a tissue with the features it was trained on.
    ///
    /// One pass over the whole graph, or with `average_views` the mean over two augmented views.
    ///
    /// # Inputs
    /// `tissue`: the one trained on, or another; its classes are not used. Slices are seen one after the other.
    /// # Returns
    /// `(n_obs, width)`.
    /// # Errors
    /// `FeatureCount`, `Empty`, `RowCount`, `NonFinite`; those of the graph; `Interrupted`.
    /// # Cost
    /// O(nnz · width + n_obs · width²).
    pub fn apply(&self, tissue: &StaigTissue<'_>, monitor: &dyn Monitor) -> Result<Array2<f32>, StaigError> {
        monitor.check()?;
        tissue.check_features()?;
        if tissue.features.n_cols() != self.n_features {
            return Err(StaigError::FeatureCount {
                found: tissue.features.n_cols(),
                expected: self.n_features,
            });
        }
        let augmenter = GraphAugmenter::new(tissue.graph, tissue.edge_drop, self.options.resamples)?;
        let Some(slices) = tissue.slices.filter(|slices| slices.count() > 1) else {
            return self.apply_to(tissue.features, &augmenter, (Tiling::USUAL, monitor));
        };
        // One after the other: no edge crosses, and the bits are those of a slice that is seen alone.
        let places = places_in(slices.rows(), tissue.n_obs());
        let mut embedding = Array2::zeros((tissue.n_obs(), self.options.width));
        for members in slices.rows() {
            let rows: Vec<usize> = members.iter().map(|&i| i as usize).collect();
            let features = tissue.features.select_rows(&rows);
            let graph = augmenter.part(members, &places);
            let part = self.apply_to(features.view(), &graph, (Tiling::USUAL, monitor))?;
            for (&i, row) in rows.iter().zip(part.rows()) {
                embedding.row_mut(i).assign(&row);
            }
        }
        Ok(embedding)
    }

    /// The embedding of one slice.
    pub(super) fn apply_to(
        &self,
        features: CsrView<'_, f32>,
        augmenter: &GraphAugmenter,
        (tiling, monitor): (Tiling, &dyn Monitor),
    ) -> Result<Array2<f32>, StaigError> {
        let n = features.n_rows();
        let options = &self.options;
        let (mut parameters, layout) = network::parameters::<f32>(options, self.n_features, self.seed);
        parameters.load(&self.parameters)?;
        let n_views = if options.average_views { 2 } else { 1 };
        let mut views = Views::full(augmenter, self.n_features, n_views);
        if options.average_views {
            // The epoch after the last: views the network was not trained on.
            views.draw(augmenter, options.feature_mask, self.seed, options.epochs as u64);
        }
        if n > tiling.whole {
            let network = (options, &layout, &parameters);
            return Ok(embed((features, augmenter), &views, network, (tiling.tile, monitor))?);
        }
        let mut tape = TapeBuilder::new();
        let shape = (n, self.n_features);
        let output = network::write(&mut tape, options, &layout, shape, n_views);
        tape.keep(output);
        let mut tape = tape.build(false);
        let sparse = views.sparse(features);
        let step = Step { sparse: &sparse, masks: &views.masks, ..Step::inference(&[]) };
        tape.infer(&step, &parameters);
        monitor.check()?;
        let z = tape.value(output).expect("the output was kept");
        if n_views == 1 {
            return Ok(z.view().to_owned());
        }
        Ok((&z.block(0, n).view() + &z.block(n, n).view()) * 0.5)
    }
}
