//! Text: how wide it is, and the strokes that draw it.

use super::glyphs::{ACCENTS, COMPOSED, GLYPHS, RAISED, UNKNOWN};

/// Bold letters are this much wider.
const BOLD_ADVANCE: f64 = 1.055;
const RAISED_SCALE: f64 = 0.6;

/// One pen movement, in pixels, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pen {
    Move(f64, f64),
    Line(f64, f64),
    Cubic([f64; 6]),
    Close,
}

fn strokes_of(c: char) -> Option<(u16, &'static str)> {
    GLYPHS.binary_search_by_key(&c, |g| g.0).ok().map(|k| (GLYPHS[k].1, GLYPHS[k].2))
}

/// Whether a character is drawn as itself, or is none that shows.
pub(super) fn has_strokes(c: char) -> bool {
    strokes_of(c).is_some()
        || COMPOSED.iter().any(|x| x.0 == c)
        || RAISED.iter().any(|x| x.0 == c)
        || c.is_control()
}

fn advance(c: char) -> f64 {
    if let Some((width, _)) = strokes_of(c) {
        return f64::from(width);
    }
    if let Some((_, base, _)) = COMPOSED.iter().find(|x| x.0 == c) {
        return advance(*base);
    }
    if let Some((_, base)) = RAISED.iter().find(|x| x.0 == c) {
        return advance(*base) * RAISED_SCALE;
    }
    if c.is_control() { 0.0 } else { f64::from(UNKNOWN.0) }
}

/// The width of `text` in pixels at `size` pixels to the em.
pub(super) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let em: f64 = text.chars().map(advance).sum();
    em / 1000.0 * size * if bold { BOLD_ADVANCE } else { 1.0 }
}

/// `text` shortened to at most `most` pixels, with an ellipsis where something was left out.
pub(super) fn fitted(text: &str, size: f64, bold: bool, most: f64) -> String {
    if width(text, size, bold) <= most {
        return text.to_owned();
    }
    let room = most - width("…", size, bold);
    let mut kept = beginning(text, size, bold, room);
    loop {
        let candidate = kept.trim_end().to_owned() + "…";
        // One more than fits may have been kept by rounding.
        if kept.is_empty() || width(&candidate, size, bold) <= most {
            return candidate;
        }
        kept = kept.char_indices().next_back().map_or("", |(last, _)| &kept[..last]);
    }
}

/// As many characters from the beginning as are not wider than `room`, and up to one more.
fn beginning(text: &str, size: f64, bold: bool, room: f64) -> &str {
    let unit = width("–", size, bold) / advance('–');
    let mut taken = 0.0;
    for (at, c) in text.char_indices() {
        if taken * unit > room {
            return &text[..at];
        }
        taken += advance(c);
    }
    text
}

/// `text` shortened to at most `most` pixels in its middle: names that begin alike often end differently.
pub(super) fn fitted_around(text: &str, size: f64, bold: bool, most: f64) -> String {
    if width(text, size, bold) <= most {
        return text.to_owned();
    }
    let start = fitted(text, size, bold, 0.62 * most);
    let room = most - width(&start, size, bold);
    let mut end = text.len();
    let mut taken = 0.0;
    for (at, c) in text.char_indices().rev() {
        taken += width(c.encode_utf8(&mut [0; 4]), size, bold);
        if taken > room {
            break;
        }
        end = at;
    }
    start + text[end..].trim_start()
}

/// Width of the pen at `size`.
pub(super) fn pen_width(size: f64, bold: bool) -> f64 {
    size * if bold { 0.122 } else { 0.084 }
}

/// The pen movements of `text` with its baseline starting at (`x`, `y`).
pub(super) fn strokes(text: &str, x: f64, y: f64, size: f64, bold: bool) -> Vec<Pen> {
    let unit = size / 1000.0;
    let stretch = if bold { BOLD_ADVANCE } else { 1.0 };
    let mut pens = Vec::new();
    let mut at = x;
    for c in text.chars() {
        let place = Place { x: at, y, sx: unit * stretch, sy: unit };
        if let Some((_, path)) = strokes_of(c) {
            parse(path, place, &mut pens);
        } else if let Some(&(_, base, accent)) = COMPOSED.iter().find(|g| g.0 == c) {
            if let Some((_, path)) = strokes_of(base) {
                parse(path, place, &mut pens);
            }
            let lift =
                if base.is_uppercase() && !matches!(accent, '\u{327}' | '\u{338}') { 165.0 } else { 0.0 };
            let over = Place { x: at + advance(c) / 2.0 * unit * stretch, y: y - lift * unit, ..place };
            if let Some((_, path)) = ACCENTS.iter().find(|a| a.0 == accent) {
                parse(path, over, &mut pens);
            }
        } else if let Some((_, path)) =
            RAISED.iter().find(|g| g.0 == c).and_then(|&(_, base)| strokes_of(base))
        {
            let small = Place {
                x: at,
                y: y - 300.0 * unit,
                sx: unit * stretch * RAISED_SCALE,
                sy: unit * RAISED_SCALE,
            };
            parse(path, small, &mut pens);
        } else if !c.is_control() {
            parse(UNKNOWN.1, place, &mut pens);
        }
        at += advance(c) * unit * stretch;
    }
    pens
}

#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    sx: f64,
    sy: f64,
}

impl Place {
    fn point(self, x: f64, y: f64) -> (f64, f64) {
        (self.x + x * self.sx, self.y - y * self.sy)
    }
}

/// Reads a glyph's commands; the table is ours, so a token that is no number counts as 0 (a test reads them all).
fn parse(path: &str, place: Place, out: &mut Vec<Pen>) {
    let mut tokens = path.split_ascii_whitespace();
    let mut open = false;
    while let Some(command) = tokens.next() {
        let mut number = || tokens.next().and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        match command {
            "M" | "L" => {
                let (x, y) = (number(), number());
                let (x, y) = place.point(x, y);
                out.push(if command == "M" || !open { Pen::Move(x, y) } else { Pen::Line(x, y) });
                open = true;
            }
            "C" => {
                let mut c = [0.0; 6];
                for k in 0..3 {
                    let (x, y) = (number(), number());
                    (c[2 * k], c[2 * k + 1]) = place.point(x, y);
                }
                out.push(Pen::Cubic(c));
            }
            "E" => {
                let ellipse = [number(), number(), number(), number()];
                arc(ellipse, number(), number(), place, open, out);
                open = true;
            }
            "Z" => {
                out.push(Pen::Close);
                open = false;
            }
            _ => open = false,
        }
    }
}

/// An elliptical arc as cubics of at most 45 degrees each (error below 1e-5 of the radius).
fn arc([cx, cy, rx, ry]: [f64; 4], from: f64, to: f64, place: Place, open: bool, out: &mut Vec<Pen>) {
    let steps = ((to - from).abs() / 45.0).ceil().max(1.0);
    let step = (to - from).to_radians() / steps;
    let handle = 4.0 / 3.0 * (step / 4.0).tan();
    let at = |angle: f64| (cx + rx * angle.cos(), cy + ry * angle.sin());
    let mut angle = from.to_radians();
    let (x, y) = at(angle);
    let (px, py) = place.point(x, y);
    out.push(if open { Pen::Line(px, py) } else { Pen::Move(px, py) });
    for _ in 0..steps as usize {
        let next = angle + step;
        let ((x0, y0), (x3, y3)) = (at(angle), at(next));
        let (x1, y1) = place.point(x0 - handle * rx * angle.sin(), y0 + handle * ry * angle.cos());
        let (x2, y2) = place.point(x3 + handle * rx * next.sin(), y3 - handle * ry * next.cos());
        let (x3, y3) = place.point(x3, y3);
        out.push(Pen::Cubic([x1, y1, x2, y2, x3, y3]));
        angle = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glyph_table_is_sorted_and_every_command_is_complete() {
        assert!(GLYPHS.windows(2).all(|w| w[0].0 < w[1].0));
        let paths = GLYPHS.iter().map(|g| g.2).chain(ACCENTS.iter().map(|a| a.1)).chain([UNKNOWN.1]);
        for path in paths {
            let mut left = 0;
            for token in path.split_ascii_whitespace() {
                if token.parse::<f64>().is_ok() {
                    assert!(left > 0, "number without command in {path}");
                    left -= 1;
                } else {
                    assert_eq!(left, 0, "{path}");
                    left = match token {
                        "M" | "L" => 2,
                        "C" | "E" => 6,
                        "Z" | "N" => 0,
                        other => panic!("{other} in {path}"),
                    };
                }
            }
            assert_eq!(left, 0, "{path}");
        }
    }

    #[test]
    fn all_printable_ascii_and_latin_letters_have_strokes() {
        for c in ('!'..='~').chain(COMPOSED.iter().map(|g| g.1)).chain(RAISED.iter().map(|g| g.1)) {
            assert!(strokes_of(c).is_some_and(|g| !g.1.is_empty()), "{c}");
        }
        assert!(COMPOSED.iter().all(|g| ACCENTS.iter().any(|a| a.0 == g.2)));
    }

    #[test]
    fn long_text_is_shortened_to_fit() {
        assert_eq!(fitted("short", 12.0, false, 100.0), "short");
        let cut = fitted("a very long name of a domain", 12.0, false, 80.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0, false) <= 80.0, "{cut}");
        assert_eq!(fitted("anything", 12.0, false, 0.0), "…");
        assert_eq!(fitted("anything", 12.0, false, -5.0), "…");
        let endless = "ab ".repeat(300_000);
        assert!(width(&fitted(&endless, 12.0, true, 300.0), 12.0, true) <= 300.0);
    }

    #[test]
    fn what_is_cut_in_the_middle_keeps_both_ends() {
        let name = "positive regulation of transcription by RNA polymerase II";
        let cut = fitted_around(name, 12.0, false, 200.0);
        assert!(cut.starts_with("positive reg") && cut.contains('…') && cut.ends_with("rase II"), "{cut}");
        let wide = width(&cut, 12.0, false);
        assert!((180.0..=200.0).contains(&wide), "{wide}");
        assert_eq!(fitted_around("short", 12.0, false, 100.0), "short");
        assert_eq!(fitted_around(name, 12.0, false, 0.0), "…");
    }
}
