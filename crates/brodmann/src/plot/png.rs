//! A figure as a PNG file.

use tiny_skia::{
    Color as SkiaColor, FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect,
    Stroke, Transform,
};

use super::color::Rgb;
use super::figure::{Figure, Image, PlotError, RenderOptions};
use super::layout::{Mark, Scene, Way, layout};
use super::spots::{Pixels, rasterize};
use super::text::{Pen, has_strokes, pen_width, strokes, width};

/// The most pixels of a picture (1 GiB of canvas).
pub(super) const MAX_PIXELS: u64 = 1 << 28;
/// How much wider the white seam around a text is than its pen, in em.
pub(super) const SEAM: f64 = 0.22;

/// Draws the figure as the bytes of a PNG file.
///
/// # Inputs
/// `figure`; `options.dpi`, stored in the file: a length of 96 pixels becomes `dpi` dots.
/// # Returns
/// An RGB PNG, 8 bits a channel.
/// # Errors
/// [`PlotError`]: no panel, no placed spot, lengths that differ, more than 2²⁸ pixels.
/// # Cost
/// O(spots + pixels).
pub fn render_png(figure: &Figure, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
    scene_png(&layout(figure, options)?, options)
}

/// Characters that [`render_png`] has no strokes for and draws as boxes, each once, in the order of the figure. An SVG
/// has them from the fonts of whoever opens it.
///
/// # Errors
/// As [`render_png`].
pub fn undrawn(figure: &Figure, options: &RenderOptions) -> Result<Vec<char>, PlotError> {
    Ok(scene_undrawn(&layout(figure, options)?))
}

/// [`undrawn`] of any scene.
pub(super) fn scene_undrawn(scene: &Scene) -> Vec<char> {
    let mut found = Vec::new();
    for mark in &scene.marks {
        if let Mark::Text { text, .. } = mark {
            for c in text.chars().filter(|c| !has_strokes(*c)) {
                if !found.contains(&c) {
                    found.push(c);
                }
            }
        }
    }
    found
}

/// Draws any scene as the bytes of a PNG file.
pub(super) fn scene_png(scene: &Scene, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
    let scale = options.dpi / 96.0;
    let (w, h) = pixel_size(scene.width * scale, scene.height * scale)?;
    let canvas = draw(scene, scale, w, h)?;
    let rgb: Vec<u8> = canvas.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    encode(w, h, png::ColorType::Rgb, &rgb, Some(options.dpi))
}

/// Whole pixels, when the canvas is not too large.
pub(super) fn pixel_size(width: f64, height: f64) -> Result<(u32, u32), PlotError> {
    let (w, h) = (width.ceil().max(1.0) as u64, height.ceil().max(1.0) as u64);
    if w.saturating_mul(h) > MAX_PIXELS || w.max(h) > u64::from(u16::MAX) {
        return Err(PlotError::TooLarge { width: w, height: h, limit: MAX_PIXELS });
    }
    Ok((w as u32, h as u32))
}

/// A picture of three bytes per pixel, row by row, as the bytes of a PNG file.
///
/// # Errors
/// [`PlotError::Encode`]; [`PlotError::TooLarge`] for sides that no picture has.
pub fn rgb_png(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, PlotError> {
    let (w, h) = pixel_size(width as f64, height as f64)?;
    encode(w, h, png::ColorType::Rgb, rgb, None)
}

/// The bytes of a PNG file.
pub(super) fn encode(
    width: u32,
    height: u32,
    color: png::ColorType,
    bytes: &[u8],
    dpi: Option<f64>,
) -> Result<Vec<u8>, PlotError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    if let Some(dpi) = dpi {
        let per_metre = (dpi / 0.0254).round() as u32;
        let unit = png::Unit::Meter;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit }));
    }
    let failed = |e: png::EncodingError| PlotError::Encode { reason: e.to_string() };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

fn draw(scene: &Scene, scale: f64, w: u32, h: u32) -> Result<Pixmap, PlotError> {
    let too_large = || PlotError::TooLarge { width: w.into(), height: h.into(), limit: MAX_PIXELS };
    let mut canvas = Pixmap::new(w, h).ok_or_else(too_large)?;
    let Rgb(r, g, b) = scene.background;
    canvas.fill(SkiaColor::from_rgba8(r, g, b, 255));
    let transform = Transform::from_scale(scale as f32, scale as f32);
    for mark in &scene.marks {
        match mark {
            Mark::Rect { x, y, w, h, radius, fill, stroke } => {
                let path = rounded(*x, *y, *w, *h, *radius);
                if let (Some(path), Some(fill)) = (&path, fill) {
                    canvas.fill_path(path, &paint(*fill), FillRule::Winding, transform, None);
                }
                if let (Some(path), Some((color, width))) = (&path, stroke) {
                    let stroke = Stroke { width: *width as f32, ..Stroke::default() };
                    canvas.stroke_path(path, &paint(*color), &stroke, transform, None);
                }
            }
            Mark::Line { from, to, color, width } => {
                let mut builder = PathBuilder::new();
                builder.move_to(from[0] as f32, from[1] as f32);
                builder.line_to(to[0] as f32, to[1] as f32);
                if let Some(path) = builder.finish() {
                    let stroke = Stroke { width: *width as f32, ..Stroke::default() };
                    canvas.stroke_path(&path, &paint(*color), &stroke, transform, None);
                }
            }
            Mark::Path { points, color, width } => {
                let mut builder = PathBuilder::new();
                for (k, p) in points.iter().enumerate() {
                    let (x, y) = (p[0] as f32, p[1] as f32);
                    if k == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
                }
                if let Some(path) = builder.finish() {
                    let stroke = Stroke {
                        width: *width as f32,
                        line_cap: LineCap::Round,
                        line_join: LineJoin::Round,
                        ..Stroke::default()
                    };
                    canvas.stroke_path(&path, &paint(*color), &stroke, transform, None);
                }
            }
            Mark::Area { points, fill, opacity, stroke } => {
                let mut builder = PathBuilder::new();
                for (k, p) in points.iter().enumerate() {
                    let (x, y) = (p[0] as f32, p[1] as f32);
                    if k == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
                }
                builder.close();
                if let Some(path) = builder.finish() {
                    let mut paint_of_fill = paint(*fill);
                    paint_of_fill.set_color_rgba8(fill.0, fill.1, fill.2, (opacity * 255.0).round() as u8);
                    canvas.fill_path(&path, &paint_of_fill, FillRule::Winding, transform, None);
                    if let Some((color, width)) = stroke {
                        let stroke =
                            Stroke { width: *width as f32, line_join: LineJoin::Round, ..Stroke::default() };
                        canvas.stroke_path(&path, &paint(*color), &stroke, transform, None);
                    }
                }
            }
            Mark::Text { x, y, size, bold, anchor, color, text, way, .. } => {
                let left = x - anchor.share() * width(text, *size, *bold);
                if let Some(path) = pen_path(&strokes(text, left, *y, *size, *bold)) {
                    let pen = pen_width(*size, *bold);
                    let stroke = |width: f64| Stroke {
                        width: width as f32,
                        line_cap: LineCap::Round,
                        line_join: LineJoin::Round,
                        ..Stroke::default()
                    };
                    let turned = transform.pre_rotate_at(-90.0, *x as f32, *y as f32);
                    let transform = if *way == Way::Upwards { turned } else { transform };
                    if *way == Way::Over {
                        let seam = stroke(pen + SEAM * size);
                        canvas.stroke_path(&path, &paint(Rgb(255, 255, 255)), &seam, transform, None);
                    }
                    canvas.stroke_path(&path, &paint(*color), &stroke(pen), transform, None);
                }
            }
            Mark::Bar { x, y, w, h, stops } => bar(&mut canvas, [*x, *y, *w, *h].map(|v| v * scale), stops),
            Mark::Picture { x, y, w, h, image, source, flip } => {
                let [x0, y0, x1, y1] = snapped([*x, *y, *w, *h].map(|v| v * scale));
                let (w, h) = ((x1 - x0).max(1) as usize, (y1 - y0).max(1) as usize);
                let rgba = resample(image, *source, w, h, *flip, scene.background);
                blend(&mut canvas, x0, y0, &Pixels { width: w, height: h, rgba });
            }
            Mark::Cells(layer) => {
                let [x0, y0, x1, y1] = snapped(layer.place.map(|v| v * scale));
                let (w, h) = ((x1 - x0).max(1) as usize, (y1 - y0).max(1) as usize);
                let rgba = layer.pixels(w, h).into_iter().flat_map(|Rgb(r, g, b)| [r, g, b, 255]).collect();
                blend(&mut canvas, x0, y0, &Pixels { width: w, height: h, rgba });
            }
            Mark::Spots(layer) => {
                let [x0, y0, x1, y1] = snapped(layer.clip.map(|v| v * scale));
                let (w, h) = ((x1 - x0).max(1) as usize, (y1 - y0).max(1) as usize);
                blend(&mut canvas, x0, y0, &rasterize(layer, w, h));
            }
        }
    }
    Ok(canvas)
}

/// A rectangle's edges on whole pixels: left, top, right, bottom.
fn snapped([x, y, w, h]: [f64; 4]) -> [i64; 4] {
    [x.round() as i64, y.round() as i64, (x + w).round() as i64, (y + h).round() as i64]
}

fn paint(Rgb(r, g, b): Rgb) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint.anti_alias = true;
    paint
}

fn rounded(x: f64, y: f64, w: f64, h: f64, radius: f64) -> Option<tiny_skia::Path> {
    let r = radius.min(w / 2.0).min(h / 2.0);
    if r <= 0.0 {
        return Rect::from_xywh(x as f32, y as f32, w as f32, h as f32).map(PathBuilder::from_rect);
    }
    // The control points of a quarter circle lie this far from its ends, of the radius.
    let k = r * (1.0 - 0.552_285);
    let mut p = PathBuilder::new();
    let f = |v: f64| v as f32;
    p.move_to(f(x + r), f(y));
    p.line_to(f(x + w - r), f(y));
    p.cubic_to(f(x + w - k), f(y), f(x + w), f(y + k), f(x + w), f(y + r));
    p.line_to(f(x + w), f(y + h - r));
    p.cubic_to(f(x + w), f(y + h - k), f(x + w - k), f(y + h), f(x + w - r), f(y + h));
    p.line_to(f(x + r), f(y + h));
    p.cubic_to(f(x + k), f(y + h), f(x), f(y + h - k), f(x), f(y + h - r));
    p.line_to(f(x), f(y + r));
    p.cubic_to(f(x), f(y + k), f(x + k), f(y), f(x + r), f(y));
    p.close();
    p.finish()
}

fn pen_path(pens: &[Pen]) -> Option<tiny_skia::Path> {
    let mut path = PathBuilder::new();
    for pen in pens {
        match *pen {
            Pen::Move(x, y) => path.move_to(x as f32, y as f32),
            Pen::Line(x, y) => path.line_to(x as f32, y as f32),
            Pen::Cubic(c) => {
                let c = c.map(|v| v as f32);
                path.cubic_to(c[0], c[1], c[2], c[3], c[4], c[5]);
            }
            Pen::Close => path.close(),
        }
    }
    path.finish()
}

/// A vertical colour scale, row of pixels by row.
fn bar(canvas: &mut Pixmap, place: [f64; 4], stops: &[Rgb]) {
    let [x0, y0, x1, y1] = snapped(place);
    let (w, h) = ((x1 - x0).max(1) as usize, (y1 - y0).max(1) as usize);
    let mut rgba = Vec::with_capacity(w * h * 4);
    for row in 0..h {
        let t = 1.0 - (row as f64 + 0.5) / h as f64;
        let at = t * (stops.len() - 1) as f64;
        let k = (at as usize).min(stops.len().saturating_sub(2));
        let Rgb(r, g, b) = stops[k].mix(stops[(k + 1).min(stops.len() - 1)], at - k as f64);
        for _ in 0..w {
            rgba.extend_from_slice(&[r, g, b, 255]);
        }
    }
    blend(canvas, x0, y0, &Pixels { width: w, height: h, rgba });
}

/// Lays pixels over the canvas, which is opaque and stays so.
fn blend(canvas: &mut Pixmap, x0: i64, y0: i64, over: &Pixels) {
    let (width, height) = (i64::from(canvas.width()), i64::from(canvas.height()));
    let pixels = canvas.pixels_mut();
    for y in 0..over.height {
        for x in 0..over.width {
            let (cx, cy) = (x0 + x as i64, y0 + y as i64);
            if !(0..width).contains(&cx) || !(0..height).contains(&cy) {
                continue;
            }
            let from = &over.rgba[(y * over.width + x) * 4..][..4];
            let alpha = u32::from(from[3]);
            if alpha == 0 {
                continue;
            }
            let under = &mut pixels[(cy * width + cx) as usize];
            let mix =
                |a: u8, b: u8| ((u32::from(a) * alpha + u32::from(b) * (255 - alpha) + 127) / 255) as u8;
            let mixed = [mix(from[0], under.red()), mix(from[1], under.green()), mix(from[2], under.blue())];
            if let Some(p) = PremultipliedColorU8::from_rgba(mixed[0], mixed[1], mixed[2], 255) {
                *under = p;
            }
        }
    }
}

/// The part `source` (x, y, width, height in image pixels) of an image as `w` × `h` opaque pixels.
///
/// Shrinking averages up to 8 × 8 bilinear samples a pixel; beyond the image's edge is `background`.
pub(super) fn resample(
    image: &Image,
    source: [f64; 4],
    w: usize,
    h: usize,
    flip: bool,
    background: Rgb,
) -> Vec<u8> {
    let (step_x, step_y) = (source[2] / w as f64, source[3] / h as f64);
    let samples = |step: f64| (step.ceil().clamp(1.0, 8.0)) as usize;
    let (nx, ny) = (samples(step_x), samples(step_y));
    let mut out = Vec::with_capacity(w * h * 4);
    for y in 0..h {
        let row = if flip { h - 1 - y } else { y };
        for x in 0..w {
            let mut sum = [0.0; 3];
            for v in 0..ny {
                let sy = source[1] + (row as f64 + (v as f64 + 0.5) / ny as f64) * step_y;
                for u in 0..nx {
                    let sx = source[0] + (x as f64 + (u as f64 + 0.5) / nx as f64) * step_x;
                    let c = sample(image, sx, sy, background);
                    for k in 0..3 {
                        sum[k] += c[k];
                    }
                }
            }
            let n = (nx * ny) as f64;
            out.extend(sum.map(|s| (s / n).round() as u8));
            out.push(255);
        }
    }
    out
}

/// Bilinear between pixel centres.
fn sample(image: &Image, x: f64, y: f64, background: Rgb) -> [f64; 3] {
    let Rgb(r, g, b) = background;
    if x < 0.0 || y < 0.0 || x > image.width as f64 || y > image.height as f64 {
        return [f64::from(r), f64::from(g), f64::from(b)];
    }
    let (x, y) =
        ((x - 0.5).clamp(0.0, (image.width - 1) as f64), (y - 0.5).clamp(0.0, (image.height - 1) as f64));
    let (ix, iy) = (x as usize, y as usize);
    let (fx, fy) = (x - ix as f64, y - iy as f64);
    let (jx, jy) = ((ix + 1).min(image.width - 1), (iy + 1).min(image.height - 1));
    let at = |x: usize, y: usize, k: usize| f64::from(image.rgb[(y * image.width + x) * 3 + k]);
    std::array::from_fn(|k| {
        let top = at(ix, iy, k) * (1.0 - fx) + at(jx, iy, k) * fx;
        let bottom = at(ix, jy, k) * (1.0 - fx) + at(jx, jy, k) * fx;
        top * (1.0 - fy) + bottom * fy
    })
}
