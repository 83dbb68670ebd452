//! Files of every kind, good and bad.

use brodmann_kernels::proofread::flaw;
use std::fs;
use std::path::{Path, PathBuf};

use brodmann_data::{
    Additions, AnnData, Array, Categorical, Column, Container, DataError, DataFrame, Matrix, MuData,
    OpenOptions, Orientation, ReadOptions, Select, TableOptions, Value, WriteOptions, keys, read, read_any,
    read_h5ad, read_h5mu, read_table, write_h5ad, write_h5mu, write_with_additions,
};
use brodmann_kernels::{CsrMatrix, Silent};
use indexmap::IndexMap;
use ndarray::{Array2, array};

#[path = "../../../tests/shared.rs"]
mod shared;
use shared::shared;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn names(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

/// One of everything a container can hold.
fn sample() -> AnnData {
    let x = CsrMatrix::from_dense(
        array![[1.0f32, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.5], [4.0, 0.0, 0.0]].view(),
    );
    let mut obs = DataFrame::new(names("spot", 4));
    let labels = [Some("b"), Some("a"), None, Some("b")];
    obs.columns.insert("label".into(), Column::Categorical(Categorical::from_strings(&labels)));
    obs.columns.insert("score".into(), Column::Float64(vec![0.5, f64::NAN, -1.0, 1e300]));
    obs.columns.insert("single".into(), Column::Float32(vec![0.5, 1.5, -1.0, 2.0]));
    obs.columns.insert("count".into(), Column::Int(vec![1, -2, i64::MAX, 0]));
    obs.columns.insert("flag".into(), Column::Bool(vec![true, false, true, true]));
    obs.columns
        .insert("text".into(), Column::String(["", "ä", "日本", "d"].map(|s| Some(s.into())).to_vec()));
    obs.columns.insert("maybe".into(), Column::NullableInt(vec![Some(1), None, Some(3), None]));
    obs.columns.insert("perhaps".into(), Column::NullableBool(vec![Some(true), None, Some(false), None]));
    let mut adata = AnnData::new(x.clone(), obs, DataFrame::new(names("gene", 3))).expect("fits");
    adata
        .layers
        .insert("dense".into(), Matrix::DenseF64(Array2::from_shape_fn((4, 3), |(i, j)| (i * j) as f64)));
    adata
        .layers
        .insert("whole".into(), Matrix::DenseI64(Array2::from_shape_fn((4, 3), |(i, j)| (i + j) as i64)));
    adata.obsm.insert(keys::SPATIAL.into(), array![[0.0, 1.0], [1.0, 0.0], [2.5, 2.0], [3.0, 3.0]].into());
    adata.varm.insert("PCs".into(), array![[0.1f32], [0.2], [0.3]].into());
    let graph = CsrMatrix::from_rows(4, &[vec![(1, 0.5)], vec![(0, 0.5), (3, 1.0)], vec![], vec![(1, 1.0)]]);
    adata.obsp.insert(keys::CONNECTIVITIES.into(), graph.into());
    let picture = ndarray::Array3::from_shape_fn((2, 3, 3), |(i, j, k)| (i + j + k) as f32 / 7.0);
    adata.uns.insert(
        "spatial".into(),
        [("lib", [("images", Value::from([("hires", Value::Array(picture.into()))]))]).map_inner()].into(),
    );
    adata.uns.insert("none".into(), Value::Null);
    adata.uns.insert("word".into(), "ünï".into());
    adata.uns.insert("words".into(), Value::Array(Array::from(vec!["a".to_owned(), String::new()])));
    adata.uns.insert("number".into(), Value::Float(f64::NAN));
    adata.uns.insert("yes".into(), true.into());
    adata
}

/// Makes the nested literal above readable.
trait MapInner {
    fn map_inner(self) -> (&'static str, Value);
}
impl MapInner for (&'static str, [(&'static str, Value); 1]) {
    fn map_inner(self) -> (&'static str, Value) {
        (self.0, self.1.into())
    }
}

/// Equality through text: a NaN equals itself.
fn assert_same(a: &AnnData, b: &AnnData) {
    let sorted = |a: &AnnData| {
        let mut a = a.clone();
        for map in [&mut a.obsm, &mut a.varm, &mut a.uns] {
            map.sort_keys();
        }
        a.layers.sort_keys();
        format!("{a:?}")
    };
    assert_eq!(sorted(a), sorted(b));
}

fn hidden_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(folder, &mut found);
    found.retain(|p| p.to_string_lossy().contains("brodmann-part"));
    found
}

fn additions(n: usize) -> Additions {
    let mut additions = Additions::default();
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 12).collect();
    additions.root.obs.insert("leiden".into(), Column::Categorical(Categorical::from_labels(&labels)));
    additions.root.obsm.insert("X_pca".into(), Array2::from_shape_fn((n, 2), |(i, j)| (i + j) as f64).into());
    additions.root.uns.insert("leiden".into(), [("seed", 42i64)].into());
    additions
}

#[test]
fn every_fixture_opens() {
    let Some(root) = shared("data") else { return };
    let mut found = Vec::new();
    files(&root, &mut found);
    let mut opened = 0;
    for path in found {
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        if !["h5ad", "h5mu", "h5"].contains(&extension.as_str()) {
            continue;
        }
        opened += 1;
        match read_any(&path, &OpenOptions::default(), &Silent) {
            Ok(Container::AnnData(a)) => assert!(a.validate().is_ok(), "{}", path.display()),
            Ok(Container::MuData(m)) => assert!(m.validate().is_ok(), "{}", path.display()),
            // Two genomes: which one is asked for.
            Err(DataError::Option(e)) => {
                assert!(e.to_string().contains("genome") && path.ends_with("multiple_genomes.h5"), "{e}");
            }
            Err(e) => panic!("{}: {e}", path.display()),
        }
    }
    assert!(opened >= 33, "only {opened} files");
}

#[test]
fn values_of_real_tissue_are_those_python_reads() {
    let Some(path) = shared("data/starmap_v1_1k/starmap_v1_1k.h5ad") else { return };
    let adata = read_h5ad(&path, &ReadOptions::default()).expect("opens");
    assert_eq!((adata.n_obs(), adata.n_vars()), (1207, 1020));
    assert_eq!(adata.obsm_f64(keys::SPATIAL).expect("there").dim(), (1207, 2));
    assert_eq!(adata.obs_categorical(keys::GROUND_TRUTH).expect("there").categories.len(), 7);
    let Some(path) = shared("data/fixtures/anndata_archives/v0.5.0/adata.h5ad") else { return };
    let adata = read_h5ad(&path, &ReadOptions::default()).expect("opens");
    assert!(adata.raw.is_some());
    assert!(adata.obs.columns.values().any(|c| matches!(c, Column::Categorical(_))));
    assert!(!adata.uns.keys().any(|k| k == "louvain_categories"));
}

#[test]
fn parts_left_out_are_not_read() {
    let Some(path) = shared("data/dlpfc_151673/dlpfc_151673.h5ad") else { return };
    let options = ReadOptions { obsm: Select::only([keys::SPATIAL]), ..ReadOptions::names_only() };
    let adata = read_h5ad(&path, &options).expect("opens");
    assert!(adata.x.is_none() && adata.obs.columns.is_empty() && adata.uns.is_empty());
    assert_eq!(adata.obsm.len(), 1);
    assert_eq!(adata.n_obs(), 3639);
}

#[test]
fn what_is_written_reads_back() {
    let folder = tempfile::tempdir().expect("folder");
    let adata = sample();
    for gzip in [0, 1, 9] {
        let path = folder.path().join(format!("{gzip}.h5ad"));
        write_h5ad(&adata, &path, &WriteOptions { gzip, ..WriteOptions::default() }).expect("writes");
        assert_same(&read_h5ad(&path, &ReadOptions::default()).expect("reads"), &adata);
    }
    assert_eq!(hidden_files(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn large_compressed_arrays_read_back() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("large.h5ad");
    // Several chunks, the last of them partly filled, in one and in two dimensions.
    let n = 70_001;
    let rows: Vec<Vec<(u32, f32)>> =
        (0..n).map(|i| vec![((i % 50) as u32, i as f32), (50 + (i % 7) as u32, -1.5)]).collect();
    let x = CsrMatrix::from_rows(60, &rows);
    let mut adata =
        AnnData::new(x, DataFrame::new(names("o", n)), DataFrame::new(names("v", 60))).expect("fits");
    adata.obsm.insert("X".into(), Array2::from_shape_fn((n, 7), |(i, j)| (i * 7 + j) as f64).into());
    adata.obs.columns.insert("i".into(), Column::Int((0..n as i64).collect()));
    write_h5ad(&adata, &path, &WriteOptions::default()).expect("writes");
    assert_eq!(read_h5ad(&path, &ReadOptions::default()).expect("reads"), adata);
}

#[test]
fn empty_and_single_observations_survive() {
    let folder = tempfile::tempdir().expect("folder");
    for n in [0usize, 1] {
        let path = folder.path().join(format!("{n}.h5ad"));
        let x = CsrMatrix::<f32>::from_rows(2, &vec![vec![]; n]);
        let adata =
            AnnData::new(x, DataFrame::new(names("o", n)), DataFrame::new(names("v", 2))).expect("fits");
        write_h5ad(&adata, &path, &WriteOptions::default()).expect("writes");
        assert_eq!(read_h5ad(&path, &ReadOptions::default()).expect("reads"), adata);
    }
}

fn two_modalities() -> MuData {
    let mut second = sample();
    second.var = DataFrame::new(names("protein", 3));
    let modalities =
        IndexMap::from([("rna".to_owned(), sample()), ("adt".to_owned(), second.select_obs(&[2, 0, 3, 1]))]);
    MuData::new(modalities).expect("aligns")
}

#[test]
fn modalities_are_aligned_by_name() {
    let mdata = two_modalities();
    assert_eq!(mdata.modalities["adt"].obs_names(), mdata.modalities["rna"].obs_names());
    assert_eq!(mdata.modalities["adt"].x, mdata.modalities["rna"].x);
    assert_eq!(mdata.n_vars(), 6);
    assert_eq!(mdata.varmap["adt"], vec![0, 0, 0, 1, 2, 3]);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("two.h5mu");
    write_h5mu(&mdata, &path, &WriteOptions::default()).expect("writes");
    let back = read_h5mu(&path, &ReadOptions::default()).expect("reads");
    assert_eq!(back.modalities.keys().collect::<Vec<_>>(), ["rna", "adt"]);
    assert_same(&back.modalities["adt"], &mdata.modalities["adt"]);
    assert_eq!(back.varmap["adt"], mdata.varmap["adt"]);
    assert!(fs::read(&path).expect("there").starts_with(b"MuData"));
}

#[test]
fn modalities_of_other_observations_are_refused() {
    let mut other = sample();
    other.obs.index[3] = "elsewhere".to_owned();
    let modalities = IndexMap::from([("rna".to_owned(), sample()), ("adt".to_owned(), other)]);
    let error = MuData::new(modalities).expect_err("differ").to_string();
    assert!(error.contains("\"spot3\"") && error.contains("\"elsewhere\""), "{error}");
    let mut twice = sample();
    twice.obs.index[1] = "spot0".to_owned();
    let modalities = IndexMap::from([("rna".to_owned(), twice)]);
    assert!(matches!(MuData::new(modalities), Err(DataError::DuplicateNames { count: 1, .. })));
}

#[test]
fn additions_change_nothing_else_and_can_be_repeated() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.h5ad"), folder.path().join("out.h5ad"));
    let adata = sample();
    write_h5ad(&adata, &input, &WriteOptions::default()).expect("writes");
    let original = fs::read(&input).expect("there");
    write_with_additions(&input, &output, &additions(4), false).expect("adds");
    write_with_additions(&output, &output, &additions(4), true).expect("replaces");
    assert_eq!(fs::read(&input).expect("there"), original);
    let mut back = read_h5ad(&output, &ReadOptions::default()).expect("reads");
    assert_eq!(back.obs.columns.last().map(|(k, _)| k.as_str()), Some("leiden"));
    assert_eq!(back.obs_categorical("leiden").expect("there").categories, ["0", "1", "2", "3"]);
    back.obs.columns.shift_remove("leiden");
    back.obsm.shift_remove("X_pca");
    back.uns.shift_remove("leiden");
    assert_same(&back, &adata);
    assert_eq!(hidden_files(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_modality_gets_its_own_additions() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.h5mu"), folder.path().join("out.h5mu"));
    write_h5mu(&two_modalities(), &input, &WriteOptions::default()).expect("writes");
    let mut both = additions(4);
    *both.target(Some("adt")) = additions(4).root;
    write_with_additions(&input, &output, &both, false).expect("adds");
    let back = read_h5mu(&output, &ReadOptions::default()).expect("reads");
    assert!(back.obs.columns.contains_key("leiden"));
    assert!(back.modalities["adt"].obs.columns.contains_key("leiden"));
    assert!(!back.modalities["rna"].obs.columns.contains_key("leiden"));
    *both.target(Some("atac")) = additions(4).root;
    let error = write_with_additions(&input, &output, &both, false).expect_err("unknown").to_string();
    assert!(error.contains("\"rna\", \"adt\"") || error.contains("\"adt\", \"rna\""), "{error}");
}

#[test]
fn additions_of_another_shape_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.h5ad"), folder.path().join("out.h5ad"));
    write_h5ad(&sample(), &input, &WriteOptions::default()).expect("writes");
    let mut wrong = Additions::default();
    wrong.root.obsp.insert("connectivities".into(), CsrMatrix::<f64>::from_rows(3, &vec![vec![]; 3]).into());
    assert!(matches!(write_with_additions(&input, &output, &wrong, false), Err(DataError::Shape { .. })));
    let mut slash = Additions::default();
    slash.root.uns.insert("a/b".into(), Value::Null);
    assert!(matches!(write_with_additions(&input, &output, &slash, false), Err(DataError::Kind { .. })));
    assert!(!output.exists());
}

#[test]
fn the_input_is_no_output_unless_asked() {
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("in.h5ad");
    write_h5ad(&sample(), &input, &WriteOptions::default()).expect("writes");
    let dotted = folder.path().join(".").join("in.h5ad");
    assert!(matches!(
        write_with_additions(&input, &dotted, &additions(4), false),
        Err(DataError::OutputIsInput { .. })
    ));
    #[cfg(unix)]
    {
        let (soft, hard) = (folder.path().join("soft.h5ad"), folder.path().join("hard.h5ad"));
        std::os::unix::fs::symlink(&input, &soft).expect("links");
        fs::hard_link(&input, &hard).expect("links");
        for link in [&soft, &hard] {
            let refused = write_with_additions(&input, link, &additions(4), false);
            assert!(matches!(refused, Err(DataError::OutputIsInput { .. })));
        }
        // In place through a symbolic link: the link stays, the file behind it changes.
        write_with_additions(&soft, &soft, &additions(4), true).expect("adds");
        assert!(fs::symlink_metadata(&soft).expect("there").file_type().is_symlink());
        let back = read_h5ad(&input, &ReadOptions::default()).expect("reads");
        assert!(back.obs.columns.contains_key("leiden"));
    }
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("in.h5ad");
    write_h5ad(&sample(), &input, &WriteOptions::default()).expect("writes");
    for output in
        [folder.path().join("no/such/folder/out.h5ad"), folder.path().to_path_buf(), input.join("out.h5ad")]
    {
        let error = write_with_additions(&input, &output, &additions(4), false).expect_err("refused");
        assert!(matches!(error, DataError::Write { .. }), "{error}");
        assert!(error.to_string().contains(&*output.to_string_lossy()), "{error}");
        assert!(write_h5ad(&sample(), &output, &WriteOptions::default()).is_err());
    }
}

/// A full disk. `BRODMANN_SMALL_DISK` names a folder on a file system of at most a few MiB; see CONTRIBUTING.
#[test]
fn a_full_disk_leaves_the_old_output() {
    let Some(disk) = std::env::var_os("BRODMANN_SMALL_DISK").map(PathBuf::from) else {
        eprintln!("SKIPPED: BRODMANN_SMALL_DISK names no small file system");
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("in.h5ad");
    let output = disk.join("out.h5ad");
    let _ = fs::remove_file(&output);
    write_h5ad(&sample(), &input, &WriteOptions::default()).expect("writes");
    write_with_additions(&input, &output, &additions(4), false).expect("small enough");
    let old = fs::read(&output).expect("there");
    let n = 4_000_000;
    let mut large = additions(4);
    large
        .root
        .uns
        .insert("large".into(), Value::Array(Array::from((0..n).map(f64::from).collect::<Vec<_>>())));
    let error = write_with_additions(&input, &output, &large, false).expect_err("full");
    assert!(error.to_string().contains("free some space"), "{error}");
    let x = CsrMatrix::from_rows(1, &(0..n as u32).map(|i| vec![(0, i as f32)]).collect::<Vec<_>>());
    let adata =
        AnnData::new(x, DataFrame::new(names("", n as usize)), DataFrame::new(names("v", 1))).expect("fits");
    let plain = WriteOptions { gzip: 0, ..WriteOptions::default() };
    let error = write_h5ad(&adata, &output, &plain).expect_err("full");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(fs::read(&output).expect("there"), old);
    assert_eq!(hidden_files(&disk), Vec::<PathBuf>::new());
}

#[test]
fn missing_and_foreign_files_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let all = ReadOptions::default();
    assert!(matches!(read(at("none.h5ad"), &all), Err(DataError::Missing { .. })));
    fs::write(at("text.h5ad"), "barcode,gene\n").expect("writes");
    assert!(matches!(read(at("text.h5ad"), &all), Err(DataError::NotHdf5 { .. })));
    fs::write(at("empty.h5ad"), "").expect("writes");
    assert!(matches!(read(at("empty.h5ad"), &all), Err(DataError::NotHdf5 { .. })));
    assert!(matches!(read(folder.path(), &all), Err(DataError::UnknownFormat { .. })));
    let error = read_any(folder.path(), &OpenOptions::default(), &Silent).expect_err("unknown").to_string();
    assert!(error.contains("a folder with empty.h5ad, text.h5ad") && error.contains("visium-hd"), "{error}");
    let named = OpenOptions { format: Some("visium".to_owned()), ..OpenOptions::default() };
    let error = read_any(folder.path(), &named, &Silent).expect_err("no Visium").to_string();
    assert!(error.contains("tissue_positions") && !error.contains("MERSCOPE"), "{error}");
    write_h5mu(&two_modalities(), at("two.h5mu"), &WriteOptions::default()).expect("writes");
    assert!(matches!(read_h5ad(at("two.h5mu"), &all), Err(DataError::Kind { .. })));
}

#[test]
fn messages_hold_one_hint() {
    let adata = sample();
    for error in [
        adata.obsm_f64("X_pca").expect_err("missing"),
        adata.obsp_csr("distances").expect_err("missing"),
        adata.obs_categorical("truth").expect_err("missing"),
        DataError::Missing { path: "a".into() },
        DataError::OutputIsInput { path: "a".into() },
    ] {
        assert_eq!(flaw(&error), None);
    }
}

#[test]
fn truncated_files_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = folder.path().join("whole.h5ad");
    write_h5ad(&sample(), &whole, &WriteOptions::default()).expect("writes");
    let mut sources = vec![whole];
    sources.extend(shared("data/starmap_v1_1k/starmap_v1_1k.h5ad"));
    sources.extend(shared("data/fixtures/anndata_archives/v0.5.0/adata.h5ad"));
    sources.extend(shared("data/sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu"));
    for source in sources {
        let bytes = fs::read(&source).expect("there");
        let cut = folder.path().join("cut.h5ad");
        for len in
            [1, 7, 8, 9, 50, 96, 97, 500, 513, 600, 2048, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1]
        {
            fs::write(&cut, &bytes[..len.min(bytes.len() - 1)]).expect("writes");
            let error = read(&cut, &ReadOptions::default()).expect_err("cut short");
            assert!(
                matches!(error, DataError::NotHdf5 { .. } | DataError::Damaged { .. }),
                "{} at {len}: {error}",
                source.display()
            );
            assert!(write_with_additions(&cut, folder.path().join("o.h5ad"), &additions(4), false).is_err());
        }
    }
    assert!(!folder.path().join("o.h5ad").exists());
}

/// Any answer but a panic, a hang, or memory without bound.
#[test]
fn damaged_bytes_never_panic() {
    use rand::{RngExt, SeedableRng};
    let folder = tempfile::tempdir().expect("folder");
    let whole = folder.path().join("whole.h5ad");
    write_h5ad(&sample(), &whole, &WriteOptions::default()).expect("writes");
    let mut sources = vec![(whole, 400)];
    for (name, rounds) in [
        ("data/fixtures/anndata_archives/v0.11.4/adata.h5ad", 300),
        ("data/fixtures/anndata_archives/v0.7.0/adata.h5ad", 200),
        ("data/sim_spatialglue_triplet/adata_ADT.h5ad", 100),
        ("data/fixtures/tenx_scanpy/3.0.0/filtered_feature_bc_matrix.h5", 200),
    ] {
        sources.extend(shared(name).map(|p| (p, rounds)));
    }
    let rounds_factor: usize =
        std::env::var("BRODMANN_FUZZ_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for (source, rounds) in sources {
        let bytes = fs::read(&source).expect("there");
        let damaged = folder.path().join("damaged.h5ad");
        for round in 0..rounds * rounds_factor {
            let mut copy = bytes.clone();
            // Half of the rounds in the first 4 KiB, where the headers are.
            let end = if round % 2 == 0 { copy.len().min(4096) } else { copy.len() };
            for _ in 0..=(round % 5) {
                let at = random.random_range(0..end);
                copy[at] = random.random();
            }
            fs::write(&damaged, &copy).expect("writes");
            let _ = read_any(&damaged, &OpenOptions::default(), &Silent);
            if round % 10 == 0 {
                let _ = write_with_additions(&damaged, folder.path().join("o.h5ad"), &additions(4), false);
            }
        }
    }
}

#[test]
fn tenx_text_and_hdf5_agree() {
    let Some(h5) = shared("data/fixtures/tenx_scanpy/3.0.0/filtered_feature_bc_matrix.h5") else { return };
    let Some(folder) = shared("data/fixtures/tenx_scanpy/3.0.0/filtered_feature_bc_matrix") else { return };
    let auto = OpenOptions::default();
    let a = read_any(h5, &auto, &Silent).expect("reads").into_anndata().expect("one");
    let b = read_any(folder, &auto, &Silent).expect("reads").into_anndata().expect("one");
    assert_eq!(a.x, b.x);
    assert_eq!(a.obs_names(), b.obs_names());
    assert_eq!(a.var_names(), b.var_names());
    assert_eq!(a.var.columns[keys::GENE_IDS], b.var.columns[keys::GENE_IDS]);
}

fn visium(folder: &Path, library_id: Option<&str>) -> Result<Container, DataError> {
    let options = OpenOptions {
        format: Some("visium".to_owned()),
        library_id: library_id.map(str::to_owned),
        ..OpenOptions::default()
    };
    read_any(folder, &options, &Silent)
}

#[test]
fn visium_folders_have_pixels_pictures_and_factors() {
    let Some(folder) = shared("data/fixtures/squidpy") else { return };
    let adata = visium(&folder, None).expect("reads").into_anndata().expect("one");
    assert_eq!(adata.obsm_f64(keys::SPATIAL).expect("there").dim(), (adata.n_obs(), 2));
    let library = adata.uns[keys::SPATIAL].get("custom").expect("named in the file");
    let factors = library.get(keys::SCALEFACTORS).expect("there");
    assert_eq!(factors.get(keys::TISSUE_HIRES_SCALEF).and_then(Value::as_f64), Some(0.150015));
    let picture = library.get(keys::IMAGES).and_then(|i| i.get(keys::LOWRES)).and_then(Value::as_array);
    assert!(matches!(picture, Some(Array::F32(p)) if p.ndim() == 3));
    let Some(folder) = shared("data/fixtures/visium_VisiumIO/section1") else { return };
    assert!(visium(&folder, Some("s1")).is_ok());
    let Some(folder) = shared("data/fixtures/visiumhd_VisiumIO/binned_outputs/square_002um") else { return };
    match visium(&folder, None) {
        // The fixture's positions may be of other barcodes: then said, not guessed.
        Ok(_) | Err(DataError::Table { .. }) => {}
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn tables_of_either_orientation_give_the_same_counts() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("spots.csv"), "id,g1,g2\na,1,0\nb,0,2.5\nc,3,4\n").expect("writes");
    fs::write(at("genes.tsv"), "a\tb\tc\ng1\t1\t0\t3\ng2\t0\t2.5\t4\n").expect("writes");
    fs::write(at("xy.csv"), "cell,x,y,kind\nc,5,6,t\na,1,2,s\nb,3,4,s\n").expect("writes");
    let options = TableOptions { coordinates: Some(at("xy.csv")), ..TableOptions::default() };
    let a = read_table(at("spots.csv"), &options).expect("reads");
    let b = read_table(at("genes.tsv"), &options).expect("reads");
    assert_eq!(a, b);
    assert_eq!(a.obs_names(), ["a", "b", "c"]);
    assert_eq!(a.obsm_f64(keys::SPATIAL).expect("there"), array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    assert_eq!(a.obs.columns["kind"].to_strings()[2].as_deref(), Some("t"));
    let x = a.matrix(None).expect("there").to_csr_f32().view().to_dense();
    assert_eq!(x, array![[1.0, 0.0], [0.0, 2.5], [3.0, 4.0]]);

    fs::write(at("inside.csv"), "id,x,y,g1,type\na,1,2,7,s\nb,3,4,0,t\n").expect("writes");
    let inside = read_table(at("inside.csv"), &TableOptions::default()).expect("reads");
    assert_eq!((inside.n_vars(), inside.obs.columns.len()), (1, 1));
    assert_eq!(inside.obsm_f64(keys::SPATIAL).expect("there"), array![[1.0, 2.0], [3.0, 4.0]]);

    fs::write(at("bad.csv"), "id,g1\na,1\nb,1,2\n").expect("writes");
    let error = read_table(at("bad.csv"), &TableOptions::default()).expect_err("ragged").to_string();
    assert!(error.contains("line 3"), "{error}");
    fs::write(at("few.csv"), "cell,x,y\na,1,2\n").expect("writes");
    let options = TableOptions {
        coordinates: Some(at("few.csv")),
        orientation: Orientation::SpotsInRows,
        ..TableOptions::default()
    };
    assert!(matches!(read_table(at("spots.csv"), &options), Err(DataError::Table { .. })));
}
