//! Folders of instruments, damaged in every way that a few bytes can: a sentence or a container, never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use brodmann_data::{Bin, Column, Container, OpenOptions, ReadOptions, open_any};
use brodmann_kernels::Silent;
use brodmann_kernels::proofread::flaw;
use rand::{RngExt, SeedableRng};

#[path = "../../../tests/shared.rs"]
mod shared;
use shared::shared;

/// Small samples of every kind that is text: folder or file, and what it is written into.
fn samples(root: &Path) -> Vec<PathBuf> {
    let folder = |name: &str, files: &[(&str, &str)]| {
        let path = root.join(name);
        fs::create_dir_all(&path).expect("folder");
        for (file, text) in files {
            fs::write(path.join(file), text).expect("writes");
        }
        path
    };
    let cosmx = folder(
        "cosmx",
        &[
            ("S_exprMat_file.csv", "fov,cell_ID,A,B,NegPrb1\n1,0,9,9,9\n1,1,2,0,0\n1,2,0,3,1\n2,1,1,1,0\n"),
            (
                "S_metadata_file.csv",
                "fov,cell_ID,Area,CenterX_global_px,CenterY_global_px\n1,1,5,10,20\n1,2,5,11,21.5\n2,1,5,12,22\n",
            ),
        ],
    );
    let molecules = folder(
        "molecules",
        &[(
            "S_tx_file.csv",
            "fov,cell_ID,x_global_px,y_global_px,target\n1,1,1,2,A\n1,1,3,2,B\n1,0,3,2,B\n2,1,5,5,A\n",
        )],
    );
    let merscope = folder(
        "merscope",
        &[
            ("cell_by_gene.csv", "cell,A,Blank-1\n2667025897300100000,1,0\n2667025897300100003,2,1\n"),
            (
                "cell_metadata.csv",
                "EntityID,fov,volume,center_x,center_y\n2667025897300100003,0,8,3,4\n2667025897300100000,0,9,1,2\n",
            ),
        ],
    );
    let tables = folder(
        "tables",
        &[
            ("expression.csv", "id,A,B\na,1,0\nb,0,2\nc,3,4\n"),
            ("spatial.csv", "cell,x,y,kind\nc,5,6,t\na,1,2,s\nb,3,4,s\n"),
        ],
    );
    let gem = root.join("a.gem");
    fs::write(
        &gem,
        "#FileFormat=GEMv0.1\ngeneID\tx\ty\tMIDCount\nA\t10\t10\t2\nA\t11\t12\t1\nB\t60\t10\t5\n",
    )
    .expect("writes");
    let bare = root.join("molecules.csv");
    fs::write(&bare, "global_x,global_y,gene\n1.5,2.5,A\n30,2,B\n31,2.5,A\n").expect("writes");
    vec![cosmx, molecules, merscope, tables, gem, bare]
}

fn files_of(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(path).expect("folder").flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

/// An array of a Zarr store of version 2, not compressed.
fn zarr_array(folder: &Path, dtype: &str, shape: &[usize], bytes: &[u8]) {
    fs::create_dir_all(folder).expect("folder");
    let meta = format!(
        r#"{{"zarr_format":2,"shape":{shape:?},"chunks":{shape:?},"dtype":"{dtype}","compressor":null,"fill_value":0,"order":"C","filters":null}}"#
    );
    fs::write(folder.join(".zarray"), meta).expect("writes");
    fs::write(folder.join(if shape.len() == 2 { "0.0" } else { "0" }), bytes).expect("writes");
}

#[test]
fn the_matrix_of_the_xenium_explorer_is_joined_to_the_cells() {
    let root = tempfile::tempdir().expect("folder");
    let matrix = root.path().join("cell_feature_matrix.zarr/cell_features");
    let numbers = |v: &[u32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    // Three features by three cells: A 2 0 1, B 0 3 0, a control 1 1 1.
    zarr_array(&matrix.join("indptr"), "<u4", &[4], &numbers(&[0, 2, 3, 6]));
    zarr_array(&matrix.join("indices"), "<u4", &[6], &numbers(&[0, 2, 1, 0, 1, 2]));
    zarr_array(&matrix.join("data"), "<u4", &[6], &numbers(&[2, 1, 3, 1, 1, 1]));
    zarr_array(&matrix.join("cell_id"), "<u4", &[3, 2], &numbers(&[1_437_536_272, 1, 0, 1, 17, 1]));
    let group = r#"{"zarr_format":2}"#;
    fs::write(matrix.join(".zgroup"), group).expect("writes");
    fs::write(matrix.parent().expect("store").join(".zgroup"), group).expect("writes");
    let attributes = r#"{"number_cells":3,"number_features":3,"feature_keys":["A","B","N"],"feature_ids":["E1","E2","N"],"feature_types":["gene","gene","negative_control_probe"]}"#;
    fs::write(matrix.join(".zattrs"), attributes).expect("writes");
    // Written in another order.
    let cells =
        "cell_id,x_centroid,y_centroid,cell_area\naaaaaabb-1,5,6,9\nffkpbaba-1,1,2,9\naaaaaaaa-1,3,4,9\n";
    fs::write(root.path().join("cells.csv"), cells).expect("writes");

    let opened =
        open_any(root.path(), &OpenOptions::default(), &ReadOptions::default(), &Silent).expect("opens");
    let Container::AnnData(adata) = opened.container else { panic!("one modality") };
    assert_eq!(adata.obs_names(), ["ffkpbaba-1", "aaaaaaaa-1", "aaaaaabb-1"]);
    assert_eq!(adata.var_names(), ["A", "B"]);
    assert_eq!(
        adata.obsm_f64("spatial").expect("there"),
        ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    );
    assert_eq!(
        adata.x.expect("counts").to_dense_f32().into_owned(),
        ndarray::array![[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]]
    );
}

#[test]
fn spots_named_by_their_places_need_no_other_table_and_an_archive_of_one_file_is_that_file() {
    use std::io::Write;
    let root = tempfile::tempdir().expect("folder");
    let folder = root.path().join("dbit");
    fs::create_dir(&folder).expect("folder");
    let table = "X\tA\tB\n1x1\t1\t0\n2x1\t0\t2\n1x2\t3\t4\n";
    let packed = folder.join("S_exp_matrix.zip");
    for method in [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored] {
        let mut zip = zip::ZipWriter::new(fs::File::create(&packed).expect("creates"));
        let how = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.add_directory("inner", how).expect("adds");
        zip.start_file("inner/S_exp_matrix.tsv", how).expect("adds");
        zip.write_all(table.as_bytes()).expect("writes");
        zip.finish().expect("writes");
        fs::write(folder.join("position.txt"), ",1x1,1x2").expect("writes");
        for path in [&folder, &packed] {
            let opened =
                open_any(path, &OpenOptions::default(), &ReadOptions::default(), &Silent).expect("opens");
            let Container::AnnData(adata) = opened.container else { panic!("one modality") };
            assert_eq!(adata.obs_names(), ["1x1", "2x1", "1x2"]);
            assert_eq!(
                adata.obsm_f64("spatial").expect("there"),
                ndarray::array![[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]]
            );
            let inside = adata.obs.columns.get("in_tissue").and_then(Column::to_f64);
            assert_eq!(inside, (path == &folder).then(|| vec![1.0, 0.0, 1.0]));
        }
    }
    // Genes in rows.
    let turned = root.path().join("counts.tsv");
    fs::write(&turned, "gene\t1x1\t2x1\nA\t1\t0\nB\t0\t2\nC\t5\t5\n").expect("writes");
    let opened = open_any(&turned, &OpenOptions::default(), &ReadOptions::default(), &Silent).expect("opens");
    let Container::AnnData(adata) = opened.container else { panic!("one modality") };
    assert_eq!((adata.obs_names(), adata.n_vars()), (["1x1".to_owned(), "2x1".to_owned()].as_slice(), 3));

    // Several files are not guessed at.
    let mut zip = zip::ZipWriter::new(fs::File::create(&packed).expect("creates"));
    for name in ["a.csv", "b.csv"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("adds");
        zip.write_all(b"a,b\n1,2\n").expect("writes");
    }
    zip.finish().expect("writes");
    let options = OpenOptions { format: Some("table".to_owned()), ..OpenOptions::default() };
    for options in [&options, &OpenOptions::default()] {
        let e = open_any(&packed, options, &ReadOptions::default(), &Silent).expect_err("several");
        assert_eq!(flaw(&e), None, "{e}");
        assert!(e.to_string().contains("an archive of several files"), "{e}");
    }

    // One file, but no table.
    let mut zip = zip::ZipWriter::new(fs::File::create(&packed).expect("creates"));
    zip.start_file("a.pdf", zip::write::SimpleFileOptions::default()).expect("adds");
    zip.finish().expect("writes");
    let e =
        open_any(&packed, &OpenOptions::default(), &ReadOptions::default(), &Silent).expect_err("no table");
    assert_eq!(flaw(&e), None, "{e}");
    assert!(e.to_string().contains("an archive of a file that is no table"), "{e}");
}

#[test]
fn what_an_input_has_no_use_for_is_refused() {
    let root = tempfile::tempdir().expect("folder");
    let all = samples(root.path());
    for sample in &all {
        let options = OpenOptions { genome: Some("hg19".to_owned()), ..OpenOptions::default() };
        let e = open_any(sample, &options, &ReadOptions::default(), &Silent).expect_err("no genomes");
        assert_eq!(flaw(&e), None, "{e}");
        assert!(e.to_string().contains("visium or 10x"), "{e}");
    }
    let squares = OpenOptions { bin: Some(Bin::Side(20)), ..OpenOptions::default() };
    let obeys = |path: &PathBuf| open_any(path, &squares, &ReadOptions::default(), &Silent).is_ok();
    // Molecules alone: a .gem and a table.
    assert_eq!(all.iter().filter(|path| obeys(path)).count(), 2);
}

/// Opens a path; a refusal must read as a sentence.
fn opens(path: &Path, options: &OpenOptions) -> bool {
    match open_any(path, options, &ReadOptions::default(), &Silent) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(flaw(&e), None, "{e}");
            false
        }
    }
}

#[test]
fn every_sample_opens_whole_and_refuses_what_is_cut_or_missing() {
    let root = tempfile::tempdir().expect("folder");
    let auto = OpenOptions::default();
    for sample in samples(root.path()) {
        assert!(opens(&sample, &auto), "{}", sample.display());
        for file in files_of(&sample) {
            let whole = fs::read(&file).expect("there");
            // Empty, without its last fields, and gone.
            fs::write(&file, b"").expect("writes");
            assert!(!opens(&sample, &auto), "{} empty", file.display());
            let end = whole.iter().rposition(|b| *b == b',' || *b == b'\t').expect("fields");
            fs::write(&file, &whole[..end]).expect("writes");
            assert!(!opens(&sample, &auto), "{} cut", file.display());
            fs::remove_file(&file).expect("removed");
            assert!(!opens(&sample, &auto), "{} gone", file.display());
            fs::write(&file, &whole).expect("writes");
        }
        assert!(opens(&sample, &auto), "{}", sample.display());
    }
}

#[test]
fn mutated_bytes_never_panic() {
    let root = tempfile::tempdir().expect("folder");
    let factor: usize = std::env::var("BRODMANN_FUZZ_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut sources = samples(root.path());
    // Compressed and binary ones as well, where they are at hand.
    for name in ["xenium_small_SpatialExperimentIO", "visium_VisiumIO/section1", "visiumhd_VisiumIO"] {
        let Some(folder) = shared(&format!("data/fixtures/{name}")) else { continue };
        let to = root.path().join(name.replace('/', "_"));
        copy(&folder, &to);
        sources.push(to);
    }
    let options = [
        OpenOptions::default(),
        OpenOptions { bin: Some(Bin::Side(3)), ..OpenOptions::default() },
        OpenOptions { bin: Some(Bin::Cells), ..OpenOptions::default() },
    ];
    const EDITS: [u8; 12] = *b",\n\t\"0e.-9 xN";
    for source in sources {
        for file in all_files(&source) {
            let whole = fs::read(&file).expect("there");
            if whole.is_empty() || whole.len() > 1 << 20 {
                continue;
            }
            let rounds = if whole.len() < 4096 { 60 } else { 12 };
            for round in 0..rounds * factor {
                let mut bytes = whole.clone();
                for _ in 0..=(round % 4) {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = if round % 2 == 0 {
                        EDITS[random.random_range(0..EDITS.len())]
                    } else {
                        random.random()
                    };
                }
                if round % 7 == 0 {
                    bytes.truncate(random.random_range(0..bytes.len()));
                }
                fs::write(&file, &bytes).expect("writes");
                // What is quoted of a damaged line need not read well.
                let _ = open_any(&source, &options[round % options.len()], &ReadOptions::default(), &Silent);
            }
            fs::write(&file, &whole).expect("writes");
        }
    }
}

fn all_files(path: &Path) -> Vec<PathBuf> {
    let mut found = files_of(path);
    if path.is_dir() {
        let folders = fs::read_dir(path).expect("folder").flatten().map(|e| e.path()).filter(|p| p.is_dir());
        let mut folders: Vec<PathBuf> = folders.collect();
        folders.sort();
        found.extend(folders.iter().flat_map(|folder| all_files(folder)));
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for file in all_files(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("folder");
        fs::copy(&file, &target).expect("copied");
    }
}
