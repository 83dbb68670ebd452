//! A wanted number of clusters of several layers: which resolutions are searched, and in what order.

use brodmann_kernels::{Monitor, ParallelLoop, Seed};
use rayon::prelude::*;

use super::error::LeidenError;
use super::layer::Layer;
use super::resolution::{
    ResolutionSearch, SCOUTED_FROM, SearchOptions, search_resolution, search_resolution_latent_spatial,
    search_resolution_near,
};

/// What [`search_n_clusters`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterCountSearch {
    /// The search in the latent layers without space, where it came first.
    pub latent: Option<ResolutionSearch>,
    /// The last search; its partition is the result.
    pub last: ResolutionSearch,
    /// Resolution of each layer, searched or as it was given; with these the result comes again.
    pub resolution: Vec<f64>,
}

impl ClusterCountSearch {
    /// Whether the result has the number of clusters wanted.
    pub fn is_exact(&self) -> bool {
        self.last.exact
    }
}

/// Searches the resolutions at which the layers form `n_clusters` clusters.
///
/// The latent layers share one resolution. It is searched first, without space; then, with it fixed, that of the
/// spatial layer. A layer of weight 0 has no say: its resolution stays as it is, and where that leaves only latent
/// or only spatial layers there is one search.
///
/// # Inputs
/// `spatial`: number of the spatial layer, if there is one; all others are latent.
/// # Errors
/// As [`search_resolution`].
/// # Cost
/// At most `2 · max_iterations` clusterings.
/// # Source
/// SpatialLeiden, Müller-Bötticher et al. 2025.
pub fn search_n_clusters(
    layers: &[Layer<'_>],
    spatial: Option<usize>,
    n_clusters: usize,
    options: &SearchOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ClusterCountSearch, LeidenError> {
    if let Some(layer) = spatial.filter(|s| *s >= layers.len()) {
        return Err(LeidenError::LayerOutOfRange { layer: layer.into(), n_layers: layers.len() });
    }
    let latent: Vec<usize> = (0..layers.len()).filter(|l| Some(*l) != spatial).collect();
    let has_latent = latent.iter().any(|&l| layers[l].weight > 0.0);
    let space = spatial.filter(|&s| layers[s].weight > 0.0);
    let mut resolution: Vec<f64> = layers.iter().map(|layer| layer.resolution).collect();
    let (first, last) = match space {
        Some(space) if has_latent => {
            let both = search_resolution_latent_spatial(layers, space, n_clusters, options, seed, monitor)?;
            resolution[space] = both.spatial.resolution;
            for &l in &latent {
                resolution[l] = both.latent.resolution;
            }
            (Some(both.latent), both.spatial)
        }
        Some(space) => {
            let found = search_resolution(layers, &[space], n_clusters, options, seed, monitor)?;
            resolution[space] = found.resolution;
            (None, found)
        }
        None => {
            let found = search_resolution(layers, &latent, n_clusters, options, seed, monitor)?;
            for &l in &latent {
                resolution[l] = found.resolution;
            }
            (None, found)
        }
    };
    Ok(ClusterCountSearch { latent: first, last, resolution })
}

/// [`search_n_clusters`] with several seeds, side by side.
///
/// From 20,000 nodes on the first seed searches alone, and the others begin where it ended: one clustering each, or two where
/// the first of them misses the number, and the nearer is taken.
///
/// # Returns
/// One result per seed, in order.
/// # Errors
/// As [`search_n_clusters`].
/// # Cost
/// One search per seed; on a large graph one search, and at most two clusterings for each other seed.
pub fn search_n_clusters_by_seed(
    layers: &[Layer<'_>],
    spatial: Option<usize>,
    n_clusters: usize,
    options: &SearchOptions,
    seeds: &[Seed],
    monitor: &dyn Monitor,
) -> Result<Vec<ClusterCountSearch>, LeidenError> {
    let search = |seed: &Seed| search_n_clusters(layers, spatial, n_clusters, options, *seed, monitor);
    let (Some((first, others)), Some(layer)) = (seeds.split_first(), layers.first()) else {
        return seeds.iter().map(search).collect();
    };
    if layer.graph.n_rows() < SCOUTED_FROM {
        return seeds.par_iter().map(search).try_collect_vec();
    }
    let first = search(first)?;
    let mut fixed = layers.to_vec();
    for (layer, resolution) in fixed.iter_mut().zip(&first.resolution) {
        layer.resolution = *resolution;
    }
    // Where space was searched, it was so last.
    let space = spatial.filter(|&s| layers[s].weight > 0.0);
    let latent = || (0..layers.len()).filter(|l| Some(*l) != spatial).collect();
    let which = space.map_or_else(latent, |space| vec![space]);
    let near = (&which[..], first.last.resolution);
    let again = |seed: &Seed| {
        let last = search_resolution_near(&fixed, near, n_clusters, options, *seed, monitor)?;
        let mut resolution = first.resolution.clone();
        for l in &which {
            resolution[*l] = last.resolution;
        }
        Ok(ClusterCountSearch { latent: first.latent.clone(), last, resolution })
    };
    let found: Vec<ClusterCountSearch> = others.par_iter().map(again).try_collect_vec::<_, LeidenError>()?;
    Ok(std::iter::once(first).chain(found).collect())
}

/// What to warn of where `n_clusters` was not reached: what was found instead, and why.
pub fn unreached_warning(found: &ResolutionSearch, n_clusters: usize) -> Option<String> {
    if found.exact {
        return None;
    }
    let why = found.unreached.map_or_else(String::new, |why| format!(" ({why})"));
    Some(format!(
        "{n_clusters} clusters were not reached at any resolution tried{why}; {} is the nearest and was taken",
        found.n_clusters_found
    ))
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Silent};

    use super::*;

    /// Rings of five, each joined to the next by a weak edge.
    fn rings(n: usize) -> CsrMatrix<f64> {
        let n_nodes = 5 * n;
        let mut rows = vec![std::collections::BTreeMap::new(); n_nodes];
        let mut join = |a: usize, b: usize, w: f64| {
            rows[a].insert(b as u32, w);
            rows[b].insert(a as u32, w);
        };
        for ring in 0..n {
            for k in 0..5 {
                join(5 * ring + k, 5 * ring + (k + 1) % 5, 1.0);
            }
            join(5 * ring + 4, (5 * ring + 5) % n_nodes, 0.05);
        }
        let rows: Vec<Vec<(u32, f64)>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
        CsrMatrix::from_rows(n_nodes, &rows)
    }

    fn search(weights: [f64; 2], spatial: Option<usize>) -> ClusterCountSearch {
        let graphs = [rings(6), rings(6)];
        let mut layers: Vec<Layer<'_>> = graphs.iter().map(Layer::new).collect();
        for (layer, weight) in layers.iter_mut().zip(weights) {
            layer.weight = weight;
            layer.resolution = 0.7;
        }
        search_n_clusters(&layers, spatial, 6, &SearchOptions::default(), Seed(42), &Silent).expect("search")
    }

    #[test]
    fn the_latent_layers_are_searched_before_space() {
        let both = search([1.0, 1.0], Some(1));
        let latent = both.latent.as_ref().expect("came first");
        assert!(latent.exact && both.is_exact() && both.last.partition.n_clusters == 6);
        assert_eq!(both.resolution, [latent.resolution, both.last.resolution]);
    }

    #[test]
    fn a_layer_of_weight_0_keeps_its_resolution_and_is_not_searched() {
        let without_space = search([1.0, 0.0], Some(1));
        assert!(without_space.latent.is_none());
        assert_eq!(without_space.resolution, [without_space.last.resolution, 0.7]);
        let space_alone = search([0.0, 1.0], Some(1));
        assert!(space_alone.latent.is_none());
        assert_eq!(space_alone.resolution, [0.7, space_alone.last.resolution]);
    }

    #[test]
    fn without_a_spatial_layer_all_share_one_resolution() {
        let found = search([1.0, 2.0], None);
        assert!(found.latent.is_none());
        assert_eq!(found.resolution, [found.last.resolution; 2]);
    }

    #[test]
    fn several_seeds_each_find_the_number_and_share_the_way_on_a_large_graph() {
        let seeds = [Seed(1), Seed(2), Seed(3)];
        let options = SearchOptions::default();
        let small = [rings(6), rings(6)];
        let layers: Vec<Layer<'_>> = small.iter().map(Layer::new).collect();
        let found = search_n_clusters_by_seed(&layers, Some(1), 6, &options, &seeds, &Silent).expect("ran");
        for (seed, found) in seeds.iter().zip(&found) {
            let alone = search_n_clusters(&layers, Some(1), 6, &options, *seed, &Silent).expect("ran");
            assert_eq!(found, &alone);
        }
        let n = SCOUTED_FROM / 5 + 1;
        let large = [rings(n), rings(n)];
        let layers: Vec<Layer<'_>> = large.iter().map(Layer::new).collect();
        let found = search_n_clusters_by_seed(&layers, Some(1), n, &options, &seeds, &Silent).expect("ran");
        assert_eq!(
            found[0],
            search_n_clusters(&layers, Some(1), n, &options, seeds[0], &Silent).expect("ran")
        );
        assert!(found.iter().all(|f| f.is_exact() && f.resolution[0] == found[0].resolution[0]));
        assert!(found[1..].iter().all(|f| f.last.trace.len() == 1));
    }

    #[test]
    fn what_was_not_reached_is_said_once_and_why() {
        // Two parts cannot be one cluster.
        let ring = rings(1);
        let rows: Vec<Vec<(u32, f64)>> = (0..10)
            .map(|i| {
                let (columns, values) = ring.view().row(i % 5);
                columns.iter().map(|j| j + if i < 5 { 0 } else { 5 }).zip(values.iter().copied()).collect()
            })
            .collect();
        let two = CsrMatrix::from_rows(10, &rows);
        let layers = [Layer::new(&two)];
        let found =
            search_n_clusters(&layers, None, 1, &SearchOptions::default(), Seed(0), &Silent).expect("ran");
        let warning = unreached_warning(&found.last, 1).expect("not reached");
        assert_eq!(
            warning,
            "1 clusters were not reached at any resolution tried (the graphs fall into 2 connected parts, \
             fewer clusters are impossible); 2 is the nearest and was taken"
        );
        assert_eq!(unreached_warning(&search([1.0, 1.0], None).last, 6), None);
    }
}
