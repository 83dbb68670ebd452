//! What the groups of a tissue look like, in the words of the features.

use ndarray::ArrayView2;
use serde::Serialize;

use crate::pipeline::explain::groups::Groups;

/// Features told of each group.
const TOLD: usize = 4;
/// A mean this many standard deviations from that of the tissue is worth telling.
const WORTH: f64 = 0.5;

/// How a group differs from the tissue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Look {
    /// Its name.
    pub group: String,
    /// Spots.
    pub n_obs: usize,
    /// Features with the mean of the group, in standard deviations of all spots of a slice; the largest first.
    pub features: Vec<(String, f64)>,
}

impl Look {
    /// As a line for a person.
    pub fn line(&self) -> String {
        let told: Vec<String> =
            self.features.iter().map(|(name, mean)| format!("{name} {mean:+.1}")).collect();
        let told = if told.is_empty() { "like the tissue as a whole".to_owned() } else { told.join(", ") };
        format!("  {} ({} spots): {told}", self.group, self.n_obs)
    }
}

/// The features of each group that differ most from those of the tissue; `comparable`: of mean 0 and variance 1.
pub(super) fn looks(groups: &Groups, names: &[String], comparable: ArrayView2<'_, f64>) -> Vec<Look> {
    let sizes = groups.sizes();
    let mut means = vec![vec![0.0; names.len()]; sizes.len()];
    for (row, code) in comparable.rows().into_iter().zip(&groups.codes) {
        if let Some(code) = code {
            means[*code as usize].iter_mut().zip(row).for_each(|(m, v)| *m += v);
        }
    }
    let look = |(code, mut means): (usize, Vec<f64>)| {
        for mean in &mut means {
            *mean /= sizes[code].max(1) as f64;
        }
        let mut order: Vec<usize> = (0..names.len()).filter(|&j| means[j].abs() >= WORTH).collect();
        order.sort_by(|&a, &b| means[b].abs().total_cmp(&means[a].abs()));
        order.truncate(TOLD);
        Look {
            group: groups.names[code].clone(),
            n_obs: sizes[code],
            features: order.into_iter().map(|j| (names[j].clone(), means[j])).collect(),
        }
    };
    means.into_iter().enumerate().filter(|(code, _)| sizes[*code] > 0).map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_by_what_differs_most() {
        let groups = Groups {
            key: "domains".to_owned(),
            codes: vec![Some(0), Some(0), Some(1), None],
            names: vec!["a".to_owned(), "b".to_owned()],
            colors: Vec::new(),
        };
        let names = ["dark".to_owned(), "rough".to_owned()];
        let values = ndarray::array![[1.0, 0.1], [2.0, 0.3], [-3.0, 4.0], [9.0, 9.0]];
        let found = looks(&groups, &names, values.view());
        assert_eq!(found[0].features, [("dark".to_owned(), 1.5)]);
        assert_eq!(found[1].features, [("rough".to_owned(), 4.0), ("dark".to_owned(), -3.0)]);
        assert_eq!(found[1].line(), "  b (1 spots): rough +4.0, dark -3.0");
    }
}
