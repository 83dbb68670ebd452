//! Plots of what is in a domain: all kinds, in both backends, on pages.

use std::sync::Arc;

use ndarray::{Array2, array};

use super::super::layout::{Mark, Way};
use super::super::plots::Block;
use super::super::text;
use super::*;

const EM: f64 = 12.0;
const MOST: f64 = 900.0;
/// What a name from a file may be.
const HOSTILE: &str = "<script>alert('x')</script> & \"q\" \u{1}\n]]>";

fn block(plot: &Plot) -> Block {
    plot.block(EM, MOST).expect("laid out")
}

fn page(plots: Vec<Plot>) -> Sheet {
    Sheet { parts: vec![Part::Plots(plots)], ..Sheet::default() }
}

/// Both backends draw it, twice the same, and nothing lies outside the page.
fn drawn_plot(plot: &Plot) -> (Decoded, String) {
    let laid_out = block(plot);
    for mark in &laid_out.marks {
        let [left, top, right, bottom] = reach(mark);
        assert!(
            left >= -0.5 && top >= -0.5 && right <= laid_out.width + 0.5 && bottom <= laid_out.height + 0.5,
            "{mark:?} reaches {left} {top} {right} {bottom} of {} × {}",
            laid_out.width,
            laid_out.height
        );
    }
    let sheet = page(vec![plot.clone()]);
    let svg = render_sheet_svg(&sheet, &AT_96).expect("SVG");
    well_formed(&svg);
    for line in svg.lines().filter(|line| !line.contains("base64,")) {
        let attributes = line.split('>').next().unwrap_or("");
        assert!(!attributes.contains("NaN") && !attributes.contains("inf"), "{line}");
    }
    assert!(svg == render_sheet_svg(&sheet, &AT_96).expect("SVG"), "drawn twice");
    let png = render_sheet_png(&sheet, &AT_96).expect("PNG");
    assert!(png == render_sheet_png(&sheet, &AT_96).expect("PNG"), "drawn twice");
    (decode(&png), svg)
}

/// Left, top, right and bottom of what a mark covers.
fn reach(mark: &Mark) -> [f64; 4] {
    let around = |points: &[[f64; 2]]| {
        points.iter().fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |r, p| {
            assert!(p.iter().all(|v| v.is_finite()), "{p:?}");
            [r[0].min(p[0]), r[1].min(p[1]), r[2].max(p[0]), r[3].max(p[1])]
        })
    };
    match mark {
        Mark::Rect { x, y, w, h, .. } | Mark::Bar { x, y, w, h, .. } | Mark::Picture { x, y, w, h, .. } => {
            assert!(*w >= 0.0 && *h >= 0.0, "{mark:?}");
            around(&[[*x, *y], [x + w, y + h]])
        }
        Mark::Line { from, to, .. } => around(&[*from, *to]),
        Mark::Path { points, .. } | Mark::Area { points, .. } => around(points),
        Mark::Text { x, y, size, bold, anchor, text: words, way, .. } => {
            let width = text::width(words, *size, *bold);
            let (from, to) = (-anchor.share() * width, (1.0 - anchor.share()) * width);
            if *way == Way::Upwards {
                around(&[[x - 0.75 * size, y - to], [*x, y - from]])
            } else {
                around(&[[x + from, y - 0.75 * size], [x + to, *y]])
            }
        }
        Mark::Spots(layer) => around(&layer.centres),
        Mark::Cells(layer) => {
            let [x, y, w, h] = layer.place;
            assert_eq!(layer.colors.len(), layer.rows * layer.columns);
            around(&[[x, y], [x + w, y + h]])
        }
    }
}

fn names(n: usize, what: &str) -> Vec<String> {
    (0..n).map(|k| format!("{what} {k}")).collect()
}

/// Numbers that look random and are the same everywhere.
fn noise(k: usize) -> f64 {
    (k as f64 * 12.9898).sin() * 2.0
}

fn volcano(n_groups: usize, n_genes: usize) -> Volcano {
    let panel = |g: usize| VolcanoPanel {
        log2_fold: (0..n_genes).map(|k| noise(k * 7 + g)).collect(),
        ln_p: (0..n_genes).map(|k| -40.0 * noise(k * 3 + g).abs() * noise(k * 7 + g).abs()).collect(),
        max_p: None,
    };
    Volcano {
        title: "Markers".to_owned(),
        features: names(n_genes, "gene"),
        groups: Groups::named(names(n_groups, "domain")),
        panels: (0..n_groups).map(panel).collect(),
        ..Volcano::default()
    }
}

fn violins(n_groups: usize, values: Vec<Vec<f64>>) -> Violins {
    let n_obs = values.first().map_or(0, Vec::len);
    Violins {
        title: "Expression".to_owned(),
        groups: Groups::named(names(n_groups, "domain")),
        group_of: Arc::new((0..n_obs).map(|i| Some((i % n_groups.max(1)) as u32)).collect()),
        rows: values
            .into_iter()
            .enumerate()
            .map(|(k, values)| ViolinRow { name: format!("gene {k}"), values })
            .collect(),
        value_name: "ln(1 + x)".to_owned(),
        kind: ViolinKind::Violins,
    }
}

fn dots(n_groups: usize, n_features: usize) -> DotPlot {
    DotPlot {
        title: "Markers".to_owned(),
        groups: Groups::named(names(n_groups, "domain")),
        features: names(n_features, "gene"),
        fractions: Array2::from_shape_fn((n_groups, n_features), |(g, f)| noise(g * 31 + f).abs() / 2.0),
        means: Array2::from_shape_fn((n_groups, n_features), |(g, f)| noise(g * 17 + f).abs()),
        brackets: (0..n_groups.min(n_features))
            .map(|k| Bracket { group: k as u32, from: k, to: k + 1 })
            .collect(),
        ..DotPlot::default()
    }
}

fn heat(rows: usize, columns: usize) -> HeatMap {
    let strip = |n: usize| Strip {
        name: "slice".to_owned(),
        codes: (0..n).map(|k| (k % 3 < 2).then_some((k % 3) as u32)).collect(),
        groups: Groups::named(["first", "second"]),
    };
    HeatMap {
        title: "Agreement".to_owned(),
        values: Array2::from_shape_fn((rows, columns), |(i, j)| noise(i * 13 + j)),
        row_names: names(rows, "row"),
        column_names: names(columns, "column"),
        value_name: "z".to_owned(),
        colormap: ColorMap::BlueRed,
        limits: Limits::Symmetric,
        decimals: Some(1),
        row_tree: Some(Distance::Correlation),
        column_tree: Some(Distance::Euclidean),
        row_strips: vec![strip(rows)],
        column_strips: vec![strip(columns)],
    }
}

fn bars(values: &[f64]) -> Bars {
    let of = |value: &f64| Bar {
        name: format!(
            "a rather long name of a set of genes of some biological process that ends with {value}"
        ),
        value: *value,
        note: "12 of 45".to_owned(),
        shade: *value,
    };
    Bars {
        title: "Enriched".to_owned(),
        value_name: "−log10 adjusted p".to_owned(),
        groups: Groups::named(["first", "second"]),
        bars: vec![values.iter().map(of).collect(), Vec::new()],
        shade_name: None,
        reference: Some((1.3, "p = 0.05".to_owned())),
    }
}

fn curves(values: &[Vec<f64>]) -> Curves {
    let of = |(k, values): (usize, &Vec<f64>)| Curve {
        name: format!("domain {k}"),
        color: None,
        points: values.iter().enumerate().map(|(i, v)| [i as f64, *v]).collect(),
        band: values.iter().enumerate().map(|(i, v)| [i as f64, v - 1.0, v + 1.0]).collect(),
    };
    Curves {
        title: "Co-occurrence".to_owned(),
        x_name: "distance, µm".to_owned(),
        y_name: "ratio".to_owned(),
        curves: values.iter().enumerate().map(of).collect(),
        references: vec![(1.0, "chance".to_owned())],
        log: false,
    }
}

fn scatter(points: &[[f64; 2]], color: Color) -> Scatter {
    Scatter { title: "Embedding".to_owned(), coordinates: xy(points), color, ..Scatter::default() }
}

/// One of each kind, with numbers as they are.
fn all_kinds() -> Vec<Plot> {
    let cloud: Vec<[f64; 2]> = (0..300).map(|k| [noise(k), noise(k + 1000)]).collect();
    let codes: Vec<Option<u32>> = (0..300).map(|k| Some(k % 3)).collect();
    vec![
        Plot::Volcano(volcano(5, 400)),
        Plot::Violins(violins(4, vec![(0..200).map(noise).collect(); 3])),
        Plot::Violins(Violins {
            kind: ViolinKind::Boxes,
            ..violins(4, vec![(0..200).map(|k| noise(k).powi(5)).collect()])
        }),
        Plot::DotPlot(dots(5, 9)),
        Plot::DotPlot(DotPlot { scaled: true, brackets: Vec::new(), ..dots(3, 4) }),
        Plot::HeatMap(heat(6, 8)),
        Plot::Bars(bars(&[9.0, 4.0, 1.0])),
        Plot::Bars(Bars { shade_name: Some("fold".to_owned()), ..bars(&[9.0, -4.0, 0.0]) }),
        Plot::StackedBars(StackedBars {
            title: "Composition".to_owned(),
            wholes: Groups::named(["a", "b"]),
            categories: Groups::named(["x", "y", "z"]),
            amounts: array![[1.0, 2.0, 1.0], [0.0, 5.0, 5.0]],
            with_sums: true,
        }),
        Plot::Curves(curves(&[(1..40).map(|i| 9.0 / f64::from(i)).collect(), vec![1.0; 40]])),
        Plot::Curves(Curves { log: true, ..curves(&[(1..40).map(|i| 9e4 / f64::from(i)).collect()]) }),
        Plot::Scatter(scatter(&cloud, categories(&codes, &["a", "b", "c"]))),
        Plot::Scatter(Scatter {
            with_numbers: true,
            ..scatter(&cloud, numbers((0..300).map(f64::from).collect()))
        }),
    ]
}

#[test]
fn every_kind_is_drawn_within_its_page() {
    for plot in all_kinds() {
        let (picture, _) = drawn_plot(&plot);
        assert!(picture.rgb.iter().any(|v| *v < 200), "{plot:?}");
    }
}

#[test]
fn any_size_of_letters_and_page_has_a_layout() {
    for plot in all_kinds() {
        for em in [0.3, 3.0, 60.0] {
            for most in [0.0, 100.0, 1e9] {
                let [width, height] = plot.size(em, most).expect("laid out");
                assert!(width > 0.0 && height > 0.0);
            }
        }
        for (em, most) in [(f64::NAN, MOST), (0.0, MOST), (f64::INFINITY, MOST)] {
            assert_eq!(flaw(&plot.size(em, most).expect_err("refused")), None);
        }
        drop(plot.size(EM, f64::NAN));
    }
}

#[test]
fn plots_stand_side_by_side_and_below_each_other() {
    let bar = Plot::Bars(bars(&[1.0, 2.0]));
    let height = |n: usize| {
        let svg = render_sheet_svg(&page(vec![bar.clone(); n]), &AT_96).expect("SVG");
        well_formed(&svg);
        svg.split("height=\"").nth(1).and_then(|h| h.split('"').next()).and_then(|h| h.parse::<f64>().ok())
    };
    let [width, own] = bar.size(EM, MOST).expect("laid out");
    assert!(width > MOST / 2.0 - 40.0 && width < MOST, "{width}");
    let (alone, both) = (height(1).expect("a number"), height(2).expect("a number"));
    assert!(both - alone > own && both - alone < own + 4.0 * EM, "{alone} {both} {own}");
    // Beside maps, histograms and words, in their order.
    let panel = Panel { title: "the map".to_owned(), coordinates: grid(3), ..Panel::default() };
    let parts = vec![
        Part::Plots(all_kinds()),
        Part::Caption("the words".to_owned()),
        Part::Maps(Box::new(one(panel))),
        Part::Histograms(vec![Histogram { title: "the histogram".to_owned(), ..Histogram::default() }]),
    ];
    let sheet = Sheet { title: "All".to_owned(), parts, ..Sheet::default() };
    let svg = render_sheet_svg(&sheet, &AT_96).expect("SVG");
    well_formed(&svg);
    let at = |text: &str| svg.find(&format!(">{text}<")).unwrap_or_else(|| panic!("{text} is not drawn"));
    assert!([at("Markers"), at("the words"), at("the map"), at("the histogram")].is_sorted());
    decode(&render_sheet_png(&sheet, &AT_96).expect("PNG"));
    // No plot, and a page that says nothing but its title.
    well_formed(&render_sheet_svg(&page(Vec::new()), &AT_96).expect("SVG"));
}

#[test]
fn nothing_is_no_obstacle() {
    let empty = [
        Plot::Volcano(Volcano::default()),
        Plot::Volcano(volcano(1, 0)),
        Plot::Violins(Violins::default()),
        Plot::Violins(violins(0, vec![vec![]])),
        Plot::Violins(violins(3, vec![vec![]])),
        Plot::DotPlot(DotPlot::default()),
        Plot::DotPlot(dots(0, 3)),
        Plot::DotPlot(dots(3, 0)),
        Plot::HeatMap(HeatMap::default()),
        Plot::HeatMap(heat(0, 3)),
        Plot::HeatMap(heat(3, 0)),
        Plot::Bars(Bars::default()),
        Plot::Bars(bars(&[])),
        Plot::StackedBars(StackedBars::default()),
        Plot::Curves(Curves::default()),
        Plot::Curves(curves(&[vec![], vec![f64::NAN]])),
        Plot::Scatter(Scatter::default()),
    ];
    for plot in empty {
        let (_, svg) = drawn_plot(&plot);
        assert!(svg.contains("no values") || matches!(plot, Plot::Violins(_)), "{plot:?}");
    }
}

#[test]
fn single_and_wild_numbers_are_drawn() {
    let wild =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e-300, -0.0, 0.0, 1.0, 5e-324];
    let pick = |k: usize| wild[(k * 7 + k / 3) % wild.len()];
    let table = |rows, columns| Array2::from_shape_fn((rows, columns), |(i, j)| pick(i * columns + j));
    let list = |n: usize| (0..n).map(pick).collect::<Vec<_>>();
    let mut plots = vec![
        Plot::Volcano(volcano(1, 1)),
        Plot::DotPlot(dots(1, 1)),
        Plot::HeatMap(heat(1, 1)),
        Plot::HeatMap(heat(1, 5)),
        Plot::Violins(violins(1, vec![vec![3.0]])),
        Plot::Violins(violins(2, vec![vec![0.0; 30], vec![7.0; 30]])),
        Plot::Bars(bars(&[0.0])),
        Plot::Curves(curves(&[vec![1.0]])),
        Plot::Curves(curves(&[vec![0.0], vec![f64::INFINITY, 2.0, f64::NAN, 3.0]])),
        Plot::Scatter(scatter(&[[3.0, 4.0]], categories(&[Some(0)], &["a"]))),
        Plot::Scatter(scatter(&[[0.0, 0.0]; 9], categories(&[None; 9], &[]))),
        Plot::StackedBars(StackedBars {
            wholes: Groups::named(["a", "b"]),
            categories: Groups::named(["x", "y"]),
            amounts: array![[f64::NAN, -3.0], [f64::INFINITY, 2.0]],
            ..StackedBars::default()
        }),
    ];
    for kind in [ViolinKind::Violins, ViolinKind::Boxes] {
        plots.push(Plot::Violins(Violins { kind, ..violins(3, vec![list(100), list(100)]) }));
    }
    for limits in [Limits::Range, Limits::Symmetric, Limits::Given(0.0, 0.0)] {
        for tree in [Distance::Correlation, Distance::Euclidean] {
            let (row_tree, column_tree) = (Some(tree), Some(tree));
            plots.push(Plot::HeatMap(HeatMap {
                values: table(5, 4),
                limits,
                row_tree,
                column_tree,
                ..heat(5, 4)
            }));
        }
    }
    for scaled in [false, true] {
        let (fractions, means) = (table(4, 6), table(4, 6));
        plots.push(Plot::DotPlot(DotPlot { fractions, means, scaled, ..dots(4, 6) }));
    }
    for shade_name in [None, Some("fold".to_owned())] {
        plots.push(Plot::Bars(Bars { shade_name, ..bars(&wild) }));
    }
    for min_fold in [0.0, f64::NAN, f64::INFINITY] {
        let mut plot = volcano(2, 50);
        for (g, panel) in plot.panels.iter_mut().enumerate() {
            panel.log2_fold = (0..50).map(|k| pick(k + g)).collect();
            panel.ln_p = (0..50).map(|k| -pick(3 * k + g).abs()).collect();
            panel.max_p = [None, Some(0.0)][g];
        }
        plots.push(Plot::Volcano(Volcano { min_fold, max_p: 1.0, n_named: 99, ..plot }));
    }
    let points: Vec<[f64; 2]> = (0..60).map(|k| [pick(k), pick(k + 4)]).collect();
    plots.push(Plot::Scatter(Scatter { with_numbers: true, ..scatter(&points, numbers(list(60))) }));
    let mut references = curves(&[list(60), (0..60).map(noise).collect()]);
    references.references = wild.iter().map(|v| (*v, "a line".to_owned())).collect();
    plots.push(Plot::Curves(Curves { log: true, ..references.clone() }));
    plots.push(Plot::Curves(references));
    for plot in &plots {
        drawn_plot(plot);
    }
}

#[test]
fn names_from_files_are_inert_and_shortened() {
    let long = format!("{HOSTILE}{}", "very long ".repeat(20_000));
    let two = || Groups::named([HOSTILE.to_owned(), long.clone()]);
    let codes = [Some(0), Some(1), None];
    let mut map = heat(2, 2);
    (map.row_names, map.column_names) = (two().names, two().names);
    (map.title, map.value_name) = (long.clone(), HOSTILE.to_owned());
    map.row_strips[0].groups = two();
    map.row_strips[0].name.clone_from(&long);
    let mut plot = volcano(2, 2);
    (plot.features, plot.groups, plot.title) = (two().names, two(), long.clone());
    plot.p_name.clone_from(&long);
    let mut violin = violins(2, vec![vec![1.0, 2.0, 3.0, 4.0]; 2]);
    (violin.groups, violin.title, violin.value_name) = (two(), HOSTILE.to_owned(), long.clone());
    violin.rows[0].name.clone_from(&long);
    let mut bar = bars(&[2.0, 1.0]);
    (bar.groups, bar.shade_name, bar.value_name) = (two(), Some(long.clone()), long.clone());
    bar.bars[0][0].name.clone_from(&long);
    bar.bars[0][1].note.clone_from(&long);
    bar.reference = Some((1.0, long.clone()));
    let mut curve = curves(&[vec![1.0, 2.0], vec![2.0, 1.0]]);
    (curve.x_name, curve.y_name) = (long.clone(), HOSTILE.to_owned());
    curve.curves[0].name.clone_from(&long);
    curve.references[0].1.clone_from(&long);
    let color = Color::Categorical { codes: codes.to_vec(), names: two().names, palette: None };
    let points = [[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]];
    let plots = [
        Plot::HeatMap(map),
        Plot::Volcano(plot),
        Plot::Violins(violin),
        Plot::DotPlot(DotPlot {
            groups: two(),
            features: two().names,
            value_name: long.clone(),
            brackets: vec![Bracket { group: 1, from: 0, to: 2 }],
            ..dots(2, 2)
        }),
        Plot::Bars(bar),
        Plot::StackedBars(StackedBars {
            wholes: two(),
            categories: two(),
            amounts: array![[1.0, 1.0], [1.0, 1.0]],
            ..StackedBars::default()
        }),
        Plot::Curves(curve),
        Plot::Scatter(Scatter { axis_names: [long.clone(), long.clone()], ..scatter(&points, color) }),
    ];
    for plot in &plots {
        let (_, svg) = drawn_plot(plot);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "inert");
        let [width, height] = plot.size(EM, MOST).expect("laid out");
        assert!(width < 1200.0 && height < 1200.0, "{width} × {height}");
    }
}

#[test]
fn lists_that_do_not_belong_together_are_refused_with_one_hint() {
    let short = |plot: Plot| plot.size(EM, MOST).expect_err("refused");
    let errors = [
        short(Plot::Volcano(Volcano { features: names(3, "gene"), ..volcano(2, 4) })),
        short(Plot::Volcano(Volcano { groups: Groups::default(), ..volcano(2, 4) })),
        short(Plot::Violins(Violins { group_of: Arc::new(vec![Some(0)]), ..violins(2, vec![vec![1.0; 4]]) })),
        short(Plot::Violins(Violins {
            group_of: Arc::new(vec![Some(2); 4]),
            ..violins(2, vec![vec![1.0; 4]])
        })),
        short(Plot::DotPlot(DotPlot { means: Array2::zeros((4, 2)), ..dots(2, 4) })),
        short(Plot::DotPlot(DotPlot { brackets: vec![Bracket { group: 0, from: 3, to: 5 }], ..dots(2, 4) })),
        short(Plot::DotPlot(DotPlot { brackets: vec![Bracket { group: 9, from: 0, to: 1 }], ..dots(2, 4) })),
        short(Plot::HeatMap(HeatMap { row_names: names(1, "row"), ..heat(2, 2) })),
        short(Plot::HeatMap(HeatMap { row_strips: vec![Strip::default()], ..heat(2, 2) })),
        short(Plot::HeatMap(HeatMap { limits: Limits::Given(1.0, f64::NAN), ..heat(2, 2) })),
        short(Plot::Bars(Bars { groups: Groups::default(), ..bars(&[1.0]) })),
        short(Plot::StackedBars(StackedBars { wholes: Groups::named(["a"]), ..StackedBars::default() }))
            .clone(),
        short(Plot::Scatter(scatter(&[[0.0, 0.0]], numbers(vec![1.0; 2])))),
        short(Plot::Scatter(Scatter { plot_size: f64::NAN, ..scatter(&[[0.0, 0.0]], Color::None) })),
        short(Plot::Scatter(scatter(&[[f64::NAN, 0.0]], Color::None))),
    ];
    for e in errors {
        assert_eq!(flaw(&e), None, "{e}");
    }
    let sheet = Sheet { font_size: f64::NAN, ..page(all_kinds()) };
    assert_eq!(flaw(&render_sheet_svg(&sheet, &AT_96).expect_err("refused")), None);
}

#[test]
fn what_counts_is_coloured_and_named_in_a_volcano() {
    let ln = |p: f64| p.ln();
    let plot = Volcano {
        features: ["up", "down", "small", "unsure", "certain"].map(str::to_owned).to_vec(),
        groups: Groups { names: vec!["L1".to_owned()], colors: vec![Rgb(1, 2, 3)] },
        panels: vec![VolcanoPanel {
            log2_fold: vec![2.0, -2.0, 0.1, 3.0, 1.0],
            // The last one's p is below the smallest number.
            ln_p: vec![ln(1e-9), ln(1e-12), ln(1e-20), ln(0.5), -2000.0],
            max_p: None,
        }],
        ..Volcano::default()
    };
    let (_, svg) = drawn_plot(&Plot::Volcano(plot));
    for named in [">up<", ">down<", ">certain<", ">2 up, 1 down<", "#010203", ">800<"] {
        assert!(svg.contains(named), "{named}");
    }
    assert!(!svg.contains(">small<") && !svg.contains(">unsure<"));
    let circles = |hex: &str| {
        svg.lines()
            .filter(|l| l.contains(&format!("fill=\"{hex}\" d=")))
            .map(|l| l.matches('M').count())
            .sum()
    };
    let counted: [usize; 3] = ["#d55e00", "#0072b2", "#c4c8cc"].map(circles);
    assert_eq!(counted, [2, 1, 2]);
}

#[test]
fn the_area_of_a_dot_is_the_share() {
    let plot = DotPlot {
        groups: Groups::named(["a", "b", "c"]),
        features: vec!["gene".to_owned()],
        fractions: array![[1.0], [0.25], [0.0]],
        means: array![[2.0], [1.0], [0.0]],
        ..DotPlot::default()
    };
    let high = ColorMap::Reds.at(1.0);
    let radius = |fill: Rgb| {
        block(&Plot::DotPlot(plot.clone())).marks.iter().find_map(|mark| match mark {
            Mark::Rect { fill: Some(own), radius, .. } if *own == fill => Some(*radius),
            _ => None,
        })
    };
    let (full, quarter) = (radius(high).expect("drawn"), radius(ColorMap::Reds.at(0.5)).expect("drawn"));
    assert!((full / quarter - 2.0).abs() < 1e-9, "{full} {quarter}");
    assert_eq!(radius(ColorMap::Reds.at(0.0)), None, "nothing expressed, no dot");
}

#[test]
fn a_heat_map_follows_its_trees() {
    let values = array![[1.0, 9.0], [9.0, 1.0], [1.1, 9.0]];
    let map = HeatMap {
        values,
        row_names: ["first", "second", "third"].map(str::to_owned).to_vec(),
        row_tree: Some(Distance::Euclidean),
        decimals: Some(1),
        ..HeatMap::default()
    };
    let (_, svg) = drawn_plot(&Plot::HeatMap(map.clone()));
    let at = |text: &str| svg.find(&format!(">{text}<")).expect("drawn");
    assert!(at("first") < at("third") && at("third") < at("second"));
    assert!(at("1.0") < at("1.1") && svg.contains("crispEdges"));
    // Very many cells are an image, and say which names are written.
    let many = HeatMap { values: Array2::zeros((2000, 3)), row_names: names(2000, "row"), ..map };
    let (_, svg) = drawn_plot(&Plot::HeatMap(many));
    assert!(svg.contains("<image ") && svg.contains(">Named: every 35th of 2000 rows.<"));
    assert!(svg.contains(">row 35<") && !svg.contains(">row 36<"));
}

#[test]
fn shares_fill_their_bar() {
    let plot = StackedBars {
        wholes: Groups::named(["a", "none"]),
        categories: Groups::named(["x", "y"]),
        amounts: array![[30.0, 10.0], [0.0, 0.0]],
        with_sums: true,
        ..StackedBars::default()
    };
    let marks = block(&Plot::StackedBars(plot.clone())).marks;
    let widths: Vec<f64> = marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Rect { w, .. } if *w > 20.0 => Some(*w),
            _ => None,
        })
        .collect();
    assert_eq!(widths, [225.0, 75.0]);
    let (_, svg) = drawn_plot(&Plot::StackedBars(plot));
    assert!(svg.contains(">40<") && svg.contains(">none<") && svg.contains(">x<"));
}

#[test]
fn long_names_of_bars_keep_both_ends_and_all_in_the_tooltip() {
    let (_, svg) = drawn_plot(&Plot::Bars(bars(&[9.5])));
    let full = "a rather long name of a set of genes of some biological process that ends with 9.5";
    assert!(svg.contains(&format!("<title>{full}</title>")));
    let shown = svg.lines().find(|l| l.contains(full)).expect("drawn");
    assert!(shown.contains(">a rather long") && shown.contains('…') && shown.contains("with 9.5<title>"));
    // A hundred thousand are not all drawn.
    let (_, svg) = drawn_plot(&Plot::Bars(bars(&(0..1000).map(f64::from).collect::<Vec<_>>())));
    assert!(svg.contains(">700 more are not shown.<"));
}

#[test]
fn very_many_points_of_an_embedding_are_an_image() {
    let cloud: Vec<[f64; 2]> = (0..500).map(|k| [noise(k), noise(k + 1000)]).collect();
    let codes: Vec<Option<u32>> = (0..500).map(|k| Some(k % 2)).collect();
    let plot = Plot::Scatter(scatter(&cloud, categories(&codes, &["a", "b"])));
    let few = RenderOptions { max_vector_spots: 499, ..AT_96 };
    let svg = render_sheet_svg(&page(vec![plot.clone()]), &few).expect("SVG");
    well_formed(&svg);
    assert!(svg.contains("<image ") && svg.contains(">a<") && svg.contains(">b<"));
    let (picture, svg) = drawn_plot(&plot);
    assert!(!svg.contains("<image "));
    assert!(picture.contains(palette(2)[0]) && picture.contains(palette(2)[1]));
}

#[test]
fn many_groups_and_features_stay_readable() {
    let many: Vec<f64> = (0..600).map(noise).collect();
    for plot in [
        Plot::Violins(violins(200, vec![many; 2])),
        Plot::DotPlot(dots(90, 150)),
        Plot::HeatMap(HeatMap { decimals: None, ..heat(400, 700) }),
        Plot::Volcano(volcano(25, 30)),
        Plot::Curves(curves(&vec![vec![1.0, 2.0, 3.0]; 100])),
        Plot::StackedBars(StackedBars {
            wholes: Groups::named(names(300, "whole")),
            categories: Groups::named(names(100, "type")),
            amounts: Array2::from_shape_fn((300, 100), |(i, j)| noise(i + j).abs()),
            ..StackedBars::default()
        }),
    ] {
        drawn_plot(&plot);
        let [width, height] = plot.size(EM, MOST).expect("laid out");
        assert!(width < 3000.0 && height < 5000.0, "{width} × {height}");
    }
}

fn locus() -> Arcs {
    let gene = |name: &str, start: u64, end: u64, reverse| {
        let tss = if reverse == Some(true) { end } else { start };
        ArcGene { name: name.to_owned(), start, end, tss, reverse }
    };
    let arc = |peak, gene, strengths: [f64; 3], marked: &[u32]| LinkArc {
        peak,
        gene,
        strengths: strengths.to_vec(),
        marked: marked.to_vec(),
    };
    Arcs {
        title: "Links of Pcp4".to_owned(),
        chromosome: "chr16".to_owned(),
        region: None,
        groups: Groups::named(["L2/3", "L4", "white matter"]),
        genes: vec![
            gene("Pcp4", 96_467_600, 96_525_800, Some(false)),
            gene("Dscam", 96_500_000, 96_680_000, Some(true)),
            gene("unknown", 96_300_000, 96_301_000, None),
        ],
        peaks: (0..12).map(|k| [96_250_000 + k * 37_000, 96_250_700 + k * 37_000]).collect(),
        arcs: vec![
            arc(0, 0, [1.0, 0.2, 0.0], &[0]),
            arc(3, 0, [0.4, 0.6, 0.1], &[]),
            arc(9, 0, [0.05, f64::NAN, 0.5], &[]),
            arc(11, 1, [0.3, 0.8, 0.1], &[1]),
            arc(2, 2, [0.2, 0.2, 0.2], &[]),
        ],
        value_name: "link strength, scaled by gene".to_owned(),
    }
}

#[test]
fn arcs_are_as_high_as_links_are_strong() {
    let plot = locus();
    let (_, svg) = drawn_plot(&Plot::Arcs(plot.clone()));
    for text in ["L2/3", "Pcp4", "Dscam", "peaks", "chr16 (kb)"] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
    let heights = |plot: &Arcs| -> Vec<f64> {
        let marks = block(&Plot::Arcs(plot.clone())).marks;
        let paths = marks.iter().filter_map(|mark| match mark {
            Mark::Path { points, .. } => Some(points.clone()),
            _ => None,
        });
        paths.map(|p| p[0][1] - p.iter().map(|at| at[1]).fold(f64::INFINITY, f64::min)).collect()
    };
    let found = heights(&plot);
    // 5 links in 3 domains, less one that is 0 and one that is no number.
    assert_eq!(found.len(), 13);
    let highest = found.iter().copied().fold(0.0, f64::max);
    // The strongest of the first row, which is marked, is drawn last there.
    assert!((found[4] - highest).abs() < 1e-9 && (found[3] / highest - 0.4).abs() < 1e-6, "{found:?}");
    // What lies outside the region is not drawn.
    let narrow = Arcs { region: Some([96_400_000, 96_600_000]), ..plot.clone() };
    drawn_plot(&Plot::Arcs(narrow.clone()));
    assert!(heights(&narrow).len() < 13);
    // A link of a peak, a gene or domains that are not there is refused.
    for broken in [
        LinkArc { peak: 12, gene: 0, strengths: vec![1.0; 3], marked: Vec::new() },
        LinkArc { peak: 0, gene: 3, strengths: vec![1.0; 3], marked: Vec::new() },
        LinkArc { peak: 0, gene: 0, strengths: vec![1.0; 2], marked: Vec::new() },
    ] {
        let plot = Arcs { arcs: vec![broken], ..plot.clone() };
        assert!(Plot::Arcs(plot).size(EM, MOST).is_err());
    }
}

#[test]
fn arcs_bear_anything() {
    drawn_plot(&Plot::Arcs(Arcs::default()));
    let bare = Arcs { groups: Groups::named(["a"]), peaks: vec![[5, 6]], ..Arcs::default() };
    drawn_plot(&Plot::Arcs(bare));
    let mut plot = locus();
    plot.genes.extend((0..200).map(|k| ArcGene {
        name: format!("{HOSTILE} {k}"),
        start: 96_300_000 + k * 500,
        end: 96_300_001 + k * 500,
        tss: 96_300_000 + k * 500,
        reverse: Some(k % 2 == 0),
    }));
    plot.arcs.push(LinkArc {
        peak: 1,
        gene: 50,
        strengths: vec![f64::INFINITY, -1.0, 1e300],
        marked: vec![9],
    });
    plot.title = HOSTILE.to_owned();
    plot.chromosome = HOSTILE.to_owned();
    drawn_plot(&Plot::Arcs(plot.clone()));
    plot.region = Some([96_400_000, 96_400_000]);
    drawn_plot(&Plot::Arcs(plot.clone()));
    plot.region = Some([u64::MAX, 0]);
    drawn_plot(&Plot::Arcs(plot));
}
