//! Results as a table of their own: text, or Parquet.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::{Column, DataError, write_bytes};

/// What pandas calls an index without a name.
const INDEX: &str = "__index_level_0__";
/// What geopandas calls the geometries.
const GEOMETRY: &str = "geometry";
/// Endings a table may have.
const ENDINGS: [&str; 3] = ["csv", "tsv", "parquet"];

/// Whether a table can be written to `path`, by its ending: `.csv`, `.tsv` or `.parquet`.
pub fn is_table_ending(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Writes columns of one length as a table, whole or not at all; the ending says how.
///
/// As text a header comes first, numbers are the shortest that read back as the same, truth values `True` and `False`, what
/// is missing is empty. In Parquet numbers keep their type, categories are texts, and what is missing (NaN of numbers
/// excepted) is null.
///
/// # Inputs
/// `columns`: names and columns; of one length, or the shortest counts.
/// # Errors
/// [`DataError::Write`].
pub fn write_table(path: &Path, columns: &[(String, Column)]) -> Result<(), DataError> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let bytes = match ending.as_str() {
        "parquet" => parquet(columns).map_err(|e| DataError::write(path, std::io::Error::other(e)))?,
        "tsv" => text(columns, b'\t').map_err(|e| DataError::write(path, e))?,
        _ => text(columns, b',').map_err(|e| DataError::write(path, e))?,
    };
    write_bytes(path, &bytes)
}

fn n_rows(columns: &[(String, Column)]) -> usize {
    columns.iter().map(|(_, column)| column.len()).min().unwrap_or(0)
}

fn text(columns: &[(String, Column)], separator: u8) -> std::io::Result<Vec<u8>> {
    let mut table = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
    table.write_record(columns.iter().map(|(name, _)| name.as_str()))?;
    for row in 0..n_rows(columns) {
        for (_, column) in columns {
            table.write_field(field(column, row))?;
        }
        table.write_record(None::<&[u8]>)?;
    }
    table.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// A field as text.
fn field(column: &Column, row: usize) -> String {
    let truth = |v: bool| if v { "True" } else { "False" }.to_owned();
    match column {
        Column::Float64(v) if v[row].is_nan() => String::new(),
        // Debug writes small and large ones with an exponent, as Python does.
        Column::Float64(v) => format!("{:?}", v[row]),
        Column::Float32(v) if v[row].is_nan() => String::new(),
        Column::Float32(v) => format!("{:?}", v[row]),
        Column::Int(v) => v[row].to_string(),
        Column::Bool(v) => truth(v[row]),
        Column::String(v) => v[row].clone().unwrap_or_default(),
        Column::Categorical(v) => {
            let code = usize::try_from(v.codes[row]).ok();
            code.and_then(|code| v.categories.get(code).cloned()).unwrap_or_default()
        }
        Column::NullableInt(v) => v[row].map(|v| v.to_string()).unwrap_or_default(),
        Column::NullableBool(v) => v[row].map(truth).unwrap_or_default(),
        Column::Opaque { .. } => String::new(),
    }
}

/// The type of a column in the file, and whether values may be missing.
fn physical(column: &Column) -> (Physical, bool) {
    match column {
        Column::Float64(_) => (Physical::DOUBLE, false),
        Column::Float32(_) => (Physical::FLOAT, false),
        Column::Int(_) => (Physical::INT64, false),
        Column::NullableInt(_) => (Physical::INT64, true),
        Column::Bool(_) => (Physical::BOOLEAN, false),
        Column::NullableBool(_) => (Physical::BOOLEAN, true),
        Column::String(_) | Column::Categorical(_) | Column::Opaque { .. } => (Physical::BYTE_ARRAY, true),
    }
}

fn parquet(columns: &[(String, Column)]) -> Result<Vec<u8>, ParquetError> {
    let schema = Type::group_type_builder("schema").with_fields(fields(columns)?).build()?;
    write_parquet(columns, &[], schema, None)
}

fn fields(columns: &[(String, Column)]) -> Result<Vec<Arc<Type>>, ParquetError> {
    let fields = columns.iter().map(|(name, column)| {
        let (kind, nullable) = physical(column);
        let repetition = if nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let text = (kind == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let field =
            Type::primitive_type_builder(name, kind).with_repetition(repetition).with_logical_type(text);
        field.build().map(Arc::new)
    });
    fields.collect()
}

/// Columns and geometries of regions named `index`, as geopandas writes them: `geo` says what the geometries are, and
/// the names are the index of the frame.
pub(crate) fn geo_parquet(
    index: &[String],
    columns: &[(String, Column)],
    geometries: &[Vec<u8>],
    geo: &serde_json::Value,
) -> Result<Vec<u8>, ParquetError> {
    let mut all = vec![(INDEX.to_owned(), Column::String(index.iter().cloned().map(Some).collect()))];
    all.extend(columns.iter().cloned());
    let mut fields = fields(&all)?;
    let geometry = Type::primitive_type_builder(GEOMETRY, Physical::BYTE_ARRAY);
    fields.push(Arc::new(geometry.with_repetition(Repetition::OPTIONAL).build()?));
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    // What pandas needs to find the index; types of the others are read from the file itself.
    let of_index = serde_json::json!({
        "name": null, "field_name": INDEX, "pandas_type": "unicode", "numpy_type": "object", "metadata": null,
    });
    let pandas = serde_json::json!({
        "index_columns": [INDEX], "column_indexes": [], "columns": [of_index], "pandas_version": "2.0.0",
    });
    let said = [("geo", geo.to_string()), ("pandas", pandas.to_string())];
    let said = said.map(|(key, value)| KeyValue::new(key.to_owned(), value));
    write_parquet(&all, geometries, schema, Some(said.to_vec()))
}

fn write_parquet(
    columns: &[(String, Column)],
    geometries: &[Vec<u8>],
    schema: Type,
    said: Option<Vec<KeyValue>>,
) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = properties.set_key_value_metadata(said).build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    let n_rows = n_rows(columns);
    for (_, column) in columns {
        let Some(mut writer) = group.next_column()? else { break };
        put(writer.untyped(), column, n_rows)?;
        writer.close()?;
    }
    if let Some(mut writer) = group.next_column()? {
        if let ColumnWriter::ByteArrayColumnWriter(w) = writer.untyped() {
            let blobs: Vec<ByteArray> =
                geometries.iter().take(n_rows).map(|bytes| ByteArray::from(bytes.clone())).collect();
            w.write_batch(&blobs, Some(&vec![1; blobs.len()]), None)?;
        }
        writer.close()?;
    }
    group.close()?;
    file.into_inner()
}

/// Writes one column.
fn put(writer: &mut ColumnWriter<'_>, column: &Column, n_rows: usize) -> Result<(), ParquetError> {
    match (writer, column) {
        (ColumnWriter::DoubleColumnWriter(w), Column::Float64(v)) => w.write_batch(&v[..n_rows], None, None),
        (ColumnWriter::FloatColumnWriter(w), Column::Float32(v)) => w.write_batch(&v[..n_rows], None, None),
        (ColumnWriter::Int64ColumnWriter(w), Column::Int(v)) => w.write_batch(&v[..n_rows], None, None),
        (ColumnWriter::Int64ColumnWriter(w), Column::NullableInt(v)) => {
            let (there, levels) = present(v[..n_rows].iter().copied());
            w.write_batch(&there, Some(&levels), None)
        }
        (ColumnWriter::BoolColumnWriter(w), Column::Bool(v)) => w.write_batch(&v[..n_rows], None, None),
        (ColumnWriter::BoolColumnWriter(w), Column::NullableBool(v)) => {
            let (there, levels) = present(v[..n_rows].iter().copied());
            w.write_batch(&there, Some(&levels), None)
        }
        (ColumnWriter::ByteArrayColumnWriter(w), column) => {
            let texts = column.to_strings().into_iter().take(n_rows);
            let (there, levels) = present(texts.map(|t| t.map(|t| ByteArray::from(t.into_bytes()))));
            w.write_batch(&there, Some(&levels), None)
        }
        _ => Err(ParquetError::General("a column of another type than its schema".to_owned())),
    }?;
    Ok(())
}

/// The values that are there, and for each row 1 where one is.
fn present<T>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let (mut there, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    (there, levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Categorical;
    use crate::platform::any_columns;

    fn table() -> Vec<(String, Column)> {
        let text = |t: &str| Some(t.to_owned());
        let domain = Categorical {
            codes: vec![1, -1, 0],
            categories: vec!["a".to_owned(), "b, \"c\"".to_owned()],
            ..Categorical::default()
        };
        vec![
            ("gene".to_owned(), Column::String(vec![text("MBP"), text("HLA-A\n"), None])),
            ("domain".to_owned(), Column::Categorical(domain)),
            ("p".to_owned(), Column::Float64(vec![1e-320, f64::NAN, 0.1 + 0.2])),
            ("n".to_owned(), Column::Int(vec![i64::MAX, 0, -3])),
            ("rank".to_owned(), Column::NullableInt(vec![Some(1), None, Some(9_007_199_254_740_993)])),
            ("holds".to_owned(), Column::Bool(vec![true, false, true])),
        ]
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().expect("folder");
        for ending in ENDINGS {
            let path = folder.path().join(format!("t.{ending}"));
            assert!(is_table_ending(&path));
            write_table(&path, &table()).expect("writes");
            let read = any_columns(&path).expect("reads");
            let texts = |name: &str| read[name].to_strings();
            assert_eq!(
                read.keys().collect::<Vec<_>>(),
                ["gene", "domain", "p", "n", "rank", "holds"],
                "{ending}"
            );
            assert_eq!(
                texts("domain"),
                [Some("b, \"c\"".to_owned()), None, Some("a".to_owned())],
                "{ending}"
            );
            let p = read["p"].to_f64().expect("numbers");
            assert!(p[0] == 1e-320 && p[1].is_nan() && p[2] == 0.1 + 0.2, "{ending}: {p:?}");
            assert_eq!(texts("n")[0], Some(i64::MAX.to_string()), "{ending}");
            assert_eq!(texts("rank")[2].as_deref(), Some("9007199254740993"), "{ending}");
            assert_eq!(texts("rank")[1].as_deref().unwrap_or_default(), "", "{ending}");
        }
        assert!(!is_table_ending(Path::new("t.xlsx")) && !is_table_ending(Path::new("csv")));
    }

    #[test]
    fn a_table_without_rows_keeps_its_header() {
        let folder = tempfile::tempdir().expect("folder");
        let none = vec![
            ("gene".to_owned(), Column::String(Vec::new())),
            ("p".to_owned(), Column::Float64(Vec::new())),
        ];
        for ending in ENDINGS {
            let path = folder.path().join(format!("t.{ending}"));
            write_table(&path, &none).expect("writes");
            let read = any_columns(&path).expect("reads");
            assert_eq!(read.keys().collect::<Vec<_>>(), ["gene", "p"], "{ending}");
            assert!(read.values().all(Column::is_empty), "{ending}");
        }
    }
}
