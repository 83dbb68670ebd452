//! `brodmann export`: domains as other programs show them.
//!
//! * A `.geojson` holds the outlines of domains as QuPath and TissUUmaps read annotations, with names and colours.
//! * A `.zarr` is a SpatialData store with the outlines as shapes, as napari-spatialdata and spatialdata-plot show them.
//! * A `.json` is a Vitessce view of an AnnData Zarr store: map, plane, domains, genes.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use brodmann_data::{Column, OpenOptions, Shapes, check_output, write_bytes, write_shapes};
use brodmann_kernels::{Monitor, Seed, Slices, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::groups::{self, Groups, GroupsRequest, Wanted};
use crate::pipeline::PipelineError;
use crate::pipeline::outputs::Outputs;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Seconds, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::{Tissue, is_zarr};
use crate::plot::Rgb;
use crate::stats::{Outline, Polygon, domain_outlines};

/// The command, and what its options belong to.
pub const EXPORT: &str = "export";
/// Coordinates are written to this share of the tissue's extent.
const PRECISION: f64 = 1e-6;
/// What the regions are called in a store.
const ELEMENT: &str = "domains";
/// The version of Vitessce's views that is written.
const VITESSCE: &str = "1.0.16";
/// Layouts in the plane that a view shows, the first that is there.
const PLANES: [&str; 2] = ["X_umap", "X_tsne"];

/// How domains are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportOptions {
    /// Coordinates times this are written: pixels of a slide per unit of the coordinates.
    pub scale: f64,
    /// One region per connected piece instead of one per domain.
    pub pieces: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { scale: 1.0, pieces: false }
    }
}

/// Domains for other programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportRequest {
    /// Which labels.
    pub groups: GroupsRequest,
    /// How they are written.
    pub options: ExportOptions,
    /// Coordinates and slices.
    pub place: Place,
}

impl ExportRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            groups: sections.take(&base.groups)?,
            options: sections.take(&base.options)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(EXPORT)?;
        let scale = request.options.scale;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(PipelineError::option("scale", scale, "a number above 0"));
        }
        Ok(request)
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportReport {
    /// The file.
    pub out: String,
    /// `GeoJSON`, `SpatialData` or `Vitessce`.
    pub format: &'static str,
    /// The labels.
    pub groupby: String,
    /// Domains that have spots.
    pub n_groups: usize,
    /// Connected pieces; 0 where none are written.
    pub n_pieces: usize,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

impl ExportReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let pieces = if self.n_pieces > 0 { format!(" in {} pieces", self.n_pieces) } else { String::new() };
        vec![format!("{}: {} domains{pieces} ({})", self.out, self.n_groups, self.format)]
    }
}

/// What an output's ending asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    GeoJson,
    SpatialData,
    Vitessce,
}

impl Format {
    fn of(out: &Path) -> Result<Self, PipelineError> {
        let ending = out.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        match ending.as_str() {
            "geojson" => Ok(Self::GeoJson),
            "zarr" => Ok(Self::SpatialData),
            "json" => Ok(Self::Vitessce),
            _ => Err(PipelineError::OutputEnding {
                path: out.display().to_string(),
                expected: ".geojson (QuPath, TissUUmaps), .zarr (SpatialData, napari) or .json (a view for Vitessce)",
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::GeoJson => "GeoJSON",
            Self::SpatialData => "SpatialData",
            Self::Vitessce => "Vitessce",
        }
    }
}

/// Writes the domains of a file for another program.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn export_file(
    input: (&Path, &OpenOptions),
    out: &Path,
    request: &ExportRequest,
    monitor: &dyn Monitor,
) -> Result<ExportReport, PipelineError> {
    let format = Format::of(out)?;
    check_output(input.0, out)?;
    if format == Format::Vitessce && !(is_zarr(input.0) && input.0.is_dir()) {
        let found = input.0.display().to_string();
        let expected = format!("a .zarr store, which Vitessce reads; make one with {}", Step("convert"));
        return Err(PipelineError::option("input", found, expected));
    }
    let mut run = Run::new(Seed(0), monitor);
    let wanted = Wanted {
        place: &request.place,
        groups: Some(&request.groups),
        columns: &[],
        values: None,
        graph: false,
        obsm: &[],
    };
    let tissue = groups::open(input, &Outputs::default(), &wanted, &mut run)?;
    let groups = groups::groups(&tissue, &request.groups, monitor)?;
    let slices = groups::slices(&tissue, &request.place, Some(&groups.key), monitor)?;
    let n_pieces = if format == Format::Vitessce {
        let name = input.0.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let url = relative(input.0, out);
        let text = format!("{:#}\n", vitessce(&tissue, &groups, request, (&name, &url)));
        run.timed(Stage::Write, || write_bytes(out, text.as_bytes()))?;
        0
    } else {
        let outlines = outlines(&tissue, &groups, request, slices.as_ref(), &mut run)?;
        run.timed(Stage::Write, || match format {
            Format::SpatialData => {
                write_shapes(out, ELEMENT, &shapes(&outlines, &groups, slices.as_ref(), &request.options))
            }
            _ => write_bytes(out, geojson(&outlines, &groups, slices.as_ref(), &request.options).as_bytes()),
        })?;
        outlines.iter().map(|outline| outline.polygons.len()).sum()
    };
    Ok(ExportReport {
        out: out.display().to_string(),
        format: format.name(),
        groupby: groups.key.clone(),
        n_groups: groups.sizes().iter().filter(|n| **n > 0).count(),
        n_pieces,
        seconds: run.seconds,
    })
}

fn outlines(
    tissue: &Tissue,
    groups: &Groups,
    request: &ExportRequest,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<Vec<Outline>, PipelineError> {
    let coordinates = tissue.coordinates(&request.place.spatial_key)? * request.options.scale;
    run.monitor.stage("outlines", 0);
    Ok(run.timed(Stage::Cluster, || domain_outlines(coordinates.view(), groups.labels(), slices))?)
}

/// A collection of regions, one per domain and slice or one per piece.
fn geojson(
    outlines: &[Outline],
    groups: &Groups,
    slices: Option<&Slices>,
    options: &ExportOptions,
) -> String {
    let decimals = decimals(outlines);
    let mut text = String::from("{\"type\": \"FeatureCollection\", \"features\": [");
    let mut first = true;
    for outline in outlines {
        let group = outline.label as usize;
        let slice = slices.map(|slices| slices.label(outline.slice as usize));
        let mut feature = |polygons: &[Polygon], piece: Option<usize>| {
            let name = match piece {
                Some(piece) => format!("{} · {}", groups.names[group], piece + 1),
                None => groups.names[group].clone(),
            };
            let area: f64 = polygons.iter().map(Polygon::area).sum();
            let Rgb(r, g, b) = groups.colors[group];
            let mut properties = json!({
                "objectType": "annotation",
                "name": name,
                "classification": { "name": groups.names[group], "color": [r, g, b] },
                "isLocked": false,
                "measurements": { "area": area, "pieces": polygons.len() },
            });
            if let Some(slice) = &slice {
                properties["slice"] = json!(slice);
            }
            let separator = if first { "" } else { "," };
            first = false;
            let _ = write!(text, "{separator}\n{{\"type\": \"Feature\", \"geometry\": ");
            geometry(&mut text, polygons, decimals);
            let _ = write!(text, ", \"properties\": {properties}}}");
        };
        if options.pieces {
            for (piece, polygon) in outline.polygons.iter().enumerate() {
                feature(std::slice::from_ref(polygon), Some(piece));
            }
        } else {
            feature(&outline.polygons, None);
        }
    }
    text.push_str("\n]}\n");
    text
}

/// Regions as shapes, one per domain and slice or one per piece; each with its domain, colour, area and pieces.
fn shapes(outlines: &[Outline], groups: &Groups, slices: Option<&Slices>, options: &ExportOptions) -> Shapes {
    let (mut names, mut regions) = (Vec::new(), Vec::new());
    let (mut domains, mut colors, mut of_slices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut areas, mut pieces) = (Vec::new(), Vec::new());
    for outline in outlines {
        let group = outline.label as usize;
        let slice = slices.map(|slices| slices.label(outline.slice as usize));
        let mut region = |polygons: &[Polygon], piece: Option<usize>| {
            let whole = slice.iter().cloned().chain([groups.names[group].clone()]);
            let parts: Vec<String> = whole.chain(piece.map(|piece| (piece + 1).to_string())).collect();
            names.push(parts.join("_"));
            let rings = |p: &Polygon| std::iter::once(&p.outer).chain(&p.holes).cloned().collect();
            regions.push(polygons.iter().map(rings).collect());
            domains.push(Some(groups.names[group].clone()));
            colors.push(Some(groups.colors[group].to_hex()));
            of_slices.extend(slice.clone().map(Some));
            areas.push(polygons.iter().map(Polygon::area).sum::<f64>());
            pieces.push(polygons.len() as i64);
        };
        if options.pieces {
            for (piece, polygon) in outline.polygons.iter().enumerate() {
                region(std::slice::from_ref(polygon), Some(piece));
            }
        } else {
            region(&outline.polygons, None);
        }
    }
    let mut columns = vec![
        (groups.key.clone(), Column::String(domains)),
        ("color".to_owned(), Column::String(colors)),
        ("area".to_owned(), Column::Float64(areas)),
        ("pieces".to_owned(), Column::Int(pieces)),
    ];
    if slices.is_some() {
        columns.push(("slice".to_owned(), Column::String(of_slices)));
    }
    Shapes { names, regions, columns }
}

fn geometry(text: &mut String, polygons: &[Polygon], decimals: usize) {
    let rings = |text: &mut String, polygon: &Polygon| {
        text.push('[');
        for (k, ring) in std::iter::once(&polygon.outer).chain(&polygon.holes).enumerate() {
            text.push_str(if k > 0 { ", [" } else { "[" });
            for (k, [x, y]) in ring.iter().chain(ring.first()).enumerate() {
                let separator = if k > 0 { "," } else { "" };
                let _ = write!(text, "{separator}[{x:.decimals$},{y:.decimals$}]");
            }
            text.push(']');
        }
        text.push(']');
    };
    if let [polygon] = polygons {
        text.push_str("{\"type\": \"Polygon\", \"coordinates\": ");
        rings(text, polygon);
    } else {
        text.push_str("{\"type\": \"MultiPolygon\", \"coordinates\": [");
        for (k, polygon) in polygons.iter().enumerate() {
            text.push_str(if k > 0 { ", " } else { "" });
            rings(text, polygon);
        }
        text.push(']');
    }
    text.push('}');
}

/// Digits after the point that tell places apart.
fn decimals(outlines: &[Outline]) -> usize {
    let points = outlines.iter().flat_map(|o| &o.polygons).flat_map(|p| &p.outer);
    let widen = |(low, high): (f64, f64), v: f64| (low.min(v), high.max(v));
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (x, y) = points.fold((start, start), |(x, y), p| (widen(x, p[0]), widen(y, p[1])));
    let extent = (x.1 - x.0).max(y.1 - y.0);
    if extent > 0.0 && extent.is_finite() {
        (-(extent * PRECISION).log10()).ceil().clamp(0.0, 12.0) as usize
    } else {
        3
    }
}

/// The way from the folder of one file to another, where both are below one folder; else as it was given.
fn relative(target: &Path, from: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (target, from) = (absolute(target), absolute(from));
    let folder: Vec<Component<'_>> = from.parent().map(|p| p.components().collect()).unwrap_or_default();
    let whole: Vec<Component<'_>> = target.components().collect();
    let shared = folder.iter().zip(&whole).take_while(|(a, b)| a == b).count();
    let mut way = PathBuf::new();
    (shared..folder.len()).for_each(|_| way.push(".."));
    whole[shared..].iter().for_each(|part| way.push(part));
    way.to_string_lossy().replace('\\', "/")
}

/// A view of the store: the map, the plane where there is one, domains and genes.
fn vitessce(tissue: &Tissue, groups: &Groups, request: &ExportRequest, (name, url): (&str, &str)) -> Json {
    let plane = tissue
        .obsm_names()
        .into_iter()
        .find(|key| PLANES.contains(&key.as_str()) || PLANES.iter().any(|plane| key.ends_with(&plane[1..])));
    let mut options = json!({
        "obsLocations": { "path": format!("obsm/{}", request.place.spatial_key) },
        "obsSets": [{ "name": groups.key, "path": format!("obs/{}", groups.key) }],
        "obsFeatureMatrix": { "path": "X" },
    });
    let mut space = json!({
        "dataset": { "A": "A" },
        "obsType": { "A": "spot" },
        "obsColorEncoding": { "A": "cellSetSelection" },
        "obsSetColor": { "A": colours(groups) },
    });
    let scopes = json!({ "dataset": "A", "obsType": "A", "obsColorEncoding": "A", "obsSetColor": "A" });
    let view = |component: &str, place: [u32; 4], more: Option<(&str, &str)>| {
        let mut scopes = scopes.clone();
        if let Some((kind, scope)) = more {
            scopes[kind] = json!(scope);
        }
        let [x, y, w, h] = place;
        json!({ "component": component, "coordinationScopes": scopes, "x": x, "y": y, "w": w, "h": h })
    };
    let mut layout = vec![
        view("spatial", if plane.is_some() { [0, 0, 5, 12] } else { [0, 0, 9, 12] }, None),
        view("obsSets", [9, 0, 3, 4], None),
        view("featureList", [9, 4, 3, 8], None),
    ];
    if let Some(key) = plane {
        let kind = if key.ends_with("umap") { "UMAP" } else { "t-SNE" };
        options["obsEmbedding"] = json!([{ "path": format!("obsm/{key}"), "embeddingType": kind }]);
        space["embeddingType"] = json!({ "A": kind });
        layout.push(view("scatterplot", [5, 0, 4, 12], Some(("embeddingType", "A"))));
    }
    json!({
        "version": VITESSCE,
        "name": name,
        "description": format!("{} of {name}", groups.key),
        "datasets": [{
            "uid": "A",
            "name": name,
            "files": [{
                "fileType": "anndata.zarr",
                "url": url,
                "options": options,
                "coordinationValues": { "obsType": "spot" },
            }],
        }],
        "coordinationSpace": space,
        "layout": layout,
        "initStrategy": "auto",
    })
}

/// The colours of the groups, as Vitessce takes them.
fn colours(groups: &Groups) -> Json {
    let colour =
        |(name, Rgb(r, g, b)): (&String, &Rgb)| json!({ "path": [groups.key, name], "color": [r, g, b] });
    Json::Array(groups.names.iter().zip(&groups.colors).map(colour).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_closed_named_and_coloured() {
        let square =
            Polygon { outer: vec![[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]], holes: Vec::new() };
        let outlines = [Outline { slice: 0, label: 0, polygons: vec![square.clone(), square] }];
        let groups = Groups {
            key: "domains".to_owned(),
            codes: Vec::new(),
            names: vec!["a \"b\"".to_owned()],
            colors: vec![Rgb(1, 2, 3)],
        };
        let read = |options: &ExportOptions| -> Json {
            serde_json::from_str(&geojson(&outlines, &groups, None, options)).expect("JSON")
        };
        let whole = read(&ExportOptions::default());
        let feature = &whole["features"][0];
        assert_eq!(feature["geometry"]["type"], "MultiPolygon");
        assert_eq!(feature["properties"]["classification"], json!({ "name": "a \"b\"", "color": [1, 2, 3] }));
        let ring = feature["geometry"]["coordinates"][0][0].as_array().expect("a ring");
        assert_eq!((ring.len(), &ring[0]), (5, &ring[4]));
        let pieces = read(&ExportOptions { pieces: true, ..ExportOptions::default() });
        assert_eq!(pieces["features"].as_array().map(Vec::len), Some(2));
        assert_eq!(pieces["features"][1]["geometry"]["type"], "Polygon");
    }

    #[test]
    fn the_way_to_the_store_is_relative() {
        assert_eq!(relative(Path::new("/a/b/x.zarr"), Path::new("/a/b/view.json")), "x.zarr");
        assert_eq!(relative(Path::new("/a/x.zarr"), Path::new("/a/b/view.json")), "../x.zarr");
    }
}
