//! SpatialData stores: a table, and where the things it describes lie.
//!
//! A store holds tables (AnnData) beside shapes, points, labels and images. A table says in `uns["spatialdata_attrs"]` which
//! of these each of its rows belongs to (`region_key`) and as which instance (`instance_key`). Coordinates come from
//! there, in one coordinate system, when the table has none of its own; rows are matched by the instance's id, never by
//! its position.
//!
//! Specification: <https://spatialdata.scverse.org/en/stable/design_doc.html>. Tried with stores of spatialdata 0.2 (Zarr
//! version 2, `zmetadata`) and 0.7 (version 3).
//!
//! * `transform`: coordinate transformations.
//! * `shapes`: circles and polygons in GeoParquet, points in Parquet.
//! * `labels`: the middle of each label.
//! * `image`: a picture for plots.
//! * [`write_shapes`]: regions as a store of their own.

mod image;
mod labels;
mod shapes;
mod transform;
mod write_shapes;

pub(crate) use shapes::polygons;
pub use write_shapes::{Rings, Shapes, write_shapes};

use std::collections::HashMap;

use indexmap::IndexMap;
use ndarray::Array2;
use serde_json::{Map, Value as Json};

use crate::scverse::{column_of, value_of};
use crate::store::{NodeKind, Store};
use crate::zarr::ZarrReader;
use crate::{AnnData, DataError, ReadOptions, Value, keys};
use brodmann_kernels::Opt;
use transform::{Affine, Transformations};

/// Groups that elements lie in.
const ELEMENTS: [&str; 4] = ["shapes", "labels", "points", "images"];
/// Where tables lie; the second up to spatialdata 0.1.
const TABLES: [&str; 2] = ["tables", "table"];
/// The coordinate system meant when none is named.
const GLOBAL: &str = "global";

/// Whether the store holds elements of SpatialData rather than one container.
pub(crate) fn is_spatialdata(store: &impl Store) -> Result<bool, DataError> {
    for name in TABLES.iter().chain(&ELEMENTS) {
        if store.node(name)? == Some(NodeKind::Group) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The path of the table `name`, or of the only one.
///
/// # Errors
/// [`DataError::MissingKey`] naming the tables.
pub(crate) fn table_path(store: &ZarrReader, name: Option<&str>) -> Result<String, DataError> {
    let mut tables = IndexMap::new();
    for group in TABLES {
        if store.node(group)? != Some(NodeKind::Group) {
            continue;
        }
        for table in store.children(group)? {
            let path = format!("{group}/{table}");
            if store.node(&format!("{path}/obs"))?.is_some() && store.node(&format!("{path}/var"))?.is_some()
            {
                tables.entry(table).or_insert(path);
            }
        }
    }
    let taken = match (name, tables.len()) {
        (Some(name), _) => tables.get(name),
        (None, 1) => tables.values().next(),
        (None, _) => None,
    };
    taken.cloned().ok_or_else(|| DataError::MissingKey {
        container: "tables".to_owned(),
        key: name.unwrap_or_default().to_owned(),
        place: store.path().display().to_string(),
        existing: tables.keys().cloned().collect(),
        named_by: Some(Opt("table_name")),
        otherwise: Vec::new(),
    })
}

/// What a table says of the elements it describes.
pub(crate) struct Regions {
    /// The whole store.
    store: ZarrReader,
    /// The coordinate system asked for.
    system: Option<String>,
    /// Elements, by the name that rows give.
    elements: Vec<Element>,
    region_key: String,
    instance_key: String,
}

struct Element {
    name: String,
    kind: &'static str,
}

impl Element {
    fn path(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// Instances of an element and where they lie in its own coordinates.
struct Instances {
    ids: Vec<String>,
    places: Vec<[f64; 2]>,
    /// Of circles.
    radii: Vec<f64>,
}

impl Regions {
    /// The regions of the table at `table`; `None` where it describes no element that is there.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] for regions that are not in the store, when a coordinate system was asked for.
    pub(crate) fn of(
        store: &ZarrReader,
        table: &str,
        system: Option<&str>,
    ) -> Result<Option<Self>, DataError> {
        let nothing = |found: String| match system {
            None => Ok(None),
            Some(system) => Err(DataError::Kind {
                element: table.to_owned(),
                found,
                expected: format!("a table of elements in the coordinate system {system:?}"),
            }),
        };
        let at = format!("{table}/uns/spatialdata_attrs");
        if store.node(&at)? != Some(NodeKind::Group) {
            return nothing("a table of nothing (uns has no spatialdata_attrs)".to_owned());
        }
        let attrs = value_of(store, &at)?;
        let text = |key: &str| attrs.get(key).and_then(Value::as_str).map(str::to_owned);
        let regions = match attrs.get("region") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(several)) => several.to_strings().unwrap_or_default(),
            _ => Vec::new(),
        };
        let (Some(region_key), Some(instance_key)) = (text("region_key"), text("instance_key")) else {
            return nothing("a table that names no region and no instance".to_owned());
        };
        let mut elements = Vec::new();
        for name in regions {
            let mut kind = None;
            for group in &ELEMENTS[..3] {
                if store.node(&format!("{group}/{name}"))?.is_some() {
                    kind = Some(*group);
                    break;
                }
            }
            match kind {
                Some(kind) => elements.push(Element { name, kind }),
                None => return nothing(format!("a table of {name:?}, which is not in the store")),
            }
        }
        if elements.is_empty() {
            return nothing("a table of no region".to_owned());
        }
        let system = system.map(str::to_owned);
        Ok(Some(Self { store: store.clone(), system, elements, region_key, instance_key }))
    }

    /// Whether the coordinates were asked for in place of the table's own.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.system.is_some()
    }

    /// Adds what was asked for and the table does not hold: coordinates, pictures.
    ///
    /// # Errors
    /// [`DataError::Kind`] where ids repeat or rows have no instance; [`DataError::MissingKey`] for a coordinate system
    /// that an element does not have.
    pub(crate) fn complete(
        &self,
        table: &ZarrReader,
        adata: &mut AnnData,
        options: &ReadOptions,
    ) -> Result<(), DataError> {
        let wants_places = options.obsm.wants(keys::SPATIAL)
            && (self.is_asked_for() || !adata.obsm.contains_key(keys::SPATIAL));
        let wants_pictures = options.uns.wants(keys::SPATIAL) && !adata.uns.contains_key(keys::SPATIAL);
        let mut radii = Vec::new();
        if wants_places {
            let (places, found) = self.places(table, adata.n_obs())?;
            radii = found;
            adata.obsm.insert(keys::SPATIAL.to_owned(), Value::Array(places.into()));
        } else if wants_pictures {
            for element in self.elements.iter().filter(|e| e.kind == "shapes") {
                let scale = self.transformation(element)?.scale();
                let found = shapes::instances(&self.store, &element.path())?.radii;
                radii.extend(found.iter().map(|r| r * scale));
            }
        }
        if wants_pictures {
            let pictures = image::pictures(&self.store, self.system(), median(radii))?;
            if !pictures.is_empty() {
                adata.uns.insert(keys::SPATIAL.to_owned(), Value::Dict(pictures));
            }
        }
        Ok(())
    }

    fn system(&self) -> &str {
        self.system.as_deref().unwrap_or(GLOBAL)
    }

    fn transformation(&self, element: &Element) -> Result<Affine, DataError> {
        transformations(&self.store, &element.path())?.to(self.system.as_deref())
    }

    /// Where each row of the table lies, and the radii of circles, both in the coordinate system.
    fn places(&self, table: &ZarrReader, n_obs: usize) -> Result<(Array2<f64>, Vec<f64>), DataError> {
        let texts = |key: &str| -> Result<Vec<Option<String>>, DataError> {
            let path = format!("obs/{key}");
            if table.node(&path)?.is_none() {
                return Err(DataError::MissingKey {
                    container: "obs".to_owned(),
                    key: key.to_owned(),
                    place: format!("{}/{}", table.path().display(), table.root()),
                    existing: table.children("obs")?,
                    named_by: None,
                    otherwise: Vec::new(),
                });
            }
            Ok(column_of(table, &path)?.to_strings())
        };
        let (regions, instances) = (texts(&self.region_key)?, texts(&self.instance_key)?);
        let mut places = Array2::from_elem((n_obs, 2), f64::NAN);
        let mut radii = Vec::new();
        let mut placed = vec![false; n_obs];
        for element in &self.elements {
            let affine = self.transformation(element)?;
            let path = element.path();
            let found = match element.kind {
                "labels" => labels::instances(&self.store, &path)?,
                "points" => shapes::points(&self.store, &path)?,
                _ => shapes::instances(&self.store, &path)?,
            };
            let by_id = unique(&path, &found.ids)?;
            let mut missing = Vec::new();
            let rows = regions.iter().zip(&instances).enumerate().take(n_obs);
            for (row, (_, instance)) in rows.filter(|(_, (r, _))| r.as_ref() == Some(&element.name)) {
                placed[row] = true;
                let Some(&i) = instance.as_ref().and_then(|id| by_id.get(id.as_str())) else {
                    missing.push(instance.clone().unwrap_or_else(|| "none".to_owned()));
                    continue;
                };
                let [x, y] = affine.apply(found.places[i]);
                (places[(row, 0)], places[(row, 1)]) = (x, y);
            }
            if let Some(example) = missing.first() {
                return Err(DataError::Kind {
                    element: format!("obs[{:?}] of {path}", self.instance_key),
                    found: format!("without an instance for {} rows (e.g. {example})", missing.len()),
                    expected: "an instance of the element for every row".to_owned(),
                });
            }
            radii.extend(found.radii.iter().map(|r| r * affine.scale()));
        }
        let astray = placed.iter().filter(|p| !**p).count();
        if astray > 0 {
            return Err(DataError::Kind {
                element: format!("obs[{:?}]", self.region_key),
                found: format!("of no region of the table in {astray} rows"),
                expected: format!("one of {:?}", self.elements.iter().map(|e| &e.name).collect::<Vec<_>>()),
            });
        }
        Ok((places, radii))
    }
}

/// Rows by id.
fn unique<'a>(element: &str, ids: &'a [String]) -> Result<HashMap<&'a str, usize>, DataError> {
    let mut by_id = HashMap::with_capacity(ids.len());
    for (i, id) in ids.iter().enumerate() {
        if by_id.insert(id.as_str(), i).is_some() {
            return Err(DataError::Kind {
                element: element.to_owned(),
                found: format!("with the id {id} more than once"),
                expected: "an id of its own for each instance".to_owned(),
            });
        }
    }
    Ok(by_id)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The first entry of `multiscales` of a raster element; in `ome` since version 0.5 of the format of images.
pub(crate) fn multiscales(attributes: &Map<String, Json>) -> Option<&Map<String, Json>> {
    let list = attributes.get("ome").and_then(|ome| ome.get("multiscales"));
    list.or_else(|| attributes.get("multiscales"))?.get(0)?.as_object()
}

/// Names of axes, as texts or as dictionaries with a name.
fn axis_names(axes: Option<&Json>) -> Vec<String> {
    let name = |axis: &Json| axis.as_str().or_else(|| axis.get("name")?.as_str()).unwrap_or("?").to_owned();
    axes.and_then(Json::as_array).into_iter().flatten().map(name).collect()
}

fn transformations(store: &ZarrReader, path: &str) -> Result<Transformations, DataError> {
    let attributes = store.attributes(path)?;
    let holder = multiscales(&attributes).unwrap_or(&attributes);
    let list = holder.get("coordinateTransformations").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(Transformations { path: path.to_owned(), axes: axis_names(holder.get("axes")), list })
}

/// One resolution of a raster element.
pub(crate) struct Scale {
    pub(crate) path: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) axes: Vec<String>,
    /// From its pixels to the element's own coordinates.
    to_element: Affine,
}

impl Scale {
    /// How much longer a distance in its pixels is in the element's own coordinates.
    pub(crate) fn factor(&self) -> f64 {
        self.to_element.scale()
    }
}

/// The resolutions of a raster element, finest first.
pub(crate) fn scales(store: &ZarrReader, path: &str) -> Result<Vec<Scale>, DataError> {
    let attributes = store.attributes(path)?;
    let damaged = |what: &str| DataError::damaged(store.path(), format!("{path}: {what}"));
    let multiscales = multiscales(&attributes).ok_or_else(|| damaged("no multiscales"))?;
    let axes = axis_names(multiscales.get("axes"));
    let datasets =
        multiscales.get("datasets").and_then(Json::as_array).ok_or_else(|| damaged("no datasets"))?;
    let mut scales = Vec::new();
    for dataset in datasets {
        let name =
            dataset.get("path").and_then(Json::as_str).ok_or_else(|| damaged("a dataset without a path"))?;
        let at = format!("{path}/{name}");
        if store.node(&at)? != Some(NodeKind::Array) {
            return Err(damaged("a dataset that is not there"));
        }
        let list = dataset.get("coordinateTransformations").and_then(Json::as_array);
        let list = list.cloned().unwrap_or_default();
        let to_element = Transformations { path: path.to_owned(), axes: axes.clone(), list }.all()?;
        scales.push(Scale { shape: store.info(&at)?.shape, path: at, axes: axes.clone(), to_element });
    }
    if scales.is_empty() { Err(damaged("no datasets")) } else { Ok(scales) }
}
