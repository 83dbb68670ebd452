//! Text that cannot become markup, and numbers as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::plot::{Rgb, svg};

/// Letters of a name that are shown; the rest is in the tooltip.
pub(super) const NAME_LENGTH: usize = 60;

/// Characters a page cannot hold, or that would reach beyond their own text, replaced: controls and the marks that turn
/// the direction of all that follows (a name is isolated instead, see [`name`]).
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFE}' | '\u{FFFF}')
    };
    if text.contains(bad) { Cow::Owned(text.replace(bad, "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// Text for the content of an element, or an attribute in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The first `most` characters and an ellipsis, or all of it.
pub(super) fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.char_indices().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    let end = text.char_indices().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Text within other text: its own direction of writing, shortened visibly, whole in the tooltip.
pub(super) fn prose(text: &str, most: usize) -> String {
    let short = shorten(text, most);
    if short == text {
        format!("<bdi>{}</bdi>", escape(text))
    } else {
        format!("<bdi title=\"{}\">{}</bdi>", escape(text), escape(&short))
    }
}

/// A name within other text, as [`prose`]; one that cannot be seen is said to be none.
pub(super) fn name(text: &str) -> String {
    if text.trim().is_empty() { "<i>unnamed</i>".to_owned() } else { prose(text, NAME_LENGTH) }
}

/// JSON for a `<script>`: no character in it can end the element or a line of script.
pub(super) fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes bytes as base64, a piece at a time: there is never a second copy of all of them.
pub(super) fn write_base64(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut text = String::with_capacity(16 << 10);
    for piece in bytes.chunks(12 << 10) {
        text.clear();
        svg::base64(piece, &mut text);
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Writes a `data:` address.
pub(super) fn write_data_url(bytes: &[u8], kind: &str, out: &mut impl Write) -> io::Result<()> {
    write!(out, "data:{kind};base64,")?;
    write_base64(bytes, out)
}

/// `image/png` or `image/jpeg`, by the first bytes.
pub(super) fn picture_kind(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Some("image/jpeg")
    } else {
        None
    }
}

/// A small square of a colour.
pub(super) fn swatch(Rgb(r, g, b): Rgb) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" \
         fill=\"#{r:02x}{g:02x}{b:02x}\"/></svg>"
    )
}

/// A bar from 0 to 1, beside the number it repeats.
pub(super) fn bar(share: f64) -> String {
    let width = (share.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{width}\" height=\"10\"/></svg>"
    )
}

/// A whole number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three significant digits; empty for NaN.
pub(super) fn number(v: f64) -> String {
    let size = v.abs();
    if v.is_nan() {
        String::new()
    } else if v == 0.0 {
        "0".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 { "∞" } else { "−∞" }.to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{v:.1e}").replace('-', "−")
    } else if size >= 999.5 {
        let whole = count(size.round() as u64);
        if v < 0.0 { format!("−{whole}") } else { whole }
    } else {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{v:.decimals$}").replace('-', "−")
    }
}

/// A share in per cent; empty for NaN.
pub(super) fn per_cent(share: f64) -> String {
    let v = share * 100.0;
    if v.is_nan() {
        String::new()
    } else if v > 0.0 && v < 0.1 {
        "< 0.1 %".to_owned()
    } else if v >= 99.95 || v == 0.0 {
        format!("{v:.0} %")
    } else {
        format!("{v:.1} %")
    }
}
