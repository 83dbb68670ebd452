"""Zarr stores that we read, write and edit, as Python's anndata, mudata and spatialdata see them; run by scripts/test.

EDIT_ROUNDTRIP is the example of brodmann-data.
"""

import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import anndata as ad
import mudata as mu
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

zarr = pytest.importorskip("zarr", minversion="3")

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("BRODMANN_SHARED", HERE.parents[2] / "shared")) / "data"
PROGRAM = os.environ.get("EDIT_ROUNDTRIP", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="EDIT_ROUNDTRIP names no program")


@pytest.fixture(scope="module")
def files():
    """The comparisons of check_files.py, which reads its arguments when it is imported."""
    sys.path.insert(0, str(HERE))
    before, sys.argv = sys.argv, ["check_files.py", PROGRAM, str(SHARED)]
    try:
        import check_files
    finally:
        sys.argv = before
        sys.path.remove(str(HERE))
    return check_files


@pytest.fixture
def same(files):
    def check(a, b, exact=True):
        files.FAILED.clear()
        files.compare(a, b, "store", exact)
        assert not files.FAILED

    return check


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.read_zarr(path)


def tissue(n_obs=60, n_vars=25, seed=0):
    """A container with every kind of element the format knows."""
    rng = np.random.default_rng(seed)
    domain = np.arange(n_obs) * 3 // n_obs
    adata = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (n_obs, n_vars)).astype(np.float32)))
    adata.obs_names = [f"spot_{i}" for i in range(n_obs)]
    adata.var_names = [f"gène {j}" for j in range(n_vars)]
    adata.obs["label"] = pd.Categorical.from_codes(domain, ["a", "b", "c"])
    adata.obs["of_numbers"] = pd.Categorical(domain)
    adata.obs["text"] = [f"é{i}" for i in range(n_obs)]
    adata.obs["number"] = rng.normal(size=n_obs)
    adata.obs["zeros"] = np.zeros(n_obs)
    adata.obs["flag"] = domain > 0
    adata.obs["whole"] = pd.array([None if i % 7 == 0 else i for i in range(n_obs)], dtype="Int64")
    adata.obs["truth"] = pd.array([None if i % 5 == 0 else i % 2 == 0 for i in range(n_obs)], dtype="boolean")
    adata.obsm["spatial"] = np.column_stack([np.arange(n_obs) % 10, np.arange(n_obs) // 10]).astype(float)
    adata.obsm["frame"] = pd.DataFrame({"a": rng.normal(size=n_obs)}, index=adata.obs_names)
    adata.layers["columns"] = sp.csc_matrix(adata.X)
    adata.layers["dense"] = np.asfortranarray(adata.X.toarray())
    adata.obsp["graph"] = sp.random(n_obs, n_obs, density=0.05, format="csr", random_state=0)
    adata.uns["nested"] = {
        "list": ["x", "y"],
        "number": 3,
        "float": np.nan,
        "truth": True,
        "none": None,
        "deeper": {"array": np.arange(4), "nothing": {}},
    }
    adata.raw = adata.copy()
    return adata


def array(path, values, version, **how):
    """An array in place of what is at `path`, with its attributes."""
    attributes = dict(zarr.open_array(path, mode="r").attrs)
    shutil.rmtree(path)
    made = zarr.create_array(path, data=np.asarray(values), zarr_format=version, **how)
    made.attrs.update(attributes)


def recoded(path, version, **how):
    """Writes the arrays of numbers of a store anew."""
    for name in ("X/data", "X/indices", "X/indptr", "layers/dense", "obsm/spatial", "obs/number"):
        array(path / name, zarr.open_array(path / name, mode="r")[...], version, **how)
    zarr.consolidate_metadata(path, zarr_format=version)


def stores(folder):
    """One store for each way of writing them."""
    from numcodecs import LZ4, Blosc, GZip, Shuffle, Zlib, Zstd
    from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

    adata = tissue()
    for version in (2, 3):
        path = folder / f"plain{version}.zarr"
        with ad.settings.override(zarr_write_format=version):
            adata.write_zarr(path)
            yield path
            path = folder / f"chunks{version}.zarr"
            adata.write_zarr(path, chunks=(7, 5))
            yield path
        path = folder / f"bare{version}.zarr"
        shutil.copytree(folder / f"plain{version}.zarr", path)
        if version == 2:
            (path / ".zmetadata").unlink()
        else:
            document = json.loads((path / "zarr.json").read_text())
            del document["consolidated_metadata"]
            (path / "zarr.json").write_text(json.dumps(document))
        yield path
    compressors = {
        "gzip": GZip(1), "zlib": Zlib(1), "zstd": Zstd(1), "lz4": LZ4(1),
        "blosclz": Blosc("blosclz", 5, 1), "blosc_zstd": Blosc("zstd", 5, 2), "blosc_zlib": Blosc("zlib", 5, 0),
    }  # fmt: skip
    for name, compressor in compressors.items():
        path = folder / f"{name}2.zarr"
        shutil.copytree(folder / "plain2.zarr", path)
        recoded(path, 2, compressors=compressor, order="F" if name == "zstd" else "C")
        yield path
    path = folder / "shuffle2.zarr"
    shutil.copytree(folder / "plain2.zarr", path)
    array(path / "obs/number", adata.obs["number"], 2, filters=[Shuffle(8)], compressors=Zlib(1))
    array(path / "obsm/spatial", adata.obsm["spatial"].astype(">f8"), 2)
    zarr.consolidate_metadata(path, zarr_format=2)
    yield path
    pipelines = {
        "gzip": GzipCodec(), "zstd_sum": [ZstdCodec(checksum=True), Crc32cCodec()], "none": None,
        "blosc": BloscCodec(typesize=4, cname="lz4", shuffle="bitshuffle"),
    }  # fmt: skip
    for name, compressors in pipelines.items():
        path = folder / f"{name}3.zarr"
        shutil.copytree(folder / "plain3.zarr", path)
        recoded(path, 3, compressors=compressors)
        yield path
    for where in ("start", "end"):
        path = folder / f"sharded_{where}.zarr"
        shutil.copytree(folder / "plain3.zarr", path)
        for name in ("X/data", "X/indices", "layers/dense", "obsm/spatial", "obs/number", "obs/zeros"):
            values = zarr.open_array(path / name, mode="r")[...]
            inner = tuple(max(1, n // 5) for n in values.shape)
            outer = tuple(2 * n for n in inner)
            shards = {"shape": outer, "index_location": where}
            array(path / name, values, 3, chunks=inner, shards=shards, compressors=ZstdCodec())
        zarr.consolidate_metadata(path, zarr_format=3)
        yield path


def content(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def check_consolidated(path):
    """The copy of the metadata says what the metadata say."""
    for copy in path.rglob("*zmetadata"):
        entries = json.loads(copy.read_text())["metadata"]
        there = [p for p in copy.parent.rglob(".z*") if p.name in (".zgroup", ".zarray", ".zattrs")]
        assert sorted(entries) == sorted(str(p.relative_to(copy.parent)) for p in there)
        for key, entry in entries.items():
            # zarr-python notes in the copy of a group that it holds no copy.
            entry.pop("consolidated_metadata", None)
            assert entry == json.loads((copy.parent / key).read_text()), key
    for document in path.rglob("zarr.json"):
        copy = json.loads(document.read_text()).get("consolidated_metadata")
        if not copy:
            continue
        there = [p.parent for p in document.parent.rglob("zarr.json") if p != document]
        assert sorted(copy["metadata"]) == sorted(str(p.relative_to(document.parent)) for p in there)
        for key, entry in copy["metadata"].items():
            of_node = json.loads((document.parent / key / "zarr.json").read_text())
            assert entry["attributes"] == of_node["attributes"], key
            assert entry.get("shape") == of_node.get("shape"), key


def check_untouched(before, after, root=""):
    """Every file of before is in after, but for the documents of what was added to."""
    # Column orders, and copies of metadata.
    may = {f"{root}obs/.zattrs", f"{root}var/.zattrs", f"{root}obs/zarr.json", f"{root}var/zarr.json"}
    may |= {name for name in before if name.endswith("zmetadata")}
    for name, bytes_before in before.items():
        if name not in may and name not in ("zarr.json", f"{root}zarr.json", "tables/zarr.json"):
            assert after.get(name) == bytes_before, name
    for name in after.keys() - before.keys():
        assert "ours" in name or name.startswith((f"{root}obsp", f"{root}obsm", f"{root}uns")), name


def test_stores_of_every_kind_are_read_edited_and_rewritten(tmp_path, same, files):
    n_stores = 0
    for path in stores(tmp_path):
        n_stores += 1
        original, before = read(path), content(path)
        edited = tmp_path / "edited.zarr"
        run("edit", path, edited)
        assert content(path) == before, path.name
        check_untouched(before, content(edited))
        check_consolidated(edited)
        # Over itself: the second time every element is replaced.
        run("edit", edited, tmp_path / "twice.zarr")
        for result in (edited, tmp_path / "twice.zarr"):
            again = read(result)
            same(original, again)
            files.check_additions(again, path.name)
            assert not files.FAILED
            shutil.rmtree(result)
        for output, reader in (("out.zarr", read), ("out.h5ad", ad.read_h5ad)):
            run("rewrite", path, tmp_path / output)
            written = reader(tmp_path / output)
            same(original, written, exact=False)
        check_consolidated(tmp_path / "out.zarr")
        assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert n_stores >= 18


def test_an_archive_reads_as_its_folder(tmp_path, same):
    for version in (2, 3):
        with ad.settings.override(zarr_write_format=version):
            tissue().write_zarr(tmp_path / "a.zarr")
        original = read(tmp_path / "a.zarr")
        for name, top in (("flat", ""), ("nested", "a.zarr/")):
            archive = tmp_path / f"{name}{version}.zarr.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED if top else zipfile.ZIP_STORED) as file:
                for key, value in content(tmp_path / "a.zarr").items():
                    file.writestr(top + key, value)
            run("rewrite", archive, tmp_path / "out.zarr")
            same(original, read(tmp_path / "out.zarr"), exact=False)
            run("edit", archive, tmp_path / "edited.zarr")
            same(original, read(tmp_path / "edited.zarr"))


def test_mudata_is_read_edited_and_written(tmp_path, same):
    rna, adt = tissue(), tissue(n_vars=8, seed=1)
    adt.var_names = [f"protein_{j}" for j in range(8)]
    del rna.raw, adt.raw
    mdata = mu.MuData({"rna": rna, "adt": adt[::-1].copy()})
    mdata.obsm["spatial"] = mdata["rna"][mdata.obs_names].obsm["spatial"]
    source = tmp_path / "a.zarr"
    mdata.write_zarr(source)
    original, before = mu.read_zarr(source), content(source)
    run("edit", source, tmp_path / "edited.zarr")
    assert content(source) == before
    check_consolidated(tmp_path / "edited.zarr")
    same(original, mu.read_zarr(tmp_path / "edited.zarr"))
    run("rewrite", source, tmp_path / "out.zarr")
    same(original, mu.read_zarr(tmp_path / "out.zarr"), exact=False)
    run("rewrite", source, tmp_path / "out.h5mu")
    same(original, mu.read_h5mu(tmp_path / "out.h5mu"), exact=False)
    run("rewrite", tmp_path / "out.h5mu", tmp_path / "back.zarr")
    same(original, mu.read_zarr(tmp_path / "back.zarr"), exact=False)


def fixtures(*names):
    found = [p for name in names if (p := SHARED / "fixtures" / name).exists()]
    if len(found) < len(names):
        assert os.environ.get("BRODMANN_REQUIRE_SHARED") != "1", f"{SHARED} is missing"
        pytest.skip(f"{SHARED} is not beside this checkout")
    return found


def test_archives_of_other_projects_are_read(tmp_path, same):
    names = [f"anndata_archives/{version}/adata.zarr.zip" for version in ("v0.7.0", "v0.7.8", "v0.11.4")]
    for path in fixtures(*names, "zarr_scanpy/10x_pbmc68k_reduced.zarr.zip"):
        with zipfile.ZipFile(path) as file:
            file.extractall(tmp_path / "folder.zarr")
        sources = [path, tmp_path / "folder.zarr"]
        for document in list(sources[1].rglob("zarr.json")):
            # Records of a kind that only the newest zarr-python reads; the copy of the metadata names them too.
            described = json.loads(document.read_text())
            if isinstance(kind := described.get("data_type"), dict) and kind["name"] == "struct":
                shutil.rmtree(document.parent)
                run("edit", path, tmp_path / "edited.zarr")
                sources = sources[1:]
            elif described.pop("consolidated_metadata", None):
                document.write_text(json.dumps(described))
        original = read(tmp_path / "folder.zarr")
        for source in sources:
            run("rewrite", source, tmp_path / "out.zarr")
            same(original, read(tmp_path / "out.zarr"), exact=False)
            run("edit", source, tmp_path / "edited.zarr")
            same(original, read(tmp_path / "edited.zarr"))
        shutil.rmtree(tmp_path / "folder.zarr")


# SpatialData

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with circles, polygons and labels under scales, shifts and shears, and a table of each."""
    sd = pytest.importorskip("spatialdata")
    from spatialdata.datasets import blobs
    from spatialdata.models import TableModel
    from spatialdata.transformations import Affine, Scale, Sequence, Translation, set_transformation

    data, axes = blobs(), ("x", "y")
    rng = np.random.default_rng(0)

    def shear(*rows):
        return Affine(np.array([*rows, [0.0, 0.0, 1.0]]), input_axes=axes, output_axes=axes)

    shift = Sequence([Scale([2.0, 3.0], axes=axes), Translation([10.0, 20.0], axes=axes)])
    set_transformation(data["blobs_labels"], shift, "global")
    set_transformation(data["blobs_labels"], shear([1.0, 0.5, 3.0], [0.25, 2.0, 4.0]), "aligned")
    set_transformation(data["blobs_multiscale_labels"], shear([1.0, 0.5, 3.0], [0.25, 2.0, 4.0]), "aligned")
    set_transformation(data["blobs_image"], Scale([2.0, 2.0], axes=axes), "aligned")
    for name in ("blobs_circles", "blobs_polygons", "blobs_multipolygons", "blobs_points"):
        set_transformation(data[name], shear([0.0, 1.0, 0.0], [2.0, 0.5, 4.0]), "aligned")
    # Names instead of numbers, and rows in another order than the shapes.
    data["blobs_polygons"].index = [f"cell {i}" for i in data["blobs_polygons"].index]

    def table(*regions):
        ids = [list(element.index)[::-1] for _, element in regions]
        names = [name for (name, _), some in zip(regions, ids) for _ in some]
        obs = pd.DataFrame({"region": pd.Categorical(names), "instance": [i for some in ids for i in some]})
        obs.index = [f"row {i}" for i in range(len(obs))]
        adata = ad.AnnData(rng.poisson(1.0, (len(obs), 4)).astype(np.float32), obs=obs)
        region = [name for name, _ in regions]
        region = region[0] if len(region) == 1 else region
        return TableModel.parse(adata, region=region, region_key="region", instance_key="instance")

    def of(name):
        return (name, data[name])

    labels = pd.DataFrame(index=np.setdiff1d(np.unique(np.asarray(data["blobs_labels"].data)), [0]))
    scaled = np.unique(np.asarray(data["blobs_multiscale_labels"]["scale0"]["image"].data))
    scaled = pd.DataFrame(index=np.setdiff1d(scaled, [0]))
    points = pd.DataFrame(index=data["blobs_points"].index.compute()[:50])
    del data.tables["table"]
    data["circles"] = table(of("blobs_circles"))
    data["polygons"] = table(of("blobs_polygons"))
    data["labels"] = table(("blobs_labels", labels))
    data["scaled"] = table(("blobs_multiscale_labels", scaled))
    data["points"] = table(("blobs_points", points))
    data["two"] = table(of("blobs_circles"), of("blobs_multipolygons"))
    path = tmp_path_factory.mktemp("made") / "made.zarr"
    data.write(path)
    return path


def expected_places(sd, data, table, system):
    """What spatialdata's own centroids are, row by row."""
    adata = data.tables[table]
    attrs = adata.uns["spatialdata_attrs"]
    places = np.full((adata.n_obs, 2), np.nan)
    for region in np.atleast_1d(attrs["region"]):
        middle = sd.get_centroids(data[region], coordinate_system=system).compute()
        rows = np.flatnonzero(adata.obs[attrs["region_key"]] == region)
        ids = adata.obs[attrs["instance_key"]].iloc[rows]
        places[rows] = middle.loc[ids.to_list(), ["x", "y"]].to_numpy()
    return places


@pytest.mark.parametrize("table", ["circles", "polygons", "labels", "scaled", "points", "two"])
@pytest.mark.parametrize("system", ["global", "aligned"])
def test_rows_of_a_table_lie_where_spatialdata_puts_them(tmp_path, made, table, system):
    sd = pytest.importorskip("spatialdata")
    data = sd.read_zarr(made)
    run("table", made, table, system, tmp_path / "out.h5ad")
    written = ad.read_h5ad(tmp_path / "out.h5ad")
    want = expected_places(sd, data, table, system)
    assert np.isfinite(want).all()
    np.testing.assert_allclose(written.obsm["spatial"], want, rtol=1e-9, atol=1e-9)
    assert list(written.obs_names) == list(data.tables[table].obs_names)
    assert list(written.obs["region"].astype(str)) == list(data.tables[table].obs["region"].astype(str))
    library = written.uns["spatial"]["blobs_image"]
    image = np.asarray(data["blobs_image"].data).transpose(1, 2, 0)
    np.testing.assert_array_equal(library["images"]["hires"], np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
    factor = {"global": 1.0, "aligned": 0.5}[system]
    assert library["scalefactors"]["tissue_hires_scalef"] == factor
    if table == "circles":
        scale = {"global": 1.0, "aligned": np.sqrt(2.0)}[system]
        diameter = 2 * np.sort(data["blobs_circles"]["radius"])[len(data["blobs_circles"]) // 2] * scale
        np.testing.assert_allclose(library["scalefactors"]["spot_diameter_fullres"], diameter)


def test_several_tables_are_named_and_results_go_into_the_one_chosen(tmp_path, made, same, files):
    sd = pytest.importorskip("spatialdata")
    done = subprocess.run([PROGRAM, "edit", made, tmp_path / "out.zarr"], capture_output=True, text=True)
    assert done.returncode == 1 and '"circles"' in done.stderr and '"two"' in done.stderr, done.stderr
    assert not (tmp_path / "out.zarr").exists()
    before = content(made)
    run("edit-table", made, "circles", tmp_path / "out.zarr")
    assert content(made) == before
    check_untouched(before, content(tmp_path / "out.zarr"), "tables/circles/")
    check_consolidated(tmp_path / "out.zarr")
    original, edited = sd.read_zarr(made), sd.read_zarr(tmp_path / "out.zarr")
    same(original.tables["circles"], edited.tables["circles"])
    files.check_additions(edited.tables["circles"], "circles")
    assert not files.FAILED
    same(original.tables["two"], edited.tables["two"])


def test_a_store_of_an_older_version_is_read_and_edited(tmp_path, same, files):
    (path,) = fixtures("spatialdata_blobs/blobs.zarr")
    sd = pytest.importorskip("spatialdata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = sd.read_zarr(path)
    (name,) = data.tables
    for system in ("global", "sequence", "affine", "scale", "translation"):
        run("table", path, "-", system, tmp_path / "out.h5ad")
        written = ad.read_h5ad(tmp_path / "out.h5ad")
        want = expected_places(sd, data, name, system)
        np.testing.assert_allclose(written.obsm["spatial"], want, rtol=1e-9, atol=1e-9)
    before = content(path)
    run("edit", path, tmp_path / "edited.zarr")
    assert content(path) == before
    check_untouched(before, content(tmp_path / "edited.zarr"), f"tables/{name}/")
    check_consolidated(tmp_path / "edited.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        edited = sd.read_zarr(tmp_path / "edited.zarr")
    same(data.tables[name], edited.tables[name])
    files.check_additions(edited.tables[name], "blobs")
    assert not files.FAILED
