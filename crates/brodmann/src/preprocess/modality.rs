//! Is this RNA, protein or chromatin? Guessed from names, as people write them.

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Transcripts.
    Rna,
    /// Antibody-derived tags: proteins.
    Adt,
    /// Open chromatin: peaks or tiles.
    Atac,
}

impl Modality {
    /// Short name: `rna`, `adt`, `atac`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rna => "rna",
            Self::Adt => "adt",
            Self::Atac => "atac",
        }
    }
}

impl std::fmt::Display for Modality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Modality {
    type Err = super::PreprocessError;

    fn from_str(s: &str) -> Result<Self, super::PreprocessError> {
        from_words(s).ok_or_else(|| {
            super::PreprocessError::from(OptionError::new(
                "modality",
                s.to_owned(),
                "one of `rna`, `adt`, `atac`",
            ))
        })
    }
}

/// Features looked at; a file's features are of one kind.
const MAX_FEATURES: usize = 2000;

/// The modality, by the first of these that says something: the name of the modality, the types of its
/// features (10x: `Gene Expression`, `Antibody Capture`, `Peaks`), the look of their names (`chr1:100-200`).
///
/// # Inputs
/// `name`: the key in a MuData, or the file's name. `feature_names`, `feature_types`: may be empty.
/// # Returns
/// `None` when nothing tells; callers then take RNA and say so.
/// # Cost
/// O(2000).
pub fn guess_modality<S: AsRef<str>, T: AsRef<str>>(
    name: Option<&str>,
    feature_names: &[S],
    feature_types: &[T],
) -> Option<Modality> {
    if let Some(found) = name.and_then(from_words) {
        return Some(found);
    }
    let share = |hits: usize, of: usize| of > 0 && 2 * hits > of;
    let types = &feature_types[..feature_types.len().min(MAX_FEATURES)];
    for modality in [Modality::Rna, Modality::Adt, Modality::Atac] {
        if share(types.iter().filter(|t| from_words(t.as_ref()) == Some(modality)).count(), types.len()) {
            return Some(modality);
        }
    }
    let names = &feature_names[..feature_names.len().min(MAX_FEATURES)];
    if share(names.iter().filter(|n| is_interval(n.as_ref())).count(), names.len()) {
        return Some(Modality::Atac);
    }
    // TotalSeq conjugates and Seurat's keys mark proteins.
    let marked = |n: &str| {
        let n = n.to_ascii_lowercase();
        ["_totalseq", "_adt", "-adt", ".adt"].iter().any(|m| n.contains(m))
            || ["adt_", "adt-", "adt:"].iter().any(|m| n.starts_with(m))
    };
    share(names.iter().filter(|n| marked(n.as_ref())).count(), names.len()).then_some(Modality::Adt)
}

/// The modality named by the words of `text`.
fn from_words(text: &str) -> Option<Modality> {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let any = |list: &[&str]| words.iter().any(|w| list.contains(w));
    // Peaks before genes: a "multiome atac" file is no RNA.
    if any(&["atac", "scatac", "snatac", "spatac", "peak", "peaks", "chromatin", "atacseq"]) {
        return Some(Modality::Atac);
    }
    if any(&["adt", "adts", "prot", "protein", "proteins", "antibody", "antibodies", "ab", "cite"]) {
        return Some(Modality::Adt);
    }
    let rna =
        ["rna", "gex", "gene", "genes", "mrna", "scrna", "snrna", "transcriptome", "transcripts", "rnaseq"];
    any(&rna).then_some(Modality::Rna)
}

/// `chr1:100-200`, `chr1-100-200`, `chr1_100_200`, `GL000194.1:55-99`: a contig and two rising positions.
fn is_interval(name: &str) -> bool {
    let parts: Vec<&str> = name.rsplitn(3, [':', '-', '_']).collect();
    let [end, start, contig] = parts[..] else { return false };
    match (start.parse::<u64>(), end.parse::<u64>()) {
        (Ok(start), Ok(end)) => !contig.is_empty() && start < end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn names_of_modalities_speak_first() {
        for (name, modality) in [
            ("rna", Modality::Rna),
            ("GEX", Modality::Rna),
            ("prot", Modality::Adt),
            ("ADT_mouse", Modality::Adt),
            ("spatial-ATAC", Modality::Atac),
            ("peaks", Modality::Atac),
        ] {
            assert_eq!(guess_modality(Some(name), &NONE, &NONE), Some(modality), "{name}");
            assert!(name.parse::<Modality>().is_ok());
        }
        assert_eq!(guess_modality(Some("sample_7"), &["CD3E", "GAPDH"], &NONE), None);
        assert!("sample".parse::<Modality>().is_err());
    }

    #[test]
    fn feature_types_and_names_speak_next() {
        let types = ["Gene Expression", "Gene Expression", "Antibody Capture"];
        assert_eq!(guess_modality(None, &NONE, &types), Some(Modality::Rna));
        assert_eq!(guess_modality(None, &NONE, &["Antibody Capture"]), Some(Modality::Adt));
        let peaks = ["chr1:100-200", "chrX-5-80", "GL000194.1_55_99"];
        assert_eq!(guess_modality(Some("m"), &peaks, &NONE), Some(Modality::Atac));
        assert_eq!(guess_modality(None, &["HLA-A", "chr1:1-2", "MT-ND1"], &NONE), None);
        assert_eq!(guess_modality(None, &["ADT_CD3", "ADT_CD4"], &NONE), Some(Modality::Adt));
    }
}
