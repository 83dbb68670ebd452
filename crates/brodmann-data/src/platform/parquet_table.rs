//! Parquet files as tables of columns, read column by column: whole numbers stay exact, and nothing is held twice.

use std::path::Path;

use indexmap::IndexMap;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;

use crate::guarded::{GAVE_UP_PARQUET, guarded};
use crate::input::open_input;
use crate::memory::{MAX_EXPANSION, allow};
use crate::{Column, DataError};

/// A text as it is read and as it is kept, but for its characters.
const TEXT_BYTES: u64 = 72;
/// Records read at a time.
const BATCH: usize = 1 << 16;

/// Every column of the file that is not nested, or those named.
///
/// # Errors
/// [`DataError::Table`] for what is no Parquet file, is damaged, or holds nothing but nested columns.
pub(super) fn columns(path: &Path, wanted: Option<&[&str]>) -> Result<IndexMap<String, Column>, DataError> {
    // Pages that refer to a dictionary there is none of, places before the file: its decoder asserts what a whole file has.
    guarded(|| decoded(path, wanted), || bad(path, GAVE_UP_PARQUET.to_owned()))
}

fn bad(path: &Path, found: String) -> DataError {
    DataError::Table {
        path: path.to_path_buf(),
        line: 0,
        found,
        expected: "a Parquet table of numbers and texts".to_owned(),
    }
}

fn decoded(path: &Path, wanted: Option<&[&str]>) -> Result<IndexMap<String, Column>, DataError> {
    let bad = |found: String| bad(path, found);
    let file = open_input(path)?;
    let stored = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    let reader = SerializedFileReader::new(file).map_err(|e| bad(e.to_string()))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let mut columns = IndexMap::new();
    let mut nested = None;
    let n_rows = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
    // One row repeated ten million times is a file of a few kilobytes.
    let mut weight = 0u64;
    let mut grow = |name: &str, bytes: u64| {
        weight = weight.saturating_add(bytes);
        allow(path, &format!("the column {name:?}"), (weight, bytes), MAX_EXPANSION, || stored)
    };
    for (j, description) in schema.columns().iter().enumerate() {
        let name = description.name().to_owned();
        if description.path().parts().len() > 1 || description.max_rep_level() > 0 {
            nested = Some(name);
            continue;
        }
        if wanted.is_some_and(|wanted| !wanted.contains(&name.as_str())) {
            continue;
        }
        let is_text = matches!(description.physical_type(), Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
        grow(&name, (n_rows as u64).saturating_mul(if is_text { TEXT_BYTES } else { 8 }))?;
        let mut cells = Cells::default();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(|e| bad(e.to_string()))?;
            let column = group.get_column_reader(j).map_err(|e| bad(e.to_string()))?;
            cells.read(column).map_err(|e| bad(format!("the column {name:?}: {e}")))?;
        }
        grow(&name, cells.text_bytes())?;
        if cells.n_rows != n_rows {
            return Err(bad(format!(
                "{} rows in the column {name:?} where {n_rows} were promised",
                cells.n_rows
            )));
        }
        if columns.insert(name.clone(), cells.into_column(description)).is_some() {
            return Err(bad(format!("two columns called {name:?}")));
        }
    }
    match nested {
        Some(name) if columns.is_empty() => Err(bad(format!("the nested column {name:?}"))),
        _ => Ok(columns),
    }
}

/// Names of the columns; nothing where the file is no Parquet file.
pub(super) fn names(path: &Path) -> Vec<String> {
    let read = || {
        let reader = SerializedFileReader::new(open_input(path).map_err(|_| ())?).map_err(|_| ())?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        Ok(schema.columns().iter().map(|c| c.name().to_owned()).collect())
    };
    guarded(read, || ()).unwrap_or_default()
}

/// The values of a column that are there, and which rows they belong to.
#[derive(Default)]
struct Cells {
    values: Values,
    /// Per row whether there is a value; empty while all rows have one.
    levels: Vec<i16>,
    n_rows: usize,
}

#[derive(Default)]
enum Values {
    #[default]
    None,
    Bool(Vec<bool>),
    Int(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

/// Appends what a reader holds.
fn drain<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    levels: &mut Vec<i16>,
    mut take: impl FnMut(&mut Vec<T::T>),
) -> Result<usize, parquet::errors::ParquetError> {
    let mut n_rows = 0;
    let mut batch = Vec::new();
    loop {
        let (records, ..) = reader.read_records(BATCH, Some(levels), None, &mut batch)?;
        if records == 0 {
            return Ok(n_rows);
        }
        n_rows += records;
        take(&mut batch);
        batch.clear();
    }
}

impl Cells {
    /// Characters of all texts: one of a dictionary may be meant by every row.
    fn text_bytes(&self) -> u64 {
        match &self.values {
            Values::Bytes(texts) => texts.iter().map(|t| t.len() as u64).sum(),
            _ => 0,
        }
    }

    fn read(&mut self, reader: ColumnReader) -> Result<(), parquet::errors::ParquetError> {
        let Self { values, levels, n_rows } = self;
        macro_rules! take {
            ($reader:expr, $variant:ident, $convert:expr) => {{
                if matches!(values, Values::None) {
                    *values = Values::$variant(Vec::new());
                }
                let Values::$variant(all) = values else { return Ok(()) };
                drain($reader, levels, |batch| all.extend(batch.drain(..).map($convert)))?
            }};
        }
        *n_rows += match reader {
            ColumnReader::BoolColumnReader(r) => take!(r, Bool, |v| v),
            ColumnReader::Int32ColumnReader(r) => take!(r, Int, i64::from),
            ColumnReader::Int64ColumnReader(r) => take!(r, Int, |v| v),
            ColumnReader::FloatColumnReader(r) => take!(r, F32, |v| v),
            ColumnReader::DoubleColumnReader(r) => take!(r, F64, |v| v),
            ColumnReader::ByteArrayColumnReader(r) => take!(r, Bytes, |v| v),
            ColumnReader::FixedLenByteArrayColumnReader(r) => take!(r, Bytes, ByteArray::from),
            // Nanoseconds of a day and a day: a time as older writers have it.
            ColumnReader::Int96ColumnReader(r) => take!(r, Int, |v| v.to_millis()),
        };
        Ok(())
    }

    fn into_column(self, description: &ColumnDescPtr) -> Column {
        let Self { values, levels, n_rows } = self;
        let most = description.max_def_level();
        let there = |row: usize| levels.get(row).is_none_or(|level| *level == most);
        let complete = levels.iter().all(|level| *level == most);
        fn spread<T, U>(
            values: Vec<T>,
            n: usize,
            there: impl Fn(usize) -> bool,
            of: impl Fn(Option<T>) -> U,
        ) -> Vec<U> {
            let mut values = values.into_iter();
            (0..n).map(|row| of(if there(row) { values.next() } else { None })).collect()
        }
        match values {
            Values::None => Column::String(vec![None; n_rows]),
            Values::Bool(v) if complete => Column::Bool(v),
            Values::Bool(v) => Column::NullableBool(spread(v, n_rows, there, |v| v)),
            Values::F32(v) => Column::Float32(spread(v, n_rows, there, |v| v.unwrap_or(f32::NAN))),
            Values::F64(v) => Column::Float64(spread(v, n_rows, there, |v| v.unwrap_or(f64::NAN))),
            Values::Bytes(v) => Column::String(spread(v, n_rows, there, |v| {
                v.map(|bytes| String::from_utf8_lossy(bytes.data()).into_owned())
            })),
            Values::Int(v) => {
                if let Some(scale) = decimals(description) {
                    let shrink = 10f64.powi(-scale);
                    let number = |v: Option<i64>| v.map_or(f64::NAN, |v| v as f64 * shrink);
                    return Column::Float64(spread(v, n_rows, there, number));
                }
                let width = if description.physical_type() == Type::INT32 { 32 } else { 64 };
                let unsigned = is_unsigned(description);
                // Beyond the signed range there are only texts to hold an identifier.
                if unsigned && width == 64 && v.iter().any(|v| *v < 0) {
                    return Column::String(spread(v, n_rows, there, |v| v.map(|v| (v as u64).to_string())));
                }
                let v = if unsigned && width == 32 {
                    v.into_iter().map(|v| i64::from(v as u32)).collect()
                } else {
                    v
                };
                if complete { Column::Int(v) } else { Column::NullableInt(spread(v, n_rows, there, |v| v)) }
            }
        }
    }
}

fn is_unsigned(description: &ColumnDescPtr) -> bool {
    match description.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(
            description.converted_type(),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
        ),
    }
}

/// Digits after the point of a decimal.
fn decimals(description: &ColumnDescPtr) -> Option<i32> {
    match description.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => Some(decimal.scale),
        _ => (description.converted_type() == ConvertedType::DECIMAL).then(|| description.type_scale()),
    }
}
