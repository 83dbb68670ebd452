//! The slide beneath the maps, and what each domain looks like on it.

use brodmann_kernels::{CsrMatrix, Monitor, Slices};
use ndarray::{Array3, Axis};

use crate::histology::{HistologyError, PatchOptions, patches, resize_u8};
use crate::pipeline::PipelineError;
use crate::pipeline::explain::groups::Groups;
use crate::pipeline::histology::SlideOptions;
use crate::pipeline::histology::slides::{Placed, overview};
use crate::pipeline::tissue::Tissue;
use crate::plot::rgb_png;
use crate::report::{Patch, Picture};

/// Longest side of a slide beneath a map, in pixels; that of several slices together, side by side.
const BENEATH: usize = 2000;
/// Patches of a domain, over all slices.
const EACH: usize = 6;
/// From this depth on a spot is as good as any: of six neighbours on all sides none is of another group.
const DEEP: f64 = 0.85;
/// Side of a patch on the page, in pixels.
const SIDE: usize = 112;

/// A slide beneath the map of its slice, where its spots lie.
pub(super) fn beneath(placed: &Placed, n_slices: usize) -> Result<Picture, PipelineError> {
    let longest = (BENEATH as f64 / (n_slices as f64).sqrt()) as usize;
    let seen = overview(&placed.slide, longest)?;
    let (height, width, _) = seen.dim();
    let rgb: Vec<u8> = seen.into_iter().collect();
    Ok(Picture { bytes: rgb_png(width, height, &rgb)?.into(), placement: placed.placement((height, width)) })
}

/// Patches of each group: of spots that lie deep in it, wherever these are.
pub(super) fn of_groups(
    tissue: &Tissue,
    placed: &[Placed],
    (groups, slices): (&Groups, &Slices),
    graph: &CsrMatrix<f64>,
    options: &SlideOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<Patch>>, PipelineError> {
    monitor.stage("patches", 0);
    let mut place = vec![None; tissue.n_obs()];
    for (slide, own) in placed.iter().enumerate() {
        let (height, width) = (own.slide.height() as f64, own.slide.width() as f64);
        for (k, (&row, at)) in own.rows.iter().zip(own.centres.rows()).enumerate() {
            if (0.0..height).contains(&at[0]) && (0.0..width).contains(&at[1]) {
                place[row] = Some((slide, k));
            }
        }
    }
    // Group and slot on the page of each spot chosen, slide by slide.
    let mut chosen = vec![Vec::new(); placed.len()];
    let mut all: Vec<Vec<Option<Patch>>> = Vec::new();
    for group in 0..groups.names.len() {
        let spots = typical(group as u32, groups, graph, |spot| {
            let (slide, k) = place[spot]?;
            Some([placed[slide].centres[[k, 0]], placed[slide].centres[[k, 1]]])
        });
        all.push(vec![None; spots.len()]);
        for (slot, (slide, k)) in spots.iter().filter_map(|&spot| place[spot]).enumerate() {
            chosen[slide].push((k, group, slot));
        }
    }
    for (own, chosen) in placed.iter().zip(&chosen).filter(|(_, chosen)| !chosen.is_empty()) {
        let seen = own.seen(options.patch_size * own.diameter, SIDE as f64);
        let rows: Vec<usize> = chosen.iter().map(|&(k, _, _)| k).collect();
        let centres = seen.centres.select(Axis(0), &rows);
        let work = |_, patch: Array3<u8>| Ok(resize_u8(patch.view(), SIDE, SIDE));
        let mut cut: Vec<Option<Array3<u8>>> = vec![None; rows.len()];
        let keep = |k: usize, patch| -> Result<(), HistologyError> {
            cut[k] = Some(patch);
            Ok(())
        };
        patches(&seen.level, centres.view(), seen.side, &PatchOptions::default(), monitor, work, keep)?;
        for (patch, &(k, group, slot)) in cut.into_iter().zip(chosen) {
            let Some(patch) = patch else { continue };
            let row = own.rows[k];
            let of = if slices.count() > 1 {
                format!(", {}", slices.label(slices.of(row)))
            } else {
                String::new()
            };
            let rgb: Vec<u8> = patch.into_iter().collect();
            all[group][slot] = Some(Patch {
                bytes: rgb_png(SIDE, SIDE, &rgb)?.into(),
                caption: format!(
                    "{}{of}: {} spot(s) wide",
                    tissue.obs_names()[row],
                    (options.patch_size * 10.0).round() / 10.0
                ),
            });
        }
    }
    Ok(all.into_iter().map(|patches| patches.into_iter().flatten().collect()).collect())
}

/// Some spots of a group that lie deepest in it and in the tissue, from everywhere; `place`: row and column of those seen.
fn typical(
    group: u32,
    groups: &Groups,
    graph: &CsrMatrix<f64>,
    place: impl Fn(usize) -> Option<[f64; 2]>,
) -> Vec<usize> {
    // 1 among neighbours of its own group on all sides; less where others are near, or where the tissue ends on one side.
    let depth = |spot: usize, at: [f64; 2]| {
        let around: Vec<([f64; 2], bool)> = (graph.view().row(spot).0.iter())
            .filter_map(|&j| Some((place(j as usize)?, groups.codes[j as usize] == Some(group))))
            .collect();
        let n = around.len().max(1) as f64;
        let own = around.iter().filter(|(_, own)| *own).count() as f64 / n;
        let away: Vec<[f64; 2]> = around.iter().map(|(p, _)| [p[0] - at[0], p[1] - at[1]]).collect();
        let far: f64 = away.iter().map(|[r, c]| r.hypot(*c)).sum();
        let sum = away.iter().fold([0.0, 0.0], |sum, d| [sum[0] + d[0], sum[1] + d[1]]);
        own * (1.0 - if far > 0.0 { sum[0].hypot(sum[1]) / far } else { 0.0 })
    };
    let own = (0..groups.codes.len()).filter(|&spot| groups.codes[spot] == Some(group));
    let mut spots: Vec<(usize, f64)> =
        own.filter_map(|spot| Some((spot, depth(spot, place(spot)?)))).collect();
    spots.sort_by(|a, b| b.1.total_cmp(&a.1));
    let deep = spots.iter().take_while(|(_, depth)| *depth >= DEEP).count();
    spots.truncate(deep.max(EACH));
    // Among those as good as each other, from everywhere in the tissue.
    spots.sort_by_key(|(spot, _)| *spot);
    let n = EACH.min(spots.len());
    (0..n).map(|k| spots[(2 * k + 1) * spots.len() / (2 * n)].0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_of_spots_deep_inside() {
        // A row of 20 spots: the first 12 in one group, of which the last touches the other.
        let n = 20;
        let around = |i: usize| [i.checked_sub(1), Some(i + 1).filter(|&j| j < n)];
        let row = |i: usize| around(i).into_iter().flatten().map(|j| (j as u32, 1.0)).collect();
        let graph = CsrMatrix::from_rows(n, &(0..n).map(row).collect::<Vec<_>>());
        let groups = Groups {
            key: "domains".to_owned(),
            codes: (0..n).map(|i| (i != 19).then_some(u32::from(i >= 12))).collect(),
            names: vec!["a".to_owned(), "b".to_owned()],
            colors: Vec::new(),
        };
        let place = |spot: usize| [0.0, spot as f64];
        // The first has nobody on one side, the neighbours of the sixth nobody who is seen, the last another group.
        let found = typical(0, &groups, &graph, |spot| (spot != 5).then(|| place(spot)));
        assert_eq!(found, [1, 2, 3, 8, 9, 10]);
        // Few lie deep: the next best with them.
        assert_eq!(typical(1, &groups, &graph, |spot| Some(place(spot))).len(), 6);
        assert!(typical(1, &groups, &graph, |_| None).is_empty());
    }
}
