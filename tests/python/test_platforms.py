"""Folders of instruments, and inputs that are not quite right, through the command and through bm.read.

Each sample is written here: 240 spots on a lattice of 20 x 12, 60 genes, four bands. With four domains asked for, a good run
finds the bands on whatever is not damaged.
"""

import json
import os
import struct
import subprocess

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import brodmann as bm

ROWS, COLUMNS, GENES = 20, 12, 60
N = ROWS * COLUMNS
BAND = np.repeat(np.arange(4), N // 4)


def adjusted_rand(a, b):
    """ARI of two labellings."""
    return bm.metrics.adjusted_rand_index(np.asarray(a), np.asarray(b))


def sample(genes=GENES, seed=0):
    rng = np.random.default_rng(seed)
    rates = 3 * rng.gamma(1, 1, (4, genes))
    row, column = np.divmod(np.arange(N), COLUMNS)
    adata = ad.AnnData(
        sp.csr_matrix(rng.poisson(rates[BAND]).astype(np.float32)),
        obs=pd.DataFrame({"band": pd.Categorical([f"L{b}" for b in BAND])}, index=[f"s{i}" for i in range(N)]),
        var=pd.DataFrame(index=[f"G{j}" for j in range(genes)]),
    )
    adata.obsm["spatial"] = np.column_stack([column, row]) * 100.0
    return adata


def run(*arguments, code=0):
    """Runs the command; what it printed on both streams."""
    binary = os.environ.get("BRODMANN")
    if binary is None:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def found(path, out, *arguments, keeps=slice(None), truth=BAND):
    """Domains of an input: said on stderr, and the output; the bands must have been found."""
    _, said = run("spatialleiden", path, "-k", 4, "--out", out, *arguments)
    adata = ad.read_h5ad(out)
    labels = adata.obs["spatialleiden"]
    assert labels[keeps].notna().all() and adjusted_rand(labels[keeps].astype(str), truth[keeps]) == 1.0
    return said, adata


def write_tenx(path, adata, types=None, names=None):
    x = adata.X.tocsr()
    with h5py.File(path, "w") as f:
        g = f.create_group("matrix")
        g["data"], g["indices"], g["indptr"] = x.data.astype(np.int32), x.indices.astype(np.int64), x.indptr
        g["shape"] = np.array(x.shape[::-1])
        g["barcodes"] = np.array(names if names is not None else adata.obs_names, dtype="S")
        features = g.create_group("features")
        features["id"] = np.array([f"ENSG{j:05d}" for j in range(adata.n_vars)], dtype="S")
        features["name"] = np.array(adata.var_names, dtype="S")
        features["feature_type"] = np.array(types or ["Gene Expression"] * adata.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * adata.n_vars, dtype="S")


SCALES = {"spot_diameter_fullres": 60.0, "tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.03}


def positions(adata, in_tissue=1):
    xy = adata.obsm["spatial"]
    return pd.DataFrame(
        {
            "barcode": adata.obs_names,
            "in_tissue": in_tissue,
            "array_row": (xy[:, 1] // 100).astype(int),
            "array_col": (xy[:, 0] // 100).astype(int),
            "pxl_row_in_fullres": xy[:, 1],
            "pxl_col_in_fullres": xy[:, 0],
        }
    )


def write_visium(folder, adata, in_tissue=1, seed=0):
    (folder / "spatial").mkdir(parents=True)
    write_tenx(folder / "raw_feature_bc_matrix.h5", adata)
    table = positions(adata, in_tissue).sample(frac=1, random_state=seed)
    table.to_csv(folder / "spatial/tissue_positions.csv", index=False)
    (folder / "spatial/scalefactors_json.json").write_text(json.dumps(SCALES))
    return folder


@pytest.fixture
def background():
    """A slide with a margin off the tissue: what is counted there is noise."""
    adata = sample()
    off = np.arange(N) % COLUMNS >= 9
    x = adata.X.toarray()
    x[off] = np.random.default_rng(0).random((off.sum(), GENES)) < 0.02
    adata.X = sp.csr_matrix(x.astype(np.float32))
    return adata, off


def test_spots_off_the_tissue_get_no_label(tmp_path, background):
    adata, off = background
    adata.obs["in_tissue"] = (~off).astype(int)
    # As CELLxGENE stores a single slide.
    adata.uns["spatial"] = {"is_single": np.bool_(True), "lib": {"images": {}, "scalefactors": SCALES}}
    adata.write_h5ad(tmp_path / "a.h5ad")
    said, out = found(tmp_path / "a.h5ad", tmp_path / "o.h5ad", keeps=~off)
    assert "60 spots off the tissue" in said and "--keep-off-tissue" in said
    assert out.obs["spatialleiden"][off].isna().all() and out.n_obs == N
    assert np.isnan(out.obsm["X_pca"][off]).all() and np.isfinite(out.obsm["X_pca"][~off]).all()
    assert out.obsp["connectivities"][off].nnz == 0
    # What was not added is as it was.
    assert (out.X != adata.X).nnz == 0
    _, kept = run("spatialleiden", tmp_path / "a.h5ad", "-k", 4, "--keep-off-tissue", "--out", tmp_path / "k.h5ad")
    labels = ad.read_h5ad(tmp_path / "k.h5ad").obs["spatialleiden"]
    counted = np.asarray(adata.X.sum(1)).ravel() > 0
    assert "as asked" in kept and labels[counted].notna().all() and labels[~counted].isna().all()
    # The same from Python, and judged without them.
    bm.tl.spatialleiden(adata, n_clusters=4)
    assert adata.obs["spatialleiden"].astype(object).equals(out.obs["spatialleiden"].astype(object))
    report, _ = run("evaluate", tmp_path / "o.h5ad", "--pred", "spatialleiden", "--truth", "band", "--json")
    assert json.loads(report)["n_obs"] == (~off).sum()


@pytest.mark.parametrize("spelling", [int, bool])
def test_a_raw_visium_folder(tmp_path, background, spelling):
    adata, off = background
    folder = write_visium(tmp_path / "raw", adata, (~off).astype(spelling))
    picture = pytest.importorskip("matplotlib.image")
    pixels = np.random.default_rng(0).integers(0, 255, (200, 120, 3), np.uint8)
    picture.imsave(folder / "spatial/tissue_hires_image.png", pixels)
    said, out = found(folder, tmp_path / "o.h5ad", keeps=~off)
    assert "60 spots off the tissue" in said
    np.testing.assert_array_equal(out.obsm["spatial"], adata.obsm["spatial"])
    assert out.obs["in_tissue"].tolist() == (~off).astype(int).tolist()
    # The picture goes along: nobody comes back to the folder for it.
    (slide,) = out.uns["spatial"].values()
    np.testing.assert_allclose(slide["images"]["hires"][..., :3], pixels / 255, atol=1e-6)


def test_a_barcode_that_occurs_twice_is_refused(tmp_path):
    adata = sample()
    folder = write_visium(tmp_path / "raw", adata)
    names = list(adata.obs_names)
    names[7] = names[3]
    write_tenx(folder / "raw_feature_bc_matrix.h5", adata, names=names)
    _, said = run("convert", folder, "--out", tmp_path / "o.h5ad", code=2)
    assert "ids are not unique" in said and "s3" in said and not (tmp_path / "o.h5ad").exists()


def test_spots_without_counts_get_no_label(tmp_path):
    adata = sample()
    empty = np.zeros(N, bool)
    empty[[5, 77, 200]] = True
    x = adata.X.toarray()
    x[empty] = 0
    for name, matrix in (("sparse", sp.csr_matrix(x)), ("dense", x)):
        adata.X = matrix
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        said, out = found(tmp_path / f"{name}.h5ad", tmp_path / f"{name}-o.h5ad", keeps=~empty)
        assert "3 spots without any count" in said and out.obs["spatialleiden"][empty].isna().all()


@pytest.mark.parametrize("place", ["raw", "layer"])
def test_counts_beside_scaled_values(tmp_path, place):
    adata = sample()
    counts = adata.X.copy()
    if place == "raw":
        # With genes that X no longer has.
        adata.raw = adata.copy()
        adata = adata[:, 10:].copy()
    else:
        adata.layers["counts"] = counts
    x = np.log1p(adata.X.toarray())
    adata.X = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    adata.write_h5ad(tmp_path / "a.h5ad")
    said, out = found(tmp_path / "a.h5ad", tmp_path / "o.h5ad")
    named = "raw" if place == "raw" else 'layers["counts"]'
    assert f"taken from {named}" in said and "--layer" in said
    assert out.n_vars == adata.n_vars and out.var["highly_variable"].dtype == bool
    np.testing.assert_array_equal(out.X, adata.X)
    if place == "raw":
        again, _ = found(tmp_path / "a.h5ad", tmp_path / "r.h5ad", "--layer", "raw")
        assert "taken from" not in again
    description, _ = run("info", tmp_path / "a.h5ad")
    assert "raw: 60 features, it looks like raw counts" in description or "counts (it looks like raw counts" in description


def test_counts_beside_scaled_values_of_several_files(tmp_path):
    counts = sample()
    for name in ("a", "b"):
        adata = counts.copy()
        adata.raw = counts
        adata = adata[:, 10:].copy()
        x = np.log1p(adata.X.toarray())
        adata.X = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    both = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    said, _ = run("spatialleiden", *both, "-k", 4, "--out", tmp_path / "o.h5ad")[::-1]
    out = ad.read_h5ad(tmp_path / "o.h5ad")
    assert said.count("taken from raw") == 2 and out.shape == (2 * N, GENES)
    np.testing.assert_array_equal(out.X[:N].toarray(), counts.X.toarray())
    assert adjusted_rand(out.obs["spatialleiden"], np.tile(BAND, 2)) == 1.0
    # Copies of each keep their own X; asked for by name it is the same.
    run("spatialleiden", *both, "-k", 4, "--layer", "raw", "--out", tmp_path / "each")
    each = ad.read_h5ad(tmp_path / "each/a.h5ad")
    assert each.n_vars == GENES - 10
    np.testing.assert_array_equal(each.obs["spatialleiden"], out.obs["spatialleiden"][:N])


def cosmx_tables(adata):
    """Numbers of cells are unique within a field of view only; cell 0 is what lies between the cells."""
    names = [f"G{j}" for j in range(56)] + ["NegPrb1", "NegPrb2", "SystemControl1", "SystemControl2"]
    table = pd.DataFrame(adata.X.toarray().astype(int), columns=names)
    fov, cell = np.repeat([1, 2], N // 2), np.tile(np.arange(1, N // 2 + 1), 2)
    table.insert(0, "cell_ID", cell)
    table.insert(0, "fov", fov)
    between = table.iloc[[0, N // 2]].assign(cell_ID=0)
    counts = pd.concat([between.iloc[:1], table.iloc[: N // 2], between.iloc[1:], table.iloc[N // 2 :]])
    xy = adata.obsm["spatial"]
    cells = pd.DataFrame(
        {"fov": fov, "cell_ID": cell, "Area": 5, "CenterX_global_px": xy[:, 0], "CenterY_global_px": xy[:, 1]}
    )
    return counts, cells


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_cosmx(tmp_path, ending):
    adata = sample()
    counts, cells = cosmx_tables(adata)
    folder = tmp_path / "slide"
    folder.mkdir()
    counts.to_csv(folder / f"S1_exprMat_file.{ending}", index=False)
    cells.sample(frac=1, random_state=0).to_csv(folder / f"S1_metadata_file.{ending}", index=False)
    said, out = found(folder, tmp_path / "o.h5ad")
    assert out.shape == (N, 56) and "cell 0" in said and "4 control features set aside" in said
    np.testing.assert_array_equal(out.X.toarray(), adata.X.toarray()[:, :56])
    np.testing.assert_array_equal(out.obsm["spatial"], adata.obsm["spatial"])
    assert out.obs_names[0] == "1_1" and out.obs_names[-1] == f"{N // 2}_2"
    assert out.uns["spatial"]["S1"]["metadata"]["coordinate_unit"] == "pixel"
    read = bm.read.cosmx(folder)
    assert (read.X != out.X).nnz == 0 and read.obs_names.equals(out.obs_names)
    # As plain tables the numbers of the cells repeat.
    _, said = run(
        "convert",
        folder / f"S1_exprMat_file.{ending}",
        "--coordinates",
        folder / f"S1_metadata_file.{ending}",
        "--out",
        tmp_path / "t.h5ad",
        code=2,
    )
    assert "ids are not unique" in said


def squares(names, xy):
    """Vertices of a square of two units around each cell: names, x and y."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    vertices = (xy[:, None] + corners).reshape(-1, 2)
    return np.repeat(np.asarray(names), 4), vertices[:, 0], vertices[:, 1]


def test_cells_of_cosmx_are_drawn_as_they_are_outlined(tmp_path):
    adata = sample()
    counts, cells = cosmx_tables(adata)
    counts.to_csv(tmp_path / "S1_exprMat_file.csv", index=False)
    cells.to_csv(tmp_path / "S1_metadata_file.csv", index=False)
    rows, x, y = squares(np.arange(N), adata.obsm["spatial"])
    fovs, ids = cells["fov"].to_numpy()[rows], cells["cell_ID"].to_numpy()[rows]
    table = pd.DataFrame({"fov": fovs, "cellID": ids, "x_global_px": x, "y_global_px": y})
    table.to_csv(tmp_path / "S1-polygons.csv.gz", index=False)
    outlines = bm.read.cosmx(tmp_path).uns["spatial"]["S1"]["cell_boundaries"]
    assert outlines["ids"].tolist() == [f"{cell}_{fov}" for fov, cell in zip(fovs[::4], ids[::4], strict=True)]
    np.testing.assert_allclose(outlines["vertices"].reshape(N, 4, 2).mean(1), adata.obsm["spatial"], atol=1e-3)
    # Rows counted from the other end outline other cells.
    table.assign(y_global_px=-y).to_csv(tmp_path / "S1-polygons.csv.gz", index=False)
    _, said = run("convert", tmp_path, "--out", tmp_path / "o.h5ad")
    assert "S1-polygons.csv.gz does not outline the cells where the other tables place them" in said
    assert "cell_boundaries" not in ad.read_h5ad(tmp_path / "o.h5ad").uns["spatial"]["S1"]


def test_outlines_are_found_whatever_a_join_calls_the_cells(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("a", "b"):
        write_xenium(project / name, sample(), parquet=False)
        (project / name / "experiment.xenium").unlink()
    run("convert", project, "--out", tmp_path / "o.h5ad")
    joined = ad.read_h5ad(tmp_path / "o.h5ad")
    assert joined.obs_names[0] == "aaaa0000-1-a"
    for name in ("a", "b"):
        ids = joined.uns["spatial"][name]["cell_boundaries"]["ids"]
        assert ids.tolist() == joined.obs_names[joined.obs["library_id"] == name].tolist()
    drawn = lambda path: run(
        "plot", path, "--color", "library_id", "--library-key", "library_id", "--out", tmp_path / "p.svg", "--force"
    )
    drawn(tmp_path / "o.h5ad")
    cells = (tmp_path / "p.svg").read_text()
    parts = {name: bm.read.xenium(project / name) for name in ("a", "b")}
    for separator in ("-", "_"):
        other = ad.concat(parts, label="library_id", index_unique=separator, uns_merge="unique")
        other.write_h5ad(tmp_path / "p.h5ad")
        drawn(tmp_path / "p.h5ad")
        assert (tmp_path / "p.svg").read_text() == cells
    # Named anew, no cell is known.
    other.obs_names = [f"cell {i}" for i in range(other.n_obs)]
    other.write_h5ad(tmp_path / "p.h5ad")
    drawn(tmp_path / "p.h5ad")
    assert (tmp_path / "p.svg").read_text() != cells


def test_samples_of_several_slides_each_are_told_apart(tmp_path):
    for sample_of in ("one", "two"):
        (tmp_path / sample_of).mkdir()
        for name in ("S1", "S2") if sample_of == "one" else ("S1",):
            counts, cells = cosmx_tables(sample())
            counts.to_csv(tmp_path / sample_of / f"{name}_exprMat_file.csv", index=False)
            cells.to_csv(tmp_path / sample_of / f"{name}_metadata_file.csv", index=False)
    _, said = run("convert", tmp_path, "--out", tmp_path / "o.h5ad")
    out = ad.read_h5ad(tmp_path / "o.h5ad")
    assert out.shape[0] == 3 * N and 'obs["library_id"]' in said
    assert out.obs["library_id"].value_counts(sort=False).to_dict() == {"S1": N, "S2": N, "two": N}
    assert list(out.uns["spatial"]) == ["S1", "S2", "two"]
    for name in ("S1", "S2"):
        for kind in ("exprMat", "metadata"):
            (tmp_path / "two" / f"{name}_{kind}_file.csv").write_bytes(
                (tmp_path / "one" / f"{name}_{kind}_file.csv").read_bytes()
            )
    run("convert", tmp_path, "--out", tmp_path / "both.h5ad")
    both = ad.read_h5ad(tmp_path / "both.h5ad")
    slides = [f"{of}_{name}" for of in ("one", "two") for name in ("S1", "S2")]
    assert both.obs["library_id"].value_counts(sort=False).to_dict() == dict.fromkeys(slides, N)
    assert list(both.uns["spatial"]) == slides and both.obs_names.is_unique


def test_several_slides_of_cosmx_are_slices(tmp_path):
    for k, name in enumerate(["S1", "S2"]):
        counts, cells = cosmx_tables(sample(seed=0))
        if k:
            cells["CenterY_global_px"] = 1900 - cells["CenterY_global_px"]
        counts.to_csv(tmp_path / f"{name}_exprMat_file.csv", index=False)
        cells.to_csv(tmp_path / f"{name}_metadata_file.csv", index=False)
    said, out = found(tmp_path, tmp_path / "o.h5ad", truth=np.tile(BAND, 2))
    assert 'obs["library_id"]' in said and list(out.obs["library_id"].cat.categories) == ["S1", "S2"]


def test_cosmx_counts_molecules_where_there_is_no_matrix(tmp_path):
    pd.DataFrame(
        {
            "fov": [1, 1, 1, 2, 2],
            "cell_ID": [3, 3, 0, 3, 3],
            "x_global_px": [1.0, 3.0, 9.0, 10.0, 10.0],
            "y_global_px": [2.0, 2.0, 9.0, 5.0, 7.0],
            "target": ["A", "B", "A", "A", "A"],
        }
    ).to_csv(tmp_path / "L_tx_file.csv", index=False)
    adata = bm.read.cosmx(tmp_path)
    assert adata.obs_names.tolist() == ["3_1", "3_2"] and adata.var_names.tolist() == ["A", "B"]
    np.testing.assert_array_equal(adata.X.toarray(), [[1, 1], [2, 0]])
    np.testing.assert_array_equal(adata.obsm["spatial"], [[2, 2], [10, 6]])


def write_xenium(folder, adata, parquet):
    folder.mkdir()
    names = [f"aaaa{i:04d}-1" for i in range(N)]
    types = ["Gene Expression"] * 50 + ["Negative Control Probe"] * 4 + ["Negative Control Codeword"] * 4
    write_tenx(folder / "cell_feature_matrix.h5", adata, types + ["Unassigned Codeword"] * 2, names)
    xy = adata.obsm["spatial"]
    cells = pd.DataFrame({"cell_id": names, "x_centroid": xy[:, 0], "y_centroid": xy[:, 1], "cell_area": 78.5})
    cells = cells.sample(frac=1, random_state=0)
    if parquet:
        cells.to_parquet(folder / "cells.parquet", index=False)
    else:
        cells.to_csv(folder / "cells.csv.gz", index=False)
    vertices = pd.DataFrame(dict(zip(("cell_id", "vertex_x", "vertex_y"), squares(names, xy), strict=True)))
    vertices.to_csv(folder / "cell_boundaries.csv.gz", index=False)
    (folder / "experiment.xenium").write_text(json.dumps({"region_name": "r", "pixel_size": 0.2125}))
    return folder


@pytest.mark.parametrize("parquet", [True, False])
def test_xenium(tmp_path, parquet):
    if parquet:
        pytest.importorskip("pyarrow")
    adata = sample()
    folder = write_xenium(tmp_path / "bundle", adata, parquet)
    said, out = found(folder, tmp_path / "o.h5ad")
    assert out.shape == (N, 50) and "10 control features set aside (4 Negative Control Probe" in said
    np.testing.assert_array_equal(out.X.toarray(), adata.X.toarray()[:, :50])
    np.testing.assert_array_equal(out.obsm["spatial"], adata.obsm["spatial"])
    read = bm.read.xenium(folder)
    slide = read.uns["spatial"]["r"]
    assert slide["metadata"]["coordinate_unit"] == "micrometre"
    assert slide["scalefactors"]["spot_diameter_fullres"] == pytest.approx(9.9975, abs=1e-3)
    outlines = slide["cell_boundaries"]
    assert outlines["ids"].tolist() == read.obs_names.tolist() and outlines["starts"][-1] == 4 * N
    np.testing.assert_allclose(outlines["vertices"].reshape(N, 4, 2).mean(1), adata.obsm["spatial"], atol=1e-3)
    read.write_h5ad(tmp_path / "again.h5ad")
    # A picture draws each cell as the square it is, unless something else is asked for.
    run("plot", tmp_path / "o.h5ad", "--color", "spatialleiden", "--out", tmp_path / "cells.svg")
    assert (tmp_path / "cells.svg").read_text().count("z") >= N
    run("plot", tmp_path / "o.h5ad", "--color", "spatialleiden", "--shape", "circle", "--out", tmp_path / "discs.svg")
    assert (tmp_path / "discs.svg").read_text() != (tmp_path / "cells.svg").read_text()
    refused = ("--color", "spatialleiden", "--shape", "nuclei", "--out", tmp_path / "x.svg")
    _, said = run("plot", tmp_path / "o.h5ad", *refused, code=2)
    assert "nucleus_boundaries" in said and "cell_boundaries alone" in said and not (tmp_path / "x.svg").exists()


def test_visium_hd_squares_and_cells(tmp_path):
    pytest.importorskip("pyarrow")
    adata = sample()
    adata.obs_names = [f"s_008um_{i:05d}_00000-1" for i in range(N)]
    outs = tmp_path / "hd" / "outs"
    for side in ("008", "016"):
        folder = outs / f"binned_outputs/square_{side}um"
        (folder / "spatial").mkdir(parents=True)
        one = adata if side == "008" else adata[:, :30].copy()
        write_tenx(folder / "filtered_feature_bc_matrix.h5", one)
        positions(adata).to_parquet(folder / "spatial/tissue_positions.parquet", index=False)
        (folder / "spatial/scalefactors_json.json").write_text(json.dumps(SCALES))
    said, out = found(tmp_path / "hd", tmp_path / "o.h5ad")
    assert "squares of 8, 16 um found; those of 8 um taken" in said and out.n_vars == GENES
    assert bm.read.visium_hd(outs, bin=16).n_vars == 30
    _, said = run("convert", outs, "--bin", 2, "--out", tmp_path / "x.h5ad", code=2)
    assert "8, 16 um" in said and "--bin" in said
    _, said = run("convert", outs, "--bin", "cells", "--out", tmp_path / "x.h5ad", code=2)
    assert "segmented_outputs" in said

    cells = outs / "segmented_outputs"
    cells.mkdir()
    adata.obs_names = [f"cellid_{i + 1:09d}-1" for i in range(N)]
    write_tenx(cells / "filtered_feature_cell_matrix.h5", adata)
    corners = np.array([[-30, -30], [30, -30], [30, 30], [-30, 30], [-30, -30]])
    features = [
        {
            "type": "Feature",
            "properties": {"cell_id": i + 1},
            "geometry": {"type": "Polygon", "coordinates": [(xy + corners).tolist()]},
        }
        for i, xy in enumerate(adata.obsm["spatial"])
    ]
    (cells / "cell_segmentations.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features[::-1]})
    )
    segmented = bm.read.visium_hd(outs, bin="cells")
    np.testing.assert_allclose(segmented.obsm["spatial"], adata.obsm["spatial"], atol=1e-9)
    assert (segmented.obs["cell_area"] == 3600).all() and segmented.obs_names.equals(adata.obs_names)


def test_merscope_ids_are_exact(tmp_path):
    adata = sample()
    ids = 2667025897300100000 + 3 * np.arange(N)
    names = [f"G{j}" for j in range(57)] + ["Blank-1", "Blank-2", "Blank-3"]
    counts = pd.DataFrame(adata.X.toarray().astype(int), columns=names)
    counts.insert(0, "cell", ids)
    xy = adata.obsm["spatial"]
    cells = pd.DataFrame({"EntityID": ids, "fov": 0, "volume": 1.0, "center_x": xy[:, 0], "center_y": xy[:, 1]})
    folder, damaged = tmp_path / "region", tmp_path / "damaged"
    for path in (folder, damaged):
        path.mkdir()
        cells[::-1].to_csv(path / "cell_metadata.csv", index=False)
    counts.to_csv(folder / "cell_by_gene.csv", index=False)
    said, out = found(folder, tmp_path / "o.h5ad")
    assert out.shape == (N, 57) and out.obs_names.tolist() == [str(i) for i in ids]
    np.testing.assert_array_equal(out.obsm["spatial"], xy)
    counts.assign(cell=[f"{i:.6e}" for i in ids]).to_csv(damaged / "cell_by_gene.csv", index=False)
    _, said = run("convert", damaged, "--out", tmp_path / "d.h5ad", code=2)
    assert "have been rounded" in said and "2.667026e+18" in said
    with pytest.raises((OSError, ValueError), match="rounded"):
        bm.read.merscope(damaged)


def test_cells_of_merscope_are_drawn_as_they_are_outlined(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    adata = sample()
    ids = 2667025897300100000 + 3 * np.arange(N)
    counts = pd.DataFrame(adata.X.toarray().astype(int), columns=[f"G{j}" for j in range(60)])
    counts.insert(0, "cell", ids)
    counts.to_csv(tmp_path / "cell_by_gene.csv", index=False)
    xy = adata.obsm["spatial"]
    cells = pd.DataFrame({"EntityID": ids, "volume": 1.0, "center_x": xy[:, 0], "center_y": xy[:, 1]})
    cells.to_csv(tmp_path / "cell_metadata.csv", index=False)

    def polygons(sides, x, y):
        """Well-known binary: several polygons, each a square around one point."""
        out = struct.pack("<BII", 1, 6, len(sides))
        for side in sides:
            ring = [(x - side, y - side), (x + side, y - side), (x + side, y + side), (x - side, y + side)]
            out += struct.pack("<BIII", 1, 3, 1, 5) + b"".join(struct.pack("<dd", *p) for p in [*ring, ring[0]])
        return out

    # Two planes of focus; in the second the cell is larger, and what is left of another lies within it.
    planes = [(i, polygons(sides, *xy[k])) for sides in ([1.0], [0.1, 2.0]) for k, i in enumerate(ids)]
    table = {"EntityID": pa.array([i for i, _ in planes]), "Geometry": pa.array([g for _, g in planes], pa.binary())}
    parquet.write_table(pa.table(table), tmp_path / "cell_boundaries.parquet")
    (slide,) = bm.read.merscope(tmp_path).uns["spatial"].values()
    outlines = slide["cell_boundaries"]
    assert outlines["ids"].tolist() == [str(i) for i in ids] and outlines["starts"].tolist() == list(range(0, 5 * N + 1, 5))
    vertices = outlines["vertices"].reshape(N, 5, 2)
    np.testing.assert_allclose(vertices[:, :4].mean(1), xy, atol=1e-3)
    np.testing.assert_allclose(np.ptp(vertices, axis=1), 4.0, atol=1e-3)
    table["Geometry"] = pa.array([g[:-1] for _, g in planes], pa.binary())
    parquet.write_table(pa.table(table), tmp_path / "cell_boundaries.parquet")
    _, said = run("convert", tmp_path, "--out", tmp_path / "d.h5ad", code=2)
    assert "cell_boundaries.parquet" in said and "ends too early" in said


def write_gef(path, adata):
    """Squares of one spot of the chip: each spot of the sample is four of them."""
    x = adata.X.tocoo()
    place = (adata.obsm["spatial"] / 100).astype(int) * 2
    records, genes, offset = [], [], 0
    for gene in range(adata.n_vars):
        mine = x.col == gene
        for row, count in zip(x.row[mine], x.data[mine], strict=True):
            # A spot's count, spread over two of its four squares.
            for dx, part in ((0, count // 2), (1, count - count // 2)):
                if part:
                    records.append((place[row, 0] + dx, place[row, 1], part))
        genes.append((f"ENSG{gene}", f"G{gene}", offset, len(records) - offset))
        offset = len(records)
    with h5py.File(path, "w") as f:
        group = f.create_group("geneExp/bin1")
        expression = group.create_dataset(
            "expression", data=np.array(records, dtype=[("x", "<u4"), ("y", "<u4"), ("count", "u1")])
        )
        expression.attrs["resolution"] = np.uint32(500)
        group["gene"] = np.array(
            genes, dtype=[("geneID", "S64"), ("geneName", "S64"), ("offset", "<u4"), ("count", "<u4")]
        )


def test_stereo_seq(tmp_path):
    adata = sample()
    write_gef(tmp_path / "a.gef", adata)
    read = bm.read.stereo_seq(tmp_path / "a.gef", bin=2)
    np.testing.assert_array_equal(read.X.toarray(), adata.X.toarray())
    # Two spots of 500 nm a side.
    np.testing.assert_allclose(read.obsm["spatial"], adata.obsm["spatial"] / 100 + 0.5)
    assert read.var["gene_ids"].tolist()[3] == "ENSG3" and read.var_names[3] == "G3"
    found(tmp_path / "a.gef", tmp_path / "o.h5ad", "--bin", 2)
    with h5py.File(tmp_path / "c.cellbin.gef", "w") as f:
        x = adata.X.tocsr()
        xy = adata.obsm["spatial"].astype(int)
        lengths = np.diff(x.indptr)
        cell = list(zip(range(1, N + 1), xy[:, 0], xy[:, 1], x.indptr[:-1], lengths, strict=True))
        f["cellBin/cell"] = np.array(
            cell, dtype=[("id", "<u4"), ("x", "<i4"), ("y", "<i4"), ("offset", "<u4"), ("geneCount", "<u2")]
        )
        pairs = list(zip(x.indices, x.data.astype(int), strict=True))
        f["cellBin/cellExp"] = np.array(pairs, dtype=[("geneID", "<u4"), ("count", "<u2")])
        genes = [(f"G{j}", 0, 1) for j in range(GENES)]
        f["cellBin/gene"] = np.array(genes, dtype=[("geneName", "S32"), ("offset", "<u4"), ("cellCount", "<u4")])
    cells = bm.read.stereo_seq(tmp_path / "c.cellbin.gef")
    np.testing.assert_array_equal(cells.X.toarray(), adata.X.toarray())
    np.testing.assert_allclose(cells.obsm["spatial"], adata.obsm["spatial"] / 2)
    lines = ["#FileFormat=GEMv0.1", "geneID\tx\ty\tMIDCount", "A\t10\t10\t2", "A\t11\t12\t1", "B\t60\t10\t5"]
    (tmp_path / "t.gem").write_text("\n".join(lines) + "\n")
    text = bm.read.stereo_seq(tmp_path / "t.gem")
    np.testing.assert_array_equal(text.X.toarray(), [[3, 0], [0, 5]])
    np.testing.assert_allclose(text.obsm["spatial"], [[12.5, 12.5], [37.5, 12.5]])


@pytest.mark.parametrize("kind", ["chunks", "whole", "numbers of squares"])
def test_a_gef_is_read_in_blocks(tmp_path, kind):
    """More records than a block holds; genes whose records lie in another order than the genes."""
    draw = np.random.default_rng(0)
    n, genes, spots, bin_of_file = 1_300_000, 40, 60, 2 if kind == "numbers of squares" else 1
    order = draw.permutation(genes)
    lengths = draw.multinomial(n, np.full(genes, 1 / genes))
    ends = np.cumsum(lengths[order])
    starts = np.empty(genes, int)
    starts[order] = ends - lengths[order]
    records = np.empty(n, [("x", "<u4"), ("y", "<u4"), ("count", "u1")])
    records["x"], records["y"] = draw.integers(0, spots, (2, n))
    records["count"] = draw.integers(1, 4, n)
    path = tmp_path / "a.gef"
    table = [(f"G{j}", starts[j], lengths[j]) for j in range(genes)]
    dtype = [("geneName", "S8"), ("offset", "<u4"), ("count", "<u4")]
    with h5py.File(path, "w") as f:
        group = f.create_group(f"geneExp/bin{bin_of_file}")
        packed = {"chunks": (70_001,), "compression": "gzip"} if kind == "chunks" else {}
        group.create_dataset("expression", data=records, **packed)
        group["gene"] = np.array(table, dtype)
    read = bm.read.stereo_seq(path, bin=20)
    gene = np.repeat(order, lengths[order])
    side = 20 // bin_of_file
    squares = records["y"] // side * 1000 + records["x"] // side
    names, row = np.unique(squares, return_inverse=True)
    expected = np.zeros((len(names), genes))
    np.add.at(expected, (row, gene), records["count"])
    np.testing.assert_array_equal(read.X.toarray(), expected)
    assert read.obs_names.tolist() == [f"{v % 1000 * 20}_{v // 1000 * 20}" for v in names]
    with h5py.File(path, "r+") as f:
        group = f[f"geneExp/bin{bin_of_file}"]
        twice = group["gene"][:]
        twice["count"][order[0]] += 1
        del group["gene"]
        group["gene"] = twice
    with pytest.raises((OSError, ValueError), match="another's too"):
        bm.read.stereo_seq(path, bin=20)


def test_sections_on_top_of_each_other_are_told(tmp_path):
    a, b = sample(), sample()
    b.obsm["spatial"][:, 1] = 1900 - b.obsm["spatial"][:, 1]
    a.obs["sample"], b.obs["sample"] = "A", "B"
    ad.concat([a, b], index_unique="-").write_h5ad(tmp_path / "a.h5ad")
    _, said = run("spatialleiden", tmp_path / "a.h5ad", "-k", 4, "--out", tmp_path / "o.h5ad")
    assert "warning: 50 %" in said and "--library-key sample" in said
    said, _ = found(tmp_path / "a.h5ad", tmp_path / "l.h5ad", "--library-key", "sample", truth=np.tile(BAND, 2))
    assert "lie at the place of another" not in said


def test_axes_in_different_units_are_told_and_can_be_made_an_error(tmp_path):
    adata = sample()
    adata.obsm["spatial"][:, 0] += (np.arange(N) % COLUMNS) * 1e6
    adata.write_h5ad(tmp_path / "a.h5ad")
    arguments = ("spatialleiden", tmp_path / "a.h5ad", "-k", 4, "--modality", "rna", "--out", tmp_path / "o.h5ad")
    report, said = run(*arguments, "--json")
    assert "different units" in said and "1900" in said
    assert any("different units" in warning for warning in json.loads(report)["warnings"])
    (tmp_path / "o.h5ad").unlink()
    _, said = run(*arguments, "--strict", code=3)
    assert "--strict" in said and (tmp_path / "o.h5ad").exists()


def test_coordinates_in_columns_or_as_texts(tmp_path):
    adata = sample()
    xy = adata.obsm.pop("spatial")
    adata.obs["x_centroid"], adata.obs["y_centroid"] = xy.T
    adata.write_h5ad(tmp_path / "a.h5ad")
    said, _ = found(tmp_path / "a.h5ad", tmp_path / "o.h5ad")
    assert "warning" in said and "--spatial-columns x_centroid,y_centroid" in said
    adata.obs = adata.obs.rename(columns={"x_centroid": "east", "y_centroid": "north"})
    adata.write_h5ad(tmp_path / "b.h5ad")
    _, said = run("spatialleiden", tmp_path / "b.h5ad", "-k", 4, "--out", tmp_path / "n.h5ad", code=2)
    assert "spatial" in said
    found(tmp_path / "b.h5ad", tmp_path / "p.h5ad", "--spatial-columns", "east,north")
    adata = sample()
    adata.obsm["spatial"] = adata.obsm["spatial"].astype(int).astype(str).astype(object)
    adata.write_h5ad(tmp_path / "t.h5ad")
    said, _ = found(tmp_path / "t.h5ad", tmp_path / "q.h5ad")
    assert "holds texts" in said


def test_modalities_of_different_spots(tmp_path):
    md = pytest.importorskip("mudata")
    proteins = sample(genes=12, seed=3)[::-1][:200].copy()
    proteins.var_names = [f"P{j}" for j in range(12)]
    md.MuData({"rna": sample(), "adt": proteins}).write(tmp_path / "a.h5mu")
    _, said = run("spatialleiden", tmp_path / "a.h5mu", "-k", 4, "--out", tmp_path / "o.h5mu", code=2)
    assert "240" in said and "200" in said and "--obs intersect" in said
    run("spatialleiden", tmp_path / "a.h5mu", "-k", 4, "--obs", "intersect", "--out", tmp_path / "o.h5mu")
    out = md.read_h5mu(tmp_path / "o.h5mu")
    labels = out.obs["spatialleiden"].reindex([f"s{i}" for i in range(N)])
    assert labels.notna().sum() == 200 and labels[:40].isna().all()
    assert adjusted_rand(labels[40:].astype(str), BAND[40:]) == 1.0
    # Components are in the modality's own order.
    assert np.isfinite(out["adt"].obsm["X_pca"]).all() and np.isnan(out["rna"].obsm["X_pca"][:40]).all()


def test_samples_of_a_project_are_slices(tmp_path):
    for name in ("east", "west"):
        write_visium(tmp_path / "project" / name / "outs", sample(), seed=1)
    (tmp_path / "project/readme.txt").write_text("two samples")
    said, out = found(tmp_path / "project", tmp_path / "o.h5ad", truth=np.tile(BAND, 2))
    assert "2 samples" in said and list(out.obs["library_id"].cat.categories) == ["east", "west"]
    run("convert", tmp_path / "project", "--out", tmp_path / "c.h5ad")
    assert ad.read_h5ad(tmp_path / "c.h5ad").n_obs == 2 * N
    description, _ = run("info", tmp_path / "project")
    assert "a project of 2 samples" in description


def test_a_folder_of_two_tables(tmp_path):
    adata = sample()
    folder = tmp_path / "share"
    folder.mkdir()
    adata.to_df().T.to_csv(folder / "expression.tsv.gz", sep="\t")
    places = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=["x", "y"])
    places.sample(frac=1, random_state=0).to_csv(folder / "spatial.csv")
    _, out = found(folder, tmp_path / "o.h5ad")
    np.testing.assert_array_equal(out.X.toarray(), adata.X.toarray())
    # Without names the order has to be trusted, and that is said.
    places.to_csv(folder / "spatial.csv", header=False, index=False)
    said, _ = found(folder, tmp_path / "p.h5ad")
    assert "warning" in said and "names no spots" in said


def test_tables_whose_coordinates_have_names_of_their_own(tmp_path):
    adata = sample()
    adata.to_df().to_csv(tmp_path / "counts.csv")
    places = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=["east", "north"])
    places.to_csv(tmp_path / "places.csv")
    named = ("--spatial-columns", "east,north")
    _, out = found(tmp_path / "counts.csv", tmp_path / "o.h5ad", "--coordinates", tmp_path / "places.csv", *named)
    np.testing.assert_array_equal(out.obsm["spatial"], adata.obsm["spatial"])
    _, said = run(
        "spatialleiden", tmp_path / "counts.csv", "--coordinates", tmp_path / "places.csv", "--out", tmp_path / "x", code=2
    )
    assert "--spatial-columns" in said and "east" in said
    # Beside the counts in one table.
    adata.to_df().join(places).to_csv(tmp_path / "both.csv")
    _, out = found(tmp_path / "both.csv", tmp_path / "p.h5ad", *named)
    assert out.shape == (N, GENES)
    np.testing.assert_array_equal(out.obsm["spatial"], adata.obsm["spatial"])


@pytest.mark.parametrize(
    ("name", "says"),
    [("a.rds", "from R"), ("a.h5seurat", "SeuratDisk"), ("a.loom", "read_loom"), ("a.tar.gz", "unpack"), ("a.xlsx", ".csv")],
)
def test_what_only_other_programs_read(tmp_path, name, says):
    (tmp_path / name).write_bytes(b"\x1f\x8b something")
    _, said = run("domains", tmp_path / name, "--out", tmp_path / "o.h5ad", code=2)
    assert says in said


def test_every_format_can_be_named(tmp_path):
    _, said = run("convert", tmp_path, "--format", "abacus", "--out", tmp_path / "o.h5ad", code=2)
    for name in ("xenium", "visium-hd", "cosmx", "merscope", "stereo-seq"):
        assert name in said


def test_thresholds_of_quality_set_spots_aside(tmp_path):
    adata = sample()
    poor = np.zeros(N, bool)
    poor[[4, 90, 150]] = True
    x = adata.X.toarray()
    x[poor, 3:] = 0
    adata.X = sp.csr_matrix(x)
    adata.write_h5ad(tmp_path / "a.h5ad")
    said, out = found(tmp_path / "a.h5ad", tmp_path / "o.h5ad", "--min-genes", 10, keeps=~poor)
    assert "3 spots below the thresholds" in said and out.obs["spatialleiden"][poor].isna().all()
    bm.tl.domains(adata, n_clusters=4, min_genes=10)
    assert adata.obs["domains"][poor].isna().all() and adata.obs["domains"][~poor].notna().all()
    _, said = run("spatialleiden", tmp_path / "a.h5ad", "--min-counts", 1e9, "--out", tmp_path / "x.h5ad", code=2)
    assert "--min-counts" in said


def test_what_is_above_or_below_a_sample_is_not_taken_for_samples(tmp_path):
    pytest.importorskip("pyarrow")
    adata = sample()
    for side in ("008", "016"):
        folder = tmp_path / f"hd/outs/binned_outputs/square_{side}um"
        (folder / "spatial").mkdir(parents=True)
        write_tenx(folder / "filtered_feature_bc_matrix.h5", adata)
        positions(adata).to_parquet(folder / "spatial/tissue_positions.parquet", index=False)
    _, out = found(tmp_path / "hd/outs/binned_outputs", tmp_path / "o.h5ad")
    assert out.n_obs == N
    molecules = pd.DataFrame({"global_x": [1.0, 2.0, 50.0], "global_y": [1.0, 2.0, 50.0], "gene": ["A", "B", "A"]})
    molecules.to_csv(tmp_path / "detected_transcripts.csv")
    _, said = run("convert", tmp_path / "detected_transcripts.csv", "--bin", 10, "--out", tmp_path / "m.h5ad")
    assert "squares of 10" in said and ad.read_h5ad(tmp_path / "m.h5ad").shape == (2, 2)
