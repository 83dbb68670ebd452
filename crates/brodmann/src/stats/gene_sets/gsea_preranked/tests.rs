//! Against gseapy, by enumeration, by hand, and the edges.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Interrupted, Silent};

use super::*;

/// The same pseudo-random numbers as in the script that ran gseapy.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = (self.0 * 1103515245 + 12345) % (1 << 31);
        self.0
    }
}

const N: u64 = 600;

/// 600 scores, about normal, and 24 sets, every other pair of them from one end of the ranking.
fn example() -> (Vec<f64>, Vec<Vec<u32>>) {
    let mut random = Lcg(12345);
    let scores: Vec<f64> =
        (0..N).map(|_| (0..6).map(|_| random.next()).sum::<u64>() as f64 / 2.0_f64.powi(31) - 3.0).collect();
    let mut order: Vec<u32> = (0..N as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    let lists = (0..24)
        .map(|s| {
            let k = if s % 2 == 0 { 20 } else { 15 + 3 * s };
            let mut genes = Vec::new();
            while genes.len() < k {
                let mut rank = random.next() % N;
                if s % 4 == 1 {
                    rank = random.next() % (N / 2);
                }
                if s % 4 == 2 {
                    rank = N - 1 - random.next() % (if s < 12 { N / 3 } else { 2 * N / 3 });
                }
                let gene = order[rank as usize];
                if !genes.contains(&gene) {
                    genes.push(gene);
                }
            }
            genes
        })
        .collect();
    (scores, lists)
}

fn named(n_measured: usize, lists: &[Vec<u32>]) -> MatchedSets {
    let names: Vec<String> = (0..lists.len()).map(|s| format!("s{s:02}")).collect();
    MatchedSets::from_indices(n_measured, names.iter().zip(lists).map(|(n, l)| (n.as_str(), &l[..])))
        .expect("in range")
}

fn run(sets: &MatchedSets, scores: &[f64], options: &GseaOptions) -> Gsea {
    gsea_preranked(sets, scores, options, Seed(1), &Silent).expect("valid")
}

fn any_size() -> GseaOptions {
    GseaOptions { min_size: 1, ..Default::default() }
}

/// gseapy 1.3.1, `prerank(permutation_num=20000, weight=1, seed=1)`: ES, NES, nominal p, FDR q, genes of the leading
/// edge.
const GSEAPY: [(f64, f64, f64, f64, usize); 24] = [
    (-0.27631460160875126, -0.8695, 0.64454, 0.73516, 5),
    (0.5934818208567572, 1.7941, 0.00340, 0.00636, 11),
    (-0.7250170291662037, -2.2746, 0.00010, 0.00005, 18),
    (-0.3247727766143878, -1.0681, 0.35706, 0.46728, 13),
    (0.36349890402997453, 1.1389, 0.28142, 0.39125, 5),
    (0.6032538358680747, 2.1012, 0.00010, 0.00018, 24),
    (-0.6913793103448276, -2.1706, 0.00000, 0.00008, 20),
    (0.21759468310026747, 0.7959, 0.80267, 0.95392, 7),
    (-0.43397649378532566, -1.3626, 0.10156, 0.12878, 10),
    (0.6491005897113757, 2.4512, 0.00000, 0.00000, 37),
    (-0.7086206896551724, -2.2227, 0.00010, 0.00010, 20),
    (-0.14614196345413755, -0.5656, 0.99449, 0.98359, 18),
    (0.5029300372540102, 1.5777, 0.02664, 0.03517, 6),
    (0.6311621780058514, 2.5132, 0.00000, 0.00000, 44),
    (-0.6909573835798573, -2.1742, 0.00010, 0.00010, 17),
    (-0.3547283701341494, -1.4397, 0.03229, 0.09295, 22),
    (0.23652056547223793, 0.7466, 0.83448, 0.86179, 10),
    (0.6466580243363768, 2.6778, 0.00000, 0.00000, 55),
    (-0.5224846419548924, -1.6386, 0.01861, 0.02699, 7),
    (0.2680147930507498, 1.1254, 0.24162, 0.36809, 17),
    (-0.3098598359533993, -0.9767, 0.48301, 0.58724, 8),
    (0.6232575238308647, 2.6627, 0.00000, 0.00000, 63),
    (-0.5556299498043556, -1.7435, 0.00651, 0.01366, 12),
    (0.17356614688894234, 0.7527, 0.93032, 0.93178, 22),
];

/// ES with `weight=0` and `weight=2`.
const GSEAPY_UNWEIGHTED: [f64; 24] = [
    -0.2017241379310345,
    0.5601374570446734,
    -0.7068965517241379,
    -0.23958333333333337,
    0.2189655172413793,
    0.5421052631578945,
    -0.6913793103448276,
    -0.11938534278959813,
    -0.2879310344827586,
    0.5588837685611878,
    -0.7086206896551724,
    -0.11503623188405801,
    0.24137931034482757,
    0.5659340659340658,
    -0.5879310344827586,
    -0.16481481481481491,
    0.19827586206896558,
    0.5858018386108262,
    -0.3810344827586207,
    0.10732323232323238,
    -0.16206896551724126,
    0.5766283524904211,
    -0.4293103448275862,
    0.044573643410852674,
];
const GSEAPY_SQUARED: [f64; 24] = [
    -0.329924641862842,
    0.6970569486937731,
    -0.7698687569465281,
    -0.3222646108507413,
    0.5367796718993597,
    0.6566022842988133,
    -0.7513692401020816,
    0.2877005769435384,
    -0.5333477420741112,
    0.690196389965804,
    -0.7329597812831875,
    0.25536380999952557,
    0.7022476106188669,
    0.693155297207114,
    -0.7318803481219159,
    -0.5198827586678708,
    0.22186886357210042,
    0.7031537229315841,
    -0.7068237126159149,
    0.3898209482848551,
    -0.37110333854117805,
    0.7242495127988722,
    -0.6744494252323026,
    0.25706080409792387,
];

#[test]
fn scores_equal_gseapy_and_significance_agrees_within_chance() {
    let (scores, lists) = example();
    let sets = named(600, &lists);
    let m = 20_000;
    let found = run(&sets, &scores, &GseaOptions { n_permutations: m, ..any_size() });
    for (i, (es, nes, p, q, edge)) in GSEAPY.into_iter().enumerate() {
        assert!((found.es[i] - es).abs() < 1e-12, "{i}: {} {es}", found.es[i]);
        assert_eq!(found.leading_edge[i].len(), edge, "{i}");
        // A mean of 10,000 random scores whose spread is a third of it, in two independent runs: 0.5 %, four times.
        assert!((found.nes[i] / nes - 1.0).abs() < 0.02, "{i}: {} {nes}", found.nes[i]);
        // Of about half the random sets each; and the one that is added to both.
        let error = (2.0 * p * (1.0 - p) / (0.4 * m as f64)).sqrt();
        assert!((found.p_value[i] - p).abs() < 4.0 * error + 3e-4, "{i}: {} {p}", found.p_value[i]);
        // Half of the sets have one size and share 10,000 random scores; a quarter of 20,000 is taken for all.
        assert!((found.fdr[i] - q).abs() < 4.0 * (q / 5000.0).sqrt() + 5e-4, "{i}: {} {q}", found.fdr[i]);
    }
    for (weight, expected) in [(0.0, GSEAPY_UNWEIGHTED), (2.0, GSEAPY_SQUARED)] {
        let options = GseaOptions { weight, n_permutations: 20, ..any_size() };
        for (f, e) in run(&sets, &scores, &options).es.iter().zip(expected) {
            assert!((f - e).abs() < 1e-12, "{weight}: {f} {e}");
        }
    }
}

/// The walk gene by gene, as the paper writes it.
fn walk(members: &[bool], weights: &[f64]) -> f64 {
    let own = || members.iter().zip(weights).filter(|(m, _)| **m);
    let total: f64 = own().map(|(_, w)| w).sum();
    let (k, n) = (own().count(), members.len());
    let (mut sum, mut highest, mut lowest) = (0.0, 0.0_f64, 0.0_f64);
    for (&member, w) in members.iter().zip(weights) {
        sum += if !member {
            -1.0 / (n - k) as f64
        } else if total > 0.0 {
            w / total
        } else {
            1.0 / k as f64
        };
        (highest, lowest) = (highest.max(sum), lowest.min(sum));
    }
    // Of 220 sets 5 are as far on both sides.
    if highest + lowest > 1e-12 { highest } else { lowest }
}

#[test]
fn p_values_equal_the_enumeration_of_all_sets() {
    // All 220 sets of 3 of 12 genes.
    let scores: Vec<f64> = (0..12).map(|i| 6.3 - f64::from(i) * 1.07).collect();
    let weights: Vec<f64> = scores.iter().map(|s| s.abs()).collect();
    let mut all = Vec::new();
    for bits in 0..1_u32 << 12 {
        if bits.count_ones() == 3 {
            let members: Vec<bool> = (0..12).map(|i| bits >> i & 1 == 1).collect();
            all.push((
                (0..12).filter(|i| bits >> i & 1 == 1).collect::<Vec<u32>>(),
                walk(&members, &weights),
            ));
        }
    }
    let lists: Vec<Vec<u32>> = all.iter().map(|(l, _)| l.clone()).collect();
    let found = run(&named(12, &lists), &scores, &GseaOptions { n_permutations: 40_000, ..any_size() });
    for (i, (_, es)) in all.iter().enumerate() {
        assert!((found.es[i] - es).abs() < 1e-12, "{i}: {} {es}", found.es[i]);
        let same: Vec<f64> = all.iter().map(|(_, e)| *e).filter(|e| (*e >= 0.0) == (*es >= 0.0)).collect();
        let p = same.iter().filter(|e| e.abs() >= es.abs() - 1e-12).count() as f64 / same.len() as f64;
        let mean = same.iter().sum::<f64>().abs() / same.len() as f64;
        // Four standard errors of 15,000 draws or so.
        assert!(
            (found.p_value[i] - p).abs() < 4.0 * (p * (1.0 - p) / 15_000.0).sqrt() + 1e-4,
            "{i}: {} {p}",
            found.p_value[i]
        );
        assert!((found.nes[i] / (es / mean) - 1.0).abs() < 0.02, "{i}");
        // Every set is observed, so the random ones reach as far as the observed ones do.
        assert!(found.fdr[i] > 0.9, "{i}: {}", found.fdr[i]);
    }
}

#[test]
fn every_set_of_places_is_drawn_as_often() {
    // 15 sets of 2 of 6, and 15 of 4.
    for (k, count) in [(2, 1), (2, 2), (2, 3), (4, 1)] {
        let counts = null::drawn_sets(6, k, count, 30_000 / count as u64);
        assert_eq!(counts.len(), 15);
        // 2000 each, standard deviation 43.
        assert!(counts.values().all(|&c| (1800..2200).contains(&c)), "{k} {count} {counts:?}");
    }
    for (n, k, count) in [(2, 1, 2), (64, 63, 1), (65, 64, 1), (129, 43, 3), (1000, 90, 11), (1000, 1, 900)] {
        assert!(null::drawn_sets(n, k, count, 20).keys().all(|set| set.len() == k));
    }
}

#[test]
fn a_small_case_by_hand() {
    let scores = [4.0, 3.0, 2.0, 1.0, -1.0, -2.0, -3.0];
    // −1/5 five times, then up: lowest before gene 5. 4/7 at the first gene, then −1/5 five times to −3/7. Down to
    // −3/6 and up to 3/6: as far on both sides, and the lower one counts, as in gseapy.
    let sets = named(7, &[vec![6, 5], vec![0, 6], vec![3]]);
    let found = run(&sets, &scores, &any_size());
    let expected = [-1.0, 4.0 / 7.0, -0.5];
    for (f, e) in found.es.iter().zip(expected) {
        assert!((f - e).abs() < 1e-15, "{f} {e}");
    }
    assert_eq!(found.n_to_peak, [2, 1, 4]);
    assert_eq!(found.leading_edge, [vec![5, 6], vec![0], vec![3]]);
    assert_eq!(found.ranking, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(found.n_tied, 0);
}

#[test]
fn turning_the_ranking_around_turns_the_scores() {
    let (scores, lists) = example();
    let sets = named(600, &lists);
    let turned: Vec<f64> = scores.iter().map(|s| -s).collect();
    let (one, two) = (run(&sets, &scores, &any_size()), run(&sets, &turned, &any_size()));
    for i in 0..lists.len() {
        assert!((one.es[i] + two.es[i]).abs() < 1e-12);
        assert_eq!(one.leading_edge[i].iter().rev().copied().collect::<Vec<_>>(), two.leading_edge[i]);
    }
}

#[test]
fn the_order_and_the_unit_of_the_scores_do_not_matter() {
    let (scores, lists) = example();
    let flipped: Vec<f64> = scores.iter().rev().map(|s| s * 1e200).collect();
    let flipped_lists: Vec<Vec<u32>> = lists.iter().map(|l| l.iter().map(|g| 599 - g).collect()).collect();
    let options = GseaOptions { weight: 1.5, ..any_size() };
    let one = run(&named(600, &lists), &scores, &options);
    let two = run(&named(600, &flipped_lists), &flipped, &options);
    for i in 0..lists.len() {
        assert!((one.es[i] - two.es[i]).abs() < 1e-12 && (one.p_value[i] - two.p_value[i]).abs() < 1e-12);
        assert!((one.fdr[i] - two.fdr[i]).abs() < 1e-9 && (one.nes[i] - two.nes[i]).abs() < 1e-9);
    }
}

#[test]
fn random_sets_of_a_size_do_not_depend_on_what_else_is_tested() {
    let (scores, lists) = example();
    let all = run(&named(600, &lists), &scores, &any_size());
    let alone = run(&named(600, &lists[5..6]), &scores, &any_size());
    assert_eq!((all.nes[5], all.p_value[5]), (alone.nes[0], alone.p_value[0]));
}

#[test]
fn sets_without_any_score_rise_all_the_same() {
    // Half of the genes have none: random sets of one gene often have none either.
    let scores = [3.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0];
    let found = run(&named(8, &[vec![3], vec![7, 4]]), &scores, &any_size());
    assert!(found.es.iter().chain(&found.nes).chain(&found.p_value).all(|v| v.is_finite()), "{found:?}");
    // Alone at place 3 of 8: −3/7, then 4/7.
    assert!((found.es[0] - 4.0 / 7.0).abs() < 1e-15);
}

#[test]
fn ties_are_ranked_as_measured_and_counted() {
    let scores = [0.0, 2.0, -0.0, 2.0, 1.0];
    let found = run(&named(5, &[vec![0]]), &scores, &any_size());
    assert_eq!(found.ranking, [1, 3, 4, 0, 2]);
    assert_eq!(found.n_tied, 4);
    // Its one gene has no score: it rises by 1 all the same.
    assert_eq!(found.es, [-0.75]);
}

#[test]
fn sets_of_all_genes_are_not_tested() {
    let scores = [3.0, 2.0, 1.0];
    let found = run(&named(3, &[vec![0, 1, 2], vec![0, 1]]), &scores, &any_size());
    assert_eq!(found.set, [1]);
}

#[test]
fn uniform_scores_give_uniform_p_values() {
    let scores: Vec<f64> = (0..2000).map(|i| f64::from(i) - 999.5).collect();
    let lists: Vec<Vec<u32>> = (0..400)
        .map(|s| (0..15 + s % 20).map(|i| (Seed(77).word(s * 100 + i) % 2000) as u32).collect())
        .collect();
    let found = run(&named(2000, &lists), &scores, &any_size());
    let mean = found.p_value.iter().sum::<f64>() / 400.0;
    assert!((mean - 0.5).abs() < 0.06, "{mean}");
    let small = found.p_value.iter().filter(|&&p| p < 0.1).count();
    assert!((20..65).contains(&small), "{small}");
    assert!(found.fdr.iter().all(|&q| q > 0.2), "{:?}", found.fdr);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (scores, lists) = example();
    let sets = named(600, &lists);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| run(&sets, &scores, &any_size()))
    };
    assert_eq!(on(1), on(4));
    let other = gsea_preranked(&sets, &scores, &any_size(), Seed(2), &Silent).expect("valid");
    assert_ne!(other.p_value, on(1).p_value);
}

#[test]
fn bad_input_is_refused() {
    let sets = named(4, &[vec![0, 1]]);
    let fail = |scores: &[f64], options: &GseaOptions| {
        let error = gsea_preranked(&sets, scores, options, Seed(0), &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
        error
    };
    let good = [4.0, 3.0, 2.0, 1.0];
    assert!(matches!(fail(&good[..3], &any_size()), GeneSetError::Length { found: 3, expected: 4, .. }));
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(fail(&[1.0, bad, 0.0, 2.0], &any_size()), GeneSetError::NonFinite { .. }));
    }
    assert!(matches!(fail(&[1.0; 4], &any_size()), GeneSetError::ConstantRanking { n_measured: 4, .. }));
    assert!(matches!(fail(&good, &GseaOptions::default()), GeneSetError::NoneOfSize { .. }));
    let plain = any_size();
    for options in [
        GseaOptions { min_size: 0, ..plain },
        GseaOptions { max_size: 0, ..plain },
        GseaOptions { weight: -1.0, ..plain },
        GseaOptions { weight: f64::NAN, ..plain },
        GseaOptions { n_permutations: 19, ..plain },
    ] {
        assert!(matches!(fail(&good, &options), GeneSetError::Option(_)));
    }
    let empty = MatchedSets::from_indices(0, []).expect("no genes");
    assert!(gsea_preranked(&empty, &[], &plain, Seed(0), &Silent).is_err());
}

#[test]
fn an_interruption_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let stopped = gsea_preranked(&named(3, &[vec![0]]), &[3.0, 1.0, 2.0], &any_size(), Seed(0), &Stop);
    assert_eq!(stopped, Err(GeneSetError::Interrupted(Interrupted)));
}
