use brodmann_kernels::proofread::flaw;
use std::sync::Arc;

use ndarray::Array2;

use super::*;

mod plots;

struct Decoded {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Decoded {
    fn at(&self, x: f64, y: f64) -> Rgb {
        let k = (y as usize * self.width + x as usize) * 3;
        Rgb(self.rgb[k], self.rgb[k + 1], self.rgb[k + 2])
    }

    fn contains(&self, color: Rgb) -> bool {
        self.rgb.chunks_exact(3).any(|p| p == [color.0, color.1, color.2])
    }
}

fn decode(bytes: &[u8]) -> Decoded {
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("PNG");
    let mut rgb = vec![0; reader.output_buffer_size().expect("size")];
    let info = reader.next_frame(&mut rgb).expect("frame");
    assert_eq!((info.color_type, info.bit_depth), (::png::ColorType::Rgb, ::png::BitDepth::Eight));
    Decoded { width: info.width as usize, height: info.height as usize, rgb }
}

#[test]
fn a_boundary_is_drawn_instead_of_the_shape() {
    // Two cells: an upright bar, and one without a boundary.
    let bar = [[9.0, 0.0], [11.0, 0.0], [11.0, 40.0], [9.0, 40.0]];
    let panel = Panel {
        coordinates: xy(&[[10.0, 20.0], [30.0, 20.0]]),
        spot: SpotShape::Circle { diameter: 4.0 },
        boundaries: Some(Arc::new(Boundaries::new([&bar[..], &[]]))),
        color: categories(&[Some(0), Some(1)], &["a", "b"]),
        ..Panel::default()
    };
    let figure = Figure { panels: vec![panel], ..Figure::default() };
    let svg = render_svg(&figure, &RenderOptions::default()).expect("draws");
    let paths: Vec<&str> = svg.lines().filter(|line| line.starts_with("<path fill")).collect();
    assert_eq!(paths.len(), 2, "{svg}");
    let arcs = |path: &str| path.split(" d=").nth(1).is_some_and(|d| d.contains('a'));
    assert_eq!((paths[0].matches('L').count(), arcs(paths[0]), arcs(paths[1])), (3, false, true));
    // The bar is as tall as the plot: its whole height is coloured in pixels as well.
    let many = RenderOptions { dpi: 96.0, max_vector_spots: 0 };
    let picture = decode(&render_png(&figure, &many).expect("draws"));
    let color = palette(2)[0];
    let rows =
        (0..picture.height).filter(|y| (0..picture.width).any(|x| picture.at(x as f64, *y as f64) == color));
    assert!(rows.count() > 300);

    let short = Panel { boundaries: Some(Arc::new(Boundaries::new([&bar[..]]))), ..figure.panels[0].clone() };
    let e = render_svg(&Figure { panels: vec![short], ..Figure::default() }, &RenderOptions::default());
    assert_eq!(flaw(&e.expect_err("one line for two spots")), None);
}

fn xy(points: &[[f64; 2]]) -> Arc<Array2<f64>> {
    let flat = points.iter().flatten().copied().collect();
    Arc::new(Array2::from_shape_vec((points.len(), 2), flat).expect("shape"))
}

fn grid(side: usize) -> Arc<Array2<f64>> {
    xy(&(0..side * side).map(|i| [(i % side) as f64, (i / side) as f64]).collect::<Vec<_>>())
}

fn honeycomb(side: usize) -> Vec<[f64; 2]> {
    let row = 0.75f64.sqrt();
    (0..side * side)
        .map(|i| (i / side, i % side))
        .map(|(r, c)| [c as f64 + 0.5 * (r % 2) as f64, r as f64 * row])
        .collect()
}

fn turned(points: &[[f64; 2]], angle: f64) -> Vec<[f64; 2]> {
    let (s, c) = angle.sin_cos();
    points.iter().map(|p| [c * p[0] - s * p[1], s * p[0] + c * p[1]]).collect()
}

fn categories(codes: &[Option<u32>], names: &[&str]) -> Color {
    let names = names.iter().map(|&n| n.to_owned()).collect();
    Color::Categorical { codes: codes.to_vec(), names, palette: None }
}

fn numbers(values: Vec<f64>) -> Color {
    Color::Continuous {
        values,
        name: "score".into(),
        limits: None,
        colormap: ColorMap::Viridis,
        note: String::new(),
    }
}

fn one(panel: Panel) -> Figure {
    Figure { panels: vec![panel], ..Default::default() }
}

const AT_96: RenderOptions = RenderOptions { dpi: 96.0, max_vector_spots: 50_000 };

fn drawn(figure: &Figure) -> Decoded {
    decode(&render_png(figure, &AT_96).expect("drawn"))
}

/// Both backends draw it.
fn both(figure: &Figure) -> (Decoded, String) {
    let svg = render_svg(figure, &AT_96).expect("SVG");
    well_formed(&svg);
    (drawn(figure), svg)
}

/// Tags nest, and text holds neither a bare `<` nor a bare `&`.
fn well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg.trim_end();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "bare > in {}", &rest[..start]);
        for entity in rest[..start].split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| entity.starts_with(e)),
                "{entity}"
            );
        }
        let end = start + rest[start..].find('>').expect("closed tag");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("name"));
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.is_empty(), "left open: {open:?}, left over: {rest:?}");
}

#[test]
fn squares_have_their_category_at_every_centre_and_touch() {
    let codes = [Some(0), Some(1), None, Some(2)];
    let panel =
        Panel { coordinates: grid(2), color: categories(&codes, &["a", "b", "c"]), ..Default::default() };
    let picture = drawn(&one(panel));
    let colors = palette(3);
    // No title: the plot of 340 pixels starts at the margin of one em.
    let at = |u: f64, v: f64| picture.at(12.0 + 340.0 * u, 12.0 + 340.0 * v);
    for (u, v, color) in
        [(0.25, 0.25, colors[0]), (0.75, 0.25, colors[1]), (0.25, 0.75, MISSING), (0.75, 0.75, colors[2])]
    {
        assert_eq!(at(u, v), color);
        // Nearly to the middle, where four tiles meet without a seam.
        assert_eq!(at(0.5 + (u - 0.5) * 0.02, 0.5 + (v - 0.5) * 0.02), color);
    }
    assert_eq!(picture.at(5.0, 5.0), Rgb(255, 255, 255));
}

#[test]
fn y_points_down_as_in_images_or_up_when_asked() {
    let color = categories(&[Some(0), Some(1)], &["first", "second"]);
    let panel = Panel { coordinates: xy(&[[0.0, 0.0], [0.0, 1.0]]), color, ..Default::default() };
    let top = |y_down| drawn(&one(Panel { y_down, ..panel.clone() })).at(12.0 + 85.0, 12.0 + 85.0);
    assert_eq!((top(true), top(false)), (palette(2)[0], palette(2)[1]));
}

#[test]
fn the_size_follows_the_dpi_which_the_file_records() {
    let figure = one(Panel { coordinates: grid(3), ..Default::default() });
    let small = drawn(&figure);
    let bytes = render_png(&figure, &RenderOptions { dpi: 192.0, ..AT_96 }).expect("drawn");
    let large = decode(&bytes);
    assert_eq!((small.width, small.height), (364, 364));
    assert_eq!((large.width, large.height), (728, 728));
    let reader = ::png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().expect("PNG");
    assert_eq!(reader.info().pixel_dims.expect("pHYs").xppu, 7559);
    let wide = drawn(&Figure { width: Some(900.0), ..figure });
    assert!((899..=901).contains(&wide.width), "{}", wide.width);
}

#[test]
fn shapes_are_recognised_in_any_direction() {
    let square: Vec<[f64; 2]> = grid(9).rows().into_iter().map(|r| [r[0] * 3.0, r[1] * 3.0]).collect();
    for angle in [0.0, 0.3, -0.2] {
        match detect_shape(xy(&turned(&honeycomb(9), angle)).view()) {
            SpotShape::Hexagon { pitch, angle: found } => {
                assert!((pitch - 1.0).abs() < 1e-9 && (found - angle).abs() < 1e-9, "{pitch} {found}");
            }
            other => panic!("{other:?}"),
        }
        match detect_shape(xy(&turned(&square, angle)).view()) {
            SpotShape::Square { side, angle: found } => {
                assert!((side - 3.0).abs() < 1e-9 && (found - angle).abs() < 1e-9, "{side} {found}");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut rng = brodmann_kernels::Seed(3).stream("cells", 0);
    let mut uniform = || crate::simulate::sampler::uniform(&mut rng);
    let cells: Vec<[f64; 2]> = (0..500).map(|_| [uniform(), uniform()]).collect();
    let Some(expected) = median_neighbor_distance(xy(&cells).view()) else { panic!("no distance") };
    assert_eq!(detect_shape(xy(&cells).view()), SpotShape::Circle { diameter: expected });
    // By hand: the median over all pairs.
    let mut brute: Vec<f64> = (0..500)
        .map(|i| {
            let away = |j: usize| (cells[i][0] - cells[j][0]).hypot(cells[i][1] - cells[j][1]);
            (0..500).filter(|&j| j != i).map(away).fold(f64::INFINITY, f64::min)
        })
        .collect();
    brute.sort_by(f64::total_cmp);
    assert_eq!(expected, brute[250]);
}

#[test]
fn too_few_or_repeated_places_are_circles_or_squares_of_some_size() {
    let one_place = SpotShape::Circle { diameter: 1.0 };
    assert_eq!(detect_shape(xy(&[]).view()), one_place);
    assert_eq!(detect_shape(xy(&[[3.0, 4.0]; 5]).view()), one_place);
    assert_eq!(detect_shape(xy(&[[f64::NAN, 1.0], [2.0, 2.0]]).view()), one_place);
    assert_eq!(detect_shape(Array2::zeros((4, 1)).view()), one_place);
    assert_eq!(
        detect_shape(xy(&[[0.0, 0.0], [0.0, 0.0], [2.0, 0.0]]).view()),
        SpotShape::Square { side: 2.0, angle: 0.0 }
    );
}

#[test]
fn hexagons_and_circles_leave_their_corners_free() {
    let color = categories(&[Some(0)], &["a"]);
    let panel = Panel { coordinates: xy(&[[0.0, 0.0]]), color, ..Default::default() };
    let ink = palette(1)[0];
    for (spot, height) in
        [(SpotShape::Hexagon { pitch: 2.0, angle: 0.0 }, 340.0), (SpotShape::Circle { diameter: 2.0 }, 340.0)]
    {
        let picture = drawn(&one(Panel { spot, ..panel.clone() }));
        assert_eq!(picture.height, height as usize + 24);
        let left = if matches!(spot, SpotShape::Hexagon { .. }) { 340.0 * 0.75f64.sqrt() } else { 340.0 };
        assert_eq!(picture.at(12.0 + left / 2.0, 12.0 + 170.0), ink);
        assert_eq!(picture.at(14.0, 14.0), Rgb(255, 255, 255));
        // A hexagon with a neighbour along x has a corner on top, an edge to the left.
        assert_eq!(picture.at(12.0 + left / 2.0, 16.0), ink);
        assert_eq!(picture.at(15.0, 12.0 + 170.0), ink);
    }
}

#[test]
fn the_legend_lists_every_category_in_order_and_escapes_names() {
    let names = ["b & <b>\"q\"</b>", "a", "never seen", "Zo\u{1}é 'x'"];
    let codes = [Some(1), Some(0), Some(3), None];
    let panel = Panel {
        title: "<title> & \"more\"".into(),
        coordinates: grid(2),
        color: categories(&codes, &names),
        counts: true,
        ..Default::default()
    };
    let (_, svg) = both(&Figure { title: "A & B".into(), ..one(panel) });
    let at = |text: &str| svg.find(&format!(">{text}")).unwrap_or_else(|| panic!("{text} is not in {svg}"));
    let order = [
        at("b &amp; &lt;b&gt;&quot;q&quot;&lt;/b&gt;<"),
        at("a<"),
        at("never seen<"),
        at("Zo\u{FFFD}é &#39;x&#39;<"),
        at("missing<"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    at("&lt;title&gt; &amp; &quot;more&quot;<");
    for color in palette(4) {
        assert!(svg.contains(&color.to_hex()));
    }
}

#[test]
fn long_names_are_shortened_and_kept_in_full_as_a_tooltip() {
    let long = "an exceedingly long name of a domain that nobody would ever print in full";
    let panel = Panel { coordinates: grid(1), color: categories(&[Some(0)], &[long]), ..Default::default() };
    let (picture, svg) = both(&one(panel));
    assert!(svg.contains(&format!("<title>{long}</title>")) && svg.contains('…'));
    assert!(picture.width < 640, "{}", picture.width);
}

#[test]
fn two_hundred_categories_fit_below_each_other() {
    let names: Vec<String> = (0..200).map(|k| format!("c{k}")).collect();
    let codes = (0..400).map(|i| Some(i % 200)).collect();
    let color = Color::Categorical { codes, names, palette: None };
    let (picture, svg) = both(&one(Panel { coordinates: grid(20), color, ..Default::default() }));
    assert!(svg.contains(">c0<") && svg.contains(">c199<"));
    // 67 rows of 17.4 pixels in three columns.
    assert!(picture.height > 67 * 17, "{}", picture.height);
}

#[test]
fn numbers_run_through_the_colour_map_and_missing_ones_are_grey() {
    let values = vec![0.0, 5.0, 10.0, f64::NAN];
    let panel = Panel { coordinates: grid(2), color: numbers(values.clone()), ..Default::default() };
    let (picture, svg) = both(&one(panel.clone()));
    let at = |u: f64, v: f64| picture.at(12.0 + 340.0 * u, 12.0 + 340.0 * v);
    assert_eq!(at(0.25, 0.25), ColorMap::Viridis.at(0.0));
    assert_eq!(at(0.75, 0.25), ColorMap::Viridis.at(128.0 / 255.0));
    assert_eq!(at(0.25, 0.75), ColorMap::Viridis.at(1.0));
    assert_eq!(at(0.75, 0.75), MISSING);
    for text in [">score<", ">0<", ">10<", ">missing<"] {
        assert!(svg.contains(text), "{text}");
    }
    // Given limits clip.
    let color = Color::Continuous {
        values,
        name: String::new(),
        limits: Some((5.0, 6.0)),
        colormap: ColorMap::Greys,
        note: String::new(),
    };
    let picture = drawn(&one(Panel { color, ..panel }));
    assert_eq!(picture.at(12.0 + 85.0, 12.0 + 85.0), ColorMap::Greys.at(0.0));
    assert_eq!(picture.at(12.0 + 85.0, 12.0 + 255.0), ColorMap::Greys.at(1.0));
}

#[test]
fn constant_missing_and_extreme_values_are_drawn() {
    let base = Panel { coordinates: grid(2), ..Default::default() };
    for values in
        [vec![3.0; 4], vec![f64::NAN; 4], vec![f64::MAX, f64::MIN, 0.0, f64::INFINITY], vec![1e-300; 4]]
    {
        both(&one(Panel { color: numbers(values), ..base.clone() }));
    }
    let (picture, _) = both(&one(Panel { color: categories(&[None; 4], &["a"]), ..base.clone() }));
    assert_eq!(picture.at(100.0, 100.0), MISSING);
    both(&one(Panel { color: categories(&[None; 4], &[]), ..base.clone() }));
    both(&one(Panel { color: Color::None, frame: true, um_per_unit: Some(0.3), ..base }));
}

#[test]
fn few_spots_and_flat_tissues_are_drawn() {
    for points in [
        vec![[5.0, 5.0]],
        vec![[0.0, 0.0], [1.0, 0.0]],
        vec![[2.0, 2.0]; 3],
        (0..200).map(|i| [f64::from(i), 0.0]).collect(),
    ] {
        let n = points.len();
        let (picture, _) = both(&one(Panel {
            coordinates: xy(&points),
            color: numbers(vec![1.0; n]),
            ..Default::default()
        }));
        assert!(picture.contains(ColorMap::Viridis.at(128.0 / 255.0)), "{n} spots");
    }
}

#[test]
fn spots_without_a_place_are_left_out_and_counted() {
    let points = [[0.0, 0.0], [f64::NAN, 1.0], [1.0, f64::INFINITY], [1.0, 0.0]];
    let color = categories(&[Some(0), Some(1), Some(1), Some(0)], &["a", "b"]);
    let panel = Panel { coordinates: xy(&points), color, counts: true, ..Default::default() };
    assert_eq!(panel.n_unplaced(), 2);
    let (_, svg) = both(&one(panel));
    assert!(svg.contains(">2</text>") && svg.contains(">0</text>"));
}

#[test]
fn the_image_shows_where_no_spot_is_and_through_transparent_ones() {
    let (width, height) = (40, 40);
    let image = Arc::new(Image { width, height, rgb: [200, 100, 150].repeat(width * height), scale: 10.0 });
    let panel = Panel {
        coordinates: xy(&[[1.0, 1.0], [3.0, 3.0]]),
        spot: SpotShape::Circle { diameter: 1.0 },
        color: categories(&[Some(0), Some(1)], &["a", "b"]),
        image: Some(image),
        opacity: 0.5,
        ..Default::default()
    };
    let (picture, svg) = both(&one(panel.clone()));
    let stain = Rgb(200, 100, 150);
    assert_eq!(picture.at(12.0 + 170.0, 12.0 + 170.0), stain);
    let centre = 12.0 + 340.0 * (0.5 + 0.06) / (3.0 + 0.12);
    let expected = stain.mix(palette(1)[0], 0.5);
    let found = picture.at(centre, centre);
    assert!(found.0.abs_diff(expected.0) <= 1 && found.2.abs_diff(expected.2) <= 1, "{found:?} {expected:?}");
    assert!(svg.contains("data:image/png;base64,") && svg.contains("opacity=\"0.5\""));
    // The image alone.
    let alone = drawn(&one(Panel { color: Color::None, ..panel }));
    assert_eq!(alone.at(centre, centre), stain);
    assert!(!alone.contains(palette(1)[0]));
}

#[test]
fn very_many_spots_become_one_image_in_svg() {
    let panel = Panel {
        coordinates: grid(20),
        color: numbers((0..400).map(f64::from).collect()),
        ..Default::default()
    };
    let figure = one(panel);
    let embedded = render_svg(&figure, &RenderOptions { max_vector_spots: 399, ..AT_96 }).expect("SVG");
    well_formed(&embedded);
    assert!(embedded.contains("<image ") && !render_svg(&figure, &AT_96).expect("SVG").contains("<image "));
}

#[test]
fn panels_stand_in_a_grid() {
    let panel = Panel { title: "t".into(), coordinates: grid(2), ..Default::default() };
    let figure = |n: usize, columns| Figure { panels: vec![panel.clone(); n], columns, ..Default::default() };
    let size = |f: &Figure| {
        let p = drawn(f);
        (p.width, p.height)
    };
    let (w1, h1) = size(&figure(1, None));
    let (w4, h4) = size(&figure(4, Some(4)));
    let (w2, h2) = size(&figure(4, None));
    assert!(w4 > 4 * 340 && h4 == h1 && w2 > 2 * 340 && w2 < w4 && h2 > 2 * 340, "{w1} {w2} {w4} {h2}");
    assert_eq!(size(&figure(2, Some(9))), size(&figure(2, Some(2))));
}

#[test]
fn colours_keep_their_order_and_differ() {
    assert_eq!(palette(3), palette(60)[..3]);
    let all: std::collections::BTreeSet<String> = palette(60).into_iter().map(Rgb::to_hex).collect();
    assert_eq!(all.len(), 60);
    assert_eq!(palette(1)[0].to_hex(), "#e69f00");
    assert_eq!(Rgb::from_hex("#E69F00ff"), Some(palette(1)[0]));
    assert_eq!((Rgb::from_hex("e69f00"), Rgb::from_hex("#é69f0"), Rgb::from_hex("#12")), (None, None, None));
    assert_eq!(ColorMap::Viridis.at(0.0).to_hex(), "#440154");
    assert_eq!(ColorMap::Viridis.at(7.0).to_hex(), "#fde725");
    assert_eq!(ColorMap::Magma.at(f64::NAN), MISSING);
    assert_eq!("Viridis".parse(), Ok(ColorMap::Viridis));
}

#[test]
fn given_colours_count_where_all_can_be_read() {
    let hex = |colors: Vec<Rgb>| colors.into_iter().map(Rgb::to_hex).collect::<Vec<_>>();
    let given = ["#FF0000", "#00ff00ff", "#0000ff"];
    assert_eq!(hex(category_colors(2, Some(&given))), ["#ff0000", "#00ff00"], "more than needed do no harm");
    let default = hex(palette(4));
    assert_eq!(hex(category_colors(4, Some(&given))), default, "one is lacking");
    assert_eq!(hex(category_colors(4, Some(&["#ff0000", "red", "#00ff00", "#0000ff"]))), default);
    assert_eq!(hex(category_colors::<&str>(4, None)), default);
}

#[test]
fn what_cannot_be_drawn_is_refused_with_one_hint() {
    let good = Panel { coordinates: grid(2), ..Default::default() };
    let image = |bytes: usize| Arc::new(Image { width: 2, height: 2, rgb: vec![0; bytes], scale: 1.0 });
    let panels = [
        Panel::default(),
        Panel { coordinates: xy(&[[f64::NAN, 0.0]]), ..good.clone() },
        Panel { coordinates: Arc::new(Array2::zeros((3, 1))), ..good.clone() },
        Panel { color: numbers(vec![1.0; 3]), ..good.clone() },
        Panel { color: categories(&[Some(0); 5], &["a"]), ..good.clone() },
        Panel { color: categories(&[Some(1); 4], &["a"]), ..good.clone() },
        Panel {
            color: Color::Categorical {
                codes: vec![None; 4],
                names: vec!["a".into()],
                palette: Some(vec![]),
            },
            ..good.clone()
        },
        Panel {
            color: Color::Continuous {
                values: vec![0.0; 4],
                name: String::new(),
                limits: Some((2.0, 1.0)),
                colormap: ColorMap::Viridis,
                note: String::new(),
            },
            ..good.clone()
        },
        Panel { image: Some(image(11)), ..good.clone() },
        Panel { spot: SpotShape::Circle { diameter: 0.0 }, ..good.clone() },
        Panel { spot: SpotShape::Hexagon { pitch: 1.0, angle: f64::NAN }, ..good.clone() },
        Panel { opacity: 1.5, ..good.clone() },
        Panel { um_per_unit: Some(f64::NAN), ..good.clone() },
    ];
    let mut figures: Vec<Figure> = panels.into_iter().map(one).collect();
    figures.push(Figure::default());
    figures.push(Figure { columns: Some(0), ..one(good.clone()) });
    figures.push(Figure { panel_size: f64::NAN, ..one(good.clone()) });
    figures.push(Figure { panel_size: 20_000.0, ..one(good.clone()) });
    for figure in figures {
        let png = render_png(&figure, &AT_96).expect_err("refused");
        let svg = render_svg(&figure, &AT_96).expect_err("refused");
        assert_eq!(png.to_string(), svg.to_string());
        assert_eq!(flaw(&png), None);
    }
    assert!(render_png(&one(good), &RenderOptions { dpi: 0.0, ..AT_96 }).is_err());
    assert!("jet".parse::<ColorMap>().is_err());
}

#[test]
fn a_sheet_stacks_maps_histograms_and_words() {
    let values: Vec<f64> = (0..25).map(f64::from).collect();
    let coordinates =
        Array2::from_shape_fn((25, 2), |(i, j)| if j == 0 { (i % 5) as f64 } else { (i / 5) as f64 });
    let color = Color::Continuous {
        values: values.clone(),
        name: String::new(),
        limits: None,
        colormap: ColorMap::default(),
        note: String::new(),
    };
    let panel = Panel {
        title: "Counts".to_owned(),
        coordinates: Arc::new(coordinates),
        color,
        log: true,
        ringed: vec![3, 7],
        ..Panel::default()
    };
    let maps = Figure { panels: vec![panel.clone()], ..Figure::default() };
    let histogram = Histogram {
        title: "Spots <by> counts".to_owned(),
        values,
        log: true,
        lines: vec![(5.0, "min 5".to_owned()), (1e9, "far".to_owned())],
        marked: vec![3.0, 7.0],
    };
    let parts = vec![
        Part::Maps(Box::new(maps)),
        Part::Histograms(vec![histogram, Histogram::default()]),
        Part::Caption("small print".to_owned()),
    ];
    let sheet = Sheet { title: "Quality".to_owned(), parts, ..Sheet::default() };
    let options = RenderOptions::default();
    let svg = render_sheet_svg(&sheet, &options).expect("drawn");
    for text in [
        "Quality",
        "Counts",
        "Spots &lt;by&gt; counts",
        "min 5",
        "far, off the axis",
        "no values",
        "small print",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    // Two rings, white and red.
    assert_eq!(svg.matches("stroke=\"#d51e00\" stroke-width=\"1\"").count(), 2);
    assert!(render_sheet_png(&sheet, &options).expect("drawn").starts_with(b"\x89PNG"));
    assert_eq!(render_sheet_svg(&Sheet::default(), &options), Err(PlotError::NoPanels));
    let beyond = Figure { panels: vec![Panel { ringed: vec![25], ..panel }], ..Figure::default() };
    assert!(matches!(render_svg(&beyond, &options), Err(PlotError::UnknownSpot { spot: 25, n_obs: 25, .. })));
}

#[test]
fn colours_of_a_logarithmic_panel_follow_ln_1p() {
    let panel = |values: Vec<f64>, log| Panel {
        coordinates: Arc::new(Array2::from_shape_fn((values.len(), 2), |(i, _)| i as f64)),
        color: Color::Continuous {
            values,
            name: String::new(),
            limits: None,
            colormap: ColorMap::default(),
            note: String::new(),
        },
        log,
        ..Panel::default()
    };
    // e² − 1, e⁴ − 1: half way and all the way.
    let log = spots::coloring(&panel(vec![0.0, 2f64.exp_m1(), 4f64.exp_m1(), -2.0], true), &[0, 1, 2, 3]);
    assert_eq!((log.color_of[0], log.color_of[1], log.color_of[2]), (0, 128, 255));
    assert_eq!(log.n_missing, 1, "no logarithm of what is below −1");
    let plain = spots::coloring(&panel(vec![0.0, 2.0, 4.0], false), &[0, 1, 2]);
    assert_eq!(plain.color_of[..3], log.color_of[..3]);
}

#[test]
fn edges_stay_opaque_where_spots_are_faint() {
    let panel = |edge| Panel {
        coordinates: xy(&[[0.0, 0.0], [4.0, 0.0]]),
        spot: SpotShape::Circle { diameter: 2.0 },
        color: Color::Categorical {
            codes: vec![Some(0), Some(0)],
            names: vec!["a".into()],
            palette: Some(vec![Rgb(255, 0, 0)]),
        },
        opacity: 0.0,
        edge,
        legend: PanelLegend::Hidden,
        ..Panel::default()
    };
    let red = |edge| {
        let figure = Figure { panels: vec![panel(edge)], ..Figure::default() };
        let picture = decode(&render_png(&figure, &RenderOptions::default()).expect("drawn"));
        picture.rgb.chunks_exact(3).filter(|p| p[0] > 200 && p[1] < 50).count()
    };
    assert_eq!(red(None), 0, "invisible");
    let (thin, thick) = (red(Some(1.0)), red(Some(4.0)));
    assert!(thin > 100 && thick > 3 * thin, "{thin} {thick}");
    let figure = Figure { panels: vec![panel(Some(1.0))], ..Figure::default() };
    let svg = render_svg(&figure, &RenderOptions::default()).expect("drawn");
    assert!(svg.contains("fill-opacity=\"0\"") && svg.contains("stroke=\"#ff0000\""));
}

#[test]
fn borders_run_within_their_category() {
    let square = vec![[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]];
    let figure = Figure {
        panels: vec![Panel {
            coordinates: xy(&[[0.0, 0.0], [10.0, 10.0]]),
            spot: SpotShape::Circle { diameter: 2.0 },
            color: Color::Categorical {
                codes: vec![Some(0), Some(0)],
                names: vec!["a".into()],
                palette: Some(vec![Rgb(0, 0, 255)]),
            },
            opacity: 0.0,
            borders: vec![Border { code: 0, ring: square }],
            ..Panel::default()
        }],
        ..Figure::default()
    };
    let svg = render_svg(&figure, &RenderOptions::default()).expect("drawn");
    // White first, and the colour over it.
    let (white, blue) = (svg.find("stroke=\"#ffffff\""), svg.find("stroke=\"#0000ff\""));
    assert!(white.expect("white") < blue.expect("blue"));
    // 12 units over 340 pixels, one unit in from the margin, and half a line further in.
    let corner = 12.0 + 340.0 / 12.0 + 0.9;
    let line = svg.lines().find(|l| l.contains("#0000ff\" stroke-width")).expect("a line");
    let x: f64 = line.split(['M', ' ']).nth(2).and_then(|t| t.parse().ok()).expect("a number");
    assert!((x - corner).abs() < 0.01, "{x} {corner} {line}");
}
