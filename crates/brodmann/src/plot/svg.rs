//! A figure as an SVG file: real text, one path per colour, images embedded.

use std::fmt::Write as _;

use super::color::Rgb;
use super::figure::{Figure, PlotError, RenderOptions};
use super::layout::{Anchor, Mark, Scene, Way, layout};
use super::png::{SEAM, encode, pixel_size, resample};
use super::spots::{Outline, SpotLayer, rasterize};
use super::text::width;

/// The fonts whose widths the layout assumes.
const FONTS: &str = "Helvetica, Arial, 'Liberation Sans', Arimo, sans-serif";

/// Cells drawn one by one; more become an image.
pub(super) const MAX_VECTOR_CELLS: usize = 4000;

/// Draws the figure as SVG text.
///
/// Text stays text (searchable, editable); every string is escaped. A panel of more than
/// `options.max_vector_spots` spots is embedded as an image of `options.dpi`; tissue images always are.
///
/// # Errors
/// As [`super::render_png`].
/// # Cost
/// O(spots), and O(pixels) for what is embedded.
pub fn render_svg(figure: &Figure, options: &RenderOptions) -> Result<String, PlotError> {
    scene_svg(&layout(figure, options)?, options)
}

/// Draws any scene as SVG text.
pub(super) fn scene_svg(scene: &Scene, options: &RenderOptions) -> Result<String, PlotError> {
    let (w, h) = (scene.width, scene.height);
    pixel_size(w, h)?;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"{FONTS}\" role=\"img\">"
    );
    if !scene.title.is_empty() {
        let _ = writeln!(out, "<title>{}</title>", escape(&scene.title));
    }
    let _ = writeln!(out, "<rect width=\"{w}\" height=\"{h}\" fill=\"{}\"/>", scene.background.to_hex());
    for (id, mark) in scene.marks.iter().enumerate() {
        draw(mark, id, options, scene.background, &mut out)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn draw(
    mark: &Mark,
    id: usize,
    options: &RenderOptions,
    background: Rgb,
    out: &mut String,
) -> Result<(), PlotError> {
    let scale = options.dpi / 96.0;
    match mark {
        Mark::Rect { x, y, w, h, radius, fill, stroke } => {
            let fill = fill.map_or("none".to_owned(), Rgb::to_hex);
            let place = rect([*x, *y, *w, *h]);
            let _ = write!(out, "<rect {place} fill=\"{fill}\"");
            if *radius > 0.0 {
                let _ = write!(out, " rx=\"{}\"", n(*radius));
            }
            if let Some((color, width)) = stroke {
                let _ = write!(out, " stroke=\"{}\" stroke-width=\"{}\"", color.to_hex(), n(*width));
            }
            out.push_str("/>\n");
        }
        Mark::Line { from, to, color, width } => {
            let _ = writeln!(
                out,
                "<path d=\"M{} {}L{} {}\" stroke=\"{}\" stroke-width=\"{}\" fill=\"none\"/>",
                n(from[0]),
                n(from[1]),
                n(to[0]),
                n(to[1]),
                color.to_hex(),
                n(*width)
            );
        }
        Mark::Path { points, color, width } => {
            out.push_str("<path d=\"");
            for (k, p) in points.iter().enumerate() {
                let _ = write!(out, "{}{} {}", if k == 0 { "M" } else { "L" }, n(p[0]), n(p[1]));
            }
            let _ = writeln!(
                out,
                "\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\" fill=\"none\"/>",
                color.to_hex(),
                n(*width)
            );
        }
        Mark::Area { points, fill, opacity, stroke } => {
            out.push_str("<path d=\"");
            polygon_path(points, [0.0; 2], out);
            let _ = write!(out, "\" fill=\"{}\"", fill.to_hex());
            if *opacity < 1.0 {
                let _ = write!(out, " fill-opacity=\"{}\"", n(*opacity));
            }
            if let Some((color, width)) = stroke {
                let _ = write!(out, " stroke=\"{}\" stroke-width=\"{}\"", color.to_hex(), n(*width));
                out.push_str(" stroke-linejoin=\"round\"");
            }
            out.push_str("/>\n");
        }
        Mark::Text { x, y, size, bold, anchor, color, text, full, way } => {
            // Other fonts than the expected ones are squeezed to the width the layout reserved.
            let length = width(text, *size, *bold);
            let _ = write!(out, "<text x=\"{}\" y=\"{}\" font-size=\"{}\"", n(*x), n(*y), n(*size));
            if text.chars().count() > 1 {
                let _ = write!(out, " textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"", n(length));
            }
            if *bold {
                out.push_str(" font-weight=\"bold\"");
            }
            match anchor {
                Anchor::Start => {}
                Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
                Anchor::End => out.push_str(" text-anchor=\"end\""),
            }
            match way {
                Way::Across => {}
                Way::Upwards => {
                    let _ = write!(out, " transform=\"rotate(-90 {} {})\"", n(*x), n(*y));
                }
                Way::Over => {
                    let _ = write!(out, " stroke=\"#ffffff\" stroke-width=\"{}\"", n(SEAM * size));
                    out.push_str(" stroke-linejoin=\"round\" paint-order=\"stroke\"");
                }
            }
            let _ = write!(out, " fill=\"{}\" xml:space=\"preserve\">{}", color.to_hex(), escape(text));
            if let Some(full) = full {
                let _ = write!(out, "<title>{}</title>", escape(full));
            }
            out.push_str("</text>\n");
        }
        Mark::Bar { x, y, w, h, stops } => {
            let _ = write!(out, "<linearGradient id=\"bar{id}\" x1=\"0\" y1=\"1\" x2=\"0\" y2=\"0\">");
            for (k, stop) in stops.iter().enumerate() {
                let offset = k as f64 / (stops.len() - 1).max(1) as f64;
                let _ = write!(out, "<stop offset=\"{}\" stop-color=\"{}\"/>", n(offset), stop.to_hex());
            }
            let place = rect([*x, *y, *w, *h]);
            let _ = writeln!(out, "</linearGradient>\n<rect {place} fill=\"url(#bar{id})\"/>");
        }
        Mark::Picture { x, y, w, h, image, source, flip } => {
            // No finer than the image itself, nor than the paper.
            let across = (w * scale).min(source[2].max(1.0)).max(1.0);
            let (pw, ph) = pixel_size(across, across * h / w)?;
            let rgba = resample(image, *source, pw as usize, ph as usize, *flip, background);
            let rgb: Vec<u8> = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
            let bytes = encode(pw, ph, png::ColorType::Rgb, &rgb, None)?;
            embed([*x, *y, *w, *h], &bytes, out);
        }
        Mark::Cells(layer) if layer.colors.len() > MAX_VECTOR_CELLS => {
            let [x, y, w, h] = layer.place;
            // No finer than there are cells, nor than the paper.
            let least = |cells: usize, length: f64| (cells as f64).min(length * scale);
            let (pw, ph) = pixel_size(least(layer.columns, w), least(layer.rows, h))?;
            let rgb: Vec<u8> = layer
                .pixels(pw as usize, ph as usize)
                .into_iter()
                .flat_map(|Rgb(r, g, b)| [r, g, b])
                .collect();
            let bytes = encode(pw, ph, png::ColorType::Rgb, &rgb, None)?;
            let _ = write!(out, "<g style=\"image-rendering:pixelated\">");
            embed([x, y, w, h], &bytes, out);
            out.push_str("</g>\n");
        }
        Mark::Cells(layer) => {
            // Edges without antialiasing, or the page would shine through between cells.
            out.push_str("<g shape-rendering=\"crispEdges\">\n");
            for (k, color) in layer.colors.iter().enumerate() {
                let place = rect(layer.cell(k / layer.columns, k % layer.columns));
                let _ = writeln!(out, "<rect {place} fill=\"{}\"/>", color.to_hex());
            }
            out.push_str("</g>\n");
        }
        Mark::Spots(layer) if layer.centres.len() > options.max_vector_spots => {
            let (pw, ph) = pixel_size(layer.clip[2] * scale, layer.clip[3] * scale)?;
            let pixels = rasterize(layer, pw as usize, ph as usize);
            let bytes = encode(pw, ph, png::ColorType::Rgba, &pixels.rgba, None)?;
            embed(layer.clip, &bytes, out);
        }
        Mark::Spots(layer) => spots(layer, out),
    }
    Ok(())
}

/// The spots as paths. Tiles do not overlap and share one path per colour; circles may, and keep their order.
fn spots(layer: &SpotLayer, out: &mut String) {
    let tiles = layer.outline.tiles();
    let _ = write!(out, "<g");
    if layer.opacity < 1.0 && layer.edge.is_none() {
        let _ = write!(out, " opacity=\"{}\"", n(layer.opacity));
    }
    if let Some(edge) = layer.edge {
        let _ = write!(out, " stroke-width=\"{}\" stroke-linejoin=\"round\"", n(edge));
        let _ = write!(out, " fill-opacity=\"{}\"", n(layer.opacity));
    } else if tiles {
        // A hairline in the tile's own colour closes the seam that antialiasing leaves between neighbours.
        let _ = write!(out, " stroke-width=\"0.3\" stroke-linejoin=\"round\"");
    }
    out.push_str(">\n");
    let mut order: Vec<usize> = (0..layer.centres.len()).collect();
    if tiles {
        order.sort_by_key(|&i| layer.color_of[i]);
    }
    let outline = layer.outline.shrunk(layer.edge.unwrap_or(0.0) / 2.0);
    let corners = outline.corners();
    let mut k = 0;
    while k < order.len() {
        let color = layer.color_of[order[k]];
        let run = order[k..].iter().take_while(|&&i| layer.color_of[i] == color).count();
        let hex = layer.colors[color as usize].to_hex();
        let _ = write!(out, "<path fill=\"{hex}\"");
        if tiles || layer.edge.is_some() {
            let _ = write!(out, " stroke=\"{hex}\"");
        }
        out.push_str(" d=\"");
        for &i in &order[k..k + run] {
            match layer.boundaries.as_ref().map(|b| b.of(i)).filter(|line| !line.is_empty()) {
                Some(line) => polygon_path(line, [0.0; 2], out),
                None => outline_path(outline, &corners, layer.centres[i], out),
            }
        }
        out.push_str("\"/>\n");
        k += run;
    }
    out.push_str("</g>\n");
}

fn outline_path(outline: Outline, corners: &[[f64; 2]], [x, y]: [f64; 2], out: &mut String) {
    match outline {
        Outline::Circle { radius } => {
            let (r, d) = (n(radius), n(2.0 * radius));
            let _ = write!(out, "M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0-{d} 0z", n(x - radius), n(y));
        }
        Outline::Polygon { .. } => polygon_path(corners, [x, y], out),
    }
}

/// A closed line through `corners`, moved to `[x, y]`.
fn polygon_path(corners: &[[f64; 2]], [x, y]: [f64; 2], out: &mut String) {
    for (k, c) in corners.iter().enumerate() {
        let _ = write!(out, "{}{} {}", if k == 0 { "M" } else { "L" }, n(x + c[0]), n(y + c[1]));
    }
    out.push('z');
}

fn embed(place: [f64; 4], bytes: &[u8], out: &mut String) {
    let _ = write!(out, "<image {} preserveAspectRatio=\"none\" href=\"data:image/png;base64,", rect(place));
    base64(bytes, out);
    out.push_str("\"/>\n");
}

fn rect([x, y, w, h]: [f64; 4]) -> String {
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", n(x), n(y), n(w), n(h))
}

/// A number with three decimals at most.
pub(super) fn n(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text safe in element content and attributes; what XML cannot hold is replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let at = |k: usize| u32::from(chunk.get(k).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for k in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * k)) as usize & 63];
            out.push(if k > chunk.len() { '=' } else { char::from(symbol) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_test_vectors_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            let mut out = String::new();
            base64(bytes.as_bytes(), &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((n(1.0), n(0.12345), n(-0.0001)), ("1".into(), "0.123".into(), "0".into()));
    }
}
