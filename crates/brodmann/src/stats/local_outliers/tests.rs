use brodmann_kernels::{Seed, Slices};
use ndarray::{Array1, Array2, array};
use rand::RngExt;

use super::*;

fn options(n_neighbors: usize) -> LocalOutlierOptions {
    LocalOutlierOptions { n_neighbors, ..LocalOutlierOptions::default() }
}

fn low(values: &[f64]) -> LocalMetric<'_> {
    LocalMetric { values, log1p: false, side: Side::Low }
}

/// Places and values that look random and are the same every time.
fn scattered(n: usize) -> (Array2<f64>, Vec<f64>) {
    let mut place = Array2::zeros((n, 2));
    let mut values = Vec::with_capacity(n);
    for i in 0..n {
        let mut random = Seed(7).stream("stats/local_outliers/tests", i as u64);
        for x in place.row_mut(i) {
            *x = random.random::<f64>();
        }
        values.push(1000.0 * random.random::<f64>());
    }
    (place, values)
}

/// The same, straight from the definition.
fn brute_force(place: &Array2<f64>, values: &[f64], of: &[u32], k: usize) -> Vec<f64> {
    let median = |mut v: Vec<f64>| {
        v.sort_by(f64::total_cmp);
        f64::midpoint(v[(v.len() - 1) / 2], v[v.len() / 2])
    };
    (0..values.len())
        .map(|i| {
            let mut others: Vec<(f64, usize)> = (0..values.len())
                .filter(|&j| j != i && of[j] == of[i])
                .map(|j| {
                    let d = &place.row(i) - &place.row(j);
                    (d.dot(&d), j)
                })
                .collect();
            others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let around: Vec<f64> = others.iter().take(k).map(|&(_, j)| values[j]).collect();
            let m = median(around.clone());
            let mad = median(around.iter().map(|v| (v - m).abs()).collect());
            0.6745 * (values[i] - m) / mad
        })
        .collect()
}

#[test]
fn a_spot_is_judged_by_its_neighbours_alone() {
    // Two regions: what is usual in one would be an outlier in the other.
    let place = Array2::from_shape_fn(
        (20, 2),
        |(i, j)| if j == 0 { i as f64 + 100.0 * (i / 10) as f64 } else { 0.0 },
    );
    let mut values: Vec<f64> =
        (0..20).map(|i| (if i < 10 { 100.0 } else { 5000.0 }) + f64::from(i % 3)).collect();
    values[14] = 101.0;
    let found = local_outliers(&[low(&values)], place.view(), None, &options(6)).expect("judged");
    let outliers: Vec<usize> = (0..20).filter(|&i| found.outliers[0][i]).collect();
    assert_eq!(outliers, [14], "{:?}", found.z_scores);
}

#[test]
fn each_side_has_its_outliers() {
    let place = Array2::from_shape_fn((9, 2), |(i, j)| if j == 0 { i as f64 } else { 0.0 });
    let values = [1.0, 2.0, 3.0, 50.0, 1.0, 2.0, 3.0, 1.0, -60.0];
    let metric = |side| LocalMetric { values: &values, log1p: false, side };
    let found = local_outliers(&[metric(Side::Low), metric(Side::High)], place.view(), None, &options(8))
        .expect("judged");
    assert_eq!(found.z_scores[0], found.z_scores[1]);
    let which = |k: usize| (0..9).filter(|&i| found.outliers[k][i]).collect::<Vec<_>>();
    assert_eq!((which(0), which(1)), (vec![8], vec![3]));
    assert_eq!(found.any().iter().filter(|o| **o).count(), 2);
}

#[test]
fn z_scores_are_those_of_the_definition_in_every_slice() {
    let (place, values) = scattered(400);
    let codes: Vec<u32> = (0..400).map(|i| u32::from(i % 3 == 0)).collect();
    let slices = Slices::from_codes(&codes, &[]);
    let found = local_outliers(&[low(&values)], place.view(), Some(&slices), &options(36)).expect("judged");
    for (z, expected) in found.z_scores[0].iter().zip(brute_force(&place, &values, &codes, 36)) {
        assert!((z - expected).abs() < 1e-12, "{z} instead of {expected}");
    }
    assert_eq!(found.notes, []);
}

#[test]
fn the_oracle_is_found() {
    let mut oracle = crate::oracles::open("qc");
    let place: Array2<f64> = oracle.by_name("coordinates").expect("coordinates");
    let slices: Array1<f64> = oracle.by_name("slices").expect("slices");
    let codes: Vec<u32> = slices.iter().map(|&s| s as u32).collect();
    let mut of = |name: &str| -> Vec<f64> {
        let values: Array1<f64> = oracle.by_name(name).expect(name);
        values.to_vec()
    };
    let (counts, genes, mt) = (of("total_counts"), of("n_genes_by_counts"), of("pct_counts_mt"));
    let metrics = [
        LocalMetric { values: &counts, log1p: true, side: Side::Low },
        LocalMetric { values: &genes, log1p: true, side: Side::Low },
        LocalMetric { values: &mt, log1p: false, side: Side::High },
    ];
    let found = local_outliers(&metrics, place.view(), Some(&Slices::from_codes(&codes, &[])), &options(12))
        .expect("judged");
    for (column, name) in
        found.z_scores.iter().zip(["z_total_counts", "z_n_genes_by_counts", "z_pct_counts_mt"])
    {
        for (i, (z, expected)) in column.iter().zip(of(name)).enumerate() {
            // Both in f64; logarithms may differ in the last bit.
            let same =
                (z.is_nan() && expected.is_nan()) || (z - expected).abs() <= 1e-9 * expected.abs().max(1.0);
            assert!(same, "{name} of spot {i}: {z} instead of {expected}");
        }
    }
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let (place, values) = scattered(3000);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let found = pool.install(|| local_outliers(&[low(&values)], place.view(), None, &options(36)));
        found.expect("judged").z_scores[0].iter().map(|z| z.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn z_scores_move_with_their_spots() {
    let (place, values) = scattered(200);
    let before = local_outliers(&[low(&values)], place.view(), None, &options(10)).expect("judged");
    let order: Vec<usize> = (0..200).map(|i| (i * 77 + 5) % 200).collect();
    let moved: Vec<f64> = order.iter().map(|&i| values[i]).collect();
    let place = place.select(Axis(0), &order);
    let after = local_outliers(&[low(&moved)], place.view(), None, &options(10)).expect("judged");
    for (to, &from) in order.iter().enumerate() {
        assert_eq!(after.z_scores[0][to].to_bits(), before.z_scores[0][from].to_bits());
    }
}

#[test]
fn equal_neighbours_are_measured_by_the_mean_deviation_or_not_at_all() {
    // Median 0, MAD 0, mean deviation 8 / 8.
    assert_eq!(modified_z(5.0, &mut [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 4.0]), 5.0 / SD_OF_MEAN_DEVIATION);
    assert_eq!(modified_z(2.0, &mut [2.0; 6]), 0.0);
    assert!(modified_z(2.5, &mut [2.0; 6]).is_nan());
    assert!(modified_z(f64::NAN, &mut [1.0, 2.0, 3.0]).is_nan());
    assert!(modified_z(1.0, &mut [1.0, 2.0]).is_nan());
}

#[test]
fn few_spots_duplicates_and_spots_without_a_place_are_no_accident() {
    let nobody = local_outliers(&[low(&[])], Array2::zeros((0, 2)).view(), None, &options(36)).expect("none");
    assert_eq!((nobody.z_scores[0].len(), nobody.any().len()), (0, 0));

    for n in 1..=3 {
        let values = vec![1.0; n];
        let place = Array2::from_shape_fn((n, 2), |(i, _)| i as f64);
        let found = local_outliers(&[low(&values)], place.view(), None, &options(36)).expect("few");
        assert!(found.z_scores[0].iter().all(|z| z.is_nan()));
        assert!(found.notes[0].text.contains("too few to be compared"), "{:?}", found.notes);
    }

    // Five at one place, one elsewhere, one nowhere.
    let place =
        array![[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, -0.0], [9.0, 9.0], [f64::NAN, 0.0]];
    let values = [10.0, 11.0, 12.0, 13.0, 14.0, 0.0, 0.0];
    let found = local_outliers(&[low(&values)], place.view(), None, &options(36)).expect("duplicates");
    assert_eq!(found.any(), [false, false, false, false, false, true, false]);
    assert!(found.z_scores[0][6].is_nan());
    let texts: Vec<&str> = found.notes.iter().map(|n| n.text.as_str()).collect();
    assert!(texts[0].starts_with("1 spot(s) without a place"), "{texts:?}");
    assert!(texts[1].starts_with("6 spots are too few for 36"), "{texts:?}");
}

#[test]
fn values_that_are_missing_are_neither_judged_nor_neighbours() {
    let place = Array2::from_shape_fn((7, 2), |(i, j)| if j == 0 { i as f64 } else { 0.0 });
    let values = [10.0, 11.0, f64::NAN, 12.0, 13.0, 14.0, 0.0];
    let found = local_outliers(&[low(&values)], place.view(), None, &options(6)).expect("judged");
    assert!(found.z_scores[0][2].is_nan() && !found.any()[2]);
    assert!((found.z_scores[0][6] - 0.6745 * -12.0).abs() < 1e-12, "median 12, MAD 1 of five");
}

#[test]
fn depth_counts_where_there_is_any() {
    let place = array![[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 50.0]];
    let values = [1.0, 2.0, 3.0, 4.0, 100.0];
    let found = local_outliers(&[low(&values)], place.view(), None, &options(3)).expect("judged");
    assert!((found.z_scores[0][0] - 0.6745 * (1.0 - 3.0)).abs() < 1e-12);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let place = Array2::zeros((4, 2));
    let refused = |options: &LocalOutlierOptions| {
        local_outliers(&[low(&[0.0; 4])], place.view(), None, options).expect_err("refused").to_string()
    };
    assert!(refused(&options(2)).contains("`n_neighbors` is 2"));
    let unfit = LocalOutlierOptions { threshold: f64::NAN, ..options(36) };
    assert!(refused(&unfit).contains("`threshold` is NaN"));
    let error = local_outliers(&[low(&[0.0; 3])], place.view(), None, &options(36)).expect_err("3 of 4");
    assert_eq!(error, StatsError::Length { found: 3, expected: 4 });
    let flat = Array2::zeros((5, 1));
    assert!(local_outliers(&[low(&[0.0; 5])], flat.view(), None, &options(36)).is_err());
    let slices = Slices::from_codes(&[0, 1], &[]);
    assert!(local_outliers(&[low(&[0.0; 4])], place.view(), Some(&slices), &options(36)).is_err());
}
