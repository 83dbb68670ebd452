//! Outlines of cells: their centroids, and the outlines themselves for pictures.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ndarray::Array2;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::open;
use crate::spatialdata::polygons as shapes_of;
use crate::{DataError, Value, keys};

/// Vertices of one outline.
type Ring = Vec<(f64, f64)>;

/// Outlines under the identifiers of their cells.
#[derive(Default)]
pub(super) struct Outlines {
    pub(super) ids: Vec<String>,
    pub(super) rings: Vec<Ring>,
}

impl Outlines {
    /// An outline of the cell `id` begins.
    pub(super) fn begin(&mut self, id: String) {
        self.ids.push(id);
        self.rings.push(Ring::new());
    }

    /// The next vertex of the outline that began last.
    pub(super) fn extend(&mut self, vertex: (f64, f64)) {
        if let Some(ring) = self.rings.last_mut() {
            ring.push(vertex);
        }
    }

    /// The centre of mass of each.
    pub(super) fn centroids(&self) -> Vec<(f64, f64)> {
        self.rings.iter().map(|ring| centroid(ring)).collect()
    }

    /// The area of each.
    pub(super) fn areas(&self) -> Vec<f64> {
        self.rings.iter().map(|ring| signed_area(ring).abs()).collect()
    }

    /// For `uns["spatial"][library]`, in the order of `names`: `ids`, `starts` (one more than ids) and `vertices`.
    pub(super) fn stored(&self, names: &[String]) -> Value {
        // Of several outlines of a cell the largest.
        let mut place: HashMap<&str, usize> = HashMap::with_capacity(self.ids.len());
        let area = |i: usize| signed_area(&self.rings[i]).abs();
        for (i, id) in self.ids.iter().enumerate() {
            let best = place.entry(id.as_str()).or_insert(i);
            if area(i) > area(*best) {
                *best = i;
            }
        }
        let (mut ids, mut starts, mut vertices) = (Vec::new(), vec![0i64], Vec::new());
        for name in names {
            let Some(&i) = place.get(name.as_str()) else { continue };
            ids.push(name.clone());
            vertices.extend(self.rings[i].iter().flat_map(|&(x, y)| [x as f32, y as f32]));
            starts.push(vertices.len() as i64 / 2);
        }
        let vertices = Array2::from_shape_vec((vertices.len() / 2, 2), vertices).expect("pairs");
        [("ids", Value::from(ids)), ("starts", Value::from(starts)), ("vertices", vertices.into())].into()
    }

    /// From a table of vertices, those of a cell one after the other. `ids`: the cell of each vertex. `labels`: where a cell
    /// may have several outlines, which of them.
    pub(super) fn of_vertices(
        ids: Vec<String>,
        labels: Option<Vec<Option<String>>>,
        x: &[f64],
        y: &[f64],
    ) -> Self {
        let mut outlines = Self::default();
        let mut last_label: Option<String> = None;
        for (i, id) in ids.into_iter().enumerate() {
            let label = labels.as_ref().and_then(|labels| labels[i].clone());
            if outlines.ids.last() != Some(&id) || last_label != label {
                last_label = label;
                outlines.begin(id);
            }
            outlines.extend((x[i], y[i]));
        }
        outlines
    }

    /// Those of the cells `names` in a GeoParquet file, of each the largest: there may be one per plane of focus.
    pub(super) fn of_geometries(
        path: &Path,
        id: &str,
        geometry: &str,
        names: &[String],
    ) -> Result<Self, DataError> {
        let known: HashSet<&str> = names.iter().map(String::as_str).collect();
        let mut outlines = Self::default();
        let mut place: HashMap<String, usize> = HashMap::new();
        shapes_of(path, id, geometry, &|id| known.contains(id), &mut |id, ring| {
            let ring: Ring = ring.into_iter().map(|[x, y]| (x, y)).collect();
            let known = *place.entry(id).or_insert_with_key(|id| {
                outlines.begin(id.clone());
                outlines.rings.len() - 1
            });
            if signed_area(&ring).abs() > signed_area(&outlines.rings[known]).abs() {
                outlines.rings[known] = ring;
            }
        })?;
        Ok(outlines)
    }

    /// Whether they lie where their cells do: more than half of those that are outlined have their place within the outline's
    /// box. Some exports count the rows of a picture from the other end.
    pub(super) fn lie_at(&self, names: &[String], places: &[f64]) -> bool {
        let place: HashMap<&str, usize> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let (mut n, mut within) = (0usize, 0usize);
        for (id, ring) in self.ids.iter().zip(&self.rings) {
            let Some(&i) = place.get(id.as_str()) else { continue };
            let (x, y) = (places[2 * i], places[2 * i + 1]);
            let spans = |value: f64, of: fn(&(f64, f64)) -> f64| {
                ring.iter().any(|v| of(v) <= value) && ring.iter().any(|v| of(v) >= value)
            };
            n += 1;
            within += usize::from(spans(x, |v| v.0) && spans(y, |v| v.1));
        }
        2 * within > n
    }
}

fn signed_area(ring: &[(f64, f64)]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    0.5 * ring.iter().zip(next).map(|((x0, y0), (x1, y1))| x0 * y1 - x1 * y0).sum::<f64>()
}

/// The centre of mass; the mean of the vertices where they enclose nothing.
fn centroid(ring: &[(f64, f64)]) -> (f64, f64) {
    // Relative to the first vertex: a cell is small and far from the origin.
    let Some(&(x0, y0)) = ring.first() else { return (f64::NAN, f64::NAN) };
    let local: Ring = ring.iter().map(|(x, y)| (x - x0, y - y0)).collect();
    let area = signed_area(&local);
    let n = ring.len() as f64;
    if area.abs() <= f64::EPSILON {
        let (x, y) = local.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        return (x0 + x / n, y0 + y / n);
    }
    let next = local.iter().cycle().skip(1);
    let (x, y) = local.iter().zip(next).fold((0.0, 0.0), |(a, b), (&(x, y), &(u, v))| {
        let cross = x * v - u * y;
        (a + (x + u) * cross, b + (y + v) * cross)
    });
    (x0 + x / (6.0 * area), y0 + y / (6.0 * area))
}

/// Outlines of a GeoJSON file; of a cell in several pieces the largest.
///
/// # Errors
/// [`DataError::Table`] with the line.
pub(super) fn read_geojson(path: &Path) -> Result<Outlines, DataError> {
    let reader = std::io::BufReader::with_capacity(1 << 16, open(path)?);
    let collection: Collection = serde_json::from_reader(reader).map_err(|e| DataError::Table {
        path: path.to_path_buf(),
        line: e.line(),
        found: e.to_string(),
        expected: "a GeoJSON collection of polygons with a cell_id each".to_owned(),
    })?;
    Ok(collection.features.0)
}

#[derive(Deserialize)]
struct Collection {
    features: Features,
}

#[derive(Deserialize)]
struct Feature {
    properties: Properties,
    geometry: Geometry,
}

#[derive(Deserialize)]
struct Properties {
    cell_id: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Polygon(Vec<Ring>),
    MultiPolygon(Vec<Vec<Ring>>),
}

/// Features reduced one by one: a whole collection as JSON takes ten times the file.
struct Features(Outlines);

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Features;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of features")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Features, A::Error> {
                let mut outlines = Outlines::default();
                while let Some(feature) = list.next_element::<Feature>()? {
                    let ring = match feature.geometry {
                        Geometry::Polygon(rings) => rings.into_iter().next(),
                        Geometry::MultiPolygon(parts) => parts
                            .into_iter()
                            .filter_map(|rings| rings.into_iter().next())
                            .max_by(|a, b| signed_area(a).abs().total_cmp(&signed_area(b).abs())),
                    };
                    outlines.ids.push(match feature.properties.cell_id {
                        serde_json::Value::String(id) => id,
                        other => other.to_string(),
                    });
                    outlines.rings.push(ring.unwrap_or_default());
                }
                Ok(Features(outlines))
            }
        }
        deserializer.deserialize_seq(All)
    }
}

/// What outlines are called in `uns["spatial"][library]`.
pub(super) const KEYS: [(&str, &str); 2] =
    [(keys::CELL_BOUNDARIES, "cell_boundaries"), (keys::NUCLEUS_BOUNDARIES, "nucleus_boundaries")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centroids_are_those_of_the_area() {
        // An L of three unit squares, far from the origin.
        let l = [(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0), (0.0, 0.0)];
        let far: Ring = l.iter().map(|(x, y)| (x + 1e6, y + 1e6)).collect();
        let (x, y) = centroid(&far);
        assert!((x - 1e6 - 5.0 / 6.0).abs() < 1e-6 && (y - 1e6 - 5.0 / 6.0).abs() < 1e-6, "{x} {y}");
        assert!((signed_area(&l).abs() - 3.0).abs() < 1e-12);
        assert_eq!(centroid(&[(1.0, 1.0), (3.0, 1.0)]), (2.0, 1.0));
    }
}
