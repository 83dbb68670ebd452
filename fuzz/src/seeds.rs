//! Small files of every kind, made here: what is mutated.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use brodmann::plot::rgb_png;
use brodmann_data::{Column, ReadOptions, WriteOptions, read, write_table, write_zarr};
use rust_hdf5::H5File;

use super::targets::{self, Target};

/// One kind of file.
pub struct Seed {
    pub name: &'static str,
    pub target: Target,
    /// What the reader is given: the file, or the folder it lies in.
    pub given: PathBuf,
    /// The files that are changed, one at a time.
    pub files: Vec<PathBuf>,
}

const NAMES: [&str; 3] = ["s0", "s1", "s2"];

fn text(path: PathBuf, content: &str) -> PathBuf {
    fs::write(&path, content).expect("written");
    path
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn tenx(path: &Path) {
    let file = H5File::create(path).expect("made");
    let group = file.create_group("matrix").expect("made");
    let ints = |name: &str, values: &[i64]| {
        let array = group.new_dataset::<i64>().shape([values.len()]).create(name).expect("made");
        array.write_raw(values).expect("written");
    };
    ints("data", &[1, 2, 3]);
    ints("indices", &[0, 1, 0]);
    ints("indptr", &[0, 1, 2, 3]);
    ints("shape", &[2, 3]);
    group.write_vlen_strings("barcodes", &NAMES).expect("written");
    let features = group.create_group("features").expect("made");
    for (name, values) in [
        ("id", ["i0", "i1"]),
        ("name", ["g0", "g1"]),
        ("feature_type", ["Gene Expression"; 2]),
        ("genome", ["x"; 2]),
    ] {
        features.write_vlen_strings(name, &values).expect("written");
    }
    file.close().expect("closed");
}

fn tensor_bytes() -> Vec<u8> {
    let card = r#"{\"kind\":\"staig\",\"format\":1}"#;
    let header = format!(
        "{{\"__metadata__\":{{\"card\":\"{card}\"}},\"w\":{{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}}}"
    );
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
}

fn npy_bytes() -> Vec<u8> {
    let mut header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }".to_owned();
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 48]].concat()
}

/// All kinds, in `folder`; `simulate` writes a small tissue of some modalities to a path.
pub fn seeds(folder: &Path, simulate: &dyn Fn(&Path, &str)) -> Vec<Seed> {
    let at = |name: &str| folder.join(name);
    let fresh = |name: &str| {
        fs::create_dir(at(name)).expect("made");
        at(name)
    };
    let (h5ad, h5mu, zarr) = (at("a.h5ad"), at("a.h5mu"), at("a.zarr"));
    simulate(&h5ad, "rna");
    simulate(&h5mu, "rna,adt");
    write_zarr(&read(&h5ad, &ReadOptions::default()).expect("read"), &zarr, &WriteOptions::default())
        .expect("written");
    tenx(&at("filtered_feature_bc_matrix.h5"));

    let mtx = fresh("mtx");
    text(
        mtx.join("matrix.mtx"),
        "%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n1 1 4\n2 2 1\n1 3 7\n",
    );
    text(mtx.join("barcodes.tsv"), "s0\ns1\ns2\n");
    text(mtx.join("features.tsv"), "i0\tg0\tGene Expression\ni1\tg1\tGene Expression\n");

    let csv = text(at("table.csv"), "spot,x,y,g0,g1\ns0,0,1,2,3\ns1,\"4\",5,6,0\ns2,7,8,0,1\n");
    let packed = at("packed.csv.gz");
    let mut gz =
        flate2::write::GzEncoder::new(fs::File::create(&packed).expect("made"), flate2::Compression::fast());
    gz.write_all(&fs::read(&csv).expect("read")).and_then(|()| gz.finish().map(drop)).expect("packed");
    let parquet = at("rows.parquet");
    let columns = vec![
        ("name".to_owned(), Column::String(NAMES.map(|n| Some(n.to_owned())).to_vec())),
        ("x".to_owned(), Column::Float64(vec![0.0, 1.0, 2.0])),
        ("n".to_owned(), Column::Int(vec![1, 2, 3])),
    ];
    write_table(&parquet, &columns).expect("written");

    let visium = fresh("visium");
    tenx(&visium.join("filtered_feature_bc_matrix.h5"));
    let spatial = visium.join("spatial");
    fs::create_dir(&spatial).expect("made");
    text(spatial.join("tissue_positions_list.csv"), "s0,1,0,0,10,20\ns1,1,0,2,10,40\ns2,1,1,1,30,30\n");
    text(
        spatial.join("scalefactors_json.json"),
        "{\"spot_diameter_fullres\": 12.5, \"tissue_hires_scalef\": 0.5, \"tissue_lowres_scalef\": 0.1, \"fiducial_diameter_fullres\": 20.0}",
    );
    let png = rgb_png(4, 4, &[90; 48]).expect("drawn");
    fs::write(spatial.join("tissue_lowres_image.png"), &png).expect("written");

    let merscope = fresh("merscope");
    text(merscope.join("cell_by_gene.csv"), "cell,g0,g1\n11,1,0\n12,3,4\n13,0,2\n");
    text(
        merscope.join("cell_metadata.csv"),
        ",fov,volume,center_x,center_y,min_x,max_x,min_y,max_y\n11,0,5.0,1.0,2.0,0,2,1,3\n12,0,5.0,4.0,2.0,3,5,1,3\n13,1,5.0,1.0,9.0,0,2,8,10\n",
    );
    fs::write(merscope.join("cell_boundaries.parquet"), include_bytes!("../seeds/tiny_boundaries.parquet"))
        .expect("written");
    let gem = text(
        at("tissue.gem"),
        "#FileFormat=GEMv0.1\ngeneID\tx\ty\tMIDCount\ng0\t10\t10\t1\ng1\t70\t10\t2\ng0\t70\t90\t3\n",
    );

    let xenium = fresh("xenium");
    tenx(&xenium.join("cell_feature_matrix.h5"));
    let cell = |name: &str, x: f64| (name.to_owned(), Column::Float64(vec![x, x + 1.0, x + 4.0]));
    let mut cells = vec![("cell_id".to_owned(), Column::String(NAMES.map(|n| Some(n.to_owned())).to_vec()))];
    cells.extend([cell("x_centroid", 1.0), cell("y_centroid", 5.0), cell("cell_area", 30.0)]);
    write_table(&xenium.join("cells.parquet"), &cells).expect("written");
    text(
        xenium.join("cell_boundaries.csv"),
        "cell_id,vertex_x,vertex_y\ns0,0,4\ns0,2,4\ns0,1,6\ns1,1,5\ns1,3,5\ns1,2,7\n",
    );
    text(
        xenium.join("experiment.xenium"),
        "{\"analysis_sw_version\": \"xenium-3.0\", \"pixel_size\": 0.2125, \"region_name\": \"r1\", \"run_name\": null}",
    );

    let cosmx = fresh("cosmx");
    text(
        cosmx.join("a_exprMat_file.csv"),
        "fov,cell_ID,g0,g1,NegPrb1\n1,0,9,9,0\n1,1,1,0,0\n1,2,3,4,1\n2,1,0,2,0\n",
    );
    text(
        cosmx.join("a_metadata_file.csv"),
        "fov,cell_ID,Area,CenterX_global_px,CenterY_global_px\n1,1,30,1,2\n1,2,40,4,2\n2,1,50,1,9\n",
    );

    text(
        cosmx.join("a-polygons.csv"),
        "fov,cellID,cell,x_global_px,y_global_px\n1,1,c_1_1_1,0,1\n1,1,c_1_1_1,2,1\n1,1,c_1_1_1,1,4\n1,2,c_1_1_2,3,1\n1,2,c_1_1_2,5,1\n1,2,c_1_1_2,4,3\n",
    );

    let hd = fresh("visium-hd");
    let square = hd.join("binned_outputs/square_008um");
    fs::create_dir_all(square.join("spatial")).expect("made");
    tenx(&square.join("filtered_feature_bc_matrix.h5"));
    let number = |name: &str, values: [i64; 3]| (name.to_owned(), Column::Int(values.to_vec()));
    let mut positions =
        vec![("barcode".to_owned(), Column::String(NAMES.map(|n| Some(n.to_owned())).to_vec()))];
    positions.extend([
        number("in_tissue", [1; 3]),
        number("array_row", [0, 0, 1]),
        number("array_col", [0, 1, 0]),
    ]);
    positions.extend([cell("pxl_row_in_fullres", 10.0), cell("pxl_col_in_fullres", 20.0)]);
    write_table(&square.join("spatial/tissue_positions.parquet"), &positions).expect("written");
    text(
        square.join("spatial/scalefactors_json.json"),
        "{\"spot_diameter_fullres\": 3.6, \"microns_per_pixel\": 2.2, \"bin_size_um\": 8.0, \"tissue_hires_scalef\": 0.5}",
    );

    let gef = at("tissue.gef");
    fs::write(&gef, include_bytes!("../seeds/tiny.gef")).expect("written");

    let (npy, tensors) = (at("a.npy"), at("a.safetensors"));
    fs::write(&npy, npy_bytes()).expect("written");
    fs::write(&tensors, tensor_bytes()).expect("written");
    fs::write(at("a.png"), &png).expect("written");
    fs::write(at("a.jpg"), include_bytes!("../seeds/tiny.jpg")).expect("written");
    fs::write(at("a.tif"), include_bytes!("../seeds/tiny.tif")).expect("written");

    let file =
        |name, target: Target, path: PathBuf| Seed { name, target, given: path.clone(), files: vec![path] };
    let alone = |name, given: &Path, file: &str| Seed {
        name,
        target: targets::container,
        given: given.to_path_buf(),
        files: vec![given.join(file)],
    };
    let folder =
        |name, given: PathBuf| Seed { name, target: targets::container, files: below(&given), given };
    vec![
        file("h5ad", targets::container, h5ad),
        file("h5mu", targets::container, h5mu),
        folder("zarr", zarr),
        file("10x h5", targets::container, at("filtered_feature_bc_matrix.h5")),
        folder("mtx", mtx),
        file("csv", targets::container, csv),
        file("csv.gz", targets::container, packed),
        file("parquet", targets::named_rows, parquet),
        file("gem", targets::container, gem),
        file("gef", targets::container, gef),
        // Alone, since of the others more is read first.
        alone("outlines", &merscope, "cell_boundaries.parquet"),
        alone("scale factors", &visium, "spatial/scalefactors_json.json"),
        alone("experiment", &xenium, "experiment.xenium"),
        folder("merscope", merscope),
        folder("visium", visium),
        folder("xenium", xenium),
        folder("cosmx", cosmx),
        folder("visium hd", hd),
        file("npy", targets::npy, npy),
        file("safetensors", targets::tensors, tensors),
        file("png", targets::slide, at("a.png")),
        file("jpeg", targets::slide, at("a.jpg")),
        file("tiff", targets::slide, at("a.tif")),
    ]
}
