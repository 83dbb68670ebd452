//! Coordinate transformations, as far as they concern x and y.

use std::collections::HashMap;

use brodmann_kernels::Opt;
use serde_json::Value as Json;

use super::{GLOBAL, axis_names};
use crate::DataError;

/// `x' = a[0]·x + a[1]·y + a[2]`, and the same for y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) x: [f64; 3],
    pub(super) y: [f64; 3],
}

impl Affine {
    pub(super) const IDENTITY: Self = Self { x: [1.0, 0.0, 0.0], y: [0.0, 1.0, 0.0] };

    pub(super) fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let of = |a: [f64; 3]| a[0] * x + a[1] * y + a[2];
        [of(self.x), of(self.y)]
    }

    /// First this, then `next`.
    pub(super) fn then(&self, next: &Self) -> Self {
        let of = |a: [f64; 3]| {
            let at = |k: usize| a[0] * self.x[k] + a[1] * self.y[k];
            [at(0), at(1), at(2) + a[2]]
        };
        Self { x: of(next.x), y: of(next.y) }
    }

    /// How much longer a distance becomes, in the mean over directions.
    pub(super) fn scale(&self) -> f64 {
        (self.x[0] * self.y[1] - self.x[1] * self.y[0]).abs().sqrt()
    }
}

/// The transformations of one element, each into a coordinate system.
pub(super) struct Transformations {
    /// The element, for messages.
    pub(super) path: String,
    /// Axes of the element, for transformations that name none.
    pub(super) axes: Vec<String>,
    pub(super) list: Vec<Json>,
}

/// Each axis in terms of the x and y at the start.
type Axes = HashMap<String, [f64; 3]>;

impl Transformations {
    /// The transformation into `system`, or into "global" or the only one.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming the coordinate systems; [`DataError::Encoding`] for a kind of transformation that
    /// is not known.
    pub(super) fn to(&self, system: Option<&str>) -> Result<Affine, DataError> {
        let name = |t: &Json| {
            let output = t.get("output")?;
            output.as_str().or_else(|| output.get("name")?.as_str()).map(str::to_owned)
        };
        let names: Vec<String> = self.list.iter().filter_map(name).collect();
        let wanted = match system {
            Some(system) => system,
            None if names.is_empty() => return Ok(Affine::IDENTITY),
            None if names.len() == 1 => names[0].as_str(),
            None => GLOBAL,
        };
        match self.list.iter().find(|t| name(t).as_deref() == Some(wanted)) {
            Some(transformation) => self.affine(std::slice::from_ref(transformation)),
            None => Err(DataError::MissingKey {
                container: "coordinate system".to_owned(),
                key: wanted.to_owned(),
                place: self.path.clone(),
                existing: names,
                named_by: Some(Opt("coordinate_system")),
                otherwise: Vec::new(),
            }),
        }
    }

    /// Whether there is a transformation into `system`.
    pub(super) fn reach(&self, system: &str) -> bool {
        self.list.iter().any(|t| {
            t.get("output").is_some_and(|o| {
                o.as_str() == Some(system) || o.get("name").and_then(Json::as_str) == Some(system)
            })
        })
    }

    /// All of them, one after another.
    ///
    /// # Errors
    /// [`DataError::Encoding`].
    pub(super) fn all(&self) -> Result<Affine, DataError> {
        self.affine(&self.list)
    }

    fn affine(&self, list: &[Json]) -> Result<Affine, DataError> {
        let mut axes = Axes::new();
        for name in &self.axes {
            axes.insert(name.clone(), [0.0; 3]);
        }
        axes.insert("x".to_owned(), Affine::IDENTITY.x);
        axes.insert("y".to_owned(), Affine::IDENTITY.y);
        for transformation in list {
            self.step(transformation, &self.axes, &mut axes, 0)?;
        }
        let of = |name: &str| axes.get(name).copied().unwrap_or_default();
        let affine = Affine { x: of("x"), y: of("y") };
        if affine.x.iter().chain(&affine.y).all(|v| v.is_finite()) {
            Ok(affine)
        } else {
            Err(self.unknown("a transformation to nowhere"))
        }
    }

    fn unknown(&self, what: &str) -> DataError {
        DataError::Encoding {
            element: format!("{} (coordinateTransformations)", self.path),
            encoding: what.to_owned(),
        }
    }

    fn step(&self, t: &Json, default: &[String], axes: &mut Axes, depth: usize) -> Result<(), DataError> {
        let kind = t.get("type").and_then(Json::as_str).unwrap_or("?");
        let named = |side: &str| t.get(side).map(|s| axis_names(s.get("axes"))).unwrap_or_default();
        let (input, output) = (named("input"), named("output"));
        let input = if input.is_empty() { default.to_vec() } else { input };
        let output = if output.is_empty() { input.clone() } else { output };
        let bad = || self.unknown(&format!("a {kind} that does not fit its axes"));
        let numbers =
            |list: &Json| -> Option<Vec<f64>> { list.as_array()?.iter().map(Json::as_f64).collect() };
        let vector =
            |key: &str| t.get(key).and_then(numbers).filter(|v| v.len() == input.len()).ok_or_else(bad);
        match kind {
            "identity" => {}
            "scale" => {
                for (name, factor) in input.iter().zip(vector("scale")?) {
                    axes.entry(name.clone()).or_default().iter_mut().for_each(|a| *a *= factor);
                }
            }
            "translation" => {
                for (name, by) in input.iter().zip(vector("translation")?) {
                    axes.entry(name.clone()).or_default()[2] += by;
                }
            }
            "affine" => {
                let rows = t.get("affine").and_then(Json::as_array).ok_or_else(bad)?;
                let rows: Option<Vec<Vec<f64>>> = rows.iter().map(numbers).collect();
                let rows = rows.filter(|r| r.len() >= output.len()).ok_or_else(bad)?;
                let before = axes.clone();
                for (name, row) in output.iter().zip(&rows) {
                    let (shift, factors) =
                        row.split_last().filter(|(_, f)| f.len() == input.len()).ok_or_else(bad)?;
                    let mut sum = [0.0, 0.0, *shift];
                    for (from, factor) in input.iter().zip(factors) {
                        let from = before.get(from).copied().unwrap_or_default();
                        sum.iter_mut().zip(from).for_each(|(s, f)| *s += factor * f);
                    }
                    axes.insert(name.clone(), sum);
                }
            }
            "mapAxis" => {
                let map = t.get("mapAxis").and_then(Json::as_object).ok_or_else(bad)?;
                let before = axes.clone();
                for (to, from) in map {
                    let from = from.as_str().and_then(|from| before.get(from)).ok_or_else(bad)?;
                    axes.insert(to.clone(), *from);
                }
            }
            "sequence" if depth < 32 => {
                let steps = t.get("transformations").and_then(Json::as_array).ok_or_else(bad)?;
                for inner in steps {
                    self.step(inner, &input, axes, depth + 1)?;
                }
            }
            other => return Err(self.unknown(&format!("{other:?}"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn affine(list: Json) -> Result<Affine, DataError> {
        let list = list.as_array().expect("a list").clone();
        Transformations { path: "shapes/a".into(), axes: vec!["y".into(), "x".into()], list }.all()
    }

    #[test]
    fn axes_are_followed_by_name_not_by_place() {
        let a = affine(json!([{"type": "scale", "scale": [3.0, 2.0]}])).expect("known");
        assert_eq!(a.apply([1.0, 1.0]), [2.0, 3.0]);
        let axes = |names: [&str; 2]| json!({"axes": names.map(|n| json!({"name": n}))});
        let a = affine(json!([{"type": "affine", "affine": [[20.0, 10.0, 30.0], [50.0, 40.0, 60.0]],
            "input": axes(["y", "x"]), "output": axes(["x", "y"])}]))
        .expect("known");
        assert_eq!(a.apply([1.0, 2.0]), [80.0, 200.0]);
        let a = affine(json!([{"type": "mapAxis", "mapAxis": {"x": "y", "y": "x"}},
            {"type": "translation", "translation": [1.0, 0.0]}]))
        .expect("known");
        assert_eq!(a.apply([5.0, 7.0]), [7.0, 6.0]);
    }

    #[test]
    fn one_after_another_is_one_applied_to_the_other() {
        let first = Affine { x: [2.0, 1.0, 3.0], y: [0.0, -1.0, 4.0] };
        let next = Affine { x: [0.5, 0.0, 1.0], y: [1.0, 3.0, -2.0] };
        assert_eq!(first.then(&next).apply([5.0, 6.0]), next.apply(first.apply([5.0, 6.0])));
        assert_eq!(first.scale(), 2f64.sqrt());
    }

    #[test]
    fn what_is_not_known_or_does_not_fit_is_refused() {
        for bad in [
            json!([{"type": "rotation"}]),
            json!([{"type": "scale", "scale": [1.0]}]),
            json!([{"type": "affine", "affine": [[1.0]]}]),
            json!([{"type": "sequence"}]),
            json!([{"type": "scale", "scale": [1e308, 1e308]}, {"type": "scale", "scale": [1e308, 1e308]}]),
        ] {
            assert!(matches!(affine(bad), Err(DataError::Encoding { .. })));
        }
    }
}
