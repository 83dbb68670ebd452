//! Zarr stores: written, read, edited, hostile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brodmann_data::{
    Additions, AnnData, Array, Categorical, Column, Container, DataError, DataFrame, Matrix, MuData,
    OpenFile, ReadOptions, Select, Value, WriteOptions, check_output, is_scverse, keys, read, read_h5ad,
    write_h5ad, write_with_additions, write_zarr,
};
use brodmann_kernels::CsrMatrix;
use ndarray::{Array2, Array3, array};
use rand::{RngExt, SeedableRng};

#[path = "../../../tests/shared.rs"]
mod shared;
use shared::shared;

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
    let columns = &mut obs.columns;
    columns.insert("label".into(), Column::Categorical(Categorical::from_strings(&labels)));
    columns.insert("score".into(), Column::Float64(vec![0.5, f64::INFINITY, -1.0, 1e300]));
    columns.insert("single".into(), Column::Float32(vec![0.5, 1.5, -1.0, 2.0]));
    columns.insert("count".into(), Column::Int(vec![1, -2, i64::MAX, 0]));
    columns.insert("flag".into(), Column::Bool(vec![true, false, true, true]));
    columns.insert("text".into(), Column::String(["", "ä", "日本", "d"].map(|s| Some(s.into())).to_vec()));
    columns.insert("maybe".into(), Column::NullableInt(vec![Some(1), None, Some(3), None]));
    columns.insert("perhaps".into(), Column::NullableBool(vec![Some(true), None, Some(false), None]));
    let mut adata = AnnData::new(x, obs, DataFrame::new(names("gene", 3))).expect("fits");
    adata.layers.insert("dense".into(), Matrix::DenseF64(Array2::from_elem((4, 3), 0.25)));
    adata.layers.insert("whole".into(), Matrix::DenseI64(Array2::from_elem((4, 3), -7)));
    adata.obsm.insert(keys::SPATIAL.into(), array![[0.0, 1.0], [1.0, 0.0], [2.5, 2.0], [3.0, 3.0]].into());
    let graph = CsrMatrix::from_rows(4, &[vec![(1, 0.5)], vec![(0, 0.5), (3, 1.0)], vec![], vec![(1, 1.0)]]);
    adata.obsp.insert(keys::CONNECTIVITIES.into(), graph.into());
    adata.uns.insert("none".into(), Value::Null);
    adata.uns.insert("picture".into(), Value::Array(Array3::<u8>::from_elem((5, 4, 3), 9).into()));
    adata.uns.insert("word".into(), "ünï".into());
    adata.uns.insert("words".into(), Value::Array(Array::from(vec!["a".to_owned(), String::new()])));
    adata.uns.insert("empty".into(), Value::Array(Array::from(Vec::<f64>::new())));
    adata.uns.insert("number".into(), Value::Float(0.1));
    adata.uns.insert("yes".into(), true.into());
    adata.uns.sort_keys();
    adata
}

fn additions(n: usize) -> Additions {
    let mut additions = Additions::default();
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
    additions.root.obs.insert("leiden".into(), Column::Categorical(Categorical::from_labels(&labels)));
    additions.root.obsm.insert("X_pca".into(), Array2::from_shape_fn((n, 2), |(i, j)| (i + j) as f64).into());
    additions.root.uns.insert("leiden".into(), [("seed", 42i64)].into());
    additions
}

fn all(path: &Path) -> AnnData {
    read(path, &ReadOptions::default()).expect("reads").into_anndata().expect("one")
}

fn write(adata: &AnnData, path: &Path) {
    write_zarr(&Container::AnnData(adata.clone()), path, &WriteOptions::default()).expect("writes");
}

/// Every file below a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let key = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
                found.insert(key, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

fn hidden(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").flatten().map(|e| e.path());
    entries.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'))).collect()
}

#[test]
fn what_is_written_reads_back() {
    let folder = tempfile::tempdir().expect("folder");
    let adata = sample();
    for gzip in [0, 1, 9] {
        let path = folder.path().join(format!("{gzip}.zarr"));
        let options = WriteOptions { gzip, ..WriteOptions::default() };
        write_zarr(&Container::AnnData(adata.clone()), &path, &options).expect("writes");
        assert_eq!(all(&path), adata);
        assert!(OpenFile::is_known(&path) && is_scverse(&path));
    }
    let mut several = MuData::new([("rna".to_owned(), adata.clone())].into_iter().collect()).expect("fits");
    several.uns.insert("a".into(), Value::Int(1));
    let path = folder.path().join("several.zarr");
    write_zarr(&Container::MuData(several.clone()), &path, &WriteOptions::default()).expect("writes");
    assert_eq!(read(&path, &ReadOptions::default()).expect("reads"), Container::MuData(several));
    assert_eq!(hidden(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn large_arrays_read_back_whole_and_in_blocks_of_rows() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("large.zarr");
    // Several chunks, the last of them partly filled, in one and in two dimensions.
    let n = 300_001;
    let rows: Vec<Vec<(u32, f32)>> =
        (0..n).map(|i| vec![((i % 50) as u32, i as f32), (50 + (i % 7) as u32, -1.5)]).collect();
    let x = CsrMatrix::from_rows(60, &rows);
    let mut adata =
        AnnData::new(x.clone(), DataFrame::new(names("o", n)), DataFrame::new(names("v", 60))).expect("fits");
    adata.obsm.insert("X".into(), Array2::from_shape_fn((n, 7), |(i, j)| (i * 7 + j) as f64).into());
    adata.layers.insert(
        "dense".into(),
        Matrix::DenseF32(Array2::from_shape_fn((n, 60), |(i, j)| (i % 3 * j) as f32)),
    );
    adata.obs.columns.insert("i".into(), Column::Int((0..n as i64).collect()));
    write(&adata, &path);
    assert_eq!(all(&path), adata);
    let opened = OpenFile::open(&path).expect("opens");
    assert_eq!(opened.stored_entries(None, None).expect("reads"), Some(x.nnz()));
    assert_eq!(opened.element_names(None, "obsm").expect("reads"), ["X"]);
    for layer in [None, Some("dense")] {
        let rows = opened.matrix_rows(None, layer).expect("reads").expect("a matrix");
        let mut next = 0;
        for block in rows.blocks().expect("unchanged") {
            let block = block.expect("decodes");
            assert_eq!(block.first, next);
            for i in (0..block.rows.n_rows()).step_by(4999) {
                let row = block.rows.view().row(i);
                let whole = next + i;
                if layer.is_none() {
                    assert_eq!((row.0, row.1), (x.view().row(whole).0, x.view().row(whole).1));
                } else {
                    assert_eq!(row.0.len(), if whole % 3 == 0 { 0 } else { 59 });
                }
            }
            next += block.rows.n_rows();
        }
        assert_eq!(next, n);
    }
}

#[test]
fn empty_and_single_observations_survive() {
    let folder = tempfile::tempdir().expect("folder");
    for n in [0usize, 1] {
        let path = folder.path().join(format!("{n}.zarr"));
        let x = CsrMatrix::<f32>::from_rows(2, &vec![vec![]; n]);
        let mut adata =
            AnnData::new(x, DataFrame::new(names("o", n)), DataFrame::new(names("v", 2))).expect("fits");
        adata.layers.insert("dense".into(), Matrix::DenseF32(Array2::zeros((n, 2))));
        write(&adata, &path);
        assert_eq!(all(&path), adata);
        write_with_additions(&path, &path, &additions(n), true).expect("edits");
        assert_eq!(all(&path).obsm["X_pca"].n_rows(), Some(n));
    }
}

#[test]
fn additions_leave_every_other_file_as_it_was() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.zarr"), folder.path().join("out.zarr"));
    write(&sample(), &input);
    fs::write(input.join("obs/note.txt"), "of somebody else").expect("written");
    let before = content(&input);
    assert!(matches!(
        write_with_additions(&input, &input, &additions(4), false),
        Err(DataError::OutputIsInput { .. })
    ));
    write_with_additions(&input, &output, &additions(4), false).expect("a copy");
    assert_eq!(content(&input), before);
    let copy = content(&output);
    write_with_additions(&input, &input, &additions(4), true).expect("in place");
    assert_eq!(content(&input), copy);
    let touched = |key: &str| [".zmetadata", "obs/.zattrs"].contains(&key);
    for (key, bytes) in &before {
        assert!(touched(key) || copy.get(key) == Some(bytes), "{key}");
    }
    let added = ["obs/leiden/", "obsm/X_pca/", "uns/leiden/"];
    for key in copy.keys().filter(|key| !before.contains_key(*key)) {
        assert!(added.iter().any(|start| key.starts_with(start)), "{key}");
    }
    let mut wanted = sample();
    wanted.add(&additions(4).root);
    for map in [&mut wanted.obsm, &mut wanted.uns] {
        map.sort_keys();
    }
    assert_eq!(all(&output), wanted);
    // Again: what was added is replaced, and nothing is added twice.
    write_with_additions(&output, &output, &additions(4), true).expect("again");
    assert_eq!(content(&output), copy);
    assert_eq!(hidden(folder.path()), Vec::<PathBuf>::new());
}

#[cfg(unix)]
#[test]
fn a_copy_shares_no_file_with_its_original() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.zarr"), folder.path().join("out.zarr"));
    write(&sample(), &input);
    write_with_additions(&input, &output, &additions(4), false).expect("a copy");
    let links = |path: &Path| fs::metadata(path.join("obs/score/0")).expect("a chunk").nlink();
    assert_eq!((links(&input), links(&output)), (1, 1));
    let inode = |path: &Path| fs::metadata(path.join("obs/score/0")).expect("a chunk").ino();
    let before = inode(&input);
    write_with_additions(&input, &input, &additions(4), true).expect("in place");
    assert_eq!((links(&input), inode(&input)), (1, before));
}

#[test]
fn a_changed_store_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.zarr"), folder.path().join("out.zarr"));
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("attributes", |p| fs::write(p.join("obs/.zattrs"), b"{}").expect("written")),
        ("a chunk", |p| {
            fs::remove_file(p.join("obs/score/0")).expect("removed");
        }),
        ("replaced", |p| {
            fs::rename(p, p.with_file_name("old.zarr")).expect("moved");
            write(&sample(), p);
        }),
        ("removed", |p| fs::rename(p, p.with_file_name("older.zarr")).expect("moved")),
    ];
    for (what, change) in changes {
        write(&sample(), &input);
        let opened = OpenFile::open(&input).expect("opens");
        opened.read(&ReadOptions::default()).expect("reads");
        opened.check_unchanged().expect("as it was");
        std::thread::sleep(Duration::from_millis(20));
        change(&input);
        assert!(matches!(opened.check_unchanged(), Err(DataError::Changed { .. })), "{what}");
        let error = opened.write_with_additions(&output, &additions(4), false).expect_err("refused");
        assert!(matches!(error, DataError::Changed { .. }), "{what}: {error}");
        assert!(!output.exists());
    }
    write(&sample(), &input);
    let opened = OpenFile::open(&input).expect("opens");
    opened.write_with_additions(&input, &additions(4), true).expect("in place");
    assert!(opened.check_unchanged().is_err());
    assert_eq!(hidden(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn only_a_store_or_nothing_is_replaced() {
    let folder = tempfile::tempdir().expect("folder");
    let adata = Container::AnnData(sample());
    let other = folder.path().join("photos");
    fs::create_dir(&other).expect("made");
    write_zarr(&adata, &other, &WriteOptions::default()).expect("an empty folder");
    fs::remove_file(other.join(".zgroup")).expect("removed");
    let before = content(&other);
    assert!(matches!(write_zarr(&adata, &other, &WriteOptions::default()), Err(DataError::Write { .. })));
    assert_eq!(content(&other), before);
    let file = folder.path().join("file");
    fs::write(&file, b"x").expect("written");
    assert!(matches!(write_zarr(&adata, &file, &WriteOptions::default()), Err(DataError::Write { .. })));
    let store = folder.path().join("a.zarr");
    write(&sample(), &store);
    let keep = WriteOptions { overwrite: false, ..WriteOptions::default() };
    assert!(matches!(write_zarr(&adata, &store, &keep), Err(DataError::Write { .. })));
    check_output(&file, &store).expect("a store can be replaced");
    assert!(matches!(write_h5ad(&sample(), &store, &WriteOptions::default()), Err(DataError::Write { .. })));
    let mut smaller = sample();
    smaller.uns.clear();
    write(&smaller, &store);
    assert_eq!(all(&store), smaller);
    assert_eq!(hidden(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn names_that_a_store_keeps_for_itself_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let store = folder.path().join("a.zarr");
    for name in [".zattrs", "zarr.json", "..", "."] {
        let mut adata = sample();
        adata.uns.insert(name.to_owned(), Value::Int(1));
        let error = write_zarr(&Container::AnnData(adata), &store, &WriteOptions::default()).expect_err(name);
        assert!(matches!(error, DataError::Kind { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 0);
}

#[test]
fn paths_in_attributes_do_not_lead_out_of_the_store() {
    let folder = tempfile::tempdir().expect("folder");
    let (store, other) = (folder.path().join("a.zarr"), folder.path().join("b.zarr"));
    write(&sample(), &store);
    write(&sample(), &other);
    let attributes =
        r#"{"encoding-type": "dataframe", "_index": "../../b.zarr/obs/_index", "column-order": []}"#;
    fs::write(store.join("obs/.zattrs"), attributes).expect("written");
    let error = read(&store, &ReadOptions::default()).expect_err("refused");
    assert!(error.to_string().contains("without its row names"), "{error}");
}

/// Reading may succeed or be refused, but not panic, hang or ask for the memory of a terabyte.
fn survives(path: &Path, what: &str) {
    let start = Instant::now();
    if let Ok(opened) = OpenFile::open(path) {
        let _ = opened.read(&ReadOptions::default());
        for layer in [None, Some("dense")] {
            if let Ok(Some(rows)) = opened.matrix_rows(None, layer)
                && let Ok(blocks) = rows.blocks()
            {
                let _ = blocks.take(3).count();
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", start.elapsed());
}

#[test]
fn hostile_metadata_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.zarr");
    write(&sample(), &path);
    let at = path.join("layers/dense/.zarray");
    let original = fs::read_to_string(&at).expect("there");
    let values: serde_json::Value = serde_json::from_str(&original).expect("parses");
    let huge = "18446744073709551615";
    let mutations = [
        ("shape", format!("[{huge}, {huge}]")),
        ("shape", "[4294967296, 4294967296]".into()),
        ("shape", "[1000000000000, 3]".into()),
        ("shape", "[-1, 3]".into()),
        ("shape", "[4]".into()),
        ("shape", "\"4\"".into()),
        ("chunks", "[0, 0]".into()),
        ("chunks", "[1099511627776, 1099511627776]".into()),
        ("chunks", "[1099511627776, 3]".into()),
        ("chunks", format!("[{huge}, 1]")),
        ("chunks", "[4, 3, 1]".into()),
        ("dtype", "\"<U1048576\"".into()),
        ("dtype", format!("\"|S{huge}\"")),
        ("dtype", "\"<f3\"".into()),
        ("dtype", "\"\"".into()),
        ("dtype", "\"é\"".into()),
        ("dtype", "[[\"a\", \"<f8\"]]".into()),
        ("dtype", "null".into()),
        ("compressor", "{\"id\": \"zstd\"}".into()),
        ("compressor", "{\"id\": \"blosc\"}".into()),
        ("compressor", "{\"id\": \"lz4\"}".into()),
        ("compressor", "{\"id\": \"bz2\"}".into()),
        ("filters", "[{\"id\": \"vlen-utf8\"}]".into()),
        ("filters", "[{\"id\": \"shuffle\", \"elementsize\": 0}]".into()),
        ("filters", "[{\"id\": \"pickle\"}]".into()),
        ("order", "\"F\"".into()),
        ("fill_value", "\"NaN\"".into()),
        ("fill_value", "{}".into()),
        ("zarr_format", "7".into()),
    ];
    for (key, value) in mutations {
        let mut changed = values.clone();
        changed[key] = serde_json::from_str(&value).expect("JSON");
        fs::write(&at, changed.to_string()).expect("written");
        survives(&path, &format!("{key} = {value}"));
    }
    for text in ["", "{", "[]", "null", "{\"shape\": [", &"[".repeat(100_000)] {
        fs::write(&at, text).expect("written");
        survives(&path, text.get(..20).unwrap_or(text));
        assert!(read(&path, &ReadOptions::default()).is_err());
    }
    // A shape that nothing stored bears out is refused before room is made for it.
    let mut changed = values;
    changed["shape"] = serde_json::json!([1_000_000_000, 1000]);
    fs::write(&at, changed.to_string()).expect("written");
    let options = ReadOptions { layers: Select::All, ..ReadOptions::names_only() };
    assert!(matches!(read(&path, &options), Err(DataError::TooLarge { .. })));
}

/// A version 3 array with shards, as small as it can be: two inner chunks of two numbers.
fn sharded(folder: &Path) -> PathBuf {
    let path = folder.join("v3.zarr");
    write(&sample(), &path);
    // Version 3 for one array: readers look at each node by itself.
    let at = path.join("obs/score");
    fs::remove_dir_all(&at).expect("removed");
    fs::create_dir_all(at.join("c")).expect("made");
    let metadata = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float64", "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": [2], "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "index_location": "end",
        }}],
        "attributes": {"encoding-type": "array", "encoding-version": "0.2.0"},
    });
    fs::write(at.join("zarr.json"), metadata.to_string()).expect("written");
    let mut shard: Vec<u8> = [1.5f64, 2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    // The second inner chunk is not stored.
    for number in [0u64, 16, u64::MAX, u64::MAX] {
        shard.extend(number.to_le_bytes());
    }
    fs::write(at.join("c/0"), shard).expect("written");
    path
}

#[test]
fn shards_are_read_by_their_index_and_false_ones_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = sharded(folder.path());
    assert_eq!(all(&path).obs.columns["score"], Column::Float64(vec![1.5, 2.5, 0.0, 0.0]));
    let shard = path.join("obs/score/c/0");
    let whole = fs::read(&shard).expect("there");
    for (at, number) in [(16, u64::MAX - 1), (16, 1 << 40), (24, 1 << 40), (24, u64::MAX), (24, 0), (32, 0)] {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        fs::write(&shard, bytes).expect("written");
        assert!(
            matches!(read(&path, &ReadOptions::default()), Err(DataError::Damaged { .. })),
            "{at} {number}"
        );
    }
    for end in 0..whole.len() {
        fs::write(&shard, &whole[..end]).expect("written");
        survives(&path, "a shard cut short");
        assert!(read(&path, &ReadOptions::default()).is_err(), "{end} bytes");
    }
    fs::remove_file(&shard).expect("removed");
    assert_eq!(all(&path).obs.columns["score"], Column::Float64(vec![0.0; 4]));
    let metadata = path.join("obs/score/zarr.json");
    let text = fs::read_to_string(&metadata).expect("there");
    for (from, to) in [
        ("\"chunk_shape\":[2]", "\"chunk_shape\":[3]"),
        ("\"chunk_shape\":[2]", "\"chunk_shape\":[0]"),
        ("\"chunk_shape\":[2]", "\"chunk_shape\":[4611686018427387904]"),
        ("\"chunk_shape\":[4]", "\"chunk_shape\":[9223372036854775806]"),
        ("\"shape\":[4]", "\"shape\":[9223372036854775806]"),
        ("sharding_indexed", "unheard_of"),
        ("regular", "rectilinear"),
        ("\"node_type\":\"array\"", "\"node_type\":\"?\""),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&metadata, text.replace(from, to)).expect("written");
        survives(&path, to);
    }
}

#[test]
fn damaged_files_of_a_store_never_panic() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.zarr");
    write(&sample(), &path);
    let whole = content(&path);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for (key, bytes) in whole.iter().filter(|(key, _)| !key.starts_with(".zmetadata")) {
        let at = path.join(key);
        for end in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            fs::write(&at, &bytes[..end]).expect("written");
            survives(&path, &format!("{key} cut to {end}"));
        }
        for _ in 0..8 {
            let mut changed = bytes.clone();
            if let Some(byte) = (!changed.is_empty()).then(|| rng.random_range(0..changed.len())) {
                changed[byte] = rng.random();
            }
            fs::write(&at, &changed).expect("written");
            survives(&path, &format!("{key} with another byte"));
        }
        fs::remove_file(&at).expect("removed");
        survives(&path, &format!("{key} missing"));
        fs::write(&at, bytes).expect("whole again");
    }
    assert_eq!(all(&path), sample());
}

/// A zip archive of a folder, stored plain.
fn archive(folder: &Path, to: &Path, top: &str) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(fs::File::create(to).expect("made"));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (key, bytes) in content(folder) {
        zip.start_file(format!("{top}{key}"), options).expect("an entry");
        zip.write_all(&bytes).expect("written");
    }
    zip.finish().expect("finished");
}

#[test]
fn archives_are_read_and_not_edited_in_place() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.zarr");
    write(&sample(), &path);
    for top in ["", "a.zarr/"] {
        let zip = folder.path().join("a.zarr.zip");
        archive(&path, &zip, top);
        assert!(OpenFile::is_known(&zip));
        assert_eq!(all(&zip), sample());
        let opened = OpenFile::open(&zip).expect("opens");
        assert_eq!(opened.matrix_rows(None, None).expect("reads").expect("a matrix").n_rows(), 4);
        let error = opened.write_with_additions(&zip, &additions(4), true).expect_err("refused");
        assert!(matches!(error, DataError::Kind { .. }), "{error}");
    }
    let zip = folder.path().join("flat.zarr.zip");
    archive(&path, &zip, "");
    let output = folder.path().join("out.zarr");
    write_with_additions(&zip, &output, &additions(4), false).expect("a folder");
    assert_eq!(all(&output).obs.columns.len(), sample().obs.columns.len() + 1);
    let whole = fs::read(&zip).expect("there");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        if rng.random_bool(0.3) {
            bytes.truncate(rng.random_range(0..bytes.len()));
        }
        fs::write(&zip, bytes).expect("written");
        survives(&zip, "a damaged archive");
    }
}

#[test]
fn what_is_no_store_is_not_known() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("empty.zarr")).expect("made");
    fs::write(at("text.h5ad"), b"not one").expect("written");
    fs::write(at("text.zarr.zip"), b"PK").expect("written");
    for name in ["empty.zarr", "text.h5ad", "text.zarr.zip", "missing.zarr"] {
        assert!(!OpenFile::is_known(&at(name)), "{name}");
        assert!(OpenFile::open(at(name)).is_err(), "{name}");
    }
    write_h5ad(&sample(), at("a"), &WriteOptions::default()).expect("written");
    assert!(OpenFile::is_known(&at("a")));
    assert_eq!(read_h5ad(at("a"), &ReadOptions::default()).expect("reads").n_obs(), 4);
    let error = OpenFile::open_table(at("a"), Some("table"), None).expect_err("no table");
    assert!(matches!(error, DataError::Kind { .. }), "{error}");
}

#[test]
fn tables_of_spatialdata_get_the_places_of_what_they_describe() {
    let Some(path) = shared("data/fixtures/spatialdata_blobs/blobs.zarr") else { return };
    let opened = OpenFile::open(&path).expect("its only table");
    assert!(opened.element_names(None, "obsm").expect("reads").contains(&keys::SPATIAL.to_owned()));
    let adata = opened.read(&ReadOptions::default()).expect("reads").into_anndata().expect("one");
    let places = adata.obsm_f64(keys::SPATIAL).expect("from the labels");
    assert_eq!(places.nrows(), adata.n_obs());
    assert!(places.iter().all(|v| (0.0..64.0).contains(v)));
    let scaled = OpenFile::open_table(&path, Some("table"), Some("scale")).expect("opens");
    let scaled = scaled.read(&ReadOptions::default()).expect("reads").into_anndata().expect("one");
    for (a, b) in places.rows().into_iter().zip(scaled.obsm_f64(keys::SPATIAL).expect("there").rows()) {
        assert!((a[0] * 2.0 - b[0]).abs() < 1e-9 && (a[1] * 3.0 - b[1]).abs() < 1e-9);
    }
    match OpenFile::open_table(&path, Some("other"), None) {
        Err(DataError::MissingKey { existing, named_by, .. }) => {
            assert_eq!(
                (existing.as_slice(), named_by.map(|o| o.0)),
                (&["table".to_owned()][..], Some("table_name"))
            );
        }
        other => panic!("{other:?}"),
    }
    let unknown = OpenFile::open_table(&path, None, Some("nowhere")).expect("opens");
    let error = unknown.read(&ReadOptions::default()).expect_err("no such system");
    assert!(
        matches!(&error, DataError::MissingKey { existing, .. } if existing.contains(&"global".to_owned()))
    );
    // Results go into the table, and nothing that was only derived.
    let folder = tempfile::tempdir().expect("folder");
    let output = folder.path().join("out.zarr");
    opened.write_with_additions(&output, &additions(adata.n_obs()), false).expect("written");
    let (before, after) = (content(&path), content(&output));
    let touched = ["zmetadata", "tables/table/obs/.zattrs"];
    for (key, bytes) in &before {
        assert!(touched.contains(&key.as_str()) || after.get(key) == Some(bytes), "{key}");
    }
    assert!(!after.keys().any(|key| key.starts_with("tables/table/obsm/spatial")));
    assert!(after.contains_key("tables/table/obsm/X_pca/.zarray"));
}

#[test]
fn a_copy_is_of_the_format_of_its_original() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    write(&sample(), &at("a.zarr"));
    write_h5ad(&sample(), at("a.h5ad"), &WriteOptions::default()).expect("written");
    for (input, output) in [("a.zarr", "b.h5ad"), ("a.h5ad", "b.zarr")] {
        let error = write_with_additions(at(input), at(output), &additions(4), false).expect_err("refused");
        assert!(matches!(error, DataError::Kind { .. }), "{error}");
        assert!(!at(output).exists());
    }
}

#[test]
fn tables_are_taken_by_name_from_either_place() {
    let folder = tempfile::tempdir().expect("folder");
    let store = folder.path().join("a.zarr");
    let put = |place: &str| {
        let single = folder.path().join("single.zarr");
        write(&sample(), &single);
        let at = store.join(place);
        fs::create_dir_all(at.parent().expect("above")).expect("made");
        fs::rename(&single, &at).expect("moved");
        for above in at.ancestors().skip(1).take_while(|p| *p != folder.path()) {
            fs::write(above.join(".zgroup"), r#"{"zarr_format": 2}"#).expect("written");
        }
    };
    // Where tables lay up to spatialdata 0.1.
    put("table/table");
    assert_eq!(all(&store), sample());
    let system = OpenFile::open_table(&store, None, Some("global"));
    assert!(matches!(system, Err(DataError::Kind { .. })), "it describes no element");
    put("tables/cells");
    let Err(DataError::MissingKey { existing, named_by, .. }) = OpenFile::open(&store) else {
        panic!("two tables");
    };
    assert_eq!(
        (existing, named_by.map(|o| o.0)),
        (vec!["cells".to_owned(), "table".to_owned()], Some("table_name"))
    );
    let opened = OpenFile::open_table(&store, Some("cells"), None).expect("opens");
    assert_eq!(opened.matrix_rows(None, None).expect("reads").expect("a matrix").n_rows(), 4);
    let before = content(&store);
    opened.write_with_additions(&store, &additions(4), true).expect("in place");
    let after = content(&store);
    assert!(after.contains_key("tables/cells/obsm/X_pca/.zarray"));
    for (key, bytes) in &before {
        let touched = ["tables/cells/.zmetadata", "tables/cells/obs/.zattrs"].contains(&key.as_str());
        assert!(touched || after.get(key) == Some(bytes), "{key}");
    }
    // A table alone: the store around it would list what it held before.
    let inner = store.join("tables/cells");
    let error = write_with_additions(&inner, &inner, &additions(4), true).expect_err("refused");
    assert!(error.to_string().contains("inside another Zarr store"), "{error}");
    assert_eq!(content(&store), after);
}
