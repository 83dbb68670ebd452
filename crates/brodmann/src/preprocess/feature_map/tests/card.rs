use std::collections::HashMap;

use brodmann_kernels::{CsrMatrix, Seed, Silent};
use ndarray::Array2;

use super::super::*;
use crate::preprocess::{Normalization, ScaleOptions};

/// Arrays by name.
struct Stored(HashMap<&'static str, Array2<f64>>);

impl TensorSource for Stored {
    type Error = String;

    fn vector(&self, name: &str, len: Option<usize>) -> Result<Vec<f64>, String> {
        let found = self.matrix(name, 1)?;
        match len {
            Some(len) if len != found.ncols() => Err(format!("{name} has {} entries", found.ncols())),
            _ => Ok(found.iter().copied().collect()),
        }
    }

    fn matrix(&self, name: &str, n_rows: usize) -> Result<Array2<f64>, String> {
        let found = self.0.get(name).ok_or_else(|| format!("no {name}"))?;
        if found.nrows() == n_rows { Ok(found.clone()) } else { Err(format!("{name} has other rows")) }
    }

    fn invalid(&self, detail: String) -> String {
        detail
    }
}

fn counts() -> CsrMatrix<f32> {
    let x = Array2::from_shape_fn((30, 12), |(i, j)| ((i * 7 + j * 5 + i * j) % 6) as f32);
    CsrMatrix::from_dense(x.view())
}

fn every_map() -> Vec<FeatureMap> {
    let of = |modality| PreprocessOptions { n_pcs: 4, ..PreprocessOptions::for_modality(modality) };
    let all = [
        FeatureOptions::Reduced(of(Modality::Rna)),
        FeatureOptions::Reduced(PreprocessOptions { scale: None, ..of(Modality::Rna) }),
        FeatureOptions::Reduced(PreprocessOptions {
            scale: Some(ScaleOptions { zero_center: false, max_value: None }),
            n_top_genes: Some(6),
            ..of(Modality::Rna)
        }),
        FeatureOptions::Reduced(of(Modality::Adt)),
        FeatureOptions::Reduced(PreprocessOptions {
            normalization: Normalization::None,
            ..of(Modality::Adt)
        }),
        FeatureOptions::Reduced(of(Modality::Atac)),
        FeatureOptions::Scaled(ScaledOptions::default()),
        FeatureOptions::Scaled(ScaledOptions { values: Values::Counts, ..ScaledOptions::default() }),
    ];
    let x = counts();
    let slices: Vec<u32> = (0..30).map(|i| i % 2).collect();
    let fit = |slices: Option<&[u32]>, options: &FeatureOptions| {
        FeatureMap::fit(
            x.view(),
            slices.map(|s| Slices::from_codes(s, &[])).as_ref(),
            options,
            Seed(1),
            &Silent,
        )
        .expect("counts")
        .map
        .compact()
    };
    let mut maps: Vec<FeatureMap> = all.iter().map(|options| fit(None, options)).collect();
    maps.push(fit(Some(&slices), &FeatureOptions::Scaled(ScaledOptions::default())));
    maps
}

#[test]
fn every_map_comes_back_from_its_card_and_arrays() {
    for map in every_map() {
        let text = serde_json::to_string(&map.card()).expect("plain values");
        let card: FeatureCard = serde_json::from_str(&text).expect("as written");
        assert_eq!(card, map.card());
        let stored = Stored(map.tensors().into_iter().collect());
        let again = FeatureMap::from_card(&card, map.kind, map.selected.clone(), &stored);
        assert_eq!(again.expect("as stored"), map, "{text}");
        assert!(text.contains(&format!("\"method\":\"{}\"", map.method())), "{text}");
    }
}

#[test]
fn arrays_that_do_not_fit_the_card_are_refused() {
    for map in every_map() {
        for (name, _) in map.tensors() {
            let mut stored = Stored(map.tensors().into_iter().collect());
            stored.0.remove(name);
            let again = FeatureMap::from_card(&map.card(), map.kind, map.selected.clone(), &stored);
            assert!(again.is_err(), "{} without {name}", map.method());
        }
    }
    let map = every_map().pop().expect("several");
    let mut stored = Stored(map.tensors().into_iter().collect());
    stored.0.insert("target_sum", Array2::zeros((1, 1)));
    let again = FeatureMap::from_card(&map.card(), map.kind, map.selected.clone(), &stored);
    assert_eq!(again, Err("a total per spot that is not above 0".to_owned()));
}
