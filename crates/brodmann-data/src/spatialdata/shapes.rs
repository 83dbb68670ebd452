//! Circles and polygons in GeoParquet, points in Parquet.
//!
//! Specification: <https://geoparquet.org/releases/v1.1.0/>

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::Value as Json;

use super::Instances;
use crate::DataError;
use crate::guarded::{GAVE_UP_PARQUET, guarded};
use crate::input::open_input;
use crate::memory::{MAX_EXPANSION, allow};
use crate::store::Store;
use crate::wkb::{centroid, largest_ring};
use crate::zarr::ZarrReader;

/// Circles and polygons: the middle of each, by the index of the table.
pub(super) fn instances(store: &ZarrReader, path: &str) -> Result<Instances, DataError> {
    let file = format!("{path}/shapes.parquet");
    let Some(reader) = open(store, &file)? else {
        return Err(DataError::Encoding {
            element: path.to_owned(),
            encoding: "shapes without shapes.parquet (of SpatialData before 0.1)".to_owned(),
        });
    };
    let mut found = Instances { ids: Vec::new(), places: Vec::new(), radii: Vec::new() };
    let damaged = |e: String| DataError::damaged(store.path(), format!("{file}: {e}"));
    each_row(&*reader, &["geometry", "radius"], 0, &mut |row| {
        found.ids.push(row.id);
        for (name, field) in row.fields {
            match (name.as_str(), field) {
                ("geometry", Field::Bytes(wkb)) => found.places.push(centroid(wkb.data())?),
                ("geometry", other) => return Err(format!("a geometry that is {other}")),
                ("radius", field) => found.radii.extend(number(&field)),
                _ => {}
            }
        }
        Ok(())
    })
    .map_err(damaged)?;
    if found.places.len() != found.ids.len() {
        return Err(damaged("no column geometry".to_owned()));
    }
    Ok(found)
}

/// Polygons of a file that is not of a store: `take` gets the text in the column `id`, where it is one that `wants` holds, and
/// the largest outer ring of the column `geometry`, row by row.
///
/// # Errors
/// [`DataError::Damaged`]; [`DataError::TooLarge`].
pub(crate) fn polygons(
    path: &Path,
    id: &str,
    geometry: &str,
    wants: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(String, Vec<[f64; 2]>),
) -> Result<(), DataError> {
    let file = open_input(path)?;
    let stored = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    let damaged = |e: String| DataError::damaged(path, e);
    let reader = opened_by(|| SerializedFileReader::new(file)).map_err(|e| damaged(e.to_string()))?;
    // One outline repeated ten million times is a file of a few kilobytes.
    let (mut weight, mut too_large) = (0u64, None);
    let unnamed = IndexOf::Range { start: 0, step: 1 };
    let read = each_row_by(&reader, &[id, geometry], (&unnamed, 0), &mut |row| {
        let of = |wanted: &str| row.fields.iter().find(|(name, _)| name == wanted).map(|(_, field)| field);
        match (of(id), of(geometry)) {
            (Some(id), Some(Field::Bytes(wkb))) => {
                let id = id_of(id);
                if wants(&id) {
                    let ring = largest_ring(wkb.data())?;
                    let bytes = size_of_val(&ring[..]) as u64;
                    weight = weight.saturating_add(bytes);
                    if let Err(e) = allow(path, geometry, (weight, bytes), MAX_EXPANSION, || stored) {
                        too_large = Some(e);
                        return Err(String::new());
                    }
                    take(id, ring);
                }
            }
            // A cell that was not outlined.
            (Some(_), Some(Field::Null)) => {}
            (_, Some(_)) => return Err(format!("{geometry} is not in bytes (WKB)")),
            (_, None) => return Err(format!("no column {geometry}")),
        }
        Ok(())
    });
    match too_large {
        Some(e) => Err(e),
        None => read.map_err(damaged),
    }
}

/// Points: the columns x and y, by the index of the table.
pub(super) fn points(store: &ZarrReader, path: &str) -> Result<Instances, DataError> {
    let folder = format!("{path}/points.parquet");
    let mut parts: Vec<String> =
        store.files(&folder)?.into_iter().filter(|name| name.ends_with(".parquet")).collect();
    // `part.10` comes after `part.9`.
    parts.sort_by_key(|name| (name.len(), name.clone()));
    let parts = if parts.is_empty() {
        vec![folder.clone()]
    } else {
        parts.iter().map(|name| format!("{folder}/{name}")).collect()
    };
    let mut found = Instances { ids: Vec::new(), places: Vec::new(), radii: Vec::new() };
    for file in parts {
        let damaged = |e: String| DataError::damaged(store.path(), format!("{file}: {e}"));
        let reader = open(store, &file)?.ok_or_else(|| damaged("missing".to_owned()))?;
        let before = found.ids.len() as i64;
        each_row(&*reader, &["x", "y"], before, &mut |row| {
            let of =
                |axis: &str| row.fields.iter().find(|(name, _)| name == axis).and_then(|(_, f)| number(f));
            let (Some(x), Some(y)) = (of("x"), of("y")) else {
                return Err("a point without x and y".to_owned());
            };
            found.ids.push(row.id);
            found.places.push([x, y]);
            Ok(())
        })
        .map_err(damaged)?;
    }
    Ok(found)
}

fn open(store: &ZarrReader, file: &str) -> Result<Option<Box<dyn FileReader>>, DataError> {
    let damaged = |e: ParquetError| DataError::damaged(store.path(), format!("{file}: {e}"));
    if let Some(at) = store.file_path(file) {
        return match File::open(&at) {
            Ok(opened) => {
                Ok(Some(Box::new(opened_by(|| SerializedFileReader::new(opened)).map_err(damaged)?)))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DataError::read(&at, e)),
        };
    }
    match store.file_bytes(file)? {
        None => Ok(None),
        Some(bytes) => {
            let reader = opened_by(|| SerializedFileReader::new(Bytes::from(bytes))).map_err(damaged)?;
            Ok(Some(Box::new(reader)))
        }
    }
}

fn opened_by<T>(open: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    guarded(open, || ParquetError::General(GAVE_UP_PARQUET.to_owned()))
}

struct Row {
    id: String,
    fields: Vec<(String, Field)>,
}

/// What names the rows of a table that pandas wrote.
enum IndexOf {
    Column(String),
    Range { start: i64, step: i64 },
}

fn index_of(metadata: Option<&Vec<KeyValue>>) -> IndexOf {
    let range = IndexOf::Range { start: 0, step: 1 };
    let text = metadata.into_iter().flatten().find(|kv| kv.key == "pandas").and_then(|kv| kv.value.clone());
    let Some(pandas) = text.and_then(|t| serde_json::from_str::<Json>(&t).ok()) else { return range };
    match pandas.get("index_columns").and_then(|c| c.get(0)) {
        Some(Json::String(name)) => IndexOf::Column(name.clone()),
        Some(object) => {
            let of = |key: &str, default| object.get(key).and_then(Json::as_i64).unwrap_or(default);
            IndexOf::Range { start: of("start", 0), step: of("step", 1) }
        }
        None => range,
    }
}

/// Reads the columns `wanted` (as far as they are there) and the index, row by row. `before`: rows of earlier parts.
fn each_row(
    reader: &dyn FileReader,
    wanted: &[&str],
    before: i64,
    take: &mut dyn FnMut(Row) -> Result<(), String>,
) -> Result<(), String> {
    let index = index_of(reader.metadata().file_metadata().key_value_metadata());
    each_row_by(reader, wanted, (&index, before), take)
}

/// The same with an index of one's own choice.
fn each_row_by(
    reader: &dyn FileReader,
    wanted: &[&str],
    index: (&IndexOf, i64),
    take: &mut dyn FnMut(Row) -> Result<(), String>,
) -> Result<(), String> {
    guarded(|| each_decoded_row(reader, wanted, index, take), || GAVE_UP_PARQUET.to_owned())
}

/// The same; the decoder asserts what a whole file has.
fn each_decoded_row(
    reader: &dyn FileReader,
    wanted: &[&str],
    (index, before): (&IndexOf, i64),
    take: &mut dyn FnMut(Row) -> Result<(), String>,
) -> Result<(), String> {
    let words = |e: ParquetError| e.to_string();
    let schema = reader.metadata().file_metadata().schema();
    let keep = |name: &str| wanted.contains(&name) || matches!(index, IndexOf::Column(c) if c == name);
    let fields: Vec<Arc<Type>> = schema.get_fields().iter().filter(|f| keep(f.name())).cloned().collect();
    if fields.is_empty() {
        return Err(format!("none of the columns {}", wanted.join(", ")));
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(words)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(words)?;
    for (i, row) in (before..).zip(rows) {
        let mut fields = row.map_err(words)?.into_columns();
        let id = match index {
            IndexOf::Range { start, step } => start.saturating_add(step.saturating_mul(i)).to_string(),
            IndexOf::Column(name) => {
                let place = fields.iter().position(|(n, _)| n == name).ok_or("rows without their index")?;
                id_of(&fields[place].1)
            }
        };
        fields.retain(|(name, _)| wanted.contains(&name.as_str()));
        take(Row { id, fields })?;
    }
    Ok(())
}

/// An id as a text: a whole number reads the same from a table of any type.
fn id_of(field: &Field) -> String {
    match field {
        Field::Str(s) => s.clone(),
        Field::Bytes(b) => String::from_utf8_lossy(b.data()).into_owned(),
        Field::Byte(v) => v.to_string(),
        Field::Short(v) => v.to_string(),
        Field::Int(v) => v.to_string(),
        Field::Long(v) => v.to_string(),
        Field::UByte(v) => v.to_string(),
        Field::UShort(v) => v.to_string(),
        Field::UInt(v) => v.to_string(),
        Field::ULong(v) => v.to_string(),
        Field::Float(v) => v.to_string(),
        Field::Double(v) => v.to_string(),
        other => other.to_string(),
    }
}

fn number(field: &Field) -> Option<f64> {
    Some(match field {
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
        _ => return None,
    })
}
