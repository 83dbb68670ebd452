"""bm.gr against squidpy: graphs edge for edge, statistics, keys, dtypes, records."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from samples import peer, tissue

import brodmann as bm

RANDOM = np.random.default_rng(0).uniform(0, 100, size=(300, 2))
SIDE = 15
SQUARE = np.stack(np.meshgrid(range(SIDE), range(SIDE)), -1).reshape(-1, 2).astype(float)
HEXAGON = np.array([(2 * c + r % 2, r * np.sqrt(3)) for r in range(SIDE) for c in range(SIDE)]) * 50.0
HOLES = np.random.default_rng(1).random(SIDE * SIDE) < 0.85


def at(coordinates):
    adata = tissue(sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (len(coordinates), 12)).astype(np.float32)))
    adata.obsm["spatial"] = np.asarray(coordinates, dtype=float)
    return adata


def both(adata, **options):
    sq = peer("squidpy")
    ours, theirs = adata.copy(), adata.copy()
    bm.gr.spatial_neighbors(ours, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sq.gr.spatial_neighbors(theirs, **options)
    return ours, theirs


def same_graph(adata, **options):
    ours, theirs = both(adata, **options)
    assert set(ours.obsp) == set(theirs.obsp) and set(ours.uns) == set(theirs.uns)
    for key, graph in theirs.obsp.items():
        assert ours.obsp[key].dtype == graph.dtype, key
        assert ours.obsp[key].nnz == graph.nnz, key
        assert abs(ours.obsp[key] - graph).max() < 1e-5, key
    (name,) = [k for k in theirs.uns if k.endswith("_neighbors")]
    assert ours.uns[name]["connectivities_key"] == theirs.uns[name]["connectivities_key"]
    for key, value in theirs.uns[name]["params"].items():
        # AnnData cannot write squidpy's tuple of two radii.
        value = list(value) if isinstance(value, tuple) else value
        assert ours.uns[name]["params"][key] == value, key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_neighs": 4, "key_added": "other"},
        {"radius": 10.0},
        {"radius": (3.0, 10.0)},
        {"delaunay": True},
        {"delaunay": True, "radius": (2.0, 9.0)},
        {"percentile": 90.0},
        {"delaunay": True, "percentile": 80.0},
        {"set_diag": True},
        {"set_diag": True, "transform": "spectral"},
        {"transform": "cosine"},
        {"library_key": "slice"},
        {"library_key": "slice", "delaunay": True, "percentile": 70.0},
        {"library_key": "slice", "radius": 12.0},
    ],
    ids=str,
)
def test_generic_graphs_are_squidpys(options):
    same_graph(at(RANDOM), coord_type="generic", **options)


@pytest.mark.parametrize("jitter", [0.0, 0.03])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("n_rings", [1, 2, 3])
def test_grids_are_squidpys(jitter, holes, n_rings):
    rng = np.random.default_rng(2)
    for coordinates, n_neighs in ((HEXAGON, 6), (SQUARE, 4), (SQUARE, 8)):
        pitch = 100.0 if n_neighs == 6 else 1.0
        placed = coordinates + rng.normal(size=coordinates.shape) * jitter * pitch
        same_graph(at(placed[HOLES] if holes else placed), coord_type="grid", n_neighs=n_neighs, n_rings=n_rings)


def test_visium_is_a_grid_by_default():
    adata = at(HEXAGON)
    adata.uns["spatial"] = {}
    same_graph(adata)


def test_auto_asks_the_coordinates():
    kinds = {}
    for name, coordinates in (("random", RANDOM), ("square", SQUARE), ("hexagon", HEXAGON)):
        adata = at(coordinates)
        bm.gr.spatial_neighbors(adata, coord_type="auto")
        params = adata.uns["spatial_neighbors"]["params"]
        kinds[name] = (params["coord_type"], params["n_neighbors"])
    assert kinds == {"random": ("generic", 6), "square": ("grid", 4), "hexagon": ("grid", 6)}


def test_no_edge_crosses_a_slice():
    adata = at(RANDOM)
    bm.gr.spatial_neighbors(adata, library_key="slice")
    graph = adata.obsp["spatial_connectivities"].tocoo()
    codes = adata.obs["slice"].cat.codes.to_numpy()
    assert (codes[graph.row] == codes[graph.col]).all()


def test_three_dimensions():
    adata = at(np.random.default_rng(0).uniform(size=(100, 3)))
    bm.gr.spatial_neighbors(adata)
    assert adata.obsp["spatial_connectivities"].nnz == 600


def test_copy_returns_both_matrices():
    adata = at(RANDOM)
    graph = bm.gr.spatial_neighbors(adata, copy=True)
    assert "spatial_connectivities" not in adata.obsp
    assert graph.connectivities.shape == graph.distances.shape == (300, 300)
    connectivities, distances = graph
    assert connectivities.nnz == distances.nnz


def test_mudata_takes_the_graph_itself():
    mudata = pytest.importorskip("mudata")
    first, second = at(RANDOM), at(RANDOM)
    second.var_names = [f"protein_{i}" for i in range(second.n_vars)]
    del second.obsm["spatial"]
    mdata = mudata.MuData({"rna": first, "adt": second})
    bm.gr.spatial_neighbors(mdata, n_neighs=5)
    assert mdata.obsp["spatial_connectivities"].nnz == 1500
    assert mdata.uns["spatial_neighbors"]["params"]["n_neighbors"] == 5
    del first.obsm["spatial"]
    mdata = mudata.MuData({"rna": first, "adt": second})
    mdata.obsm["spatial"] = RANDOM
    bm.gr.spatial_neighbors(mdata)
    with pytest.raises(KeyError, match=r"obsm\['other'\] is missing"):
        bm.gr.spatial_neighbors(mdata, spatial_key="other")


@pytest.mark.parametrize("mode", ["moran", "geary"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"two_tailed": True},
        {"transformation": False},
        {"genes": ["gene_3", "gene_4"]},
        {"attr": "obsm", "layer": "spatial"},
        {"corr_method": None},
    ],
    ids=str,
)
def test_autocorrelation_is_squidpys(mode, options):
    sq = peer("squidpy")
    adata = at(RANDOM)
    adata.X.data = np.log1p(adata.X.data)
    bm.gr.spatial_neighbors(adata, delaunay=True)
    theirs = adata.copy()
    key = "moranI" if mode == "moran" else "gearyC"
    (bm.gr.morans_i if mode == "moran" else bm.gr.gearys_c)(adata, **options)
    sq.gr.spatial_autocorr(theirs, mode=mode, show_progress_bar=False, n_jobs=1, **options)
    ours, theirs = adata.uns[key], theirs.uns[key]
    assert list(ours) == list(theirs) and list(ours.index) == list(theirs.index)
    np.testing.assert_allclose(ours.iloc[:, 0], theirs.iloc[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-6)


def test_dense_and_sparse_and_both_precisions_agree():
    adata = at(RANDOM)
    bm.gr.spatial_neighbors(adata)
    expected = bm.gr.morans_i(adata, copy=True)["I"]
    for x in (adata.X.toarray(), adata.X.astype(np.float64), np.asfortranarray(adata.X.toarray()), adata.X.tocsc()):
        adata.layers["l"] = x
        found = bm.gr.morans_i(adata, layer="l", copy=True)["I"]
        np.testing.assert_allclose(found[expected.index], expected, rtol=1e-6, atol=1e-9)


def test_permutations_are_reproducible_and_plausible():
    adata = at(RANDOM)
    adata.obs["gradient"] = RANDOM[:, 0]
    adata.obs["noise"] = np.random.default_rng(5).normal(size=300)
    bm.gr.spatial_neighbors(adata)
    tables = [bm.gr.morans_i(adata, attr="obs", n_perms=99, random_state=3, copy=True) for _ in range(2)]
    assert tables[0].equals(tables[1])
    assert tables[0].index[0] == "gradient"
    assert tables[0].loc["gradient", "pval_sim"] == pytest.approx(0.01)
    assert tables[0].loc["noise", "pval_sim"] > 0.02


def test_constant_variables_are_nan_and_last():
    adata = at(RANDOM)
    adata.obs["constant"], adata.obs["gradient"] = 1.0, RANDOM[:, 1]
    bm.gr.spatial_neighbors(adata)
    with pytest.warns(UserWarning, match="1 variables are constant"):
        bm.gr.morans_i(adata, attr="obs")
    assert adata.uns["moranI"].index.tolist() == ["gradient", "constant"]
