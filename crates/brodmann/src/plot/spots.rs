//! Which spot has which place and colour; and the pixels of very many spots.

use super::boundaries::{Boundaries, scan};
use super::color::{MISSING, Rgb, palette};
use super::figure::{Color, Panel};
use super::shape::SpotShape;

/// Colours of a continuous scale: as many as 8 bits of lightness can tell apart.
const LEVELS: usize = 256;

/// Marks a sample of an edge.
const EDGE: u32 = 1 << 31;

/// A spot's outline around its centre, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outline {
    Circle {
        radius: f64,
    },
    /// `corners` of a regular polygon: distance of centre to side, direction of one side's normal.
    Polygon {
        sides: usize,
        apothem: f64,
        angle: f64,
    },
}

impl Outline {
    /// The shape in pixels; `flip` mirrors y.
    pub(super) fn new(shape: SpotShape, scale: f64, flip: bool) -> Self {
        let turn = |angle: f64| if flip { -angle } else { angle };
        match shape {
            SpotShape::Hexagon { pitch, angle } => {
                // Pixel coordinates are rounded: 1 % more closes the hairlines.
                Self::Polygon { sides: 6, apothem: pitch * scale * 0.505, angle: turn(angle) }
            }
            SpotShape::Square { side, angle } => {
                Self::Polygon { sides: 4, apothem: side * scale * 0.5, angle: turn(angle) }
            }
            SpotShape::Circle { diameter } => Self::Circle { radius: diameter * scale * 0.5 },
            SpotShape::Auto => Self::Circle { radius: scale * 0.5 },
        }
    }

    /// The outline, its border moved inwards.
    pub(super) fn shrunk(self, by: f64) -> Self {
        match self {
            Self::Circle { radius } => Self::Circle { radius: (radius - by).max(0.0) },
            Self::Polygon { sides, apothem, angle } => {
                Self::Polygon { sides, apothem: (apothem - by).max(0.0), angle }
            }
        }
    }

    /// Distance from the centre to the nearest point of the border.
    pub(super) fn inradius(self) -> f64 {
        match self {
            Self::Circle { radius } => radius,
            Self::Polygon { apothem, .. } => apothem,
        }
    }

    /// Distance from the centre to the farthest point.
    pub(super) fn reach(self) -> f64 {
        match self {
            Self::Circle { radius } => radius,
            Self::Polygon { sides, apothem, .. } => apothem / (std::f64::consts::PI / sides as f64).cos(),
        }
    }

    pub(super) fn corners(self) -> Vec<[f64; 2]> {
        match self {
            Self::Circle { .. } => Vec::new(),
            Self::Polygon { sides, angle, .. } => (0..sides)
                .map(|k| {
                    let a = angle + std::f64::consts::TAU * (k as f64 + 0.5) / sides as f64;
                    [self.reach() * a.cos(), self.reach() * a.sin()]
                })
                .collect(),
        }
    }

    /// Whether tiles of this outline meet edge to edge.
    pub(super) fn tiles(self) -> bool {
        matches!(self, Self::Polygon { .. })
    }
}

/// The spots of a panel, in drawing order.
#[derive(Clone, Debug)]
pub(super) struct SpotLayer {
    /// Centres in pixels from the figure's top left corner.
    pub centres: Vec<[f64; 2]>,
    /// Index into `colors` for each centre.
    pub color_of: Vec<u32>,
    pub colors: Vec<Rgb>,
    pub outline: Outline,
    /// Drawn instead of the outline where a spot has one; by centre.
    pub boundaries: Option<Boundaries>,
    pub opacity: f64,
    /// Width of an opaque line within each outline.
    pub edge: Option<f64>,
    /// x, y, width, height of the plot.
    pub clip: [f64; 4],
}

/// A panel's colours: one index per spot.
pub(super) struct Coloring {
    pub color_of: Vec<u32>,
    pub colors: Vec<Rgb>,
    /// Spots in drawing order.
    pub order: Vec<u32>,
    /// Spots of each category; empty for numbers.
    pub counts: Vec<usize>,
    pub n_missing: usize,
    /// Limits of the colour bar.
    pub limits: Option<(f64, f64)>,
}

/// Colours of the placed spots (`placed`: their indices).
pub(super) fn coloring(panel: &Panel, placed: &[u32]) -> Coloring {
    let mut order: Vec<u32> = placed.to_vec();
    match &panel.color {
        Color::None => Coloring {
            color_of: vec![0; panel.coordinates.nrows()],
            colors: vec![palette(5)[4]],
            order: if panel.image.is_some() { Vec::new() } else { order },
            counts: Vec::new(),
            n_missing: 0,
            limits: None,
        },
        Color::Categorical { codes, names, palette: chosen } => {
            let n = names.len();
            let mut colors = chosen.as_ref().map_or_else(|| palette(n), |c| c[..n].to_vec());
            colors.push(MISSING);
            let mut counts = vec![0; n + 1];
            let color_of: Vec<u32> = codes.iter().map(|c| c.unwrap_or(n as u32)).collect();
            for &i in placed {
                counts[color_of[i as usize] as usize] += 1;
            }
            // Missing ones first, so that they never hide a category; otherwise as given.
            order.sort_by_key(|&i| color_of[i as usize] != n as u32);
            let n_missing = counts.pop().unwrap_or(0);
            Coloring { color_of, colors, order, counts, n_missing, limits: None }
        }
        Color::Continuous { values, limits, colormap, .. } => {
            let finite =
                || placed.iter().map(|&i| values[i as usize]).filter(|v| panel.scaled(*v).is_finite());
            let (low, high) = limits.unwrap_or_else(|| {
                finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
            });
            let n_missing = placed.iter().filter(|&&i| !panel.scaled(values[i as usize]).is_finite()).count();
            let mut colors: Vec<Rgb> =
                (0..LEVELS).map(|k| colormap.at(k as f64 / (LEVELS - 1) as f64)).collect();
            colors.push(MISSING);
            let (bottom, top) = (panel.scaled(low), panel.scaled(high));
            let level = |v: f64| {
                let v = panel.scaled(v);
                if !v.is_finite() {
                    return LEVELS as u32;
                }
                // Halves first: the span of the largest doubles overflows.
                let t =
                    if top > bottom { (v / 2.0 - bottom / 2.0) / (top / 2.0 - bottom / 2.0) } else { 0.5 };
                (t.clamp(0.0, 1.0) * (LEVELS - 1) as f64).round() as u32
            };
            let color_of: Vec<u32> = values.iter().map(|&v| level(v)).collect();
            // Low before high, so that the rare high value is on top where cells overlap.
            order.sort_by_key(|&i| (color_of[i as usize] + 1) % (LEVELS as u32 + 1));
            let limits = (low <= high).then_some((low, high));
            Coloring { color_of, colors, order, counts: Vec::new(), n_missing, limits }
        }
    }
}

/// Red, green, blue, alpha (not premultiplied) of a layer's clip rectangle.
pub(super) struct Pixels {
    pub width: usize,
    pub height: usize,
    pub rgba: Vec<u8>,
}

/// Samples per pixel side, by the number of samples this makes.
fn oversampling(width: usize, height: usize) -> usize {
    [4, 3, 2].into_iter().find(|s| width * height * s * s <= 40_000_000).unwrap_or(1)
}

/// Draws the layer's clip rectangle into `width` × `height` pixels.
///
/// Each pixel is sampled on a grid; a sample belongs to the last spot that covers it. Tiles that meet edge to
/// edge therefore leave no hairline, and the cost is that of the covered samples: a million spots take well
/// under a second.
pub(super) fn rasterize(layer: &SpotLayer, width: usize, height: usize) -> Pixels {
    let over = oversampling(width, height);
    let (w, h) = (width * over, height * over);
    let (sx, sy) = (w as f64 / layer.clip[2], h as f64 / layer.clip[3]);
    // 0 is empty, else colour + 1; the highest bit marks an edge.
    let mut samples = vec![0u32; w * h];
    let reach = layer.outline.reach();
    let normals: Vec<[f64; 2]> = match layer.outline {
        Outline::Circle { .. } => Vec::new(),
        Outline::Polygon { sides, angle, .. } => (0..sides)
            .map(|k| (angle + std::f64::consts::TAU * k as f64 / sides as f64).sin_cos())
            .map(|(s, c)| [c, s])
            .collect(),
    };
    let inside = |dx: f64, dy: f64| match layer.outline {
        Outline::Circle { radius } => dx * dx + dy * dy <= radius * radius,
        Outline::Polygon { apothem, .. } => normals.iter().all(|n| dx * n[0] + dy * n[1] <= apothem + 1e-6),
    };
    let within = layer.outline.shrunk(layer.edge.unwrap_or(0.0));
    let on_edge = |dx: f64, dy: f64| match within {
        _ if layer.edge.is_none() => false,
        Outline::Circle { radius } => dx * dx + dy * dy > radius * radius,
        Outline::Polygon { apothem, .. } => normals.iter().any(|n| dx * n[0] + dy * n[1] > apothem),
    };
    let mut line: Vec<[f64; 2]> = Vec::new();
    for (spot, (centre, &color)) in layer.centres.iter().zip(&layer.color_of).enumerate() {
        let (cx, cy) = ((centre[0] - layer.clip[0]) * sx, (centre[1] - layer.clip[1]) * sy);
        // A spot smaller than a sample still shows.
        let own = (cx.floor(), cy.floor());
        if own.0 >= 0.0 && own.1 >= 0.0 && (own.0 as usize) < w && (own.1 as usize) < h {
            samples[own.1 as usize * w + own.0 as usize] = color + 1;
        }
        if let Some(own) = layer.boundaries.as_ref().map(|b| b.of(spot)).filter(|own| !own.is_empty()) {
            line.clear();
            line.extend(own.iter().map(|v| [(v[0] - layer.clip[0]) * sx, (v[1] - layer.clip[1]) * sy]));
            scan(&line, w, h, |row, from, to| samples[row * w + from..row * w + to].fill(color + 1));
            continue;
        }
        let y0 = (cy - reach * sy).floor().max(0.0) as usize;
        let y1 = ((cy + reach * sy).ceil().max(0.0) as usize).min(h);
        let x0 = (cx - reach * sx).floor().max(0.0) as usize;
        let x1 = ((cx + reach * sx).ceil().max(0.0) as usize).min(w);
        for y in y0..y1 {
            let dy = (y as f64 + 0.5 - cy) / sy;
            for x in x0..x1 {
                let dx = (x as f64 + 0.5 - cx) / sx;
                if inside(dx, dy) {
                    samples[y * w + x] = (color + 1) | if on_edge(dx, dy) { EDGE } else { 0 };
                }
            }
        }
    }
    // Without edges all samples count alike, whatever the opacity.
    let inner = if layer.edge.is_some() { (layer.opacity * 255.0).round() as u32 } else { 1 };
    let mut rgba = vec![0u8; width * height * 4];
    for y in 0..height {
        for x in 0..width {
            let (mut sum, mut n, mut all) = ([0u32; 3], 0u32, 0u32);
            for v in 0..over {
                let from = (y * over + v) * w + x * over;
                for &s in &samples[from..from + over] {
                    if s > 0 {
                        let c = layer.colors[(s & !EDGE) as usize - 1];
                        let weight = if s & EDGE == 0 { inner } else { 255 };
                        sum[0] += weight * u32::from(c.0);
                        sum[1] += weight * u32::from(c.1);
                        sum[2] += weight * u32::from(c.2);
                        n += weight;
                        all += 1;
                    }
                }
            }
            let mean = |s: u32| (s + n / 2).checked_div(n);
            if let [Some(r), Some(g), Some(b)] = sum.map(mean) {
                let at = (y * width + x) * 4;
                rgba[at..at + 3].copy_from_slice(&[r as u8, g as u8, b as u8]);
                let share =
                    if layer.edge.is_some() { f64::from(n) / 255.0 } else { f64::from(all) * layer.opacity };
                let alpha = share / (over * over) as f64;
                rgba[at + 3] = (alpha * 255.0).round() as u8;
            }
        }
    }
    Pixels { width, height, rgba }
}
