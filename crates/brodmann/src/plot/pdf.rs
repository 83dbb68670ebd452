//! A figure as a PDF file of one page: the marks of the SVG as vectors, text in Helvetica, images embedded.
//!
//! Written after ISO 32000-1:2008, version 1.4 of the format (soft masks). Text that the encoding of the standard fonts
//! has (Windows-1252) stays text; other letters are drawn by their strokes, as in a PNG. No date is written: the same
//! figure gives the same bytes.

use std::fmt::Write as _;

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::color::Rgb;
use super::figure::{PlotError, RenderOptions};
use super::layout::{Anchor, Mark, Scene, Way};
use super::png::{SEAM, pixel_size, resample};
use super::spots::{Outline, SpotLayer, rasterize};
use super::svg::{MAX_VECTOR_CELLS, n};
use super::text::{Pen, pen_width, strokes, width};

/// Points per pixel: 72 and 96 to the inch.
const POINT: f64 = 0.75;
/// The control points of a quarter circle lie this far from its ends, of the radius.
const ARC: f64 = 0.552_285;
/// Slices of a colour bar.
const BAR_SLICES: usize = 128;
/// Level of compression: beyond, files hardly shrink.
const LEVEL: u8 = 6;

/// Objects with fixed numbers, then images.
const CATALOG: usize = 1;
const PAGES: usize = 2;
const PAGE: usize = 3;
const CONTENTS: usize = 4;
const INFO: usize = 5;
const REGULAR: usize = 6;
const BOLD: usize = 7;
const FIRST_IMAGE: usize = 8;

/// Draws any scene as the bytes of a PDF file.
pub(super) fn scene_pdf(scene: &Scene, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
    pixel_size(scene.width, scene.height)?;
    let mut page = Page { content: String::new(), opacities: Vec::new(), images: Vec::new() };
    let (w, h) = (scene.width * POINT, scene.height * POINT);
    // From here on as on a screen: pixels, y downwards.
    let _ = writeln!(page.content, "{POINT} 0 0 -{POINT} 0 {} cm", n(h));
    page.rectangle([0.0, 0.0, scene.width, scene.height]);
    page.fill(scene.background);
    for mark in &scene.marks {
        page.draw(mark, options, scene.background)?;
    }
    Ok(page.file(&scene.title, w, h))
}

/// One page while it is drawn.
struct Page {
    content: String,
    /// Opacities used, each a graphics state.
    opacities: Vec<f64>,
    images: Vec<Picture>,
}

/// Bytes of an image, red, green and blue, and its opacities.
struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    alpha: Option<Vec<u8>>,
    /// Blurred when enlarged; not so where pixels stand for cells.
    smooth: bool,
}

impl Page {
    fn draw(&mut self, mark: &Mark, options: &RenderOptions, background: Rgb) -> Result<(), PlotError> {
        let scale = options.dpi / 96.0;
        match mark {
            Mark::Rect { x, y, w, h, radius, fill, stroke } => {
                if let Some(fill) = fill {
                    self.rounded([*x, *y, *w, *h], *radius);
                    self.fill(*fill);
                }
                if let Some((color, width)) = stroke {
                    self.rounded([*x, *y, *w, *h], *radius);
                    self.stroke(*color, *width, false);
                }
            }
            Mark::Line { from, to, color, width } => {
                self.path(&[*from, *to]);
                self.stroke(*color, *width, false);
            }
            Mark::Path { points, color, width } => {
                self.path(points);
                self.stroke(*color, *width, true);
            }
            Mark::Area { points, fill, opacity, stroke } => {
                self.translucent(*opacity, |page| {
                    page.path(points);
                    page.content.push_str("h ");
                    page.fill(*fill);
                });
                if let Some((color, width)) = stroke {
                    self.path(points);
                    self.content.push_str("h ");
                    self.stroke(*color, *width, true);
                }
            }
            Mark::Text { .. } => self.text(mark),
            Mark::Bar { x, y, w, h, stops } => {
                // Each slice reaches the top, and the next lies over it: no seams.
                for k in 0..BAR_SLICES {
                    let at = (k as f64 + 0.5) / BAR_SLICES as f64 * (stops.len() - 1) as f64;
                    let low = (at as usize).min(stops.len().saturating_sub(2));
                    let color = stops[low].mix(stops[(low + 1).min(stops.len() - 1)], at - low as f64);
                    let height = h * (1.0 - k as f64 / BAR_SLICES as f64);
                    self.rectangle([*x, *y, *w, height]);
                    self.fill(color);
                }
            }
            Mark::Picture { x, y, w, h, image, source, flip } => {
                // No finer than the image itself, nor than the paper.
                let across = (w * scale).min(source[2].max(1.0)).max(1.0);
                let (pw, ph) = pixel_size(across, across * h / w)?;
                let rgba = resample(image, *source, pw as usize, ph as usize, *flip, background);
                let rgb = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
                self.image(
                    [*x, *y, *w, *h],
                    Picture { width: pw, height: ph, rgb, alpha: None, smooth: true },
                );
            }
            Mark::Cells(layer) if layer.colors.len() > MAX_VECTOR_CELLS => {
                let [_, _, w, h] = layer.place;
                let least = |cells: usize, length: f64| (cells as f64).min(length * scale);
                let (pw, ph) = pixel_size(least(layer.columns, w), least(layer.rows, h))?;
                let pixels = layer.pixels(pw as usize, ph as usize);
                let rgb = pixels.into_iter().flat_map(|Rgb(r, g, b)| [r, g, b]).collect();
                self.image(layer.place, Picture { width: pw, height: ph, rgb, alpha: None, smooth: false });
            }
            Mark::Cells(layer) => {
                let [x, y, w, h] = layer.place;
                for (k, color) in layer.colors.iter().enumerate() {
                    let [left, top, across, down] = layer.cell(k / layer.columns, k % layer.columns);
                    // A little below the next cells, or the page would shine through between them.
                    let across = (across + 0.3).min(x + w - left);
                    let down = (down + 0.3).min(y + h - top);
                    self.rectangle([left, top, across, down]);
                    self.fill(*color);
                }
            }
            Mark::Spots(layer) if layer.centres.len() > options.max_vector_spots => {
                let (pw, ph) = pixel_size(layer.clip[2] * scale, layer.clip[3] * scale)?;
                let pixels = rasterize(layer, pw as usize, ph as usize);
                let rgb = pixels.rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
                let alpha = Some(pixels.rgba.chunks_exact(4).map(|p| p[3]).collect());
                self.image(layer.clip, Picture { width: pw, height: ph, rgb, alpha, smooth: true });
            }
            Mark::Spots(layer) => self.spots(layer),
        }
        Ok(())
    }

    /// The spots as paths, as in an SVG.
    fn spots(&mut self, layer: &SpotLayer) {
        let tiles = layer.outline.tiles();
        let mut order: Vec<usize> = (0..layer.centres.len()).collect();
        if tiles {
            order.sort_by_key(|&i| layer.color_of[i]);
        }
        let outline = layer.outline.shrunk(layer.edge.unwrap_or(0.0) / 2.0);
        let corners = outline.corners();
        let mut k = 0;
        while k < order.len() {
            let of = layer.color_of[order[k]];
            let run = order[k..].iter().take_while(|&&i| layer.color_of[i] == of).count();
            let color = layer.colors[of as usize];
            let shapes = |page: &mut Self| {
                for &i in &order[k..k + run] {
                    match layer.boundaries.as_ref().map(|b| b.of(i)).filter(|line| !line.is_empty()) {
                        Some(line) => page.polygon(line, [0.0; 2]),
                        None => page.outline(outline, &corners, layer.centres[i]),
                    }
                }
            };
            self.translucent(layer.opacity, |page| {
                shapes(page);
                page.fill(color);
            });
            if let Some(edge) = layer.edge {
                shapes(self);
                self.stroke(color, edge, true);
            } else if tiles && layer.opacity >= 1.0 {
                // A hairline in the tile's own colour closes the seam that antialiasing leaves between neighbours.
                shapes(self);
                self.stroke(color, 0.3, true);
            }
            k += run;
        }
    }

    fn outline(&mut self, outline: Outline, corners: &[[f64; 2]], [x, y]: [f64; 2]) {
        match outline {
            Outline::Circle { radius: r } => self.rounded([x - r, y - r, 2.0 * r, 2.0 * r], r),
            Outline::Polygon { .. } => self.polygon(corners, [x, y]),
        }
    }

    fn text(&mut self, mark: &Mark) {
        let Mark::Text { x, y, size, bold, anchor, color, text, way, .. } = mark else { return };
        let left = -anchor.share() * width(text, *size, *bold);
        let left = if *anchor == Anchor::Start { 0.0 } else { left };
        // Its own axes, from the place of the text on.
        let turn = if *way == Way::Upwards { "0 -1 1 0" } else { "1 0 0 1" };
        let _ = writeln!(self.content, "q {turn} {} {} cm", n(*x), n(*y));
        let seam = (*way == Way::Over).then_some(SEAM * size);
        if let Some(bytes) = encoded(text) {
            let hex = hex(&bytes);
            let font = if *bold { "F2" } else { "F1" };
            let show = format!("BT /{font} {} Tf 1 0 0 -1 {} 0 Tm <{hex}> Tj ET", n(*size), n(left));
            if let Some(seam) = seam {
                let _ = writeln!(self.content, "1 1 1 RG {} w 1 j 1 Tr {show} 0 Tr", n(seam));
            }
            let _ = writeln!(self.content, "{} rg {show}", components(*color));
        } else {
            let pens = strokes(text, left, 0.0, *size, *bold);
            let pen = pen_width(*size, *bold);
            let white = seam.map(|seam| (Rgb(255, 255, 255), pen + seam));
            for (color, width) in white.into_iter().chain([(*color, pen)]) {
                self.pens(&pens);
                self.stroke(color, width, true);
            }
        }
        self.content.push_str("Q\n");
    }

    fn pens(&mut self, pens: &[Pen]) {
        for pen in pens {
            let _ = match *pen {
                Pen::Move(x, y) => write!(self.content, "{} {} m ", n(x), n(y)),
                Pen::Line(x, y) => write!(self.content, "{} {} l ", n(x), n(y)),
                Pen::Cubic([a, b, c, d, e, f]) => {
                    write!(self.content, "{} {} {} {} {} {} c ", n(a), n(b), n(c), n(d), n(e), n(f))
                }
                Pen::Close => write!(self.content, "h "),
            };
        }
    }

    /// What `draw` draws, at this opacity.
    fn translucent(&mut self, opacity: f64, draw: impl FnOnce(&mut Self)) {
        if opacity <= 0.0 {
            return;
        }
        if opacity >= 1.0 {
            return draw(self);
        }
        let known = self.opacities.iter().position(|o| (o - opacity).abs() < 1e-9);
        let state = known.unwrap_or_else(|| {
            self.opacities.push(opacity);
            self.opacities.len() - 1
        });
        let _ = writeln!(self.content, "q /A{state} gs");
        draw(self);
        self.content.push_str("Q\n");
    }

    fn image(&mut self, [x, y, w, h]: [f64; 4], picture: Picture) {
        let name = self.images.len();
        let _ = writeln!(self.content, "q {} 0 0 -{} {} {} cm /I{name} Do Q", n(w), n(h), n(x), n(y + h));
        self.images.push(picture);
    }

    fn rectangle(&mut self, [x, y, w, h]: [f64; 4]) {
        let _ = write!(self.content, "{} {} {} {} re ", n(x), n(y), n(w), n(h));
    }

    fn path(&mut self, points: &[[f64; 2]]) {
        for (k, [x, y]) in points.iter().enumerate() {
            let _ = write!(self.content, "{} {} {} ", n(*x), n(*y), if k == 0 { 'm' } else { 'l' });
        }
    }

    /// A closed line through `corners`, moved to `[x, y]`.
    fn polygon(&mut self, corners: &[[f64; 2]], [x, y]: [f64; 2]) {
        for (k, c) in corners.iter().enumerate() {
            let _ =
                write!(self.content, "{} {} {} ", n(x + c[0]), n(y + c[1]), if k == 0 { 'm' } else { 'l' });
        }
        self.content.push_str("h ");
    }

    fn rounded(&mut self, [x, y, w, h]: [f64; 4], radius: f64) {
        let r = radius.min(w / 2.0).min(h / 2.0);
        if r <= 0.0 {
            return self.rectangle([x, y, w, h]);
        }
        let k = r * (1.0 - ARC);
        let (right, bottom) = (x + w, y + h);
        let corners = [
            ([right - r, y], [right - k, y], [right, y + k], [right, y + r]),
            ([right, bottom - r], [right, bottom - k], [right - k, bottom], [right - r, bottom]),
            ([x + r, bottom], [x + k, bottom], [x, bottom - k], [x, bottom - r]),
            ([x, y + r], [x, y + k], [x + k, y], [x + r, y]),
        ];
        let _ = write!(self.content, "{} {} m ", n(x + r), n(y));
        for (from, a, b, to) in corners {
            let _ = write!(self.content, "{} {} l ", n(from[0]), n(from[1]));
            let [a, b, c, d, e, f] = [a[0], a[1], b[0], b[1], to[0], to[1]].map(n);
            let _ = write!(self.content, "{a} {b} {c} {d} {e} {f} c ");
        }
        self.content.push_str("h ");
    }

    fn fill(&mut self, color: Rgb) {
        let _ = writeln!(self.content, "{} rg f", components(color));
    }

    fn stroke(&mut self, color: Rgb, width: f64, round: bool) {
        let (join, cap) = if round { (1, 1) } else { (0, 0) };
        let _ = writeln!(self.content, "{} RG {} w {join} j {cap} J S", components(color), n(width));
    }

    /// The whole file: objects, where they begin, and how to find that.
    fn file(self, title: &str, w: f64, h: f64) -> Vec<u8> {
        let mut file = File { bytes: b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n".to_vec(), starts: Vec::new() };
        // An image is followed by its mask.
        let mut images = String::new();
        let mut number = FIRST_IMAGE;
        for (k, picture) in self.images.iter().enumerate() {
            let _ = write!(images, " /I{k} {number} 0 R");
            number += 1 + usize::from(picture.alpha.is_some());
        }
        let mut states = String::new();
        for (k, opacity) in self.opacities.iter().enumerate() {
            let _ = write!(states, " /A{k} << /ca {0} /CA {0} >>", n(*opacity));
        }
        file.object(CATALOG, &format!("<< /Type /Catalog /Pages {PAGES} 0 R >>"));
        file.object(PAGES, &format!("<< /Type /Pages /Kids [{PAGE} 0 R] /Count 1 >>"));
        file.object(
            PAGE,
            &format!(
                "<< /Type /Page /Parent {PAGES} 0 R /MediaBox [0 0 {} {}] /Contents {CONTENTS} 0 R /Resources << /Font \
                 << /F1 {REGULAR} 0 R /F2 {BOLD} 0 R >> /ExtGState <<{states} >> /XObject <<{images} >> >> >>",
                n(w),
                n(h)
            ),
        );
        file.stream(CONTENTS, "", self.content.as_bytes());
        let title: Vec<u8> = title.encode_utf16().flat_map(u16::to_be_bytes).collect();
        file.object(INFO, &format!("<< /Title <feff{}> /Producer (brodmann) >>", hex(&title)));
        for (number, font) in [(REGULAR, "Helvetica"), (BOLD, "Helvetica-Bold")] {
            let encoding = "/Encoding /WinAnsiEncoding";
            file.object(number, &format!("<< /Type /Font /Subtype /Type1 /BaseFont /{font} {encoding} >>"));
        }
        let mut number = FIRST_IMAGE;
        for picture in &self.images {
            let size = format!(
                "/Type /XObject /Subtype /Image /Width {} /Height {} /BitsPerComponent 8 /Interpolate {} ",
                picture.width, picture.height, picture.smooth
            );
            let mask =
                picture.alpha.as_ref().map_or(String::new(), |_| format!("/SMask {} 0 R ", number + 1));
            file.stream(number, &format!("{size}/ColorSpace /DeviceRGB {mask}"), &picture.rgb);
            number += 1;
            if let Some(alpha) = &picture.alpha {
                file.stream(number, &format!("{size}/ColorSpace /DeviceGray "), alpha);
                number += 1;
            }
        }
        file.finished()
    }
}

/// Objects written so far.
struct File {
    bytes: Vec<u8>,
    /// Where each object begins, from object 1 on.
    starts: Vec<usize>,
}

impl File {
    fn object(&mut self, number: usize, text: &str) {
        debug_assert_eq!(number, self.starts.len() + 1, "objects are written in order");
        self.starts.push(self.bytes.len());
        self.bytes.extend(format!("{number} 0 obj\n{text}\nendobj\n").bytes());
    }

    fn stream(&mut self, number: usize, entries: &str, bytes: &[u8]) {
        let packed = compress_to_vec_zlib(bytes, LEVEL);
        self.starts.push(self.bytes.len());
        let length = packed.len();
        let head = format!("{number} 0 obj\n<< {entries}/Filter /FlateDecode /Length {length} >>\nstream\n");
        self.bytes.extend(head.bytes());
        self.bytes.extend(packed);
        self.bytes.extend(b"\nendstream\nendobj\n");
    }

    fn finished(mut self) -> Vec<u8> {
        let table = self.bytes.len();
        let size = self.starts.len() + 1;
        let mut text = format!("xref\n0 {size}\n0000000000 65535 f \n");
        for start in &self.starts {
            let _ = writeln!(text, "{start:010} 00000 n ");
        }
        let _ = write!(
            text,
            "trailer\n<< /Size {size} /Root {CATALOG} 0 R /Info {INFO} 0 R >>\nstartxref\n{table}\n%%EOF\n"
        );
        self.bytes.extend(text.bytes());
        self.bytes
    }
}

/// Red, green and blue from 0 to 1.
fn components(Rgb(r, g, b): Rgb) -> String {
    let [r, g, b] = [r, g, b].map(|v| n(f64::from(v) / 255.0));
    format!("{r} {g} {b}")
}

/// Two digits for each byte: no string needs an escape then.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text in Windows-1252; `None` where a letter is not in it.
fn encoded(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|c| match c {
            ' '..='~' | '\u{A0}'..='\u{FF}' => u8::try_from(u32::from(c)).ok(),
            // The dash of numbers is as wide as the minus sign, which the encoding lacks.
            '\u{2212}' => Some(0x96),
            _ => HIGHER.iter().find(|(letter, _)| *letter == c).map(|(_, code)| *code),
        })
        .collect()
}

/// Letters that Windows-1252 has between 128 and 159.
const HIGHER: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8A),
    ('‹', 0x8B),
    ('Œ', 0x8C),
    ('Ž', 0x8E),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9A),
    ('›', 0x9B),
    ('œ', 0x9C),
    ('ž', 0x9E),
    ('Ÿ', 0x9F),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::figure::{Color, Figure, Image, Panel};
    use crate::plot::{Part, PictureFormat, Plot, Scatter, Sheet};
    use miniz_oxide::inflate::decompress_to_vec_zlib;
    use ndarray::array;
    use std::sync::Arc;

    fn figure(title: &str) -> Figure {
        let panel = Panel {
            title: title.to_owned(),
            coordinates: Arc::new(array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
            color: Color::Categorical {
                codes: vec![Some(0), Some(1), Some(0), None],
                names: vec!["a".into(), "b".into()],
                palette: None,
            },
            image: Some(Arc::new(Image { width: 2, height: 2, rgb: vec![200; 12], scale: 1.0 })),
            opacity: 0.5,
            ..Panel::default()
        };
        Figure { panels: vec![panel], title: "a whole".into(), ..Figure::default() }
    }

    /// What the page draws, inflated.
    fn content(file: &[u8]) -> String {
        let find = |from: usize, what: &[u8]| {
            from + file[from..].windows(what.len()).position(|w| w == what).expect("there")
        };
        let object = find(0, b"\n4 0 obj\n");
        let start = find(object, b"stream\n") + 7;
        let end = find(start, b"\nendstream");
        String::from_utf8(decompress_to_vec_zlib(&file[start..end]).expect("deflated")).expect("text")
    }

    #[test]
    fn every_object_begins_where_the_table_says() {
        let file = PictureFormat::Pdf.figure(&figure("one"), &RenderOptions::default()).expect("drawn");
        assert!(file.starts_with(b"%PDF-1.4"));
        let text = String::from_utf8_lossy(&file);
        let at: usize =
            text.rsplit("startxref\n").next().and_then(|t| t.lines().next()?.parse().ok()).expect("a number");
        let table = String::from_utf8(file[at..].to_vec()).expect("text");
        let mut lines = table.lines();
        assert_eq!(lines.next(), Some("xref"));
        let size: usize = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a number");
        for (number, line) in lines.skip(1).take(size - 1).enumerate() {
            let start: usize = line.split(' ').next().and_then(|s| s.parse().ok()).expect("a number");
            let head = format!("{} 0 obj\n", number + 1);
            assert!(file[start..].starts_with(head.as_bytes()), "object {}", number + 1);
            // An entry is 20 bytes with its line feed.
            assert_eq!(line.len(), 19);
        }
    }

    #[test]
    fn text_stays_text_and_other_letters_are_strokes() {
        let drawn = |title: &str| {
            content(&PictureFormat::Pdf.figure(&figure(title), &RenderOptions::default()).expect("drawn"))
        };
        let hex = |text: &str| {
            text.bytes().fold(String::new(), |mut all, byte| {
                let _ = write!(all, "{byte:02x}");
                all
            })
        };
        let plain = drawn("(one) \\");
        assert!(plain.contains(&format!("<{}> Tj", hex("(one) \\"))), "no string needs an escape in hex");
        assert!(plain.contains("/A0 gs") && plain.contains("/I0 Do"));
        assert_eq!(encoded("5 µm – é…"), Some(b"5 \xB5m \x96 \xE9\x85".to_vec()));
        assert_eq!(encoded("α"), None);
        assert!(drawn("α").matches(" S\n").count() > plain.matches(" S\n").count());
    }

    #[test]
    fn a_million_spots_are_an_image_with_a_mask() {
        let options = RenderOptions { max_vector_spots: 3, ..RenderOptions::default() };
        let file = PictureFormat::Pdf.figure(&figure("many"), &options).expect("drawn");
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("/SMask") && text.contains("/DeviceGray"));
        let again = PictureFormat::Pdf.figure(&figure("many"), &options).expect("drawn");
        assert_eq!(file, again, "the same bytes");
    }

    #[test]
    fn a_sheet_of_plots_is_a_page_too() {
        let scatter = Scatter { coordinates: Arc::new(array![[0.0, 0.0], [1.0, 2.0]]), ..Scatter::default() };
        let sheet = Sheet { parts: vec![Part::Plots(vec![Plot::Scatter(scatter)])], ..Sheet::default() };
        let file = PictureFormat::Pdf.sheet(&sheet, &RenderOptions::default()).expect("drawn");
        // The name of the axis at the left is turned.
        assert!(content(&file).contains("q 0 -1 1 0 "));
    }
}
