//! From flags to options by name, and the small languages of some flags.

use brodmann::pipeline::Said;
use brodmann::pipeline::clustering::{Auto, ClusterNumber};
use brodmann::pipeline::request::PerLayer;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

/// The options that a group of flags says. What was not given is not said.
pub fn said(args: &impl Serialize) -> Said {
    let mut options = serde_json::to_value(args).unwrap_or_default();
    if let Some(options) = options.as_object_mut() {
        options.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    Said::new(options)
}

/// A number: not NaN, not infinite, which would say nothing.
pub fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("expected a finite number".to_owned()),
    }
}

/// A number of clusters, or `auto`.
pub fn cluster_number(text: &str) -> Result<ClusterNumber, String> {
    if text == "auto" {
        return Ok(ClusterNumber::Auto(Auto::Auto));
    }
    text.parse().map(ClusterNumber::Given).map_err(|_| "expected a whole number or `auto`".to_owned())
}

/// `0.5` for all layers, `rna=0.5,spatial=1` by name, or both: `1,spatial=2`.
pub fn per_layer<T: std::str::FromStr + Copy>(text: &str) -> Result<PerLayer<T>, String> {
    let mut values = PerLayer::default();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').map_or((None, part), |(n, v)| (Some(n.trim()), v.trim()));
        let parsed: T =
            value.parse().map_err(|_| "expected one value for all, or NAME=VALUE,NAME=VALUE".to_owned())?;
        let twice = match name {
            Some(name) => values.named.insert(name.to_owned(), parsed).is_some(),
            None => values.default.replace(parsed).is_some(),
        };
        if twice {
            return Err("expected one value for each name".to_owned());
        }
    }
    Ok(values)
}

/// Numbers for all layers or by name, none of them NaN or infinite.
pub fn numbers(text: &str) -> Result<PerLayer<f64>, String> {
    let values = per_layer::<f64>(text)?;
    if values.default.iter().chain(values.named.values()).all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err("expected finite numbers".to_owned())
    }
}

/// Yes or no for all layers or by name.
pub fn flags(text: &str) -> Result<PerLayer<bool>, String> {
    per_layer(text)
}

/// Texts by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ByName(pub IndexMap<String, String>);

/// `rna=X_pca,adt=X_pca` by name; a text alone stands under the empty name.
pub fn by_name(text: &str) -> Result<ByName, String> {
    let mut values = IndexMap::new();
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    for part in &parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), value.trim()),
            None if parts.len() == 1 => ("", *part),
            None => return Err("expected NAME=VALUE,NAME=VALUE".to_owned()),
        };
        if values.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err("expected one value for each name".to_owned());
        }
    }
    Ok(ByName(values))
}

/// `expression`, `image` or `fixed=0.2`.
pub fn edge_rule(text: &str) -> Result<Json, String> {
    let refuse = || "expected expression, image or fixed=P, e.g. fixed=0.2".to_owned();
    match text.split_once('=') {
        None if text == "expression" || text == "image" => Ok(json!(text)),
        Some(("fixed", p)) => number(p.trim()).map(|p| json!(p)).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_for_all_layers_and_by_name() {
        let values = numbers("1, rna=0.5 ,spatial=2").expect("valid");
        assert_eq!(values.default, Some(1.0));
        assert_eq!((values.named["rna"], values.named["spatial"]), (0.5, 2.0));
        assert!(numbers("rna=high").is_err() && numbers("rna=1,rna=2").is_err() && flags("rna=yes").is_err());
    }

    #[test]
    fn texts_are_read_by_name_or_alone() {
        assert_eq!(by_name("X_pca").expect("alone").0[""], "X_pca");
        assert_eq!(by_name("rna=A, adt=B").expect("two").0["adt"], "B");
        assert!(by_name("rna=A,B").is_err() && by_name("rna=A,rna=B").is_err());
    }

    #[test]
    fn only_what_was_given_is_said() {
        #[derive(Serialize)]
        struct Args {
            tau: Option<f64>,
            image_key: Vec<String>,
            contrast: Option<bool>,
        }
        let said = said(&Args { tau: None, image_key: Vec::new(), contrast: Some(false) });
        assert_eq!(said.names().into_iter().collect::<Vec<_>>(), ["contrast"]);
        assert!(number("nan").is_err() && number("1e999").is_err());
        assert!(numbers("NaN").is_err() && numbers("1,rna=inf").is_err());
        assert_eq!(edge_rule("fixed=0.2").expect("a rule"), json!(0.2));
        assert!(edge_rule("fixed=much").is_err());
    }
}
