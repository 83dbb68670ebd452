//! From coordinates of spots to pixels of a slide: a factor, or a matrix from a file.

use std::path::Path;

use brodmann_data::picture::Slide;
use brodmann_data::{Value, keys, read_text};

use crate::pipeline::PipelineError;
use crate::pipeline::picture::scale_factor;

/// How Xenium's software names the file that lays a stained slide over its own picture.
const XENIUM_ALIGNMENT: &str = "imagealignment.csv";
/// Micrometres per pixel of Xenium's own picture, to which that file leads.
const XENIUM_PIXEL_UM: f64 = 0.2125;
/// Two sides of a picture whose ratios differ by no more are of one shape.
const SAME_SHAPE: f64 = 0.02;
/// Factors this near to 1 are 1: the sides of smaller pictures are rounded to pixels.
const ONE: f64 = 0.005;

/// An affine map from coordinates (x, y) to pixels (x, y).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::pipeline) struct ToSlide {
    rows: [[f64; 3]; 2],
}

impl ToSlide {
    /// Coordinates times a factor.
    pub(in crate::pipeline) fn scale(factor: f64) -> Self {
        Self { rows: [[factor, 0.0, 0.0], [0.0, factor, 0.0]] }
    }

    /// The pixel of a place.
    pub(in crate::pipeline) fn pixel(&self, x: f64, y: f64) -> [f64; 2] {
        self.rows.map(|[a, b, c]| a * x + b * y + c)
    }

    /// Pixels per unit of the coordinates.
    pub(in crate::pipeline) fn factor(&self) -> f64 {
        self.determinant().abs().sqrt()
    }

    fn determinant(&self) -> f64 {
        let [[a, b, _], [d, e, _]] = self.rows;
        a * e - b * d
    }

    /// Two rows of three numbers.
    pub(super) fn rows(&self) -> [[f64; 3]; 2] {
        self.rows
    }

    /// From pixels of the slide to coordinates.
    pub(super) fn inverse(&self) -> Self {
        let ([[a, b, c], [d, e, f]], det) = (self.rows, self.determinant());
        Self {
            rows: [[e / det, -b / det, (b * f - c * e) / det], [-d / det, a / det, (c * d - a * f) / det]],
        }
    }

    /// First times a factor, then this.
    fn after_scale(mut self, factor: f64) -> Self {
        for row in &mut self.rows {
            row[0] *= factor;
            row[1] *= factor;
        }
        self
    }

    /// The matrix in a file, `[[a, b, c], [d, e, f]]` and at most `[0, 0, 1]` below, separated by commas, tabs or blanks.
    ///
    /// It takes coordinates to pixels of the slide. A Xenium alignment (`*imagealignment.csv`) is known by its name: it
    /// takes pixels of the stained slide to those of Xenium's own picture, of .2125 µm.
    pub(in crate::pipeline) fn of_file(path: &Path) -> Result<Self, PipelineError> {
        let text = read_text(path)?;
        let unfit = |found: String| {
            let expected = "two or three rows of three finite numbers, the last 0, 0, 1";
            PipelineError::option("image_transform", format!("{} with {found}", path.display()), expected)
        };
        let text = String::from_utf8(text).map_err(|_| unfit("bytes that are not text".to_owned()))?;
        let mut rows: Vec<[f64; 3]> = Vec::new();
        for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let fields =
                text.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|f| !f.is_empty());
            let numbers: Result<Vec<f64>, _> = fields.map(str::parse::<f64>).collect();
            let row = numbers.ok().and_then(|numbers| <[f64; 3]>::try_from(numbers).ok());
            let row = row.filter(|row| row.iter().all(|v| v.is_finite()));
            rows.push(row.ok_or_else(|| unfit(format!("{text:?} in line {}", line + 1)))?);
        }
        let matrix = match rows.as_slice() {
            [x, y] | [x, y, [0.0, 0.0, 1.0]] => Self { rows: [*x, *y] },
            [_, _, last] => return Err(unfit(format!("the last row {last:?}"))),
            _ => return Err(unfit(format!("{} rows", rows.len()))),
        };
        if matrix.determinant().abs() < 1e-12 {
            return Err(unfit("a matrix that takes the plane to a line".to_owned()));
        }
        let is_xenium =
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(XENIUM_ALIGNMENT));
        Ok(if is_xenium { matrix.inverse().after_scale(1.0 / XENIUM_PIXEL_UM) } else { matrix })
    }

    /// The factor that the sizes of pictures, or the slide's name, speak for, and how it was found.
    pub(in crate::pipeline) fn found(
        (path, slide): (&Path, &Slide),
        library: Option<&Value>,
        unit: Option<&str>,
    ) -> (Self, String) {
        Self::found_by(path, (slide.height(), slide.width()), slide.pixel_size_um(), library, unit)
    }

    /// The same; `size`: height and width of the slide, `pixel_um`: the side of one of its pixels.
    fn found_by(
        path: &Path,
        size: (usize, usize),
        pixel_um: Option<f64>,
        library: Option<&Value>,
        unit: Option<&str>,
    ) -> (Self, String) {
        if let (Some("µm" | "um" | "micrometer" | "micrometre"), Some(pixel)) = (unit, pixel_um) {
            return (Self::scale(1.0 / pixel), format!("the slide has {pixel:.4} µm per pixel"));
        }
        for (key, factor) in
            [(keys::HIRES, keys::TISSUE_HIRES_SCALEF), (keys::LOWRES, keys::TISSUE_LOWRES_SCALEF)]
        {
            let shape = library
                .and_then(|library| library.get(keys::IMAGES)?.get(key)?.as_array())
                .map(|array| array.shape().to_vec());
            let (Some([height, width, ..]), Some(scale)) = (shape.as_deref(), scale_factor(library, factor))
            else {
                continue;
            };
            // Coordinates are pixels of the slide in full: the picture in the file tells how large that is.
            let full = (*height as f64 / scale, *width as f64 / scale);
            let ratios = (size.0 as f64 / full.0, size.1 as f64 / full.1);
            if (ratios.0 / ratios.1 - 1.0).abs() > SAME_SHAPE {
                continue;
            }
            let ratio = (ratios.0 * ratios.1).sqrt();
            let ratio = if (ratio - 1.0).abs() < ONE { 1.0 } else { ratio };
            return (
                Self::scale(ratio),
                format!("the slide has {ratio:.4} times the size that the coordinates are of"),
            );
        }
        // Space Ranger's names, and those of all who keep them.
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        for (key, factor) in
            [(keys::HIRES, keys::TISSUE_HIRES_SCALEF), (keys::LOWRES, keys::TISSUE_LOWRES_SCALEF)]
        {
            if let Some(scale) = scale_factor(library, factor).filter(|_| name.contains(key)) {
                return (Self::scale(scale), format!("its name says that it is the {key} picture"));
            }
        }
        (Self::scale(1.0), "coordinates are taken for pixels of the slide".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(name: &str, text: &str) -> Result<ToSlide, PipelineError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        ToSlide::of_file(&path)
    }

    #[test]
    fn matrices_are_read_and_what_is_none_is_refused() {
        let turned = of_text("m.csv", "0,-2,10\n2,0,5\n0,0,1\n").expect("a matrix");
        assert_eq!(turned.pixel(1.0, 2.0), [6.0, 7.0]);
        assert_eq!(turned.factor(), 2.0);
        assert_eq!(of_text("m.txt", "1 0 0\n0 1 0").expect("two rows").pixel(3.0, 4.0), [3.0, 4.0]);
        for wrong in
            ["", "1,0,0", "1,0\n0,1", "a,b,c\nd,e,f", "1,0,0\n2,0,0", "1,0,0\n0,1,0\n0,0,2", "1,0,inf\n0,1,0"]
        {
            let error = of_text("m.csv", wrong).expect_err(wrong).to_string();
            assert!(error.contains("image_transform") || error.contains("m.csv"), "{error}");
        }
    }

    #[test]
    fn a_xenium_alignment_leads_the_other_way() {
        // A pixel of the stained slide is two of Xenium's, shifted by 100.
        let found = of_text("x_he_imagealignment.csv", "2,0,100\n0,2,100\n0,0,1\n").expect("a matrix");
        let [x, y] = found.pixel(0.2125 * 300.0, 0.2125 * 100.0);
        assert!((x - 100.0).abs() < 1e-9 && y.abs() < 1e-9, "{x} {y}");
    }

    #[test]
    fn the_size_of_the_slide_tells_its_scale() {
        let picture = ndarray::ArrayD::<f32>::zeros(vec![200, 100, 3]);
        let library = Value::from([
            (keys::IMAGES, Value::from([(keys::HIRES, Value::Array(picture.into()))])),
            (keys::SCALEFACTORS, Value::from([(keys::TISSUE_HIRES_SCALEF, Value::Float(0.1))])),
        ]);
        let named = |name: &str, size, unit| {
            ToSlide::found_by(Path::new(name), size, Some(0.5), Some(&library), unit).0.factor()
        };
        let of = |size, unit| named("slide.tif", size, unit);
        assert_eq!(of((2001, 999), None), 1.0);
        assert_eq!(of((200, 100), None), 0.1);
        // Another shape says nothing.
        assert_eq!(of((500, 500), None), 1.0);
        assert_eq!(of((500, 500), Some("µm")), 2.0);
        // A name does.
        assert_eq!(named("tissue_hires_image.png", (500, 500), None), 0.1);
    }
}
