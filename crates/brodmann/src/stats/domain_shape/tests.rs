use brodmann_kernels::Seed;
use brodmann_kernels::proofread::flaw;
use ndarray::{Array2, array};

use super::*;
use crate::graph::{delaunay, grid_neighbors, spatial_knn};

fn square(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n * n, 2), |(i, axis)| if axis == 0 { i % n } else { i / n } as f64)
}

fn hexagonal(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n * n, 2), |(i, axis)| {
        let (column, row) = (i % n, i / n);
        if axis == 0 { column as f64 + 0.5 * (row % 2) as f64 } else { row as f64 * 0.75_f64.sqrt() }
    })
}

fn shapes(x: &Array2<f64>, codes: &[Option<u32>], k: usize, graph: &CsrMatrix<f64>) -> DomainShapes {
    let labels = Labels { codes, n_groups: k };
    domain_shape(x.view(), labels, graph.view(), None, &DomainShapeOptions::default()).expect("valid")
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} instead of {expected}");
}

#[test]
fn unions_of_squares_have_their_area_and_border() {
    let x = square(12);
    // An L of 5 + 3 squares and a domino apart; all else is domain 1, but one spot without a label in it.
    let own = [26, 27, 28, 38, 50, 62, 74, 86, 105, 106];
    let mut codes: Vec<Option<u32>> = (0..144).map(|i| Some(u32::from(!own.contains(&i)))).collect();
    codes[131] = None;
    // Diagonals and second rings are no borders.
    for (n_neighbors, n_rings) in [(4, 1), (8, 1), (4, 2)] {
        let graph = grid_neighbors(x.view(), None, n_neighbors, n_rings, true).expect("grid").connectivities;
        let found = shapes(&x, &codes, 3, &graph);
        assert_eq!(found.cells[0].lattice, Some(Lattice::Square));
        let [first, second] = found.domains[..] else { panic!("{} domains", found.domains.len()) };
        assert_eq!((first.label, first.n_spots, first.n_components, first.largest_component), (0, 10, 2, 8));
        close(first.area, 10.0, 1e-12);
        // L: 18 sides; domino: 6.
        close(first.boundary_length, 24.0, 1e-12);
        close(first.outer_length, 0.0, 1e-12);
        close(first.compactness, 4.0 * PI * 10.0 / (24.0 * 24.0), 1e-12);
        // 48 sides around the tissue, one of them at the unlabelled spot of its border, whose other three face it.
        assert_eq!((second.label, second.n_spots, second.n_components), (1, 133, 1));
        close(second.outer_length, 48.0 - 1.0 + 3.0, 1e-12);
        close(second.boundary_length, second.outer_length + 24.0, 1e-12);
    }
}

#[test]
fn unions_of_hexagons_have_their_area_and_border() {
    let x = hexagonal(15) * 55.0;
    let graph = grid_neighbors(x.view(), None, 6, 1, true).expect("grid").connectivities;
    // A spot and its six neighbours: seven hexagons with 18 sides outside.
    let centre = 7 * 15 + 7;
    let mut codes = vec![None; 225];
    codes[centre] = Some(0);
    graph.view().row(centre).0.iter().for_each(|&j| codes[j as usize] = Some(0));
    codes[3] = Some(1);
    let labels = Labels { codes: &codes, n_groups: 2 };
    let options = DomainShapeOptions { pitch: Some(100.0) };
    let found = domain_shape(x.view(), labels, graph.view(), None, &options).expect("valid");
    let cell = found.cells[0];
    assert_eq!((cell.lattice, cell.n_sides), (Some(Lattice::Hexagonal), 6));
    close(cell.pitch, 55.0, 1e-9);
    close(cell.side, 55.0 / 3.0_f64.sqrt(), 1e-9);
    let [flower, one] = found.domains[..] else { panic!("{} domains", found.domains.len()) };
    close(flower.area, 7.0 * 0.75_f64.sqrt() * 1e4, 1e-9);
    close(flower.boundary_length, 18.0 * 100.0 / 3.0_f64.sqrt(), 1e-9);
    close(flower.elongation, 1.0, 1e-9);
    close(flower.centroid[0], x[[centre, 0]], 1e-12);
    // A hexagon is 4π · (3√3/2) / 36 compact, on the border of the tissue or not.
    assert_eq!((one.n_spots, one.n_components, one.elongation), (1, 1, 1.0));
    close(one.compactness, 4.0 * PI * 1.5 * 3.0_f64.sqrt() / 36.0, 1e-9);
    close(one.outer_length, one.boundary_length, 1e-12);
}

#[test]
fn rows_of_squares_are_as_long_as_they_are_wherever_they_lie() {
    let x = square(10) + 1e6;
    let graph = grid_neighbors(x.view(), None, 4, 1, true).expect("grid").connectivities;
    let codes: Vec<Option<u32>> = (0..100).map(|i| Some(u32::from(i % 10 != 4))).collect();
    let found = shapes(&x, &codes, 2, &graph);
    close(found.domains[0].elongation, 10.0, 1e-9);
    assert_eq!(found.domains[1].n_components, 2);
    // Along the diagonal: one piece only with diagonal edges.
    let codes: Vec<Option<u32>> = (0..100).map(|i| Some(u32::from(i / 10 != i % 10))).collect();
    assert_eq!(shapes(&x, &codes, 2, &graph).domains[0].n_components, 10);
    let eight = grid_neighbors(x.view(), None, 8, 1, true).expect("grid").connectivities;
    let found = shapes(&x, &codes, 2, &eight);
    assert_eq!((found.domains[0].n_components, found.domains[0].largest_component), (1, 10));
    close(found.domains[0].boundary_length, 40.0, 1e-12);
}

#[test]
fn discs_of_scattered_spots_have_about_their_area_and_border() {
    let n = 20_000;
    let x = Array2::from_shape_fn((n, 2), |(i, axis)| {
        100.0 * (Seed(axis as u64).word(i as u64) as f64 / u64::MAX as f64)
    });
    let codes: Vec<Option<u32>> =
        (0..n).map(|i| Some(u32::from((x[[i, 0]] - 50.0).hypot(x[[i, 1]] - 50.0) > 30.0))).collect();
    for graph in [delaunay(x.view(), None, None), spatial_knn(x.view(), None, 6, true)] {
        let graph = graph.expect("spots").connectivities;
        let found = shapes(&x, &codes, 2, &graph);
        assert_eq!(found.cells[0].lattice, None);
        let [disc, rest] = found.domains[..] else { panic!("{} domains", found.domains.len()) };
        close(disc.area, 900.0 * PI, 0.03);
        // The border of a union of cells zigzags around the circle: longer, by less than half.
        let ratio = disc.boundary_length / (60.0 * PI);
        assert!(ratio > 1.0 && ratio < 1.6, "{ratio}");
        close(disc.outer_length, 0.0, 1e-9);
        close(disc.elongation, 1.0, 0.02);
        // The sides of the square, a little inside of it and jagged.
        let ratio = rest.outer_length / 400.0;
        assert!(ratio > 0.9 && ratio < 1.2, "{ratio}");
        close(rest.boundary_length - rest.outer_length, disc.boundary_length, 1e-9);
    }
}

#[test]
fn gaps_between_arcs_are_found() {
    let length = |offsets: &[[f64; 2]]| {
        free_length(&mut offsets.iter().filter_map(|&offset| Arc::new(offset, 4.0)).collect::<Vec<_>>())
    };
    let around = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
    assert_eq!(length(&around), 0.0);
    // Nothing below: from the left around to the right.
    assert_eq!(length(&around[..3]), 1.0);
    // One spot is touched on either side; two opposite ones, twice each.
    assert_eq!(length(&[[0.0, 3.0]]), 3.0);
    assert_eq!(length(&[[0.0, 3.0], [0.0, -2.0]]), 5.0);
    assert_eq!(length(&[[0.0, 5.0], [0.0, 0.0]]), 0.0);
}

#[test]
fn slices_are_described_one_by_one() {
    // The second slice twice as large, its spots between those of the first.
    let (one, two) = (square(8), square(8) * 2.0);
    let x = Array2::from_shape_fn(
        (128, 2),
        |(i, axis)| if i % 2 == 0 { one[[i / 2, axis]] } else { two[[i / 2, axis]] },
    );
    let slices = Slices::from_codes(&(0..128).map(|i| 3 + i % 2).collect::<Vec<_>>(), &[]);
    let graph = grid_neighbors(x.view(), Some(&slices), 4, 1, true).expect("grid").connectivities;
    let codes: Vec<Option<u32>> = (0..128).map(|i| Some(u32::from(i % 16 < 8))).collect();
    let labels = Labels { codes: &codes, n_groups: 3 };
    let with = |pitch| {
        let options = DomainShapeOptions { pitch };
        domain_shape(x.view(), labels, graph.view(), Some(&slices), &options).expect("valid")
    };
    let found = with(None);
    let places: Vec<(u32, u32)> = found.domains.iter().map(|d| (d.slice, d.label)).collect();
    assert_eq!(places, [(3, 0), (3, 1), (4, 0), (4, 1)]);
    let areas: Vec<f64> = found.domains.iter().map(|d| d.area).collect();
    assert_eq!(areas, [32.0, 32.0, 128.0, 128.0]);
    assert_eq!([found.cells[0].pitch, found.cells[1].pitch], [1.0, 2.0]);
    for domain in with(Some(10.0)).domains {
        assert_eq!((domain.area, domain.boundary_length, domain.elongation), (3200.0, 240.0, 2.0));
    }
    let joined = grid_neighbors(x.view(), None, 4, 1, true).expect("grid").connectivities;
    let refused =
        domain_shape(x.view(), labels, joined.view(), Some(&slices), &DomainShapeOptions::default());
    assert!(matches!(refused, Err(StatsError::CrossingEdge { .. })));
}

#[test]
fn few_spots_and_piles_have_no_size() {
    let none = CsrMatrix::from_rows(1, &[vec![]]);
    let one = shapes(&array![[5.0, 6.0]], &[Some(0)], 1, &none).domains[0];
    assert!(one.area.is_nan() && one.compactness.is_nan() && one.elongation.is_nan());
    assert_eq!((one.n_spots, one.n_components, one.centroid), (1, 1, [5.0, 6.0]));
    let pile = Array2::zeros((20, 2));
    let graph = spatial_knn(pile.view(), None, 4, false).expect("knn").connectivities;
    let found = shapes(&pile, &[Some(0); 20], 1, &graph);
    assert!(found.cells[0].pitch.is_nan() && found.domains[0].area.is_nan());
    assert_eq!(found.domains[0].centroid, [0.0, 0.0]);
    let nothing = CsrMatrix::from_rows(0, &[]);
    assert!(shapes(&Array2::zeros((0, 2)), &[], 2, &nothing).domains.is_empty());
}

#[test]
fn what_has_no_shape_is_refused() {
    let x = square(5);
    let graph = grid_neighbors(x.view(), None, 4, 1, true).expect("grid").connectivities;
    let codes = vec![Some(0); 25];
    let labels = Labels { codes: &codes, n_groups: 1 };
    for pitch in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = DomainShapeOptions { pitch: Some(pitch) };
        let error = domain_shape(x.view(), labels, graph.view(), None, &options).expect_err("no length");
        assert_eq!(flaw(&error), None);
    }
    let space = Array2::zeros((25, 3));
    let refused = domain_shape(space.view(), labels, graph.view(), None, &DomainShapeOptions::default());
    assert!(matches!(refused, Err(StatsError::NotPlanar { .. })));
}
