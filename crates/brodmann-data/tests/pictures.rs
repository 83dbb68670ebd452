//! Slides read by region: every format, and files that are no pictures or damaged. `pictures/README.md` says what the
//! samples hold.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use brodmann_data::picture::{Slide, is_picture};
use brodmann_data::{Array, DataError};
use brodmann_kernels::Diagnosis;
use ndarray::{Array2, Array3, ArrayD};
use rayon::prelude::*;
use serde_json::json;
use tempfile::TempDir;

#[path = "../../../tests/shared.rs"]
mod shared;
use shared::shared;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

fn open(name: &str) -> Slide {
    Slide::open(&sample(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn whole(slide: &Slide, level: usize) -> Array3<u8> {
    let size = slide.levels()[level];
    slide.region(level, 0..size.height, 0..size.width).expect("a region")
}

/// What the samples without loss show.
fn scene(y: usize, x: usize) -> [u8; 3] {
    [(5 * x % 256) as u8, (9 * y % 256) as u8, (3 * (x + y) % 256) as u8]
}

fn scene_array(height: usize, width: usize) -> Array3<u8> {
    Array3::from_shape_fn((height, width, 3), |(y, x, c)| scene(y, x)[c])
}

fn refusal(path: &Path) -> DataError {
    match Slide::open(path).and_then(|s| s.region(0, 0..s.height().min(64), 0..s.width().min(64)).map(|_| s))
    {
        Ok(slide) => panic!("{} was read as {}", path.display(), slide.format()),
        Err(e) => e,
    }
}

fn written(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("writable");
    path
}

#[test]
fn pictures_without_loss_read_as_they_were_written() {
    let expected = scene_array(20, 40);
    for (name, format) in [
        ("strips_lzw_be.tif", "TIFF, 1 level, LZW"),
        ("plain.tif", "TIFF, 1 level, uncompressed"),
        ("planar_zstd_big.tif", "BigTIFF, 1 level, zstd"),
        ("jpeg2000_rgb.tif", "TIFF, 1 level, JPEG 2000"),
        ("pyramid.ome.tif", "OME-TIFF, 2 levels, Deflate"),
    ] {
        let slide = open(name);
        assert_eq!((slide.width(), slide.height(), slide.format()), (40, 20, format));
        assert_eq!(whole(&slide, 0), expected, "{name}");
        // Any region is the same part of the whole.
        for (rows, columns) in
            [(3..9, 14..35), (0..1, 39..40), (15..17, 15..17), (7..7, 3..4), (19..20, 0..40)]
        {
            let region = slide.region(0, rows.clone(), columns.clone()).expect("a region");
            assert_eq!(region.dim(), (rows.len(), columns.len(), 3));
            for ((y, x, c), v) in region.indexed_iter() {
                assert_eq!(*v, scene(rows.start + y, columns.start + x)[c], "{name} {rows:?} {columns:?}");
            }
        }
    }
}

#[test]
fn levels_of_a_pyramid_are_found_and_others_are_not() {
    let ome = open("pyramid.ome.tif");
    let of = |s: &Slide| s.levels().iter().map(|l| (l.width, l.height, l.downsample)).collect::<Vec<_>>();
    assert_eq!(of(&ome), [(40, 20, 1.0), (20, 10, 2.0)]);
    assert_eq!(whole(&ome, 1), Array3::from_shape_fn((10, 20, 3), |(y, x, c)| scene(2 * y, 2 * x)[c]));
    // The overview in strips and the label are no levels.
    let svs = open("slide.svs");
    assert_eq!(of(&svs), [(32, 24, 1.0), (16, 12, 2.0)]);
    assert_eq!(svs.format(), "Aperio SVS, 2 levels, JPEG");
    for level in [0, 1] {
        let expected = fs::read(sample(&format!("slide_{level}.rgb"))).expect("a sample");
        let found = whole(&svs, level);
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(&expected) {
            assert!(f.abs_diff(*e) <= 2, "{f} {e}: more than decoders of JPEG round differently");
        }
    }
}

#[test]
fn luminance_and_differences_in_jpeg_2000_become_colours() {
    let slide = open("jpeg2000_ycbcr.tif");
    for ((y, x, c), v) in whole(&slide, 0).indexed_iter() {
        // Rounded once on the way there and once on the way back.
        assert!(v.abs_diff([40 + 4 * x, 60 + 5 * y, 200 - 2 * x - 2 * y][c] as u8) <= 2, "{y} {x} {c}: {v}");
    }
}

#[test]
fn the_size_of_a_pixel_is_told_where_it_can_be_believed() {
    assert_eq!(open("pyramid.ome.tif").pixel_size_um(), Some(0.5));
    assert_eq!(open("slide.svs").pixel_size_um(), Some(0.499));
    assert_eq!(open("plain.tif").pixel_size_um(), Some(0.25));
    assert_eq!(open("palette.tif").pixel_size_um(), None);
}

#[test]
fn samples_of_sixteen_bits_are_scaled_by_one_rule_for_all_regions() {
    let slide = open("channels_16bit.ome.tif");
    assert_eq!(slide.channels(), ["DAPI", "CD45"]);
    let format = slide.format();
    assert!(
        format.starts_with("OME-TIFF, 1 level, Deflate, channel \"DAPI\" of 2, 16 bits drawn from "),
        "{format}"
    );
    // DAPI is 100 y + x: from 1 (the 0.1 percentile of 600 pixels) to 1928.
    let byte =
        |v: usize, low: f64, high: f64| ((v as f64 - low) / (high - low) * 255.0).round().clamp(0.0, 255.0);
    let expected = |y: usize, x: usize| byte(100 * y + x, 1.0, 1928.0) as u8;
    let all = whole(&slide, 0);
    for ((y, x, _), v) in all.indexed_iter() {
        assert_eq!(*v, expected(y, x), "{y} {x}");
    }
    let region = slide.region(0, 4..6, 10..20).expect("a region");
    assert_eq!(region[(1, 3, 0)], expected(5, 13));
    let other = |name: &str| {
        whole(&Slide::open_channel(&sample("channels_16bit.ome.tif"), Some(name)).expect("it"), 0)
    };
    assert_eq!(other("DAPI"), all);
    assert_eq!(other("CD45"), other("1"));
    // 5000 - 50 y - 7 x falls along both.
    assert!(other("CD45")[(0, 0, 0)] == 255 && other("CD45")[(19, 29, 0)] == 0);
    let e = Slide::open_channel(&sample("channels_16bit.ome.tif"), Some("CD3")).expect_err("no such channel");
    assert!(e.to_string().contains("\"DAPI\", \"CD45\""), "{e}");
    // JPEG 2000 keeps all sixteen.
    assert_eq!(whole(&open("jpeg2000_16bit.tif"), 0), all);
}

#[test]
fn palettes_white_is_zero_and_transparency_become_colours() {
    let red = |x: usize| 5 * x % 256;
    for ((y, x, c), v) in whole(&open("palette.tif"), 0).indexed_iter() {
        assert_eq!(usize::from(*v), [red(x), 255 - red(x), 4][c], "{y} {x}");
    }
    for ((y, x, _), v) in whole(&open("white_is_zero_packbits.tif"), 0).indexed_iter() {
        assert_eq!(usize::from(*v), 255 - red(x), "{y} {x}");
    }
    // How opaque a column is: 6 x.
    for ((y, x, c), v) in whole(&open("rgba.tif"), 0).indexed_iter() {
        let (opaque, value) = (6.0 * x as f64, f64::from(scene(y, x)[c]));
        let expected = (value * opaque + 255.0 * (255.0 - opaque)) / 255.0;
        assert!((f64::from(*v) - expected).abs() <= 0.5, "{y} {x} {c}");
    }
    assert_eq!(whole(&open("one_pixel.tif"), 0).into_raw_vec_and_offset().0, scene(3, 5));
}

#[test]
fn png_and_jpeg_are_slides_of_one_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[1, 2, 3, 255, 9, 9, 9, 0, 4, 5, 6, 255, 100, 0, 255, 51]).expect("an image");
    writer.finish().expect("an end");
    let slide = Slide::open(&written(&folder, "a.bin", &bytes)).expect("a slide");
    assert_eq!((slide.format(), slide.levels().len()), ("PNG", 1));
    assert_eq!(
        whole(&slide, 0).into_raw_vec_and_offset().0,
        [1, 2, 3, 255, 255, 255, 4, 5, 6, 224, 204, 255]
    );
    let jpeg = open("colour.jpg");
    assert_eq!((jpeg.format(), jpeg.width(), jpeg.height()), ("JPEG", 8, 8));
    assert_eq!(whole(&open("gray.jpg"), 0).dim(), (8, 8, 3));
    // A size that no memory holds, in a header of a few bytes.
    for (width, height) in [(1 << 20, 1 << 20), (20_000, 20_000)] {
        let mut bomb = Vec::new();
        let mut encoder = png::Encoder::new(&mut bomb, width, height);
        encoder.set_color(png::ColorType::Rgb);
        drop(encoder.write_header().expect("a header"));
        let e = refusal(&written(&folder, "bomb.png", &bomb));
        assert!(matches!(e, DataError::Picture { .. }), "{e}");
    }
}

#[test]
fn arrays_are_slides() {
    let of = |a: Array| whole(&Slide::from_image(&a).expect("a slide"), 0).into_raw_vec_and_offset().0;
    assert_eq!(of(Array2::from_elem((1, 1), 7u8).into()), [7, 7, 7]);
    assert_eq!(
        of(Array3::from_shape_vec((1, 1, 3), vec![0.0f32, 0.5, 1.0]).expect("fits").into()),
        [0, 128, 255]
    );
    assert_eq!(
        of(Array3::from_shape_vec((1, 1, 3), vec![0.0f64, 0.5, 128.0]).expect("fits").into()),
        [0, 1, 128]
    );
    assert_eq!(
        of(Array3::from_shape_vec((1, 1, 4), vec![1.0f32, 0.0, 0.0, 0.0]).expect("fits").into()),
        [255; 3]
    );
    assert_eq!(of(Array3::from_elem((1, 1, 1), u16::MAX).into()), [255; 3]);
    assert_eq!(of(Array2::from_elem((1, 1), f32::NAN).into()), [0; 3]);
    for bad in [
        Array::from(ArrayD::<u8>::zeros(vec![2, 2, 2])),
        Array::from(ArrayD::<u8>::zeros(vec![5])),
        Array::from(ArrayD::<i64>::zeros(vec![2, 2])),
    ] {
        assert!(Slide::from_image(&bad).is_err(), "{bad:?}");
    }
    let pixels = scene_array(1500, 1100);
    let slide = Slide::from_array(pixels.clone());
    assert_eq!(
        slide.region(0, 1000..1100, 1020..1030).expect("a region")[(50, 5, 1)],
        pixels[(1050, 1025, 1)]
    );
    assert_eq!(Slide::from_array(Array3::zeros((4, 4, 2))).width(), 0);
}

#[test]
fn regions_beyond_a_level_are_refused() {
    let slide = open("plain.tif");
    let backwards = Range { start: 5, end: 2 };
    for (level, rows, columns) in
        [(1, 0..1, 0..1), (0, 0..21, 0..1), (0, 0..1, 0..41), (0, backwards, 0..1), (0, 0..1, 0..usize::MAX)]
    {
        assert!(matches!(slide.region(level, rows, columns), Err(DataError::Shape { .. })));
    }
}

#[test]
fn threads_read_the_same_bits() {
    let (one, many) = (open("slide.svs"), open("slide.svs"));
    let regions: Vec<_> = (0..400).map(|i| (i % 23, i % 31)).collect();
    let read = |s: &Slide, &(y, x): &(usize, usize)| s.region(0, y..24, x..32).expect("a region");
    let expected: Vec<_> = regions.iter().map(|r| read(&one, r)).collect();
    let found: Vec<_> = regions.par_iter().map(|r| read(&many, r)).collect();
    assert!(expected == found);
}

#[test]
fn what_is_not_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, said) in [("cmyk.tif", "CMYK"), ("lzma.tif", "LZMA")] {
        let e = refusal(&sample(name));
        assert!(matches!(&e, DataError::PictureKind { found, .. } if found.contains(said)), "{e}");
        assert!(e.advice().is_some_and(|a| a.contains("OME-TIFF")));
    }
    for (bytes, said) in
        [(&b"name,x,y\n"[..], "name,x,y"), (b"", "empty"), (b"II", "II"), (b"\x89HDF\r\n", "HDF")]
    {
        let path = written(&folder, "text.tif", bytes);
        assert!(!is_picture(&path));
        let e = refusal(&path).to_string();
        assert!(e.contains(said) && e.contains("expected a PNG"), "{e}");
    }
    assert!(is_picture(&sample("slide.svs")) && is_picture(&sample("gray.jpg")));
    assert!(!is_picture(&folder.path().join("none")) && !is_picture(folder.path()));
    assert!(matches!(refusal(&folder.path().join("none.tif")), DataError::Missing { .. }));
    assert!(matches!(refusal(folder.path()), DataError::PictureKind { .. }));
}

/// A TIFF with one directory of these tags (tag, type, value), little-endian, and some bytes behind.
fn tiff(entries: &[(u16, u16, u32)], next: u32, tail: &[u8]) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next.to_le_bytes());
    bytes.extend(tail);
    bytes
}

#[test]
fn files_that_contradict_themselves_are_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let grey = |width: u32, height: u32, at: u32, count: u32| {
        [
            (256, 4, width),
            (257, 4, height),
            (258, 3, 8),
            (262, 3, 1),
            (273, 4, at),
            (277, 3, 1),
            (278, 4, height),
            (279, 4, count),
        ]
    };
    let good = tiff(&grey(2, 2, 110, 4), 0, &[1, 2, 3, 4]);
    assert_eq!(good.len(), 114);
    let slide = Slide::open(&written(&folder, "good.tif", &good)).expect("a slide");
    assert_eq!(whole(&slide, 0).into_raw_vec_and_offset().0, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    let mut tiled = grey(1 << 30, 1 << 30, 110, 4).to_vec();
    tiled.extend([(322, 4, 1 << 15), (323, 4, 1 << 15)]);
    for (what, bytes) in [
        ("a directory that follows itself", tiff(&grey(2, 2, 110, 4), 8, &[1, 2, 3, 4])),
        ("a directory beyond the end", tiff(&grey(2, 2, 110, 4), 4000, &[1, 2, 3, 4])),
        ("a strip beyond the end", tiff(&grey(2, 2, 111, 4), 0, &[1, 2, 3, 4])),
        ("a strip shorter than its rows", tiff(&grey(2, 2, 110, 3), 0, &[1, 2, 3, 4])),
        ("more rows than any file has", tiff(&grey(1 << 31, 1 << 31, 110, 4), 0, &[1, 2, 3, 4])),
        ("no pixels", tiff(&grey(0, 2, 110, 4), 0, &[1, 2, 3, 4])),
        ("no tags", tiff(&[], 0, &[])),
        ("no directory", b"II*\0\0\0\0\0".to_vec()),
    ] {
        let e = refusal(&written(&folder, "bad.tif", &bytes));
        assert!(matches!(e, DataError::Damaged { .. } | DataError::PictureKind { .. }), "{what}: {e}");
    }
    let e = refusal(&written(&folder, "tiled.tif", &tiff(&tiled, 0, &[1, 2, 3, 4])));
    assert!(e.to_string().contains("tiles of 32768 x 32768 pixels"), "{e}");
}

#[test]
fn files_cut_short_are_refused_and_never_read_beyond() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in
        ["slide.svs", "pyramid.ome.tif", "planar_zstd_big.tif", "plain.tif", "jpeg2000_rgb.tif", "colour.jpg"]
    {
        let bytes = fs::read(sample(name)).expect("a sample");
        for end in (0..bytes.len()).step_by(61) {
            let path = written(&folder, "cut", &bytes[..end]);
            // Whatever comes of it, it is no panic; a TIFF that lost a level's bytes may still have others.
            if let Ok(slide) = Slide::open(&path) {
                for (level, size) in slide.levels().iter().enumerate() {
                    drop(slide.region(level, 0..size.height, 0..size.width));
                }
            }
        }
        let half = refusal(&written(&folder, "half", &bytes[..bytes.len() / 4]));
        assert!(matches!(half, DataError::Damaged { .. } | DataError::Picture { .. }), "{name}: {half}");
    }
}

/// Writes a picture in Zarr 2, channels, rows, columns, in uncompressed chunks of two rows and three columns.
fn pyramid(folder: &Path, [n, height, width]: [usize; 3], channels: serde_json::Value, unit: &str) {
    let put = |name: &str, value: serde_json::Value| {
        fs::write(folder.join(name), value.to_string()).expect("writable");
    };
    fs::create_dir_all(folder).expect("a folder");
    put(".zgroup", json!({"zarr_format": 2}));
    let axes = json!([{"name": "c"}, {"name": "y", "unit": unit}, {"name": "x", "unit": unit}]);
    let dataset = |i: usize, scale: f64| {
        json!({"path": i.to_string(),
            "coordinateTransformations": [{"type": "scale", "scale": [1.0, scale, scale]}]})
    };
    put(
        ".zattrs",
        json!({"multiscales": [{"axes": axes, "datasets": [dataset(0, 0.5), dataset(1, 1.0)]}],
            "omero": {"channels": channels}}),
    );
    for level in [0, 1] {
        let (height, width, step) = (height >> level, width >> level, 1 << level);
        let array = folder.join(level.to_string());
        fs::create_dir_all(&array).expect("a folder");
        let meta = json!({"zarr_format": 2, "shape": [n, height, width], "chunks": [1, 2, 3], "dtype": "|u1",
            "compressor": null, "filters": null, "fill_value": 0, "order": "C"});
        fs::write(array.join(".zarray"), meta.to_string()).expect("writable");
        for c in 0..n {
            for (i, j) in (0..height.div_ceil(2)).flat_map(|i| (0..width.div_ceil(3)).map(move |j| (i, j))) {
                let pixel = |k: usize| scene(step * (2 * i + k / 3), step * (3 * j + k % 3))[c];
                let chunk: Vec<u8> = (0..6).map(pixel).collect();
                fs::write(array.join(format!("{c}.{i}.{j}")), chunk).expect("writable");
            }
        }
    }
}

#[test]
fn zarr_is_read_by_the_chunks_of_a_region() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().join("a.ome.zarr");
    pyramid(&at, [3, 8, 14], json!([]), "micrometer");
    assert!(is_picture(&at));
    let slide = Slide::open(&at).expect("a slide");
    assert_eq!((slide.format(), slide.pixel_size_um()), ("OME-Zarr, 2 levels", Some(0.5)));
    assert_eq!(slide.levels()[1].downsample, 2.0);
    assert_eq!(whole(&slide, 0), scene_array(8, 14));
    assert_eq!(whole(&slide, 1), Array3::from_shape_fn((4, 7, 3), |(y, x, c)| scene(2 * y, 2 * x)[c]));
    // A damaged chunk is the matter of its own region alone.
    fs::write(at.join("0/1.3.4"), "x").expect("writable");
    let fresh = Slide::open(&at).expect("a slide");
    assert!(fresh.region(0, 0..6, 0..14).is_ok());
    assert!(matches!(fresh.region(0, 6..8, 12..14), Err(DataError::Damaged { .. })));

    // Names make channels of what could be colours; those of colours do not.
    let stains = folder.path().join("store.zarr/images/stains");
    let label = |names: [&str; 3]| names.iter().map(|n| json!({"label": n})).collect::<Vec<_>>();
    pyramid(&stains, [3, 8, 14], json!(label(["DAPI", "CD45", "CD3"])), "unit");
    let slide = Slide::open(&stains).expect("a slide");
    assert_eq!(slide.channels(), ["DAPI", "CD45", "CD3"]);
    assert_eq!((slide.format(), slide.pixel_size_um()), ("OME-Zarr, 2 levels, channel \"DAPI\" of 3", None));
    let third = whole(&Slide::open_channel(&stains, Some("CD3")).expect("a slide"), 0);
    assert_eq!(third, Array3::from_shape_fn((8, 14, 3), |(y, x, _)| scene(y, x)[2]));
    pyramid(&stains, [3, 8, 14], json!(label(["Red", "Green", "Blue"])), "unit");
    assert_eq!(whole(&Slide::open(&stains).expect("a slide"), 0), scene_array(8, 14));

    // The store itself, as long as there is one picture in it.
    fs::write(folder.path().join("store.zarr/.zgroup"), r#"{"zarr_format": 2}"#).expect("writable");
    fs::write(folder.path().join("store.zarr/images/.zgroup"), r#"{"zarr_format": 2}"#).expect("writable");
    let store = folder.path().join("store.zarr");
    assert_eq!(Slide::open(&store).expect("a slide").width(), 14);
    pyramid(&store.join("images/other"), [1, 4, 4], json!([]), "unit");
    let e = refusal(&store);
    assert!(e.to_string().contains("images/other, images/stains"), "{e}");
}

#[test]
fn real_pictures_read_as_their_whole() {
    let Some(root) = shared("data/fixtures") else { return };
    for (name, width, height) in
        [("visium_scanpy/1.0.0/spatial/tissue_lowres_image.png", 600, 600), ("squidpy/test_img.jpg", 0, 0)]
    {
        let path = root.join(name);
        if !path.exists() {
            continue;
        }
        let slide = Slide::open(&path).expect("a slide");
        assert!(width == 0 || (slide.width(), slide.height()) == (width, height), "{name} {slide:?}");
        assert_eq!(whole(&slide, 0).dim(), (slide.height(), slide.width(), 3));
    }
    let blobs = root.join("spatialdata_blobs/blobs.zarr/images/blobs_multiscale_image");
    if blobs.exists() {
        let slide = Slide::open(&blobs).expect("a slide");
        let sizes: Vec<f64> = slide.levels().iter().map(|l| l.downsample).collect();
        assert_eq!(sizes, [1.0, 2.0, 4.0]);
        assert_eq!(whole(&slide, 0).dim(), (64, 64, 3));
    }
}
