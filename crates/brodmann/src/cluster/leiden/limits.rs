//! What may be asked of a run: numbers of clusters, resolutions, weights. One rule for every caller.

use brodmann_kernels::diagnosis::OptionError;

/// Resolutions and weights beyond this overflow the quality, and mean nothing well before.
pub const LARGEST: f64 = 1e9;

/// Whether a layer may have this resolution: above 0, at most [`LARGEST`].
pub fn is_resolution(value: f64) -> bool {
    value > 0.0 && value <= LARGEST
}

/// Whether a layer may have this weight: 0 or more, at most [`LARGEST`].
pub fn is_layer_weight(value: f64) -> bool {
    (0.0..=LARGEST).contains(&value)
}

/// Whether `n_obs` observations may be put into `n_clusters` clusters: 1 to `n_obs − 1`.
///
/// As many clusters as observations would group nothing: every observation alone, which no graph or embedding
/// has a say in, and which a search could only meet at the end of its range. A single observation is one cluster.
pub fn is_cluster_count(n_clusters: usize, n_obs: usize) -> bool {
    n_clusters >= 1 && n_clusters <= most_clusters(n_obs)
}

fn most_clusters(n_obs: usize) -> usize {
    n_obs.saturating_sub(1).max(1)
}

/// Refuses a number of clusters that [`is_cluster_count`] says no to.
///
/// # Errors
/// [`OptionError`] of `n_clusters`.
pub fn check_n_clusters(n_clusters: usize, n_obs: usize) -> Result<(), OptionError> {
    if is_cluster_count(n_clusters, n_obs) {
        return Ok(());
    }
    let expected = match most_clusters(n_obs) {
        1 => format!("1, as there are {n_obs} observations"),
        most => format!("1 to {most}, fewer than the {n_obs} observations"),
    };
    Err(OptionError::new("n_clusters", n_clusters, expected))
}

/// Refuses resolutions that are not above 0, or beyond all use.
///
/// # Inputs
/// `layers`: a name for each of `values`.
/// # Errors
/// [`OptionError`] of `resolution`, with the layer where there are several.
pub fn check_resolutions<S: AsRef<str>>(layers: &[S], values: &[f64]) -> Result<(), OptionError> {
    let bad = values.iter().position(|v| !is_resolution(*v));
    bad.map_or(Ok(()), |l| {
        let error =
            OptionError::new("resolution", found(layers, values, l), "a number above 0 and at most 1e9");
        Err(error.advise("1 is a usual start"))
    })
}

/// Refuses weights that are negative or beyond all use, and those that take every layer out.
///
/// # Inputs
/// `option`: the name of the option that holds the weights. `layers`: a name for each of `values`.
/// # Errors
/// [`OptionError`] of `option`, with the layer where there are several.
pub fn check_layer_weights<S: AsRef<str>>(
    option: &'static str,
    layers: &[S],
    values: &[f64],
) -> Result<(), OptionError> {
    if let Some(l) = values.iter().position(|v| !is_layer_weight(*v)) {
        let error = OptionError::new(option, found(layers, values, l), "a number from 0 to 1e9");
        return Err(error.advise("0 takes a layer out"));
    }
    if values.iter().all(|v| *v == 0.0) {
        let error = OptionError::new(option, "0 for every layer", "a number above 0 for at least one");
        return Err(error.advise("give a layer a positive weight"));
    }
    Ok(())
}

fn found<S: AsRef<str>>(layers: &[S], values: &[f64], l: usize) -> String {
    match layers.get(l) {
        Some(name) if values.len() > 1 => format!("{} for layer {:?}", values[l], name.as_ref()),
        _ => values[l].to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_clusters_as_observations_are_refused() {
        for (n_obs, allowed) in [(1, 1..=1), (2, 1..=1), (3, 1..=2), (144, 1..=143)] {
            for k in 0..n_obs + 3 {
                assert_eq!(check_n_clusters(k, n_obs).is_ok(), allowed.contains(&k), "{k} of {n_obs}");
            }
        }
        let error = check_n_clusters(144, 144).expect_err("too many").to_string();
        assert_eq!(error, "`n_clusters` is 144; expected 1 to 143, fewer than the 144 observations");
    }

    #[test]
    fn resolutions_and_weights_end_at_1e9() {
        let layers = ["rna", "spatial"];
        for bad in [0.0, -1.0, 1.1e9, f64::INFINITY, f64::NAN] {
            let error = check_resolutions(&layers, &[1.0, bad]).expect_err("out of range").to_string();
            assert!(error.contains("`resolution`") && error.contains("\"spatial\""), "{error}");
        }
        assert_eq!(check_resolutions(&layers, &[1e-12, 1e9]), Ok(()));
        for bad in [-0.1, 1.1e9, f64::INFINITY, f64::NAN] {
            assert!(check_layer_weights("layer_weights", &layers, &[bad, 1.0]).is_err());
        }
        assert_eq!(check_layer_weights("layer_weights", &layers, &[0.0, 1e9]), Ok(()));
        let error = check_layer_weights("layer_ratio", &layers, &[0.0, 0.0]).expect_err("nothing left");
        assert!(error.to_string().contains("`layer_ratio` is 0 for every layer"));
    }

    #[test]
    fn a_single_layer_needs_no_name() {
        let error = check_resolutions(&["latent"], &[0.0]).expect_err("zero").to_string();
        assert_eq!(error, "`resolution` is 0; expected a number above 0 and at most 1e9");
    }
}
