//! What the parser of flags refuses, in the words of every other refusal.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A value that no flag can have: what was found and expected, and the flag.
pub fn refused_value(error: &clap::Error) -> Option<(String, String)> {
    let text = |kind| error.get(kind).map(ToString::to_string);
    let source = std::error::Error::source(error).map(|source| {
        if source.is::<std::num::ParseIntError>() {
            "expected a whole number of 0 or more".to_owned()
        } else {
            source.to_string()
        }
    })?;
    let (arg, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let flag = flag_of(&arg);
    Some((format!("{flag} is {value:?}; {source}"), flag))
}

/// Any refusal as one line, and the flag it is about.
pub fn in_words(error: &clap::Error) -> (String, Option<String>) {
    if let Some((message, flag)) = refused_value(error) {
        return (message, Some(flag));
    }
    let list = |kind| match error.get(kind) {
        Some(ContextValue::Strings(list)) => list.clone(),
        Some(ContextValue::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let args = list(ContextKind::InvalidArg);
    let flag = args.first().map(|arg| flag_of(arg));
    let message = match (error.kind(), &flag) {
        (ErrorKind::InvalidValue, Some(flag)) => {
            let value = list(ContextKind::InvalidValue).concat();
            let known = list(ContextKind::ValidValue);
            let near = list(ContextKind::SuggestedValue);
            let near = near.first().map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let expected = if known.is_empty() { "a value".to_owned() } else { known.join(", ") };
            format!("{flag} is {value:?}; expected {expected}{near}")
        }
        (ErrorKind::MissingRequiredArgument, Some(_)) => {
            let flags: Vec<String> = args.iter().map(|arg| flag_of(arg)).collect();
            let verb = if flags.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing", flags.join(", "))
        }
        (ErrorKind::ArgumentConflict, Some(flag)) => {
            let others: Vec<String> = list(ContextKind::PriorArg).iter().map(|arg| flag_of(arg)).collect();
            match others.as_slice() {
                [other] if other != flag => format!("{flag} and {other} exclude each other"),
                _ => format!("{flag} is given several times; expected once"),
            }
        }
        _ => first_line(error),
    };
    (message, flag)
}

/// `--n-clusters` of `--n-clusters <K|auto>`; `FILE` of `<FILE>...`.
fn flag_of(arg: &str) -> String {
    let first = arg.split_whitespace().next().unwrap_or(arg);
    let first = first.split("[=").next().unwrap_or(first);
    first.trim_matches(|c| "<>[].".contains(c)).to_owned()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
