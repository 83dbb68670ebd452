//! Kinds of features: modalities, and controls that measure nothing of the tissue.

use brodmann_kernels::Monitor;
use indexmap::IndexMap;

use super::Opened;
use crate::scverse::MatrixRows;
use crate::{AnnData, Column, DataError, DataFrame, MuData, keys};

/// How names of control features begin, on the instruments that tell them by name alone.
const CONTROLS: [&str; 12] = [
    "blank-",
    "blank_",
    "negprb",
    "negative",
    "negcontrol",
    "systemcontrol",
    "falsecode",
    "false code",
    "unassignedcodeword",
    "deprecatedcodeword",
    "antisense_",
    "intergenic_region",
];

/// The type of genes, as Cell Ranger spells it.
const GENE_EXPRESSION: &str = "Gene Expression";

/// Whether a feature is a control by its name.
pub(super) fn is_control(name: &str) -> bool {
    let name = name.to_lowercase();
    CONTROLS.iter().any(|start| name.starts_with(start))
}

/// Says that all features are genes, of an instrument that measures nothing else.
fn genes(adata: &mut AnnData) {
    let kinds = vec![Some(GENE_EXPRESSION.to_owned()); adata.n_vars()];
    adata.var.columns.insert(keys::FEATURE_TYPES.to_owned(), Column::String(kinds));
}

/// The genes of an instrument that measures nothing else, without what is a control by its name; how many were is said.
pub(super) fn without_controls(mut adata: AnnData, monitor: &dyn Monitor) -> AnnData {
    genes(&mut adata);
    let kept: Vec<usize> = (0..adata.n_vars()).filter(|&j| !is_control(&adata.var_names()[j])).collect();
    let n_controls = adata.n_vars() - kept.len();
    if n_controls == 0 || kept.is_empty() {
        return adata;
    }
    monitor.note(&format!("{n_controls} control features set aside (blanks, negative probes, codewords)"));
    adata.select_vars(&kept)
}

/// Modality of a feature type, as Cell Ranger spells it.
fn modality(feature_type: &str) -> Option<&'static str> {
    match feature_type {
        GENE_EXPRESSION => Some(keys::RNA),
        "Antibody Capture" | "Protein Expression" => Some(keys::ADT),
        "Peaks" => Some(keys::ATAC),
        _ => None,
    }
}

/// One container per kind of feature. What is of no modality (controls, unassigned codewords) is set aside and counted,
/// unless there is nothing else. `rows`: of a matrix that was not read.
pub(super) fn split_modalities(
    mut adata: AnnData,
    rows: Option<MatrixRows>,
    monitor: &dyn Monitor,
) -> Result<Opened, DataError> {
    let alone = |adata: AnnData, rows: Option<MatrixRows>| {
        let mut opened = Opened::of(adata);
        opened.rows.extend(rows.map(|rows| (None, rows)));
        opened
    };
    let Some(Column::String(types)) = adata.var.columns.get(keys::FEATURE_TYPES) else {
        return Ok(alone(adata, rows));
    };
    let mut columns: IndexMap<&'static str, Vec<usize>> = IndexMap::new();
    let mut aside: IndexMap<String, usize> = IndexMap::new();
    for (j, kind) in types.iter().enumerate() {
        let kind = kind.as_deref().unwrap_or("of no type");
        match modality(kind) {
            Some(name) => columns.entry(name).or_default().push(j),
            None => *aside.entry(kind.to_owned()).or_default() += 1,
        }
    }
    if columns.is_empty() {
        return Ok(alone(adata, rows));
    }
    if !aside.is_empty() {
        let list: Vec<String> = aside.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let n: usize = aside.values().sum();
        monitor.note(&format!("{n} control features set aside ({})", list.join(", ")));
    }
    let n_vars = adata.n_vars();
    let chosen = |columns: &[usize]| {
        let mut mask = vec![false; n_vars];
        for &j in columns {
            mask[j] = true;
        }
        rows.as_ref().map(|rows| rows.choose(mask))
    };
    match columns.len() {
        1 if aside.is_empty() => Ok(alone(adata, rows)),
        1 => {
            let own = chosen(&columns[0]);
            Ok(alone(adata.select_vars(&columns[0]), own))
        }
        _ => {
            // What is shared between modalities belongs to the whole, and only there.
            let names = DataFrame::new(adata.obs.index.clone());
            let obs = std::mem::replace(&mut adata.obs, names);
            let (obsm, uns) = (std::mem::take(&mut adata.obsm), std::mem::take(&mut adata.uns));
            let modalities =
                columns.iter().map(|(name, c)| ((*name).to_owned(), adata.select_vars(c))).collect();
            let by_modality =
                columns.iter().filter_map(|(name, c)| Some((Some((*name).to_owned()), chosen(c)?))).collect();
            let mdata = MuData::new(modalities)?;
            Ok(Opened { rows: by_modality, ..Opened::of(MuData { obs, obsm, uns, ..mdata }) })
        }
    }
}
