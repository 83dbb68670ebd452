//! What a figure's colours mean, over all of its panels: matched categories, limits of numbers.

use std::collections::{BTreeSet, HashSet};

use brodmann_data::{Array, Categorical, Value, keys};
use ndarray::Array1;

use super::{PictureRequest, colors_key, texts};
use crate::pipeline::PipelineError;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Color, Rgb, category_colors, color_limits, match_colors, palette};

/// Colours of the default order that are looked for among stored ones.
const OWN: usize = 64;

/// Gives every colour its map and its limits, and labels that mean the same the same colours.
///
/// # Errors
/// [`PipelineError::Option`] for a lower end above the upper one.
pub(super) fn settle(
    keys: &[String],
    colors: &mut [(String, Color)],
    request: &PictureRequest,
) -> Result<(), PipelineError> {
    if request.match_colors {
        matched(keys, colors);
    }
    for (_, color) in colors {
        let Color::Continuous { values, limits, colormap, note, .. } = color else { continue };
        if let Some(chosen) = request.colormap {
            *colormap = chosen;
        }
        let is_given = request.lowest.is_some() || request.highest.is_some();
        // Shares of a whole have their limits already.
        if limits.is_some() && !is_given {
            continue;
        }
        let Some(found) = color_limits(values, request.lowest, request.highest) else { continue };
        if found.ends.0 > found.ends.1 {
            let found = format!("{}, while vmax is {}", found.ends.0, found.ends.1);
            return Err(PipelineError::option("vmin", found, "a number not above it"));
        }
        *limits = Some(found.ends);
        *note = found.note;
    }
    Ok(())
}

/// Labels that resemble the truth (or the first labels drawn) take its colours, category by category, by overlap. Colours
/// that somebody chose stay; so do those of a column whose own are stored, unless these are of our palette.
fn matched(keys: &[String], colors: &mut [(String, Color)]) {
    let is_labels = |color: &Color| matches!(color, Color::Categorical { .. });
    let labels: Vec<usize> = (0..colors.len()).filter(|&k| is_labels(&colors[k].1)).collect();
    let is_truth = |k: &&usize| keys.get(**k).is_some_and(|key| key == keys::GROUND_TRUTH);
    let Some(&reference) = labels.iter().find(is_truth).or_else(|| labels.first()) else { return };
    let Color::Categorical { codes: truth, names, palette: own } = &colors[reference].1 else { return };
    let truth = truth.clone();
    let truth_colors = own.clone().unwrap_or_else(|| palette(names.len()));
    let ours: HashSet<Rgb> = palette(OWN).into_iter().collect();
    for &k in labels.iter().filter(|k| **k != reference) {
        let Color::Categorical { codes, names, palette: own } = &mut colors[k].1 else { continue };
        let is_chosen = own.as_ref().is_some_and(|own| own.iter().any(|color| !ours.contains(color)));
        if !is_chosen {
            *own = Some(match_colors(&truth, codes, &truth_colors, names.len()));
        }
    }
}

/// The colours of domains that a method found, as scanpy reads them: those of the truth where there is one, else of the
/// default order.
pub(in crate::pipeline) fn of_domains(tissue: &Tissue, truth: Option<&str>, labels: &[u32]) -> Value {
    let found = Categorical::from_labels(labels);
    let codes = |labels: &Categorical| -> Vec<Option<u32>> {
        labels.codes.iter().map(|&c| u32::try_from(c).ok()).collect()
    };
    let known = truth.and_then(|key| Some((key, tissue.obs_column(key)?.to_categorical())));
    let colors = if let Some((key, known)) = known {
        let given = tissue.uns(&colors_key(key)).and_then(texts);
        let own = category_colors(known.categories.len(), given.as_deref());
        match_colors(&codes(&known), &codes(&found), &own, found.categories.len())
    } else {
        // By number, so that a domain a slice lacks leaves the others theirs.
        let all = palette(labels.iter().max().map_or(0, |m| *m as usize + 1));
        let used: BTreeSet<u32> = labels.iter().copied().collect();
        used.into_iter().map(|label| all[label as usize]).collect()
    };
    let colors: Array1<String> = colors.into_iter().map(Rgb::to_hex).collect();
    Value::Array(Array::String(colors.into_dyn()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Bound, ColorMap};

    fn labels(codes: &[u32], palette: Option<Vec<Rgb>>) -> Color {
        let n = codes.iter().max().map_or(0, |m| m + 1);
        Color::Categorical {
            codes: codes.iter().map(|&c| Some(c)).collect(),
            names: (0..n).map(|c| c.to_string()).collect(),
            palette,
        }
    }

    fn colors_of(color: &Color) -> Vec<Rgb> {
        match color {
            Color::Categorical { palette: Some(own), .. } => own.clone(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_prediction_takes_the_colours_of_the_truth_wherever_it_stands() {
        let keys = ["found", "ground_truth"].map(str::to_owned);
        let mut colors = vec![
            ("a".to_owned(), labels(&[1, 1, 0, 0], Some(palette(2)))),
            ("b".to_owned(), labels(&[0, 0, 1, 1], Some(palette(2)))),
        ];
        settle(&keys, &mut colors, &PictureRequest::default()).expect("settled");
        assert_eq!(colors_of(&colors[0].1), [palette(2)[1], palette(2)[0]]);
        assert_eq!(colors_of(&colors[1].1), palette(2));
        // Somebody's own colours stay.
        colors[0].1 = labels(&[1, 1, 0, 0], Some(vec![Rgb(1, 2, 3), Rgb(4, 5, 6)]));
        settle(&keys, &mut colors, &PictureRequest::default()).expect("settled");
        assert_eq!(colors_of(&colors[0].1), [Rgb(1, 2, 3), Rgb(4, 5, 6)]);
        // Unless nobody wants it.
        colors[0].1 = labels(&[1, 1, 0, 0], Some(palette(2)));
        let request = PictureRequest { match_colors: false, ..PictureRequest::default() };
        settle(&keys, &mut colors, &request).expect("settled");
        assert_eq!(colors_of(&colors[0].1), palette(2));
    }

    #[test]
    fn numbers_get_their_limits_and_map() {
        let number = |limits| Color::Continuous {
            values: (0..=100).map(f64::from).collect(),
            name: String::new(),
            limits,
            colormap: ColorMap::default(),
            note: String::new(),
        };
        let of = |limits, request: &PictureRequest| {
            let mut colors = vec![(String::new(), number(limits))];
            settle(&[], &mut colors, request)?;
            match colors.remove(0).1 {
                Color::Continuous { limits, colormap, note, .. } => Ok((limits, colormap, note)),
                _ => Ok((None, ColorMap::default(), String::new())),
            }
        };
        let found: Result<_, PipelineError> = of(None, &PictureRequest::default());
        let note = "1st to 99th percentile".to_owned();
        assert_eq!(found.expect("settled"), (Some((1.0, 99.0)), ColorMap::Viridis, note));
        let kept = of(Some((0.0, 1.0)), &PictureRequest::default()).expect("settled");
        assert_eq!(kept.0, Some((0.0, 1.0)));
        let request = PictureRequest {
            highest: Some(Bound::Value(10.0)),
            colormap: Some(ColorMap::Magma),
            ..PictureRequest::default()
        };
        let asked = of(Some((0.0, 1.0)), &request).expect("settled");
        assert_eq!((asked.0, asked.1), (Some((1.0, 10.0)), ColorMap::Magma));
        let wrong = PictureRequest { lowest: Some(Bound::Value(20.0)), ..request };
        assert!(of(None, &wrong).is_err());
    }
}
