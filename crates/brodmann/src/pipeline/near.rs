//! What somebody may have meant.

/// Of what is known, what a slip of the hand made `name` of; upper and lower case, `-` and `_` are the same.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_of(name, known, 1).pop()
}

/// As [`nearest`], up to `n`, the nearest first; of those as near the shortest, then the first.
pub fn nearest_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let name = plain(name);
    let most = (name.chars().count() / 3).max(1);
    let far = |other: &str| {
        let other = plain(other);
        // Half a name is a name on its way.
        let (own, its) = (name.chars().count(), other.chars().count());
        let is_start = own >= 3 && other.starts_with(&name);
        // Most are of another length, which is cheaper to see.
        match own.abs_diff(its) {
            _ if is_start => 1,
            by if by > most => by,
            _ => strsim::damerau_levenshtein(&name, &other),
        }
    };
    let mut near: Vec<(usize, &str)> =
        known.into_iter().map(|k| (far(k), k)).filter(|(distance, _)| *distance <= most).collect();
    near.sort_by_key(|(distance, k)| (*distance, k.len()));
    near.truncate(n);
    near.into_iter().map(|(_, k)| k).collect()
}

/// `; did you mean A, B or C?`, where something known is near.
pub fn did_you_mean(near: &[impl AsRef<str>]) -> String {
    let near: Vec<&str> = near.iter().map(AsRef::as_ref).collect();
    match near.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; did you mean {only}?"),
        Some((last, others)) => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_through_and_strangers_are_not() {
        let genes = ["Cux2", "Cux1", "Rorb", "Cux2os", "ENSMUSG00000042589"];
        assert_eq!(nearest("cuxx2", genes), Some("Cux2"));
        assert_eq!(nearest_of("CUX", genes, 2), ["Cux2", "Cux1"]);
        assert_eq!(nearest_of("Robr", genes, 3), ["Rorb"]);
        assert_eq!(nearest("ENSMUSG0000042589", genes), Some("ENSMUSG00000042589"));
        assert_eq!(nearest("Gapdh", genes), None);
        assert_eq!(nearest("", genes), None);
        assert_eq!(nearest("皮层一", ["皮层", "白质"]), Some("皮层"));
        assert_eq!(nearest("n_cluster", ["n-clusters", "n-init"]), Some("n-clusters"));
        assert_eq!(nearest("colour", ["color", "columns"]), Some("color"));
        assert_eq!(nearest("library", ["library-key", "layer"]), Some("library-key"));
        assert_eq!(nearest("elephant", ["color", "columns"]), None);
        assert_eq!(did_you_mean(&nearest_of("cux", genes, 3)), "; did you mean Cux2, Cux1 or Cux2os?");
        assert_eq!(did_you_mean(&nearest_of("Gapdh", genes, 3)), "");
    }
}
