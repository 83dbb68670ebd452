//! Metadata documents. Python writes `NaN` and `Infinity` into them, which JSON does not know.

use serde_json::Value;

/// Stands for a bare word while a document is in memory: no document holds the character before it.
const MARK: char = '\u{1}';
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Parses a document.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(e) => {
            let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
            let marked = mark(text).ok_or_else(|| e.to_string())?;
            serde_json::from_str(&marked).map_err(|e| e.to_string())
        }
    }
}

/// The document as it is stored.
pub(super) fn to_bytes(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}");
    for word in WORDS {
        text = text.replace(&format!("\"\\u0001{word}\""), word);
    }
    text.into_bytes()
}

/// The text with bare words as marked strings; `None` where there are none.
fn mark(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped, mut found) = (false, false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string && let Some(word) = WORDS.iter().find(|w| rest.starts_with(**w)) {
            out.push_str("\"\\u0001");
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            found = true;
            continue;
        }
        if in_string {
            (in_string, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else {
            in_string = c == '"';
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    found.then_some(out)
}

/// A number, also one of the words (marked, or as the string that `fill_value` holds).
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(s) => match s.trim_start_matches(MARK) {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_survive_and_texts_that_hold_them_too() {
        let text = r#"{"a":[NaN,-Infinity,1.5],"b":"NaN \" Infinity","c":Infinity}"#;
        let value = parse(text.as_bytes()).expect("parses");
        assert!(number(&value["a"][0]).is_some_and(f64::is_nan));
        assert_eq!(number(&value["c"]), Some(f64::INFINITY));
        assert_eq!(value["b"], "NaN \" Infinity");
        let again = String::from_utf8(to_bytes(&value)).expect("text");
        assert!(again.contains("-Infinity,") && again.contains(r#""NaN \" Infinity""#), "{again}");
        assert!(parse(b"{\"a\":").is_err());
    }
}
