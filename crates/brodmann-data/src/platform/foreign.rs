//! What other programs write and only they read: what to ask of them instead.

use std::path::Path;

use crate::DataError;

/// Endings, what such a file is, and how it becomes one that opens.
const FOREIGN: [(&[&str], &str, &str); 6] = [
    (
        &["rds", "rdata", "rda", "qs", "qs2"],
        "an R object, which only R opens",
        "write it from R, e.g. anndataR::write_h5ad(object, \"tissue.h5ad\") for a SingleCellExperiment or Seurat object, \
         with the coordinates in a reduced dimension called spatial",
    ),
    (
        &["h5seurat"],
        "a file of SeuratDisk",
        "convert it in R: SeuratDisk::Convert(\"tissue.h5seurat\", dest = \"h5ad\")",
    ),
    (
        &["loom"],
        "a Loom file",
        "convert it in Python: anndata.io.read_loom(\"tissue.loom\").write_h5ad(\"tissue.h5ad\")",
    ),
    (
        &["cloupe", "vbo", "gxg"],
        "a file of the instrument's viewer",
        "give the folder of tables and matrices that the instrument wrote beside it",
    ),
    (&["tar", "tgz", "7z", "rar"], "an archive", "unpack it and give the folder"),
    (
        &["xlsx", "xls", "ods"],
        "a spreadsheet",
        "save the sheet as .csv (numbers of more than 15 digits are rounded there: check identifiers)",
    ),
];

/// Refuses a file of another program by its ending.
pub(super) fn refuse(path: &Path) -> Option<DataError> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let ending = if name.ends_with(".tar.gz") { "tar" } else { plain.rsplit_once('.')?.1 };
    if ending == "zip" {
        return Some(super::text::not_a_table(path));
    }
    let (_, what, instead) = FOREIGN.iter().find(|(endings, ..)| endings.contains(&ending))?;
    Some(DataError::Foreign { path: path.to_path_buf(), what, instead })
}
