use std::sync::Arc;

use ndarray::Array2;

use super::*;

/// Draws a gallery for the eye.
#[test]
#[ignore = "gallery"]
fn gallery() {
    let Ok(dir) = std::env::var("PLOT_OUT") else { return };
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(format!("{dir}/{name}.json")).expect("file")).expect("json")
    };
    let load = |name: &str| {
        let v = read(name);
        let xy: Vec<f64> = v["xy"]
            .as_array()
            .expect("a")
            .iter()
            .flat_map(|r| [r[0].as_f64().expect("x"), r[1].as_f64().expect("y")])
            .collect();
        let xy = Arc::new(Array2::from_shape_vec((xy.len() / 2, 2), xy).expect("shape"));
        let codes: Vec<Option<u32>> =
            v["codes"].as_array().expect("a").iter().map(|c| c.as_u64().map(|c| c as u32)).collect();
        let names: Vec<String> =
            v["names"].as_array().expect("a").iter().map(|c| c.as_str().expect("s").to_owned()).collect();
        let vals: Vec<f64> =
            v["vals"].as_array().expect("a").iter().map(|c| c.as_f64().expect("f")).collect();
        (v, xy, codes, names, vals)
    };
    let save = |name: &str, figure: &Figure| {
        let t = std::time::Instant::now();
        let png = render_png(figure, &RenderOptions::default()).expect("png");
        let t1 = t.elapsed();
        std::fs::write(format!("{dir}/{name}.png"), png).expect("write");
        let svg = render_svg(figure, &RenderOptions::default()).expect("svg");
        eprintln!("{name}: png {t1:?} svg {:?} {} bytes", t.elapsed() - t1, svg.len());
        std::fs::write(format!("{dir}/{name}.svg"), svg).expect("write");
    };
    // Simulated.
    let options = crate::simulate::SimulationOptions { image: true, ..Default::default() };
    let s = crate::simulate::simulate(&options, &brodmann_kernels::Silent).expect("sim");
    let xy = Arc::new(s.coordinates.clone());
    let counts = s.modalities[0].counts.view();
    let gene = s.modalities[0].feature_factor.iter().position(|&f| f == 3).expect("gene");
    let values: Vec<f64> =
        (0..counts.n_rows()).map(|i| f64::from(counts.get(i, gene).unwrap_or(0.0)).ln_1p()).collect();
    let image = s
        .images
        .first()
        .map(|i| Arc::new(Image { width: i.width, height: i.height, rgb: i.rgb.clone(), scale: i.scale }));
    let truth = Color::Categorical {
        codes: s.ground_truth.iter().map(|&c| Some(c)).collect(),
        names: s.domain_names.clone(),
        palette: None,
    };
    let base = Panel { coordinates: Arc::clone(&xy), ..Default::default() };
    save(
        "simulated",
        &Figure {
            panels: vec![
                Panel {
                    title: "H&E-like image".into(),
                    image: image.clone(),
                    um_per_unit: Some(1.0),
                    ..base.clone()
                },
                Panel { title: "ground truth".into(), color: truth.clone(), counts: true, ..base.clone() },
                Panel {
                    title: s.modalities[0].feature_names[gene].clone(),
                    color: Color::Continuous {
                        values,
                        name: "log1p counts".into(),
                        limits: None,
                        colormap: ColorMap::Viridis,
                    },
                    ..base.clone()
                },
            ],
            columns: Some(3),
            ..Default::default()
        },
    );
    // Visium.
    let (v, xy, codes, names, vals) = load("dlpfc");
    let ppm = std::fs::read(format!("{dir}/dlpfc.ppm")).expect("ppm");
    let (w, h) = (v["w"].as_u64().expect("w") as usize, v["h"].as_u64().expect("h") as usize);
    let image = Arc::new(Image {
        width: w,
        height: h,
        rgb: ppm[ppm.len() - w * h * 3..].to_vec(),
        scale: v["scale"].as_f64().expect("s"),
    });
    let um = 55.0 / (v["diam"].as_f64().expect("d") * 0.57);
    eprintln!("{:?}", detect_shape(xy.view()));
    let base = Panel { coordinates: Arc::clone(&xy), ..Default::default() };
    let cat = Color::Categorical { codes: codes.clone(), names, palette: None };
    save(
        "dlpfc",
        &Figure {
            title: "Human dorsolateral prefrontal cortex (151673)".into(),
            panels: vec![
                Panel {
                    title: "H&E".into(),
                    image: Some(Arc::clone(&image)),
                    um_per_unit: Some(um),
                    ..base.clone()
                },
                Panel { title: "layers".into(), color: cat.clone(), counts: true, ..base.clone() },
                Panel {
                    title: "layers over H&E, true spot size".into(),
                    color: cat,
                    image: Some(Arc::clone(&image)),
                    spot: SpotShape::Circle { diameter: v["diam"].as_f64().expect("d") * 0.57 },
                    ..base.clone()
                },
                Panel {
                    title: v["gene"].as_str().expect("g").into(),
                    color: Color::Continuous {
                        values: vals,
                        name: "log1p".into(),
                        limits: None,
                        colormap: ColorMap::Magma,
                    },
                    image: Some(image),
                    opacity: 0.8,
                    ..base.clone()
                },
            ],
            columns: Some(2),
            ..Default::default()
        },
    );
    // Cells.
    let (v, xy, codes, names, vals) = load("starmap");
    eprintln!("{:?}", detect_shape(xy.view()));
    let base = Panel { coordinates: Arc::clone(&xy), ..Default::default() };
    save(
        "starmap",
        &Figure {
            panels: vec![
                Panel {
                    title: "cortical layers".into(),
                    color: Color::Categorical { codes, names, palette: None },
                    ..base.clone()
                },
                Panel {
                    title: v["gene"].as_str().expect("g").into(),
                    color: Color::Continuous {
                        values: vals,
                        name: String::new(),
                        limits: None,
                        colormap: ColorMap::Cividis,
                    },
                    ..base.clone()
                },
            ],
            columns: Some(2),
            ..Default::default()
        },
    );
    // Many categories, long names, glyphs.
    let side = 40usize;
    let hex: Vec<f64> = (0..side * side)
        .flat_map(|i| {
            let (r, c) = (i / side, i % side);
            [c as f64 + 0.5 * (r % 2) as f64, r as f64 * 0.75f64.sqrt()]
        })
        .collect();
    let xy = Arc::new(Array2::from_shape_vec((side * side, 2), hex).expect("shape"));
    let codes: Vec<Option<u32>> = (0..side * side)
        .map(|i| if i % 97 == 0 { None } else { Some(((i / side / 8) * 5 + (i % side) / 8) as u32 % 25) })
        .collect();
    let long = [
        "Excitatory neurons, layer 2/3 intratelencephalic",
        "α-tubulin⁺ <b>&\"x\"",
        "Oligodendrocyte precursor cells",
        "Müller glia (5 µm)",
        "ABCDEFGHIJKLMNOPQRSTUVW",
        "XYZ abcdefghijklmnop",
        "qrstuvwxyz 0123456789",
        "!#$%&'()*+,-./:;<=>?@",
        "[\\]^_`{|}~ β γ δ ε κ λ σ",
    ];
    let names25: Vec<String> = (0..25).map(|k| format!("domain {k}")).collect();
    let names_long: Vec<String> =
        (0..25).map(|k| long.get(k).map_or_else(|| format!("{k}"), |s| (*s).to_owned())).collect();
    let base = Panel { coordinates: Arc::clone(&xy), ..Default::default() };
    save(
        "many",
        &Figure {
            panels: vec![
                Panel {
                    title: "25 domains".into(),
                    color: Color::Categorical { codes: codes.clone(), names: names25, palette: None },
                    ..base.clone()
                },
                Panel {
                    title: "long names".into(),
                    counts: true,
                    color: Color::Categorical { codes, names: names_long, palette: None },
                    ..base.clone()
                },
            ],
            columns: Some(1),
            ..Default::default()
        },
    );
    save(
        "panels",
        &Figure {
            title: "Many panels".into(),
            width: Some(1000.0),
            panels: (0..10)
                .map(|k| Panel {
                    title: format!("gene_{k:04}"),
                    color: Color::Continuous {
                        values: (0..side * side)
                            .map(|i| {
                                if i % 50 == 0 && k == 3 {
                                    f64::NAN
                                } else {
                                    ((i * (k + 3)) % 37) as f64 * 10f64.powi(k as i32 - 4)
                                }
                            })
                            .collect(),
                        name: String::new(),
                        limits: None,
                        colormap: if k % 2 == 0 { ColorMap::Viridis } else { ColorMap::BlueRed },
                    },
                    ..base.clone()
                })
                .collect(),
            ..Default::default()
        },
    );
    // A million.
    let side = 1000;
    let xy: Vec<f64> = (0..side * side).flat_map(|i| [(i % side) as f64, (i / side) as f64]).collect();
    let xy = Arc::new(Array2::from_shape_vec((side * side, 2), xy).expect("shape"));
    let codes = (0..side * side)
        .map(|i| Some(crate::simulate::pattern::domain_at(side, i / side, i % side)))
        .collect();
    save(
        "million",
        &Figure {
            panels: vec![Panel {
                title: "a million spots".into(),
                coordinates: xy,
                color: Color::Categorical { codes, names: s.domain_names.clone(), palette: None },
                ..Default::default()
            }],
            ..Default::default()
        },
    );
}
