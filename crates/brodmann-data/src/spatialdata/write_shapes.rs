//! Regions as the shapes of a SpatialData store, which napari-spatialdata, spatialdata-plot and Vitessce show.
//!
//! Zarr version 3, element version 0.3 of the format: a group `shapes/NAME` whose attributes name the axes and the
//! coordinate system, and beside them `shapes.parquet`, GeoParquet 1.1 with geometries as WKB. Specification:
//! <https://geoparquet.org/releases/v1.1.0/>. Read back by spatialdata 0.7 and geopandas 1.2.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::table_file::geo_parquet;
use crate::temporary::TemporaryFolder;
use crate::{Column, DataError};

/// WKB: bytes in little-endian order, and its codes of geometries.
const LITTLE_ENDIAN: u8 = 1;
const POLYGON: u32 = 3;
const MULTI_POLYGON: u32 = 6;

/// A closed line and the holes in it, which need not repeat their first corner.
pub type Rings = Vec<Vec<[f64; 2]>>;

/// Regions of a plane, with what is known of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shapes {
    /// A name for each region; no two are alike.
    pub names: Vec<String>,
    /// Its pieces; each its outside first, then its holes.
    pub regions: Vec<Vec<Rings>>,
    /// Columns beside them, one entry per region.
    pub columns: Vec<(String, Column)>,
}

/// Writes a store of one element, whole or not at all; a store that is there is replaced.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_shapes(output: &Path, element: &str, shapes: &Shapes) -> Result<(), DataError> {
    let failed = |source: std::io::Error| DataError::write(output, source);
    let types: Vec<&str> = {
        let several = |pieces: &Vec<Rings>| pieces.len() != 1;
        let multi = shapes.regions.iter().any(several).then_some("MultiPolygon");
        let single = shapes.regions.iter().any(|pieces| !several(pieces)).then_some("Polygon");
        multi.into_iter().chain(single).collect()
    };
    let blobs: Vec<Vec<u8>> = shapes.regions.iter().map(|pieces| wkb(pieces)).collect();
    let mut geometry = json!({ "encoding": "WKB", "crs": null, "geometry_types": types });
    if let Some(extent) = extent(&shapes.regions) {
        geometry["bbox"] = json!(extent);
    }
    let geo = json!({
        "primary_column": "geometry",
        "columns": { "geometry": geometry },
        "version": "1.1.0",
        "creator": { "library": "brodmann", "version": env!("CARGO_PKG_VERSION") },
    });
    let parquet = geo_parquet(&shapes.names, &shapes.columns, &blobs, &geo)
        .map_err(|e| failed(std::io::Error::other(e)))?;

    let folder = TemporaryFolder::beside(output)?;
    let place = folder.path().join("shapes").join(element);
    fs::create_dir_all(&place).map_err(failed)?;
    let group =
        |attributes: &Json| json!({ "attributes": attributes, "zarr_format": 3, "node_type": "group" });
    let axis = |name: &str| json!({ "name": name, "type": "space", "unit": "unit" });
    let system = |name: &str| json!({ "name": name, "axes": [axis("x"), axis("y")] });
    let attributes = json!({
        "encoding-type": "ngff:shapes",
        "axes": ["x", "y"],
        "coordinateTransformations": [{ "type": "identity", "input": system("xy"), "output": system("global") }],
        "spatialdata_attrs": { "version": "0.3" },
    });
    let (none, of_element) = (json!({}), group(&attributes));
    let mut root = group(&json!({ "spatialdata_attrs": {
        "version": "0.2",
        "spatialdata_software_version": concat!("brodmann ", env!("CARGO_PKG_VERSION")),
    }}));
    let mut below = serde_json::Map::new();
    below.insert("shapes".to_owned(), group(&none));
    below.insert(format!("shapes/{element}"), of_element.clone());
    root["consolidated_metadata"] = json!({ "kind": "inline", "must_understand": false, "metadata": below });
    for (path, node) in [
        (folder.path().join("zarr.json"), &root),
        (folder.path().join("shapes").join("zarr.json"), &group(&none)),
        (place.join("zarr.json"), &of_element),
    ] {
        fs::write(path, format!("{node:#}\n")).map_err(failed)?;
    }
    fs::write(place.join("shapes.parquet"), parquet).map_err(failed)?;
    folder.persist(None)
}

/// A region as well-known binary: a polygon, or several.
fn wkb(pieces: &[Rings]) -> Vec<u8> {
    let head = |bytes: &mut Vec<u8>, kind: u32, count: usize| {
        bytes.push(LITTLE_ENDIAN);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    };
    let polygon = |bytes: &mut Vec<u8>, rings: &Rings| {
        head(bytes, POLYGON, rings.len());
        for ring in rings {
            // The first corner again closes a ring.
            let corners = ring.len() + usize::from(!ring.is_empty());
            bytes.extend(u32::try_from(corners).unwrap_or(u32::MAX).to_le_bytes());
            for value in ring.iter().chain(ring.first()).flatten() {
                bytes.extend(value.to_le_bytes());
            }
        }
    };
    let mut bytes = Vec::new();
    if let [only] = pieces {
        polygon(&mut bytes, only);
    } else {
        head(&mut bytes, MULTI_POLYGON, pieces.len());
        for rings in pieces {
            polygon(&mut bytes, rings);
        }
    }
    bytes
}

/// Smallest x and y, largest x and y.
fn extent(regions: &[Vec<Rings>]) -> Option<[f64; 4]> {
    let corners = regions.iter().flatten().flatten().flatten();
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let found = corners.fold(start, |e, [x, y]| [e[0].min(*x), e[1].min(*y), e[2].max(*x), e[3].max(*y)]);
    found.iter().all(|v| v.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64) -> Rings {
        vec![vec![[x, 0.0], [x + 1.0, 0.0], [x + 1.0, 1.0], [x, 1.0]]]
    }

    #[test]
    fn a_region_is_a_polygon_and_its_pieces_are_several() {
        // 1 + 4 + 4 bytes, a ring of five corners.
        let one = wkb(&[square(0.0)]);
        assert_eq!(one.len(), 9 + 4 + 5 * 16);
        assert_eq!(one[..9], [1, 3, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(one[9..13], [5, 0, 0, 0]);
        assert_eq!(one[13..29], one[one.len() - 16..], "closed");
        let two = wkb(&[square(0.0), square(3.0)]);
        assert_eq!(two[..9], [1, 6, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(two.len(), 9 + 2 * one.len());
        assert_eq!(extent(&[vec![square(0.0)], vec![square(3.0)]]), Some([0.0, 0.0, 4.0, 1.0]));
        assert_eq!(extent(&[]), None);
    }

    #[test]
    fn a_store_has_its_groups_and_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("domains.zarr");
        let shapes = Shapes {
            names: vec!["a".into(), "b".into()],
            regions: vec![vec![square(0.0)], vec![square(2.0), square(4.0)]],
            columns: vec![("pieces".into(), Column::Int(vec![1, 2]))],
        };
        for _ in 0..2 {
            write_shapes(&output, "domains", &shapes).expect("written");
        }
        let read = |path: &str| -> Json {
            serde_json::from_str(&fs::read_to_string(output.join(path)).expect("there")).expect("JSON")
        };
        assert_eq!(read("zarr.json")["zarr_format"], 3);
        assert_eq!(read("shapes/domains/zarr.json")["attributes"]["encoding-type"], "ngff:shapes");
        let bytes = fs::read(output.join("shapes/domains/shapes.parquet")).expect("there");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
}
