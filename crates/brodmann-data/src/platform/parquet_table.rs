//! Parquet files as tables of columns.

use std::fs::File;
use std::path::Path;

use indexmap::IndexMap;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::{Column, DataError};

/// Every column of the file; nested ones are refused.
pub(super) fn columns(path: &Path) -> Result<IndexMap<String, Column>, DataError> {
    let bad = |found: String| DataError::Table {
        path: path.to_path_buf(),
        line: 0,
        found,
        expected: "a Parquet table of numbers and texts".to_owned(),
    };
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| bad(e.to_string()))?;
    let names: Vec<String> =
        reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let mut cells: Vec<Vec<Field>> = vec![Vec::new(); names.len()];
    for row in reader.get_row_iter(None).map_err(|e| bad(e.to_string()))? {
        let row = row.map_err(|e| bad(e.to_string()))?;
        for (column, (_, field)) in cells.iter_mut().zip(row.into_columns()) {
            column.push(field);
        }
    }
    names
        .into_iter()
        .zip(cells)
        .map(|(name, fields)| {
            let column = column(&fields).ok_or_else(|| bad(format!("the nested column {name:?}")))?;
            Ok((name, column))
        })
        .collect()
}

fn column(fields: &[Field]) -> Option<Column> {
    let any = |f: fn(&Field) -> bool| fields.iter().any(f);
    if any(|f| matches!(f, Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_))) {
        return None;
    }
    if any(|f| matches!(f, Field::Str(_) | Field::Bytes(_))) {
        return Some(Column::String(
            fields
                .iter()
                .map(|f| match f {
                    Field::Null => None,
                    Field::Str(s) => Some(s.clone()),
                    Field::Bytes(b) => Some(String::from_utf8_lossy(b.data()).into_owned()),
                    other => Some(other.to_string()),
                })
                .collect(),
        ));
    }
    let number = |f: &Field| -> Option<f64> {
        Some(match f {
            Field::Null => f64::NAN,
            Field::Bool(v) => f64::from(u8::from(*v)),
            Field::Byte(v) => f64::from(*v),
            Field::Short(v) => f64::from(*v),
            Field::Int(v) => f64::from(*v),
            Field::Long(v) => *v as f64,
            Field::UByte(v) => f64::from(*v),
            Field::UShort(v) => f64::from(*v),
            Field::UInt(v) => f64::from(*v),
            Field::ULong(v) => *v as f64,
            Field::Float(v) => f64::from(*v),
            Field::Double(v) => *v,
            Field::Float16(v) => f64::from(*v),
            _ => return None,
        })
    };
    let whole = fields
        .iter()
        .all(|f| !matches!(f, Field::Null | Field::Float(_) | Field::Double(_) | Field::Float16(_)));
    let values: Option<Vec<f64>> = fields.iter().map(number).collect();
    match values {
        // Beyond 2^53 the detour over f64 would change a number.
        Some(v) if whole && v.iter().all(|v| v.abs() < 9e15) => {
            Some(Column::Int(v.iter().map(|&v| v as i64).collect()))
        }
        Some(v) => Some(Column::Float64(v)),
        // Dates and decimals, as they print.
        None => Some(Column::String(fields.iter().map(|f| Some(f.to_string())).collect())),
    }
}
