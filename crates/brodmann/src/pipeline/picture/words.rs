//! Titles in words: what an obs column or a table is called above its picture.

/// What common columns hold.
const COLUMNS: [(&str, &str); 11] = [
    ("total_counts", "Counts per spot"),
    ("n_counts", "Counts per spot"),
    ("nCount_Spatial", "Counts per spot"),
    ("nCount_RNA", "Counts per spot"),
    ("n_genes_by_counts", "Genes per spot"),
    ("n_genes", "Genes per spot"),
    ("nFeature_Spatial", "Genes per spot"),
    ("nFeature_RNA", "Genes per spot"),
    ("pct_counts_mt", "Mitochondrial counts (%)"),
    ("percent.mt", "Mitochondrial counts (%)"),
    ("in_tissue", "On tissue"),
];

/// Names as those who gave them write them.
const NAMES: [(&str, &str); 15] = [
    ("spatialleiden", "SpatialLeiden"),
    ("spami", "SpaMI"),
    ("staig", "STAIG"),
    ("banksy", "BANKSY"),
    ("leiden", "Leiden"),
    ("louvain", "Louvain"),
    ("kmeans", "k-means"),
    ("umap", "UMAP"),
    ("tsne", "t-SNE"),
    ("pca", "PCA"),
    ("rna", "RNA"),
    ("adt", "ADT"),
    ("atac", "ATAC"),
    ("mt", "MT"),
    ("id", "ID"),
];

/// A key as a title: `spatialleiden_entropy` is "SpatialLeiden entropy", `cell_type` "Cell type". What is not written
/// in small letters and underscores was chosen with care and stays.
pub fn title_of(key: &str) -> String {
    if let Some((_, words)) = COLUMNS.iter().find(|(column, _)| *column == key) {
        return (*words).to_owned();
    }
    let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_key {
        return key.to_owned();
    }
    let words: Vec<String> = key
        .split('_')
        .filter(|word| !word.is_empty())
        .enumerate()
        .map(|(k, word)| match NAMES.iter().find(|(name, _)| *name == word) {
            Some((_, spelled)) => (*spelled).to_owned(),
            None if k == 0 => capitalised(word),
            None => word.to_owned(),
        })
        .collect();
    if words.is_empty() { key.to_owned() } else { words.join(" ") }
}

/// What the numbers of a column are counted in, where it is known.
pub fn unit_of(key: &str) -> &'static str {
    match COLUMNS.iter().find(|(column, _)| *column == key).map(|(_, words)| *words) {
        Some("Counts per spot") => "counts",
        Some("Genes per spot") => "genes",
        Some("Mitochondrial counts (%)") => "%",
        _ => "",
    }
}

/// The names of the axes of an embedding, and whether numbers along them mean something.
pub fn axes_of(key: &str, components: [usize; 2]) -> ([String; 2], bool) {
    let bare = key.strip_prefix("X_").unwrap_or(key);
    let lower = bare.to_ascii_lowercase();
    let (name, with_numbers) = if lower.ends_with("umap") {
        ("UMAP".to_owned(), false)
    } else if lower.ends_with("tsne") {
        ("t-SNE".to_owned(), false)
    } else if lower == "pca" {
        ("PC".to_owned(), true)
    } else {
        (title_of(bare), true)
    };
    (components.map(|component| format!("{name} {}", component + 1)), with_numbers)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_words_and_names_stay() {
        let cases = [
            ("spatialleiden_entropy", "SpatialLeiden entropy"),
            ("ground_truth", "Ground truth"),
            ("total_counts", "Counts per spot"),
            ("Region", "Region"),
            ("cell type", "cell type"),
            ("domains", "Domains"),
            ("_", "_"),
            ("", ""),
            ("日本", "日本"),
        ];
        for (key, title) in cases {
            assert_eq!(title_of(key), title);
        }
        assert_eq!((unit_of("n_counts"), unit_of("domains")), ("counts", ""));
    }

    #[test]
    fn axes_are_named_after_the_method() {
        let names = |key: &str| axes_of(key, [0, 1]).0.join(", ");
        assert_eq!(names("X_umap"), "UMAP 1, UMAP 2");
        assert_eq!(names("X_staig_umap"), "UMAP 1, UMAP 2");
        assert_eq!(names("X_spami"), "SpaMI 1, SpaMI 2");
        assert_eq!(axes_of("X_pca", [1, 4]), (["PC 2".to_owned(), "PC 5".to_owned()], true));
    }
}
