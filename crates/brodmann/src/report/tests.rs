use ndarray::{Array2, array};

use super::content::NumberScale;
use super::html::{bar, escape, escape_json, name, number, per_cent, shorten, write_base64};
use super::pack::{pack_column, pack_steps, places};
use super::*;
use crate::plot::{SpotShape, palette};

fn slice(coordinates: Array2<f64>) -> Slice {
    Slice { name: "A".into(), coordinates, ..Slice::default() }
}

fn report(slices: Vec<Slice>) -> Report {
    Report { title: "Title".into(), slices, ..Report::default() }
}

fn page(report: &Report) -> String {
    let mut bytes = Vec::new();
    write_report(report, &mut bytes).expect("a report");
    String::from_utf8(bytes).expect("UTF-8")
}

fn categories(codes: &[Option<u32>], names: &[&str]) -> SpotColumn {
    let values = SpotValues::Categories {
        codes: codes.to_vec(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        colors: palette(names.len()),
    };
    SpotColumn { name: "domains".into(), group: "Domains".into(), values }
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec_zlib(bytes).expect("deflated bytes")
}

/// The page's own way back from all low bytes, then all high ones.
fn from_planes(bytes: &[u8], width: usize) -> Vec<u32> {
    let n = bytes.len() / width;
    (0..n).map(|i| (0..width).map(|plane| u32::from(bytes[plane * n + i]) << (8 * plane)).sum()).collect()
}

/// The page's own way back from gaps and values.
fn from_gaps(bytes: &[u8], n: usize) -> Vec<u32> {
    let (mut levels, mut found, mut at, mut next) = (vec![0; n], Vec::new(), 0, 0);
    while at < bytes.len() - found.len() {
        let (mut gap, mut shift) = (0, 0);
        loop {
            let byte = bytes[at];
            at += 1;
            gap |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        next += gap;
        found.push(next);
        next += 1;
    }
    for place in found {
        levels[place] = u32::from(bytes[at]);
        at += 1;
    }
    levels
}

/// Numbers that look random.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 24) as f64
    }
}

#[test]
fn nothing_in_a_text_is_markup() {
    assert_eq!(escape("<a b='\"&>"), "&lt;a b=&#39;&quot;&amp;&gt;");
    assert_eq!(escape("a\u{0}b\u{1b}c\u{202E}d\ne"), "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\ne");
    assert_eq!(
        escape_json("\"</script>&\u{2028}\u{2029}<!--\""),
        "\"\\u003c/script\\u003e\\u0026\\u2028\\u2029\\u003c!--\""
    );
    let back: String = serde_json::from_str(&escape_json("\"</script>&\u{2028}皮\"")).expect("JSON");
    assert_eq!(back, "</script>&\u{2028}皮");
}

#[test]
fn long_names_are_cut_where_it_shows_and_whole_in_the_tooltip() {
    let long = "皮".repeat(10_000);
    assert_eq!(shorten(&long, 60).chars().count(), 60);
    assert!(shorten(&long, 60).ends_with('…'));
    assert_eq!(shorten("short", 5), "short");
    assert!(name(&long).contains(&format!("title=\"{long}\"")));
    assert_eq!(name(" "), "<i>unnamed</i>");
}

#[test]
fn numbers_have_three_digits() {
    let pairs = [
        (0.0, "0"),
        (1.0, "1.00"),
        (-0.1234, "−0.123"),
        (0.0012345, "0.00123"),
        (12.345, "12.3"),
        (99.96, "100.0"),
        (999.9, "1,000"),
        (1234567.0, "1.2e6"),
        (-12345.6, "−12,346"),
        (1.23e-45, "1.2e−45"),
        (f64::NAN, ""),
        (f64::INFINITY, "∞"),
    ];
    for (v, text) in pairs {
        assert_eq!(number(v), text, "{v}");
    }
    assert_eq!([0.0, 0.0001, 0.1234, 1.0, f64::NAN].map(per_cent), ["0 %", "< 0.1 %", "12.3 %", "100 %", ""]);
    assert!(bar(0.5).contains("width=\"50\""));
}

#[test]
fn base64_in_pieces_is_base64_as_a_whole() {
    let bytes: Vec<u8> = (0..40_000u32).map(|i| (i * 31 % 251) as u8).collect();
    let (mut pieces, mut whole) = (Vec::new(), String::new());
    write_base64(&bytes, &mut pieces).expect("a vector");
    crate::plot::svg::base64(&bytes, &mut whole);
    assert_eq!(String::from_utf8(pieces).expect("ASCII"), whole);
}

#[test]
fn places_come_back_within_half_a_step_and_in_cells_row_by_row() {
    let mut next = random(7);
    for (n, scale, offset) in [(5000, 1e4, -3e3), (300, 1e-6, 1e3), (2, 1e300, -5e299), (100, 0.0, 5.0)] {
        let coordinates = Array2::from_shape_fn((n, 2), |_| next() * scale + offset);
        let found = places(&coordinates, scale / 100.0);
        let unpack = |axis: usize| {
            let mut sum = 0u32;
            let differences =
                from_planes(&inflate(&pack_steps(&found.steps[axis], found.bits)), found.bits as usize / 8);
            let mask = u32::MAX >> (32 - found.bits);
            differences
                .into_iter()
                .map(|d| {
                    sum = sum.wrapping_add(d) & mask;
                    sum
                })
                .collect::<Vec<_>>()
        };
        let steps = [unpack(0), unpack(1)];
        let mut last = 0;
        for (k, &i) in found.order.iter().enumerate() {
            for axis in 0..2 {
                let (start, width) = found.axes[axis];
                let back = start + f64::from(steps[axis][k]) * width;
                let rounding = 1e-12 * (scale + offset.abs());
                assert!((back - coordinates[[i as usize, axis]]).abs() <= width * 0.5001 + rounding);
            }
            let cell = |axis: usize| (u64::from(steps[axis][k]) * found.grid as u64) >> found.bits;
            let now = cell(1) * found.grid as u64 + cell(0);
            assert!(now >= last);
            last = now;
        }
        let mut all = found.order.clone();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..n as u32));
    }
}

#[test]
fn one_spot_far_away_does_not_make_the_others_coarse() {
    let mut coordinates =
        Array2::from_shape_fn((1000, 2), |(i, axis)| if axis == 0 { i % 40 } else { i / 40 } as f64);
    assert_eq!(places(&coordinates, 1.0).bits, 16);
    coordinates[[7, 0]] = 1e6;
    let found = places(&coordinates, 1.0);
    assert_eq!(found.bits, 32);
    assert!(found.axes.iter().all(|&(_, width)| width < 1e-3));
}

#[test]
fn spots_without_a_place_are_left_out() {
    let found = places(&array![[f64::NAN, 0.0], [1.0, 2.0], [0.0, f64::INFINITY], [3.0, 4.0]], 1.0);
    assert_eq!(found.order, [1, 3]);
    assert!(places(&Array2::zeros((0, 2)), 1.0).order.is_empty());
    assert!(places(&Array2::zeros((0, 0)), 1.0).order.is_empty());
}

#[test]
fn numbers_come_back_within_half_a_step() {
    let mut next = random(3);
    let values: Vec<f32> =
        (0..1000).map(|i| if i % 50 == 0 { f32::NAN } else { (next() * 20.0 - 5.0) as f32 }).collect();
    let order: Vec<u32> = (0..1000).rev().collect();
    for (bits, last) in [(NumberBits::Eight, 254u32), (NumberBits::Sixteen, 65_534)] {
        let column = SpotValues::Numbers {
            values: values.clone(),
            scale: NumberScale { bits, ..NumberScale::default() },
        };
        let packed = pack_column(&column, &order, 1000);
        let (lo, hi) = packed.limits;
        let half = (hi - lo) / last as f32 / 2.0;
        for (&i, step) in order.iter().zip(from_planes(&inflate(&packed.bytes), packed.width)) {
            let value = values[i as usize];
            if value.is_nan() {
                assert_eq!(step, last + 1);
            } else {
                assert!((lo + (hi - lo) * step as f32 / last as f32 - value).abs() <= half * 1.01);
            }
        }
    }
}

#[test]
fn sparse_columns_are_the_dense_ones() {
    let n = 5000;
    let order: Vec<u32> = (0..n as u32).map(|i| i * 7 % n as u32).collect();
    for every in [3, 700] {
        let rows: Vec<u32> = (0..n as u32).filter(|i| i % every == 0).collect();
        let stored: Vec<f32> = rows.iter().map(|&i| 1.0 + (i % 9) as f32).collect();
        let mut all = vec![0.0; n];
        for (&row, &value) in rows.iter().zip(&stored) {
            all[row as usize] = value;
        }
        let scale = NumberScale::default;
        let sparse = pack_column(&SpotValues::Sparse { rows, values: stored, scale: scale() }, &order, n);
        let dense = pack_column(&SpotValues::Numbers { values: all.clone(), scale: scale() }, &order, n);
        assert_eq!(sparse, dense);
        assert_eq!(sparse.sparse, every == 700);
        let bytes = inflate(&sparse.bytes);
        let steps = if sparse.sparse { from_gaps(&bytes, n) } else { from_planes(&bytes, 1) };
        for (&i, step) in order.iter().zip(steps) {
            assert!((step as f32 / 254.0 * sparse.limits.1 - all[i as usize]).abs() < 0.02);
        }
    }
}

#[test]
fn what_is_beyond_the_limits_is_their_end() {
    let scale = NumberScale { limits: Some((0.0, 1.0)), ..NumberScale::default() };
    let column = SpotValues::Numbers { values: vec![-1.0, 0.5, 7.0, f32::INFINITY], scale };
    let packed = pack_column(&column, &[0, 1, 2, 3], 4);
    assert_eq!((inflate(&packed.bytes), packed.clipped), (vec![0, 127, 254, 255], (true, true)));
    let none = SpotValues::Numbers { values: vec![f32::NAN; 2], scale: NumberScale::default() };
    assert_eq!(inflate(&pack_column(&none, &[0, 1], 2).bytes), [255, 255]);
    let constant = SpotValues::Numbers { values: vec![3.0; 2], scale: NumberScale::default() };
    let packed = pack_column(&constant, &[0, 1], 2);
    assert_eq!(packed.limits, (3.0, 3.0));
}

#[test]
fn categories_keep_their_codes_and_the_lack_of_one() {
    for n in [3, 254, 255, 256, 70_000] {
        let SpotColumn { values, .. } = categories(&[Some(0), None, Some(n - 1)], &vec!["x"; n as usize]);
        let packed = pack_column(&values, &[2, 1, 0], 3);
        let none = u32::MAX >> (32 - 8 * packed.width);
        assert_eq!(from_planes(&inflate(&packed.bytes), packed.width), [n - 1, none, 0]);
    }
}

#[test]
fn a_report_needs_but_a_title_and_a_slice() {
    let text = page(&report(vec![slice(array![[0.0, 0.0], [1.0, 0.0]])]));
    assert!(text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert!(text.contains("<title>Title</title>"));
    for absent in ["id=\"domains\"", "id=\"how\"", "<table", "class=\"notes\"", "NaN"] {
        assert!(!text.replace(include_str!("assets/report.js"), "").contains(absent), "{absent}");
    }
}

#[test]
fn slices_without_spots_and_with_one_are_fine() {
    page(&report(vec![
        slice(Array2::zeros((0, 2))),
        slice(Array2::zeros((0, 0))),
        slice(Array2::zeros((1, 2))),
    ]));
    let two = Report {
        columns: vec![categories(&[None], &[])],
        domains: Some(0),
        ..report(vec![slice(Array2::zeros((1, 2)))])
    };
    assert!(!page(&two).contains("id=\"domains\""));
}

#[test]
fn the_policy_names_the_scripts_that_are_there() {
    let text = page(&report(vec![slice(Array2::zeros((1, 2)))]));
    let scripts = text.split("<script>").skip(1).map(|rest| rest.split("</script>").next().expect("an end"));
    let mut n = 0;
    for script in scripts {
        let mut hash = String::new();
        crate::plot::svg::base64(&sha256::sha256(script.as_bytes()), &mut hash);
        assert!(text.contains(&format!("'sha256-{hash}'")));
        n += 1;
    }
    assert_eq!(n, 4);
    assert!(text.contains("default-src 'none'; img-src data:;"));
    for outside in ["http://", "https://", "//cdn", "@import", "url("] {
        // The name of a namespace is no address to load from.
        assert!(!text.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
    }
}

#[test]
fn hostile_names_make_no_element() {
    let hostile = "</script><script>alert(1)</script>\"><img src=x onerror=alert(1)>";
    let mut made = report(vec![Slice {
        name: hostile.into(),
        spot_names: vec![hostile.into()],
        ..slice(Array2::zeros((1, 2)))
    }]);
    made.title = hostile.into();
    made.notes = vec![Note { severity: Severity::Doubt, text: hostile.into() }];
    made.columns = vec![categories(&[Some(0)], &[hostile])];
    made.domains = Some(0);
    made.domain_panels = vec![DomainPanel { summary: vec![hostile.into()], ..DomainPanel::default() }];
    made.provenance.parameters = vec![(hostile.into(), hostile.into())];
    let text = page(&made);
    assert!(!text.contains("<script>alert") && !text.contains("<img src=x"));
    // Four scripts, data, two axes, names, one column.
    assert_eq!(text.matches("</script>").count(), 9);
}

#[test]
fn sizes_and_shares_are_counted() {
    let codes = [Some(0), Some(1), Some(1), None, Some(1)];
    let made = Report {
        columns: vec![categories(&codes, &["one", "two"])],
        domains: Some(0),
        ..report(vec![slice(Array2::zeros((3, 2))), slice(Array2::zeros((2, 2)))])
    };
    let text = page(&made);
    assert!(text.contains("1 of 5 spots, 20.0 %.") && text.contains("3 of 5 spots, 60.0 %."));
    assert!(text.contains("66.7 %") && text.contains("50.0 %"));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let two = || report(vec![slice(Array2::zeros((2, 2)))]);
    let mut cases: Vec<(Report, &str)> = vec![(report(Vec::new()), "no slice")];
    cases.push((report(vec![slice(Array2::zeros((2, 3)))]), "3 columns"));
    cases.push((Report { columns: vec![categories(&[Some(0)], &["a"])], ..two() }, "1 entries"));
    cases.push((Report { columns: vec![categories(&[Some(0), Some(1)], &["a"])], ..two() }, "category 1"));
    cases.push((Report { domains: Some(0), ..two() }, "categories"));
    cases.push((Report { domain_panels: vec![DomainPanel::default()], ..two() }, "list of domain panels"));
    let sparse = SpotValues::Sparse { rows: vec![1, 1], values: vec![1.0; 2], scale: NumberScale::default() };
    let column = SpotColumn { name: "g".into(), group: String::new(), values: sparse };
    cases.push((Report { columns: vec![column], ..two() }, "row 1 at position 1"));
    let picture = |bytes: &[u8], scale| Some(Picture::scaled(bytes.into(), scale));
    cases.push((
        report(vec![Slice { picture: picture(b"GIF89a", 1.0), ..slice(Array2::zeros((1, 2))) }]),
        "neither",
    ));
    let png = b"\x89PNG\r\n\x1a\n";
    cases.push((
        report(vec![Slice { picture: picture(png, 0.0), ..slice(Array2::zeros((1, 2))) }]),
        "placed by",
    ));
    for (made, words) in cases {
        let mut out = Vec::new();
        let error = write_report(&made, &mut out).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        assert!(out.is_empty());
    }
}

#[test]
fn bytes_are_the_same_on_any_number_of_threads() {
    let n = 4000;
    let mut next = random(11);
    let coordinates = Array2::from_shape_fn((n, 2), |_| next());
    let columns = (0..9).map(|k| SpotColumn {
        name: format!("g{k}"),
        group: String::new(),
        values: SpotValues::Numbers {
            values: (0..n).map(|_| next() as f32).collect(),
            scale: NumberScale::default(),
        },
    });
    let made = Report { columns: columns.collect(), ..report(vec![slice(coordinates)]) };
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(|| page(&made))
    };
    assert_eq!(on(1), on(4));
}

/// The worst there is: no order among the spots, no zero among the genes.
#[test]
fn a_hundred_thousand_spots_and_sixty_genes_stay_below_15_megabytes() {
    let n = 100_000;
    let mut next = random(5);
    let coordinates = Array2::from_shape_fn((n, 2), |_| next() * 1e4);
    let genes = (0..60).map(|k| SpotColumn {
        name: format!("GENE{k}"),
        group: "Genes".into(),
        values: SpotValues::Numbers {
            values: (0..n).map(|_| next() as f32).collect(),
            scale: NumberScale::default(),
        },
    });
    let made = Report {
        columns: genes.collect(),
        ..report(vec![Slice { spot: SpotShape::Circle { diameter: 10.0 }, ..slice(coordinates) }])
    };
    let mut bytes = Vec::new();
    write_report(&made, &mut bytes).expect("a report");
    assert!(bytes.len() < 15 << 20, "{} bytes", bytes.len());
}
