//! Circles and polygons in GeoParquet, points in Parquet.
//!
//! Specifications: <https://geoparquet.org/releases/v1.1.0/>, <https://libgeos.org/specifications/wkb/>

use std::fs::File;
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
use crate::guarded::guarded;
use crate::store::Store;
use crate::zarr::ZarrReader;

const GAVE_UP: &str = "damaged pages, on which the decoder gave up";

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
    guarded(open, || ParquetError::General(GAVE_UP.to_owned()))
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
    guarded(|| each_decoded_row(reader, wanted, before, take), || GAVE_UP.to_owned())
}

/// The same; the decoder asserts what a whole file has.
fn each_decoded_row(
    reader: &dyn FileReader,
    wanted: &[&str],
    before: i64,
    take: &mut dyn FnMut(Row) -> Result<(), String>,
) -> Result<(), String> {
    let words = |e: ParquetError| e.to_string();
    let metadata = reader.metadata().file_metadata();
    let index = index_of(metadata.key_value_metadata());
    let schema = metadata.schema();
    let keep = |name: &str| wanted.contains(&name) || matches!(&index, IndexOf::Column(c) if c == name);
    let fields: Vec<Arc<Type>> = schema.get_fields().iter().filter(|f| keep(f.name())).cloned().collect();
    if fields.is_empty() {
        return Err(format!("none of the columns {}", wanted.join(", ")));
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(words)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(words)?;
    for (i, row) in (before..).zip(rows) {
        let mut fields = row.map_err(words)?.into_columns();
        let id = match &index {
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

/// Bytes of a geometry, taken from the front.
struct Wkb<'a> {
    bytes: &'a [u8],
}

impl Wkb<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or("a geometry that ends too early")?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u32(&mut self, big: bool) -> Result<u32, String> {
        self.take().map(if big { u32::from_be_bytes } else { u32::from_le_bytes })
    }

    fn f64(&mut self, big: bool) -> Result<f64, String> {
        self.take().map(if big { f64::from_be_bytes } else { f64::from_le_bytes })
    }

    fn point(&mut self, big: bool, extra: usize) -> Result<[f64; 2], String> {
        let point = [self.f64(big)?, self.f64(big)?];
        (0..extra).try_for_each(|_| self.f64(big).map(drop))?;
        Ok(point)
    }
}

/// Twice the area and the moments of what was gathered, relative to a point of it: far from the origin their
/// differences would lose the digits that matter.
#[derive(Default)]
struct Gathered {
    origin: Option<[f64; 2]>,
    area: f64,
    moment: [f64; 2],
    /// Of points, where there is no area.
    points: Vec<[f64; 2]>,
}

/// The middle of a point, polygon or several polygons: by area, and holes count against it.
fn centroid(wkb: &[u8]) -> Result<[f64; 2], String> {
    let mut gathered = Gathered::default();
    gather(&mut Wkb { bytes: wkb }, &mut gathered, 0)?;
    let [ox, oy] = gathered.origin.ok_or("a geometry of nothing")?;
    if gathered.area != 0.0 {
        let by = 3.0 * gathered.area;
        return Ok([ox + gathered.moment[0] / by, oy + gathered.moment[1] / by]);
    }
    let n = gathered.points.len() as f64;
    let mean = |k: usize| gathered.points.iter().map(|p| p[k]).sum::<f64>() / n;
    Ok([mean(0), mean(1)])
}

fn gather(wkb: &mut Wkb<'_>, gathered: &mut Gathered, depth: usize) -> Result<(), String> {
    let [order] = wkb.take::<1>()?;
    let big = order == 0;
    let code = wkb.u32(big)?;
    // Two ways to say that points have a third or fourth number, and one to say that a reference system follows.
    let (flags, code) = (code & 0xE000_0000, code & 0x1FFF_FFFF);
    let extra = usize::from(flags & 0x8000_0000 != 0)
        + usize::from(flags & 0x4000_0000 != 0)
        + match code / 1000 {
            0 => 0,
            1 | 2 => 1,
            _ => 2,
        };
    if flags & 0x2000_0000 != 0 {
        wkb.u32(big)?;
    }
    match code % 1000 {
        1 => {
            let point = wkb.point(big, extra)?;
            gathered.origin.get_or_insert(point);
            gathered.points.push(point);
        }
        3 => {
            for ring in 0..wkb.u32(big)? {
                let n = wkb.u32(big)?;
                let mut points = Vec::new();
                for _ in 0..n {
                    points.push(wkb.point(big, extra)?);
                }
                add_ring(&points, ring > 0, gathered);
            }
        }
        4 | 6 | 7 if depth < 8 => {
            for _ in 0..wkb.u32(big)? {
                gather(wkb, gathered, depth + 1)?;
            }
        }
        other => return Err(format!("a geometry of the kind {other}; expected points and polygons")),
    }
    Ok(())
}

fn add_ring(points: &[[f64; 2]], is_hole: bool, gathered: &mut Gathered) {
    let Some(&first) = points.first() else { return };
    let [ox, oy] = *gathered.origin.get_or_insert(first);
    let (mut area, mut moment) = (0.0, [0.0; 2]);
    for (a, b) in points.iter().zip(points.iter().skip(1).chain([&first])) {
        let ([ax, ay], [bx, by]) = ([a[0] - ox, a[1] - oy], [b[0] - ox, b[1] - oy]);
        let cross = ax * by - bx * ay;
        area += cross;
        moment[0] += (ax + bx) * cross;
        moment[1] += (ay + by) * cross;
    }
    // Whichever way round a ring goes: outer rings count for, holes against.
    let sign = if (area < 0.0) == is_hole { 1.0 } else { -1.0 };
    gathered.area += sign * area;
    gathered.moment[0] += sign * moment[0];
    gathered.moment[1] += sign * moment[1];
    if !is_hole {
        gathered.points.extend_from_slice(points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[[f64; 2]]) -> Vec<u8> {
        let mut bytes = (points.len() as u32).to_le_bytes().to_vec();
        points.iter().flatten().for_each(|v| bytes.extend(v.to_le_bytes()));
        bytes
    }

    fn polygon(rings: &[&[[f64; 2]]]) -> Vec<u8> {
        let mut bytes = vec![1, 3, 0, 0, 0];
        bytes.extend((rings.len() as u32).to_le_bytes());
        for points in rings {
            bytes.extend(ring(points));
        }
        bytes
    }

    const SQUARE: [[f64; 2]; 5] = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]];

    #[test]
    fn the_middle_is_weighted_by_area_and_holes_count_against_it() {
        assert_eq!(centroid(&polygon(&[&SQUARE])), Ok([2.0, 2.0]));
        let mut back = SQUARE;
        back.reverse();
        assert_eq!(centroid(&polygon(&[&back])), Ok([2.0, 2.0]));
        // Without its right half, whichever way the hole goes round.
        let hole = [[2.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 4.0], [2.0, 0.0]];
        let middle = centroid(&polygon(&[&SQUARE, &hole])).expect("a polygon");
        assert!((middle[0] - 1.0).abs() < 1e-12 && (middle[1] - 2.0).abs() < 1e-12, "{middle:?}");
        // Two polygons, the second of a quarter of the area.
        let far = [[10.0, 0.0], [12.0, 0.0], [12.0, 2.0], [10.0, 2.0]];
        let mut several = vec![1, 6, 0, 0, 0, 2, 0, 0, 0];
        several.extend(polygon(&[&SQUARE]));
        several.extend(polygon(&[&far]));
        let middle = centroid(&several).expect("polygons");
        assert!((middle[0] - (16.0 * 2.0 + 4.0 * 11.0) / 20.0).abs() < 1e-12, "{middle:?}");
    }

    #[test]
    fn broken_geometries_are_refused() {
        let whole = polygon(&[&SQUARE]);
        for end in 0..whole.len() {
            assert!(centroid(&whole[..end]).is_err());
        }
        let mut huge = whole.clone();
        huge[5..9].fill(0xFF);
        assert!(centroid(&huge).is_err());
        let mut line = whole;
        line[1] = 2;
        assert!(centroid(&line).is_err());
        let nested: Vec<u8> = [1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(1000);
        assert!(centroid(&nested).is_err());
    }
}
