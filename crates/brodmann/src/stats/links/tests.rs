//! Tests of transport and strengths: the oracle, properties, cases worked by hand, edges.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Seed, Silent};
use ndarray::{Array1, Array2, array};
use rand_chacha::rand_core::Rng;

use super::*;

fn array<D: ndarray::Dimension>(name: &str) -> ndarray::Array<f64, D> {
    crate::oracles::open("links").by_name(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn integers<D: ndarray::Dimension>(name: &str) -> ndarray::Array<i64, D> {
    crate::oracles::open("links").by_name(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A small problem: counts of peaks and genes, pairs, costs, domains.
struct Case {
    peaks: CsrMatrix<f64>,
    genes: CsrMatrix<f64>,
    pairs: LinkPairs,
    costs: CellCosts,
    labels: Vec<Option<u32>>,
}

impl Case {
    fn solve(&self, options: &TransportOptions) -> Transport<f64> {
        transport(self.peaks.view(), self.genes.view(), &self.pairs, &self.costs, options, &Silent)
            .expect("solved")
    }

    fn strengths(&self, options: &TransportOptions) -> LinkStrengths {
        let n_domains = self.labels.iter().flatten().max().map_or(0, |m| *m as usize + 1);
        link_strengths(&self.solve(options), &self.pairs, &self.labels, n_domains, &Silent)
            .expect("strengths")
    }
}

/// All cells neighbours of each other.
fn complete(distances: &Array2<f64>) -> CellCosts {
    let rows: Vec<Vec<(u32, f64)>> =
        distances.rows().into_iter().map(|row| (0..).zip(row.iter().copied()).collect()).collect();
    CellCosts::new(CsrMatrix::from_rows(distances.ncols(), &rows).view(), None).expect("costs")
}

fn oracle() -> Case {
    let pairs: Array2<i64> = integers("pairs");
    let triples = pairs.rows().into_iter().map(|row| (row[1] as u32, row[0] as u32, 0)).collect();
    let labels: Array1<i64> = integers("group");
    Case {
        peaks: CsrMatrix::from_dense(array::<ndarray::Ix2>("S").view()),
        genes: CsrMatrix::from_dense(array::<ndarray::Ix2>("D").view()),
        pairs: LinkPairs::from_pairs(6, 15, triples).expect("pairs"),
        costs: complete(&array("M")),
        labels: labels.iter().map(|&l| Some(l as u32)).collect(),
    }
}

/// The reference's rounds, with a number more than it calls its limit.
fn reference(epsilon: f64, rho_peaks: f64, rho_genes: f64, max_iterations: usize) -> TransportOptions {
    let (tolerance, beyond, shift, together) = (1e-8, Beyond::Maximum, false, true);
    TransportOptions { epsilon, rho_peaks, rho_genes, max_iterations, tolerance, beyond, shift, together }
}

const RUNS: [(&str, f64, f64, f64, usize); 3] =
    [("a", 0.1, 10.0, 10.0, 1001), ("b", 0.05, 2.0, 1.0, 1001), ("c", 0.1, 10.0, 10.0, 21)];

/// The largest deviation, in shares of the largest number or of 1.
fn deviation(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = f64>) -> f64 {
    let (found, expected): (Vec<f64>, Vec<f64>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max) / scale
}

// Both iterate in doubles and sum in another order: 1e-9 is a thousand times the rounding of the 191 rounds.
#[test]
fn potentials_plan_and_rounds_are_those_of_the_reference() {
    let case = oracle();
    let pairs: Array2<i64> = integers("pairs");
    // Of a number for each positive mass, those of species with a pair; the reference keeps the others too.
    let with_pair = |values: &[f64], nonzero: &str, column: usize| -> Vec<f64> {
        let nonzero: Array1<i64> = integers(nonzero);
        let has = |at: &i64| pairs.column(column).iter().any(|&species| species == at / 40);
        values.iter().zip(&nonzero).filter(|(_, at)| has(at)).map(|(v, _)| *v).collect()
    };
    for (run, epsilon, rho_peaks, rho_genes, limit) in RUNS {
        let of = |name: &str| array::<ndarray::Ix1>(&format!("{run}_{name}")).to_vec();
        let solution = case.solve(&reference(epsilon, rho_peaks, rho_genes, limit));
        let rounds: ndarray::Array0<i64> = integers(&format!("{run}_iterations"));
        let expected = rounds.into_scalar() as usize;
        assert!(solution.components.iter().all(|fate| fate.iterations == expected), "{run}");
        assert_eq!(solution.converged(), run != "c");
        assert!(deviation(solution.trace.clone(), of("err")) < 1e-9, "{run}: {:?}", solution.trace);
        let f = (0..15).flat_map(|p| solution.peak_potential(p)).map(|x| x.1);
        assert!(deviation(f, with_pair(&of("f"), "nz_a", 0)) < 1e-9, "{run}");
        let g = (0..6).flat_map(|q| solution.gene_potential(q)).map(|x| x.1);
        assert!(deviation(g, with_pair(&of("g"), "nz_b", 1)) < 1e-9, "{run}");
        // Stored entries are numbered by the positive masses, which are flattened by species and cell.
        let at = |index: &str, nonzero: &str| -> Vec<i64> {
            let nonzero: Array1<i64> = integers(nonzero);
            integers::<ndarray::Ix1>(index).iter().map(|&k| nonzero[k as usize]).collect()
        };
        let places = at("cost_row", "nz_a").into_iter().zip(at("cost_col", "nz_b"));
        let mut stored: Vec<((i64, i64), f64)> = places.zip(of("plan_val")).collect();
        stored.sort_by_key(|entry| entry.0);
        let mut plan = Vec::new();
        for pair in pairs.rows() {
            for (i, j, v) in solution.plan(pair[0] as u32, pair[1] as u32) {
                let place = (pair[0] * 40 + i64::from(i), pair[1] * 40 + i64::from(j));
                plan.push((place, v / solution.total()));
            }
        }
        plan.sort_by_key(|entry| entry.0);
        assert!(plan.iter().map(|entry| entry.0).eq(stored.iter().map(|entry| entry.0)), "{run}");
        let values = |entries: &[((i64, i64), f64)]| entries.iter().map(|e| e.1).collect::<Vec<_>>();
        assert!(deviation(values(&plan), values(&stored)) < 1e-9, "{run}");
        let share = |name: &str, nonzero: &str, mass: &str, column: usize| {
            let mass: Array1<f64> = array(mass);
            let mass: Vec<f64> =
                integers::<ndarray::Ix1>(nonzero).iter().map(|&at| mass[at as usize]).collect();
            let sum = |of_all: &[f64]| with_pair(of_all, nonzero, column).iter().sum::<f64>();
            sum(&of(name)) / sum(&mass)
        };
        // exp((f − ρ)/ε) makes of an error of 1e-9 in shares of f, which is about ρ, one of 1e-9 ρ/ε.
        let expected = share("unmatched_mu", "nz_a", "a", 0);
        let found = solution.unmatched_accessibility();
        assert!((found - expected).abs() < 1e-7, "{run}: {found} {expected}");
        let expected = share("unmatched_nu", "nz_b", "b", 1);
        let found = solution.unmatched_expression();
        assert!((found - expected).abs() < 1e-7, "{run}: {found} {expected}");
    }
}

#[test]
fn strengths_are_those_of_the_reference() {
    let case = oracle();
    let stored: Array2<i64> = integers("pairs");
    let place: Vec<usize> = stored
        .rows()
        .into_iter()
        .map(|row| {
            let range = case.pairs.of_gene(row[1] as usize);
            let at = case.pairs.peaks()[range.clone()].iter().position(|&p| i64::from(p) == row[0]);
            range.start + at.expect("a pair")
        })
        .collect();
    for (run, epsilon, rho_peaks, rho_genes, limit) in RUNS {
        let found = case.strengths(&reference(epsilon, rho_peaks, rho_genes, limit));
        let expected: Array2<f64> = array(&format!("{run}_link_intensity"));
        let own = place.iter().flat_map(|&k| found.by_domain.row(k).to_vec());
        assert!(deviation(own, expected.iter().copied()) < 1e-9, "{run}");
        let expected: Array1<f64> = array(&format!("{run}_pair_total"));
        assert!(deviation(place.iter().map(|&k| found.total[k]), expected.iter().copied()) < 1e-9, "{run}");
    }
}

#[test]
fn the_shift_reaches_the_same_solution_in_fewer_rounds() {
    let case = oracle();
    for (run, epsilon, rho_peaks, rho_genes, limit) in &RUNS[..2] {
        let plain = reference(*epsilon, *rho_peaks, *rho_genes, *limit);
        let slow = case.solve(&plain);
        let quick = case.solve(&TransportOptions { shift: true, together: false, ..plain });
        assert!(quick.converged());
        let rounds = |solution: &Transport<f64>| solution.components.iter().map(|f| f.iterations).max();
        assert!(rounds(&quick) < rounds(&slow), "{run}: {:?} {:?}", rounds(&quick), rounds(&slow));
        let f = |solution: &Transport<f64>| -> Vec<f64> {
            (0..15).flat_map(|p| solution.peak_potential(p)).map(|x| x.1).collect()
        };
        // Both stop where a round changes less than 1e-8; what is left of the way is some hundred such rounds.
        assert!(deviation(f(&quick), f(&slow)) < 1e-5, "{run} {}", deviation(f(&quick), f(&slow)));
    }
}

/// Cells on a line, species at random, pairs in three pieces that share nothing.
fn in_pieces(n: usize, k: usize) -> Case {
    let mut rng = Seed(7).stream("links/test", 0);
    let mut word = move || (rng.next_u64() >> 40) as f64 / (1u64 << 24) as f64;
    let mut counts = |columns: usize, share: f64| {
        Array2::from_shape_fn(
            (n, columns),
            |_| if word() < share { (1.0 + 5.0 * word()).round() } else { 0.0 },
        )
    };
    let (peaks, genes) = (counts(9, 0.3), counts(6, 0.5));
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            let near = (0..n).filter(|&j| j != i && i.abs_diff(j) <= k);
            near.map(|j| (j as u32, i.abs_diff(j) as f64)).collect()
        })
        .collect();
    let pairs = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5), (4, 6), (4, 7)];
    Case {
        peaks: CsrMatrix::from_dense(peaks.view()),
        genes: CsrMatrix::from_dense(genes.view()),
        pairs: LinkPairs::from_pairs(6, 9, pairs.iter().map(|&(g, p)| (g, p, 0)).collect()).expect("pairs"),
        costs: CellCosts::new(CsrMatrix::from_rows(n, &rows).view(), None).expect("costs"),
        labels: (0..n).map(|i| (i % 7 != 3).then_some((i * 3 / n) as u32)).collect(),
    }
}

impl Case {
    /// The same with the pairs of some genes alone; counts stay, and with them the scale of masses.
    fn of_genes(&self, genes: &[u32]) -> Case {
        let all = self.pairs.genes().iter().zip(self.pairs.peaks());
        let kept = all.filter(|(g, _)| genes.contains(g)).map(|(&g, &p)| (g, p, 0)).collect();
        Case {
            peaks: self.peaks.clone(),
            genes: self.genes.clone(),
            pairs: LinkPairs::from_pairs(6, 9, kept).expect("pairs"),
            costs: self.costs.clone(),
            labels: self.labels.clone(),
        }
    }
}

#[test]
fn components_give_alone_the_bits_they_give_together() {
    let case = in_pieces(60, 4);
    for beyond in [Beyond::Maximum, Beyond::Forbidden] {
        let options = TransportOptions { beyond, max_iterations: 57, ..TransportOptions::default() };
        let whole = case.solve(&options);
        assert_eq!(whole.components.len(), 3);
        assert_eq!(
            whole.components.iter().map(|f| (f.n_genes, f.n_peaks)).collect::<Vec<_>>(),
            [(2, 3), (1, 2), (2, 3)]
        );
        let together = case.strengths(&options);
        let mut row = 0;
        for genes in [&[0, 1][..], &[2], &[3, 4]] {
            let piece = case.of_genes(genes);
            let alone = piece.strengths(&options);
            for own in alone.by_domain.rows() {
                assert_eq!(own.to_vec(), together.by_domain.row(row).to_vec());
                row += 1;
            }
            for &gene in genes {
                assert_eq!(piece.solve(&options).gene_potential(gene), whole.gene_potential(gene));
            }
        }
        assert_eq!(row, together.by_domain.nrows());
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let case = in_pieces(120, 6);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let solution = case.solve(&TransportOptions::default());
            let specific = specific_links(
                &solution,
                &case.pairs,
                &case.labels,
                3,
                &SpecificOptions { n_permutations: 40 },
                Seed(1),
                &Silent,
            );
            let (peaks, genes) = (case.peaks.view(), case.genes.view());
            let correlated =
                link_correlations((peaks, genes), &case.pairs, &case.costs, &case.labels, 3, &Silent);
            (
                case.strengths(&TransportOptions::default()),
                specific.expect("tested"),
                correlated.expect("correlated"),
            )
        })
    };
    assert_eq!(format!("{:?}", run(1)), format!("{:?}", run(4)));
}

/// The plan by the definition, without groups, domains or sparsity: dense matrices over (species, cell).
fn dense_plan(case: &Case, options: &TransportOptions, rounds: usize) -> Vec<Array2<f64>> {
    let n = case.costs.n_cells();
    let dense = |m: &CsrMatrix<f64>| {
        Array2::from_shape_fn((m.n_cols(), n), |(s, i)| m.view().get(i, s).unwrap_or(0.0).max(0.0))
    };
    let (mut a, mut b) = (dense(&case.peaks), dense(&case.genes));
    let total = a.sum().max(b.sum());
    a /= total;
    b /= total;
    let kernel = Array2::from_shape_fn((n, n), |(i, j)| match case.costs.view().get(i, j) {
        Some(cost) => (-cost / options.epsilon).exp(),
        None if options.beyond == Beyond::Maximum => (-1.0 / options.epsilon).exp(),
        None => 0.0,
    });
    let mut u = a.mapv(|v| f64::from(v > 0.0));
    let mut v = b.mapv(|v| f64::from(v > 0.0));
    let pairs: Vec<(usize, usize)> =
        case.pairs.genes().iter().zip(case.pairs.peaks()).map(|(&g, &p)| (g as usize, p as usize)).collect();
    for _ in 0..rounds {
        let mut sums = Array2::zeros(u.dim());
        for &(g, p) in &pairs {
            sums.row_mut(p).scaled_add(1.0, &kernel.dot(&v.row(g)));
        }
        u = &a / &(sums + (-options.rho_peaks / options.epsilon).exp());
        let mut sums = Array2::zeros(v.dim());
        for &(g, p) in &pairs {
            sums.row_mut(g).scaled_add(1.0, &kernel.t().dot(&u.row(p)));
        }
        v = &b / &(sums + (-options.rho_genes / options.epsilon).exp());
    }
    let plan = |&(g, p): &(usize, usize)| {
        Array2::from_shape_fn((n, n), |(i, j)| u[[p, i]] * kernel[[i, j]] * v[[g, j]] * total)
    };
    pairs.iter().map(plan).collect()
}

#[test]
fn sparse_sums_are_those_of_the_dense_plan() {
    let case = in_pieces(40, 5);
    for beyond in [Beyond::Maximum, Beyond::Forbidden] {
        let (shift, tolerance, max_iterations) = (false, 0.0, 25);
        let options =
            TransportOptions { max_iterations, tolerance, beyond, shift, ..TransportOptions::default() };
        let plans = dense_plan(&case, &options, 25);
        let found = case.strengths(&options);
        let solution = case.solve(&options);
        for (pair, plan) in plans.iter().enumerate() {
            let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-11 * plan.sum().max(1e-9);
            assert!(close(found.total[pair], plan.sum()));
            for domain in 0..3 {
                let own: Vec<usize> = (0..40).filter(|&i| case.labels[i] == Some(domain as u32)).collect();
                let sum: f64 = own.iter().flat_map(|&i| own.iter().map(move |&j| plan[[i, j]])).sum();
                let expected = sum / (own.len() * own.len()) as f64;
                assert!(close(found.by_domain[[pair, domain]], expected), "{pair} {domain}");
            }
            let written: f64 = solution
                .plan(case.pairs.peaks()[pair], case.pairs.genes()[pair])
                .iter()
                .map(|&(i, j, v)| (v - plan[[i as usize, j as usize]]).abs())
                .fold(0.0, f64::max);
            assert!(written <= 1e-11 * plan.sum().max(1e-9));
        }
    }
}

#[test]
fn one_cell_one_pair_by_hand() {
    // K = 1, floors e^(-ρ/ε) = e^-1 on both sides; a = 1, b = 1/2.
    let case = Case {
        peaks: CsrMatrix::from_dense(array![[4.0]].view()),
        genes: CsrMatrix::from_dense(array![[2.0]].view()),
        pairs: LinkPairs::from_pairs(1, 1, vec![(0, 0, 0)]).expect("a pair"),
        costs: CellCosts::new(CsrMatrix::from_rows(1, &[Vec::new()]).view(), None).expect("costs"),
        labels: vec![Some(0)],
    };
    let options = TransportOptions {
        epsilon: 1.0,
        rho_peaks: 1.0,
        rho_genes: 1.0,
        shift: false,
        max_iterations: 1,
        ..TransportOptions::default()
    };
    let floor = (-1.0f64).exp();
    let u = 1.0 / (1.0 + floor);
    let v = 0.5 / (u + floor);
    let found = case.strengths(&options);
    assert!((found.total[0] - 4.0 * u * v).abs() < 1e-14);
    assert_eq!(found.by_domain[[0, 0]], found.total[0]);
    assert_eq!(scaled_by_gene(&found, &case.pairs), array![[1.0]]);
    // At the optimum what is moved and what is not add up to the masses: P + floor u = 1, P + floor v = 1/2, P = u v.
    let solved =
        case.solve(&TransportOptions { max_iterations: 1000, tolerance: 1e-14, shift: true, ..options });
    let plan = solved.plan(0, 0)[0].2 / 4.0;
    let (u, v) = ((1.0 - plan) / floor, (0.5 - plan) / floor);
    assert!((u * v - plan).abs() < 1e-10, "{u} {v} {plan}");
}

#[test]
fn a_link_of_one_domain_is_specific_to_it() {
    // Peak 0 and the gene are on in the first 20 of 60 cells, peak 1 everywhere.
    let n = 60;
    let peaks = Array2::from_shape_fn((n, 2), |(i, p)| f64::from(p == 1 || i < 20));
    let genes = Array2::from_shape_fn((n, 1), |(i, _)| if i < 20 { 3.0 } else { 0.5 });
    let distances = Array2::from_shape_fn((n, n), |(i, j)| i.abs_diff(j) as f64);
    let mut case = Case {
        peaks: CsrMatrix::from_dense(peaks.view()),
        genes: CsrMatrix::from_dense(genes.view()),
        pairs: LinkPairs::from_pairs(1, 2, vec![(0, 0, 0), (0, 1, 0)]).expect("pairs"),
        costs: complete(&distances),
        labels: (0..n).map(|i| Some((i / 20) as u32)).collect(),
    };
    let solution = case.solve(&TransportOptions::default());
    let options = SpecificOptions { n_permutations: 199 };
    let test = |case: &Case| {
        specific_links(&solution, &case.pairs, &case.labels, 4, &options, Seed(3), &Silent).expect("tested")
    };
    let found = test(&case);
    assert_eq!(found.p_value[[0, 0]], 1.0 / 200.0);
    assert!(found.z_score[[0, 0]] > 5.0 && found.difference[[0, 0]] > 0.0);
    assert_eq!(found.p_value[[0, 1]], 1.0);
    assert!(found.p_value[[0, 3]].is_nan(), "a domain without a cell is not tested");
    let tail = 0.5 * libm::erfc(found.z_score[[0, 0]] / std::f64::consts::SQRT_2);
    assert!(found.p_adjusted[[0, 0]] >= tail && found.p_adjusted[[0, 0]] <= 1.0);
    assert!(found.p_adjusted[[0, 3]].is_nan());
    let strengths = case.strengths(&TransportOptions::default());
    assert!(strengths.by_domain[[0, 0]] > 100.0 * strengths.by_domain[[0, 1]]);
    // Without labels outside the first domain there is no rest.
    case.labels.iter_mut().skip(20).for_each(|label| *label = None);
    assert!(test(&case).p_value.iter().all(|p| p.is_nan()));
}

#[test]
fn the_z_score_is_that_of_all_arrangements() {
    // Flows of 5 cells against the 10 ways to choose 2 of them.
    let case = in_pieces(5, 2);
    let labels = [1, 0, 1, 0, 0].map(Some);
    let solution = case.solve(&TransportOptions::default());
    let options = SpecificOptions { n_permutations: 4000 };
    let found =
        specific_links(&solution, &case.pairs, &labels, 2, &options, Seed(3), &Silent).expect("tested");
    for pair in 0..case.pairs.len() {
        let mut flow = [0.0; 5];
        let plan = solution.plan(case.pairs.peaks()[pair], case.pairs.genes()[pair]);
        for (i, _, v) in plan {
            flow[i as usize] += v;
        }
        let all: f64 = flow.iter().sum();
        if all == 0.0 {
            assert!(found.z_score.row(pair).iter().all(|z| z.is_nan()));
            continue;
        }
        let mut differences = Vec::new();
        for i in 0..5 {
            for j in 0..i {
                let own = flow[i] + flow[j];
                differences.push(own / 2.0 - (all - own) / 3.0);
            }
        }
        let mean = differences.iter().sum::<f64>() / 10.0;
        let sd = (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 10.0).sqrt();
        let own = flow[0] + flow[2];
        let observed = own / 2.0 - (all - own) / 3.0;
        assert!((found.difference[[pair, 1]] - observed).abs() < 1e-12 * all);
        assert!((found.z_score[[pair, 1]] - (observed - mean) / sd).abs() < 1e-8);
        let exact = differences.iter().filter(|d| **d >= observed - 1e-12 * all).count() as f64 / 10.0;
        // Four standard errors of 4000 draws.
        assert!((found.p_value[[pair, 1]] - exact).abs() < 0.032, "{} {exact}", found.p_value[[pair, 1]]);
    }
}

#[test]
fn correlations_are_those_of_dense_vectors() {
    let case = in_pieces(50, 3);
    let (peaks, genes) = (case.peaks.view(), case.genes.view());
    let found = link_correlations((peaks, genes), &case.pairs, &case.costs, &case.labels, 3, &Silent);
    let found = found.expect("correlated");
    let column = |m: &CsrMatrix<f64>, s: u32| -> Vec<f64> {
        (0..50).map(|i| m.view().get(i, s as usize).unwrap_or(0.0)).collect()
    };
    let ranks = |x: &[f64]| -> Vec<f64> {
        let rank = |v: &f64| {
            let below = x.iter().filter(|w| *w < v).count() as f64;
            let equal = x.iter().filter(|w| *w == v).count() as f64;
            below + f64::midpoint(equal, 1.0)
        };
        x.iter().map(rank).collect()
    };
    let means = |x: &[f64]| -> Vec<f64> {
        let near = |i: usize| (0..50).filter(move |j| i.abs_diff(*j) <= 3);
        (0..50).map(|i| near(i).map(|j| x[j]).sum::<f64>() / near(i).count() as f64).collect()
    };
    let pearson = |x: &[f64], y: &[f64]| {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let (mx, my) = (mean(x), mean(y));
        let sum = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(a, b)| f(a - mx, b - my)).sum::<f64>();
        sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
    };
    let mut n_parts = 0;
    for pair in 0..case.pairs.len() {
        let (x, y) =
            (column(&case.peaks, case.pairs.peaks()[pair]), column(&case.genes, case.pairs.genes()[pair]));
        // What cells of a domain add to the sum that Pearson's is; those without one add what is left.
        let standard = |x: &[f64]| -> Vec<f64> {
            let mean = x.iter().sum::<f64>() / 50.0;
            let sd = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 50.0).sqrt();
            x.iter().map(|v| (v - mean) / sd).collect()
        };
        let (zx, zy) = (standard(&x), standard(&y));
        let part = |label: Option<u32>| -> f64 {
            (0..50).filter(|&i| case.labels[i] == label).map(|i| zx[i] * zy[i] / 50.0).sum()
        };
        for d in 0..3 {
            let (found, expected) = (found.by_domain[[pair, d as usize]], part(Some(d)));
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            n_parts += usize::from(expected.abs() > 1e-3);
        }
        let rest = found.pearson[pair] - found.by_domain.row(pair).sum();
        assert!((rest - part(None)).abs() < 1e-12, "{rest}");
        for (found, expected) in [
            (found.pearson[pair], pearson(&x, &y)),
            (found.spearman[pair], pearson(&ranks(&x), &ranks(&y))),
            (found.smoothed[pair], pearson(&means(&x), &means(&y))),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
    assert!(n_parts > 20, "{n_parts}");
}

#[test]
fn strong_prices_neither_overflow_nor_vanish() {
    let case = in_pieces(40, 2);
    for beyond in [Beyond::Maximum, Beyond::Forbidden] {
        for (epsilon, rho) in [(1.0, 600.0), (0.001, 0.6), (0.01, 6.0), (0.1, 0.0), (100.0, 0.0)] {
            let options = TransportOptions {
                epsilon,
                rho_peaks: rho,
                rho_genes: rho,
                beyond,
                ..TransportOptions::default()
            };
            let found = case.strengths(&options);
            assert!(found.total.iter().all(|v| v.is_finite() && *v >= 0.0), "{epsilon} {rho}");
            let moved = found.total.sum();
            assert!(moved <= case.solve(&options).total() * (1.0 + 1e-9), "{moved}");
        }
    }
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let case = in_pieces(10, 2);
    let small = CsrMatrix::from_dense(Array2::<f64>::ones((9, 9)).view());
    let empty = CsrMatrix::<f64>::from_rows(9, &vec![Vec::new(); 10]);
    let damaged = CsrMatrix::from_rows(9, &(0..10).map(|_| vec![(3, f64::NAN)]).collect::<Vec<_>>());
    let negative = CsrMatrix::from_rows(9, &(0..10).map(|_| vec![(3, -1.0)]).collect::<Vec<_>>());
    let mut errors = Vec::new();
    for peaks in [&small, &empty, &damaged, &negative] {
        let options = TransportOptions::default();
        let solved = transport(peaks.view(), case.genes.view(), &case.pairs, &case.costs, &options, &Silent);
        errors.push(solved.expect_err("unfit"));
    }
    let base = TransportOptions::default();
    for options in [
        TransportOptions { epsilon: 0.0, ..base },
        TransportOptions { epsilon: f64::NAN, ..base },
        TransportOptions { rho_peaks: 61.0, ..base },
        TransportOptions { rho_genes: -1.0, ..base },
        TransportOptions { max_iterations: 0, ..base },
        TransportOptions { tolerance: f64::NAN, ..base },
    ] {
        let (peaks, genes) = (case.peaks.view(), case.genes.view());
        errors.push(transport(peaks, genes, &case.pairs, &case.costs, &options, &Silent).expect_err("unfit"));
    }
    let solution = case.solve(&base);
    errors.push(link_strengths(&solution, &case.pairs, &[None], 1, &Silent).expect_err("too few labels"));
    errors
        .push(link_strengths(&solution, &case.pairs, &[Some(1); 10], 1, &Silent).expect_err("label 1 of 1"));
    for (labels, n_domains) in [(&[None][..], 1), (&[Some(1); 10][..], 1)] {
        let of = (case.peaks.view(), case.genes.view());
        let found = link_correlations(of, &case.pairs, &case.costs, labels, n_domains, &Silent);
        errors.push(found.expect_err("labels that do not fit"));
    }
    let none = SpecificOptions { n_permutations: 0 };
    let tested = specific_links(&solution, &case.pairs, &[Some(0); 10], 1, &none, Seed(1), &Silent);
    errors.push(tested.expect_err("no permutations"));
    for error in errors {
        assert_eq!(flaw(&error), None);
    }
}

#[test]
fn cells_and_species_without_anything_do_no_harm() {
    let mut case = in_pieces(12, 2);
    // Peak 3 is nowhere, gene 5 has no peak, no cell has a label.
    let peaks = Array2::from_shape_fn((12, 9), |(i, p)| {
        case.peaks.view().get(i, p).filter(|_| p != 3).unwrap_or(0.0)
    });
    case.peaks = CsrMatrix::from_dense(peaks.view());
    case.labels = vec![None; 12];
    let solution = case.solve(&TransportOptions::default());
    assert!(solution.peak_potential(3).is_empty() && solution.gene_potential(5).is_empty());
    let found = link_strengths(&solution, &case.pairs, &case.labels, 2, &Silent).expect("strengths");
    assert!(found.by_domain.iter().all(|v| *v == 0.0));
    assert!(found.total.sum() > 0.0);
    assert!(scaled_by_gene(&found, &case.pairs).iter().all(|v| *v == 0.0));
}
