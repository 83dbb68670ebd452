"""The slide: features of the picture, how spots lie on it, and domains that saw it; through both doors."""

import json
import os
import subprocess

import anndata as ad
import numpy as np
import pytest
from samples import command, peer

import brodmann as bm


@pytest.fixture(scope="module")
def tissue():
    """A simulated slice with a stained picture, whose truth is known."""
    return bm.datasets.simulated(side=24, modalities="rna", image=True, noise=0.5, random_state=3)


def library(adata):
    (entry,) = adata.uns["spatial"].values()
    return entry


def pixels(adata):
    """The picture as bytes."""
    image = np.asarray(library(adata)["images"]["hires"])
    return image if image.dtype == np.uint8 else np.round(image * 255).astype(np.uint8)


def saved(adata, path, **options):
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(pixels(adata)).save(path, **options)
    return path


def refused(adata, folder, *args):
    """The sentence of a command that ends without a result."""
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    adata.write(folder / "in.h5ad")
    out = folder / "refused.h5ad"
    done = subprocess.run(
        [binary, args[0], folder / "in.h5ad", "--out", out, *args[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and not out.exists(), done.stdout
    return done.stderr


def test_both_doors_write_the_same_features(tissue, tmp_path):
    own = tissue.copy()
    report = bm.im.features(own, groupby="ground_truth")
    written, told = command(tissue.copy(), tmp_path, "image-features", "--groupby", "ground_truth")
    assert np.array_equal(own.obsm["X_image"], written.obsm["X_image"])
    names = list(own.uns["image_features"]["names"])
    assert list(own.obsm["image_features"].columns) == names == list(written.obsm["image_features"].columns)
    assert len(set(names)) == len(names) == len(own.uns["image_features"]["descriptions"])
    x = own.obsm["X_image"]
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert np.allclose(x.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(x.std(axis=0)[x.any(axis=0)], 1, atol=1e-4)
    assert own.obs["on_background"].dtype == bool
    assert report["slides"][0]["outside"] == 0 and report["looks"] == told["looks"]
    assert [look["group"] for look in told["looks"]] == list(own.obs["ground_truth"].cat.categories)


def test_the_picture_tells_the_domains_of_a_simulated_slide(tissue):
    metrics = peer("sklearn.metrics")
    cluster = peer("sklearn.cluster")
    own = tissue.copy()
    bm.im.features(own)
    n = own.obs["ground_truth"].nunique()
    found = cluster.KMeans(n, n_init=10, random_state=0).fit_predict(own.obsm["X_image"])
    assert metrics.adjusted_rand_score(own.obs["ground_truth"], found) > 0.3


@pytest.mark.parametrize("name, options", [("s.png", {}), ("s.tif", {}), ("s.tiff", {"compression": "tiff_lzw"})])
def test_a_slide_from_a_file_is_the_picture_in_the_file(tissue, tmp_path, name, options):
    own, other = tissue.copy(), tissue.copy()
    bm.im.features(own)
    # The sizes of the two pictures tell how coordinates lie on the slide.
    report = bm.im.features(other, image=saved(tissue, tmp_path / name, **options))
    assert np.allclose(own.obsm["X_image"], other.obsm["X_image"], atol=1e-4)
    assert report["slides"][0]["scale"] == pytest.approx(
        library(tissue)["scalefactors"]["tissue_hires_scalef"], rel=1e-3
    )
    # And so does a matrix.
    matrix = tmp_path / "matrix.csv"
    factor = library(tissue)["scalefactors"]["tissue_hires_scalef"]
    matrix.write_text(f"{factor},0,0\n0,{factor},0\n0,0,1\n")
    third = tissue.copy()
    bm.im.features(third, image=tmp_path / name, image_transform=matrix)
    assert np.allclose(third.obsm["X_image"], other.obsm["X_image"], atol=1e-4)


def test_pictures_and_tables_are_written(tissue, tmp_path):
    files = {name: tmp_path / name for name in ("features.csv", "overlay.png", "patches.png")}
    _, report = command(
        tissue.copy(),
        tmp_path,
        "image-features",
        "--table",
        str(files["features.csv"]),
        "--plot",
        str(files["overlay.png"]),
        "--patches",
        str(files["patches.png"]),
    )
    assert all(path.stat().st_size > 1000 for path in files.values())
    header = files["features.csv"].read_text().splitlines()
    assert header[0].split(",")[0] == "spot" and len(header) == tissue.n_obs + 1
    assert len(header[0].split(",")) == report["n_features"] + 1
    assert bm.im.overlay(tissue.copy(), tmp_path / "o.svg", n_top=2).read_text().startswith("<svg")


def test_patches_are_those_of_the_picture(tissue):
    names = tissue.obs_names[[0, 300, 575]]
    patches = bm.im.patches(tissue, names, size=32)
    assert patches.shape == (3, 32, 32, 3) and patches.dtype == np.uint8
    whole = pixels(tissue)
    factor = library(tissue)["scalefactors"]["tissue_hires_scalef"]
    x, y = tissue.obsm["spatial"][300] * factor
    around = whole[int(y) - 20 : int(y) + 20, int(x) - 20 : int(x) + 20]
    assert np.abs(patches[1].mean(axis=(0, 1)) - around.mean(axis=(0, 1))).max() < 15
    with pytest.raises(KeyError, match="nobody"):
        bm.im.patches(tissue, ["nobody"])


def test_what_no_picture_allows_is_refused_in_sentences(tissue, tmp_path):
    bare = tissue.copy()
    del bare.uns["spatial"]
    assert "picture" in refused(bare, tmp_path, "image-features")
    with pytest.raises(ValueError, match="picture"):
        bm.im.features(bare)
    slide = saved(tissue, tmp_path / "slide.png")
    assert "no spot on it" in refused(tissue.copy(), tmp_path, "image-features", "--image", slide, "--image-scale", "900")
    assert "--image-scale" in refused(tissue.copy(), tmp_path, "staig", "--image-scale", "2")
    assert "slice" in refused(tissue.copy(), tmp_path, "image-features", "--image", f"{slide},{slide},{slide}")
    text = tmp_path / "slide.tif"
    text.write_text("no picture")
    message = refused(tissue.copy(), tmp_path, "image-features", "--image", text)
    assert "slide.tif" in message and "panic" not in message
    cut = tmp_path / "cut.tif"
    cut.write_bytes(saved(tissue, tmp_path / "whole.tif").read_bytes()[:5000])
    assert "cut.tif" in refused(tissue.copy(), tmp_path, "image-features", "--image", cut)
    matrix = tmp_path / "matrix.csv"
    matrix.write_text("1,2\n3,4\n")
    assert "rows of three" in refused(
        tissue.copy(), tmp_path, "image-features", "--image", slide, "--image-transform", matrix
    )


def test_a_wrong_scale_is_told(tissue, tmp_path):
    slide = saved(tissue, tmp_path / "slide.png")
    factor = library(tissue)["scalefactors"]["tissue_hires_scalef"]
    own = tissue.copy()
    report = bm.im.features(own, image=slide, image_scale=3 * factor)
    assert report["slides"][0]["outside"] > 0.5 and report["slides"][0]["findings"]


def test_staig_sees_the_picture_by_one_option(tissue):
    by_key, by_slide = tissue.copy(), tissue.copy()
    bm.im.features(by_key)
    options = dict(n_clusters=4, epochs=8, image_classes=20)
    bm.tl.staig(by_key, image_key="X_image", **options)
    bm.tl.staig(by_slide, image="file", **options)
    params = by_slide.uns["staig"]["params"]
    assert params["edge_rule"] == "image" and params["image_classes"] == 20
    # The same features but for the last bits, those in the file being in single precision.
    assert np.allclose(by_key.obsm["X_staig"], by_slide.obsm["X_staig"], atol=0.05)
    with pytest.raises(ValueError, match="image"):
        bm.tl.staig(by_key, image="file", image_key="X_image")


def test_domains_take_the_picture_as_a_member(tissue, tmp_path):
    own = tissue.copy()
    bm.tl.domains(own, n_clusters=5, members=["smoothed", "image"], restarts=1, n_init=2, member_labels=True)
    assert "domains_image" in own.obs
    written, report = command(
        tissue.copy(), tmp_path, "domains", "-k", "5", "--restarts", "1", "--n-init", "2", "--image", "file"
    )
    assert [member["name"] for member in report["members"]][-1] == "image"
    without = report["without_picture"]
    assert -1 <= without["agreement"] <= 1 and 0 <= without["metrics"]["ari"] <= 1
    plain, _ = command(tissue.copy(), tmp_path, "domains", "-k", "5", "--restarts", "1", "--n-init", "2")
    assert "domains" in plain.obs and "domains" in written.obs


def test_slices_have_a_slide_each(tissue, tmp_path):
    slide = saved(tissue, tmp_path / "slide.png")
    left, right = tissue.copy(), tissue.copy()
    both = ad.concat({"left": left, "right": right}, label="slice", index_unique="-")
    factor = library(tissue)["scalefactors"]["tissue_hires_scalef"]
    report = bm.im.features(both, image=[slide, slide], image_scale=factor, library_key="slice")
    assert [s["slice"] for s in report["slides"]] == ["left", "right"]
    n = tissue.n_obs
    assert np.array_equal(both.obsm["X_image"][:n], both.obsm["X_image"][n:])


def test_domains_become_regions_for_qupath(tissue, tmp_path):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    tissue.write(tmp_path / "in.h5ad")
    out = tmp_path / "domains.geojson"
    subprocess.run([binary, "export", tmp_path / "in.h5ad", "--out", out, "--groupby", "ground_truth"], check=True)
    regions = json.loads(out.read_text())["features"]
    names = [region["properties"]["classification"]["name"] for region in regions]
    assert names == list(tissue.obs["ground_truth"].cat.categories)
    area = sum(region["properties"]["measurements"]["area"] for region in regions)
    pitch = np.diff(np.unique(tissue.obsm["spatial"][:, 0])).min()
    assert area == pytest.approx(tissue.n_obs * pitch**2, rel=0.1)
    for region in regions:
        geometry = region["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for polygon in polygons for ring in polygon)


@pytest.mark.parametrize("pieces", [False, True])
def test_domains_become_shapes_of_a_spatialdata_store(tissue, tmp_path, pieces):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    spatialdata = peer("spatialdata")
    tissue.write(tmp_path / "in.h5ad")
    out = tmp_path / "outlines.zarr"
    more = ["--pieces"] if pieces else []
    args = [binary, "export", tmp_path / "in.h5ad", "--out", out, "--groupby", "ground_truth", *more]
    subprocess.run(args, check=True)
    assert subprocess.run(args, capture_output=True).returncode == 2
    subprocess.run([*args, "--force"], check=True)  # what is there is replaced
    shapes = spatialdata.read_zarr(out).shapes["domains"]
    names = list(tissue.obs["ground_truth"].cat.categories)
    assert list(dict.fromkeys(shapes["ground_truth"])) == names and shapes.index.is_unique
    assert list(shapes.index) == names or pieces
    assert shapes.geometry.is_valid.all()
    assert np.allclose(shapes.geometry.area, shapes["area"])
    pitch = np.diff(np.unique(tissue.obsm["spatial"][:, 0])).min()
    assert shapes.geometry.area.sum() == pytest.approx(tissue.n_obs * pitch**2, rel=0.1)
    kinds = set(shapes.geometry.geom_type)
    assert kinds == {"Polygon"} if pieces else kinds <= {"Polygon", "MultiPolygon"}
    assert shapes["color"].str.match("#[0-9a-f]{6}$").all()


def test_a_store_has_a_view_for_vitessce(tissue, tmp_path):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    tissue.write(tmp_path / "in.h5ad")
    store, out = tmp_path / "store.zarr", tmp_path / "view.json"
    subprocess.run([binary, "convert", tmp_path / "in.h5ad", "--out", store], check=True)
    subprocess.run([binary, "export", store, "--out", out, "--groupby", "ground_truth"], check=True)
    view = json.loads(out.read_text())
    (file,) = view["datasets"][0]["files"]
    assert file["url"] == "store.zarr" and file["fileType"] == "anndata.zarr"
    for path in (file["options"]["obsSets"][0]["path"], file["options"]["obsLocations"]["path"], "X"):
        assert (store / path).exists()
    used = {scope for part in view["layout"] for scope in part["coordinationScopes"]}
    assert used <= set(view["coordinationSpace"])
    done = subprocess.run([binary, "export", tmp_path / "in.h5ad", "--out", tmp_path / "other.json"], capture_output=True, text=True)
    assert done.returncode != 0 and ".zarr" in done.stderr


def test_tiles_of_lazyslide_or_sopa_are_joined_by_place(tissue, tmp_path):
    own = tissue.copy()
    table = ad.AnnData(np.random.default_rng(0).normal(size=(own.n_obs, 4)).astype(np.float32))
    table.obsm["spatial"] = own.obsm["spatial"].astype(float)
    table.write(tmp_path / "tiles.h5ad")
    report = bm.im.features(own, encoder=tmp_path / "tiles.h5ad")
    assert report["n_features"] == 4 and own.obsm["X_image"].shape == (own.n_obs, 4)
    expected = table.X - table.X.mean(0)
    assert np.allclose(own.obsm["X_image"], expected / expected.std(0), atol=1e-5)
    domains = tissue.copy()
    bm.tl.domains(
        domains, n_clusters=4, members=["smoothed"], restarts=1, n_init=2, image="file", encoder=tmp_path / "tiles.h5ad"
    )
    assert domains.uns["domains"]["members"].tolist() == ["smoothed", "image"]
    table.obsm["spatial"] += 1e6
    table.write(tmp_path / "far.h5ad")
    with pytest.raises(ValueError, match="no tile within"):
        bm.im.features(own, encoder=tmp_path / "far.h5ad")
    with pytest.raises(ValueError, match="histology"):
        bm.im.features(own, encoder="byol")


def test_a_table_in_a_store_of_spatialdata_is_named_in_its_path(tissue, tmp_path):
    sd = peer("spatialdata")
    shapely = pytest.importorskip("shapely")
    geopandas = pytest.importorskip("geopandas")
    own = tissue.copy()
    boxes = [shapely.box(x - 5, y - 5, x + 5, y + 5) for x, y in own.obsm["spatial"]]
    shapes = sd.models.ShapesModel.parse(geopandas.GeoDataFrame({"geometry": boxes}))

    def of(name, shift):
        table = ad.AnnData((np.arange(own.n_obs)[:, None] + [[shift, 2 * shift]]).astype(np.float32))
        table.obs["region"] = "tiles"
        table.obs["region"] = table.obs["region"].astype("category")
        table.obs["tile"] = np.arange(own.n_obs)
        return {name: sd.models.TableModel.parse(table, region="tiles", region_key="region", instance_key="tile")}

    store = tmp_path / "slide.zarr"
    sd.SpatialData(shapes={"tiles": shapes}, tables={**of("uni_tiles", 1), **of("conch_tiles", 5)}).write(store)
    report = bm.im.features(own, encoder=store / "tables" / "uni_tiles")
    assert report["n_features"] == 2
    assert np.allclose(own.obsm["image_features"].to_numpy()[:, 0], np.arange(own.n_obs) + 1)
    with pytest.raises(KeyError, match="conch_tiles.*uni_tiles|uni_tiles.*conch_tiles"):
        bm.im.features(own, encoder=store)
