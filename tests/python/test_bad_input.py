"""What cannot work says what was found, what was expected and what to do; and nothing is changed."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from samples import counts, tissue

import brodmann as bm

ON_X = {
    "normalize_total": lambda a: bm.pp.normalize_total(a),
    "log1p": lambda a: bm.pp.log1p(a),
    "highly_variable_genes": lambda a: bm.pp.highly_variable_genes(a, flavor="seurat_v3", n_top_genes=10),
    "scale": lambda a: bm.pp.scale(a),
    "pca": lambda a: bm.pp.pca(a, n_comps=3),
    "clr": lambda a: bm.pp.clr(a),
    "tfidf_lsi": lambda a: bm.pp.tfidf_lsi(a, n_comps=3),
}


def snapshot(adata):
    return (
        list(adata.obs), list(adata.var), list(adata.obsm), list(adata.varm), list(adata.obsp), list(adata.layers),
        list(adata.uns), adata.X.copy() if sp.issparse(adata.X) else np.array(adata.X),
    )  # fmt: skip


def same(before, adata):
    now = snapshot(adata)
    assert now[:-1] == before[:-1]
    a, b = now[-1], before[-1]
    assert (a != b).nnz == 0 if sp.issparse(a) else np.array_equal(a, b)


# Missing keys name what to run first


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: bm.pp.neighbors(a), r"obsm\['X_pca'\] is missing.*bm\.pp\.pca"),
        (lambda a: bm.pp.neighbors(a, use_rep="X_lsi"), r"obsm\['X_lsi'\] is missing, there are 'spatial'"),
        (lambda a: bm.pp.pca(a, mask_var="highly_variable"), r"bm\.pp\.highly_variable_genes"),
        (lambda a: bm.gr.morans_i(a), r"obsp\['spatial_connectivities'\].*bm\.gr\.spatial_neighbors"),
        (lambda a: bm.gr.gearys_c(a, connectivity_key="x"), r"bm\.gr\.spatial_neighbors"),
        (
            lambda a: bm.gr.spatial_neighbors(a, spatial_key="xy"),
            r"obsm\['xy'\] is missing, there are 'spatial'.*spatial_key=",
        ),
        (
            lambda a: bm.gr.spatial_neighbors(a, library_key="lib"),
            r"obs\['lib'\] is missing, there are 'slice', 'truth'",
        ),
        (lambda a: bm.pp.log1p(a, layer="counts"), r"layers\['counts'\] is missing, there are none"),
        (lambda a: bm.pp.highly_variable_genes(a, batch_key="b", n_top_genes=5), r"obs\['b'\] is missing"),
        (lambda a: bm.metrics.evaluate(a, pred="leiden"), r"bm\.tl\.spatialleiden"),
        (lambda a: bm.metrics.evaluate(a, pred="truth", use_rep="X_spami"), r"obsm\['X_spami'\] is missing"),
        (lambda a: bm.metrics.evaluate(a, pred="truth", connectivity_key="g"), r"bm\.gr\.spatial_neighbors"),
    ],
)
def test_missing_keys_name_what_to_run_first(adata, call, message):
    before = snapshot(adata)
    with pytest.raises(KeyError, match=message) as error:
        call(adata)
    # Found, expected, and what to do: the compiled part writes the last as a hint.
    assert str(error.value).count("; ") == 1 or ". Hint: " in str(error.value)
    same(before, adata)


def test_an_absent_gene_is_named(adata):
    bm.gr.spatial_neighbors(adata)
    with pytest.raises(KeyError, match="'BRCA1' not among the variables"):
        bm.gr.morans_i(adata, genes=["gene_1", "BRCA1"])


def test_x_that_is_none_names_the_layers():
    adata = ad.AnnData(obs=pd.DataFrame(index=list("abc")), var=pd.DataFrame(index=list("xy")))
    adata.layers["counts"] = np.ones((3, 2))
    with pytest.raises(KeyError, match=r"layers\['counts'\]"):
        bm.pp.log1p(adata)


# Containers


@pytest.mark.parametrize("name", ON_X)
def test_other_things_than_anndata_are_type_errors(name):
    with pytest.raises(TypeError, match="AnnData was expected"):
        ON_X[name](np.ones((3, 3)))


def test_a_mudata_where_a_modality_is_needed_says_so():
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = mudata.MuData({"rna": tissue()})
    for name in ON_X:
        with pytest.raises(TypeError, match=r"mdata\['rna'\]"):
            ON_X[name](mdata)


def test_modalities_of_other_observations_do_not_lend_their_coordinates():
    mudata = pytest.importorskip("mudata")
    first, second = tissue(), tissue()[:100].copy()
    second.var_names = [f"p{i}" for i in range(second.n_vars)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = mudata.MuData({"rna": tissue()[100:].copy(), "adt": second})
    del first
    with pytest.raises(KeyError, match="'rna:spatial', 'adt:spatial'"):
        bm.gr.spatial_neighbors(mdata)


@pytest.mark.parametrize("name", ON_X)
def test_views_become_copies_and_their_parents_stay(adata, name):
    before = snapshot(adata)
    view = adata[10:200, 5:150]
    expected = view.copy()
    ON_X[name](expected)
    with pytest.warns(UserWarning, match="a view of an AnnData was given"):
        ON_X[name](view)
    same(before, adata)
    assert not view.is_view
    left, right = (a.X.toarray() if sp.issparse(a.X) else a.X for a in (view, expected))
    np.testing.assert_array_equal(left, right)
    assert list(view.obsm) == list(expected.obsm) and list(view.var) == list(expected.var)


def test_graphs_of_views(adata):
    view = adata[:50]
    with pytest.warns(UserWarning, match="view"):
        bm.gr.spatial_neighbors(view)
    assert view.obsp["spatial_connectivities"].shape == (50, 50) and not adata.obsp


def test_views_of_mudata_say_copy():
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = mudata.MuData({"rna": tissue()})
        mdata.obsm["spatial"] = mdata["rna"].obsm["spatial"]
        view = mdata[:50]
    with pytest.raises(ValueError, match=r"mdata\.copy\(\)"):
        bm.gr.spatial_neighbors(view)


@pytest.mark.parametrize("name", ON_X)
@pytest.mark.parametrize("shape", [(0, 20), (20, 0)])
def test_nothing_to_work_on(name, shape):
    adata = ad.AnnData(np.zeros(shape, dtype=np.float32))
    with pytest.raises(ValueError, match=f"X has {shape[0]} observations and {shape[1]} variables"):
        ON_X[name](adata)


def test_graphs_of_nothing():
    adata = ad.AnnData(np.zeros((0, 3), dtype=np.float32))
    adata.obsm["spatial"], adata.obsm["X_pca"] = np.zeros((0, 2)), np.zeros((0, 4))
    with pytest.raises(ValueError, match="at least one was expected"):
        bm.gr.spatial_neighbors(adata)
    with pytest.raises(ValueError, match="at least one was expected"):
        bm.pp.neighbors(adata)


# Matrices


@pytest.mark.parametrize("name", ON_X)
def test_x_without_numbers(name):
    adata = ad.AnnData(np.ones((10, 4), dtype=np.float32))
    for dtype in (object, complex, "U3"):
        adata.layers["l"] = np.ones((10, 4)).astype(dtype)
        with pytest.raises(ValueError, match=r"layers\['l'\] has dtype .*astype\('float32'\)"):
            bm.pp.log1p(adata, layer="l")


@pytest.mark.parametrize("name", ["normalize_total", "highly_variable_genes", "scale", "pca", "clr", "tfidf_lsi"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", [sp.csr_matrix, np.asarray])
def test_nan_and_infinity_are_found(name, value, dtype, form):
    x = counts(30, 20).astype(dtype)
    x[7, 3] = value
    adata = tissue(form(x))
    before = list(adata.uns)
    with pytest.raises(ValueError, match="row 7, column 3|NaN or infinite"):
        ON_X[name](adata)
    assert list(adata.uns) == before


@pytest.mark.parametrize("name", ["normalize_total", "clr", "tfidf_lsi", "highly_variable_genes"])
def test_scaled_values_where_counts_are_needed(name):
    adata = tissue(counts(30, 20) - 1.0)
    with pytest.raises(ValueError, match="expected a count of 0 or more"):
        ON_X[name](adata)


def test_fractions_where_counts_are_needed_and_the_other_way_round(adata):
    with pytest.raises(ValueError, match="seurat_v3"):
        bm.pp.highly_variable_genes(adata, flavor="seurat")
    bm.pp.normalize_total(adata)
    with pytest.raises(ValueError, match="already-normalised"):
        bm.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=10)


def test_backed_x_is_read_or_says_what_to_do(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    expected = bm.pp.pca(adata, n_comps=4, copy=True).obsm["X_pca"]
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    bm.pp.pca(backed, n_comps=4)
    np.testing.assert_array_equal(backed.obsm["X_pca"], expected)
    bm.pp.highly_variable_genes(backed, flavor="seurat_v3", n_top_genes=20)
    for name in ("normalize_total", "log1p", "scale", "clr"):
        with pytest.raises(ValueError, match=r"X is backed by a file.*adata\.to_memory\(\)"):
            ON_X[name](backed)
    backed.file.close()


def test_a_dask_matrix_is_read_block_by_block(adata):
    da = pytest.importorskip("dask.array")
    expected = bm.pp.pca(adata, n_comps=4, copy=True).obsm["X_pca"]
    dense, n = adata.X.toarray(), adata.n_obs
    sparse = [da.from_array(dense, chunks=(n // 3, 7)), da.from_array(dense).map_blocks(sp.csr_matrix)]
    for x in (*sparse, da.from_array(dense.astype(np.int64), chunks=(n, -1)), da.from_array(dense.astype(np.float64))):
        lazy = adata.copy()
        lazy.layers["lazy"] = x
        with pytest.warns(UserWarning, match=r"layers\['lazy'\] is a Dask array.*MiB.*compute\(\)"):
            bm.pp.pca(lazy, layer="lazy", n_comps=4)
        np.testing.assert_array_equal(lazy.obsm["X_pca"], expected)
    lazy.layers["lazy"] = da.from_array(dense.astype(str))
    with pytest.raises(ValueError, match="real numbers"):
        bm.pp.pca(lazy, layer="lazy", n_comps=4)


def test_a_dask_x_gives_the_domains_of_one_in_memory(adata):
    da = pytest.importorskip("dask.array")
    small = {"n_clusters": 3, "epochs": 2, "width": 8, "n_init": 1}
    expected = bm.tl.staig(adata, **small, copy=True).obsm["X_staig"]
    adata.X = da.from_array(adata.X.toarray(), chunks=(adata.n_obs // 4, adata.n_vars))
    with pytest.warns(UserWarning, match="X is a Dask array"):
        bm.tl.staig(adata, **small)
    np.testing.assert_array_equal(adata.obsm["X_staig"], expected)


def test_dask_elsewhere_says_compute(adata):
    da = pytest.importorskip("dask.array")
    adata.obsm["spatial"] = da.from_array(adata.obsm["spatial"])
    adata.obsp["spatial_connectivities"] = adata.obsp["connectivities"] = da.from_array(np.eye(adata.n_obs))
    advice = r"obsp\['%s'\] is a Dask array.*compute it first: adata\.obsp\['%s'\] = "
    with pytest.raises(ValueError, match=advice % (("connectivities",) * 2)):
        bm.tl.leiden(adata)
    with pytest.raises(ValueError, match=advice % (("spatial_connectivities",) * 2)):
        bm.gr.morans_i(adata)
    with pytest.raises(ValueError, match=r"obsm\['spatial'\] is a Dask array"):
        bm.gr.spatial_neighbors(adata)


def test_memory_maps_and_read_only_arrays_work(adata, tmp_path):
    np.save(tmp_path / "x.npy", adata.X.toarray())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    frozen = adata.X.copy()
    for array in (frozen.data, frozen.indices, frozen.indptr):
        array.flags.writeable = False
    expected = bm.pp.pca(adata, n_comps=4, copy=True).obsm["X_pca"]
    for x in (mapped, frozen, np.asfortranarray(mapped), adata.X.toarray()[:, ::-1][:, ::-1]):
        adata.layers["l"] = x
        np.testing.assert_array_equal(bm.pp.pca(adata, n_comps=4, layer="l", copy=True).obsm["X_pca"], expected)


# Coordinates and graphs


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_coordinates_that_are_not_finite(adata, value):
    adata.obsm["spatial"][5, 1] = value
    with pytest.raises(ValueError, match="the coordinates"):
        bm.gr.spatial_neighbors(adata)
    assert not adata.obsp


def test_coordinates_of_other_shapes(adata):
    adata.obsm["flat"] = np.ones((240, 1))
    with pytest.raises(ValueError, match="1 columns; expected 2 or 3"):
        bm.gr.spatial_neighbors(adata, spatial_key="flat")
    adata.obsm["text"] = np.full((240, 2), "a", dtype=object)
    with pytest.raises(ValueError, match=r"obsm\['text'\] has dtype object"):
        bm.gr.spatial_neighbors(adata, spatial_key="text")
    adata.obsm["frame"] = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names, columns=["x", "y"])
    bm.gr.spatial_neighbors(adata, spatial_key="frame")
    adata.obsm["whole"] = (adata.obsm["spatial"] * 10).astype(np.int32)
    bm.gr.spatial_neighbors(adata, spatial_key="whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coord_type": "hexagonal"}, "coord_type is 'hexagonal'"),
        ({"n_neighs": 0}, "n_neighs is 0"),
        ({"n_neighs": 2.5}, "n_neighs is 2.5"),
        ({"radius": -1.0}, "radius is -1.0"),
        ({"radius": float("nan")}, "radius is nan"),
        ({"radius": (1.0, 2.0, 3.0)}, "radius is"),
        ({"percentile": 101.0}, "percentile`? is 101;"),
        ({"transform": "umap"}, "transform is 'umap'"),
        ({"coord_type": "grid", "n_neighs": 5}, "6 \\(hexagonal\\), 4 or 8"),
        ({"coord_type": "grid", "delaunay": True}, "delaunay is True on a grid"),
        ({"n_rings": 0, "coord_type": "grid"}, "n_rings is 0"),
    ],
)
def test_graph_options_out_of_range(adata, options, message):
    with pytest.raises(ValueError, match=message):
        bm.gr.spatial_neighbors(adata, **options)
    assert not adata.obsp and not adata.uns


def test_slices_that_are_missing(adata):
    adata.obs["partial"] = adata.obs["slice"].astype(object).where(np.arange(240) > 2)
    with pytest.raises(ValueError, match=r"obs\['partial'\] is missing for 3 observations"):
        bm.gr.spatial_neighbors(adata, library_key="partial")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (-sp.random(240, 240, density=0.1, format="csr", random_state=0), "weights of at least 0"),
        (sp.csr_matrix((240, 240)), "no weight"),
        (np.full((240, 240), np.nan), "finite weights"),
        (np.full((240, 240), "a", dtype=object), "dtype object"),
    ],
)
def test_graphs_unfit_for_use(adata, graph, message):
    adata.obsp["g"] = graph
    with pytest.raises(ValueError, match=message):
        bm.gr.morans_i(adata, connectivity_key="g")
    assert "moranI" not in adata.uns


@pytest.mark.parametrize("shape", [(240, 239), (100, 100)])
def test_graphs_of_other_shapes(adata, shape):
    # AnnData keeps such graphs out of obsp; arrays can still be passed.
    with pytest.raises(ValueError, match=f"{shape[0]} × {shape[1]}; expected 240 × 240"):
        bm.metrics.pas(adata.obs["truth"], sp.random(*shape, density=0.1, format="csr"))


def test_indices_beyond_the_matrix_are_refused(adata):
    broken = adata.X.copy()
    broken.indices[3] = 10_000
    with pytest.raises(ValueError, match="stores column 10000"):
        bm._brodmann.pca(broken, mask=None, n_components=3, scale=False, max_value=None, random_state=0)
    broken.indices[3] = -1
    with pytest.raises(ValueError, match="stores column 4294967295"):
        bm._brodmann.pca(broken, mask=None, n_components=3, scale=False, max_value=None, random_state=0)
    broken = adata.X.copy()
    broken.indptr[1] = 1_000_000
    with pytest.raises(ValueError, match="indptr falls or ends early at row 1; expected a rising sequence"):
        bm._brodmann.pca(broken, mask=None, n_components=3, scale=False, max_value=None, random_state=0)


# Options


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: bm.pp.normalize_total(a, target_sum=-1), "target_sum (is|=) -1"),
        (lambda a: bm.pp.normalize_total(a, copy=True, inplace=False), "copy is True and inplace False"),
        (lambda a: bm.pp.log1p(a, base=1), "base`? is 1;"),
        (lambda a: bm.pp.highly_variable_genes(a, flavor="seurat_v3"), "n_top_genes is None"),
        (lambda a: bm.pp.highly_variable_genes(a, flavor="pearson", n_top_genes=3), "flavor is pearson"),
        (lambda a: bm.pp.highly_variable_genes(a, flavor="seurat_v3", n_top_genes=0), "n_top_genes is 0"),
        (lambda a: bm.pp.scale(a, max_value=0), "max_value is 0"),
        (lambda a: bm.pp.pca(a, n_comps=0), "n_comps is 0"),
        (lambda a: bm.pp.pca(a, n_comps=10_000), "n_comps is 10000, at most 160"),
        (lambda a: bm.pp.pca(a, mask_var=np.ones(3, dtype=bool)), "mask_var has shape"),
        (lambda a: bm.pp.pca(a, mask_var=np.zeros(160, dtype=bool)), "no variable is selected"),
        (lambda a: bm.pp.tfidf_lsi(a, min_fraction=2.0), "min_fraction is 2"),
        (lambda a: bm.pp.neighbors(a, n_neighbors=1, use_rep="spatial"), "n_neighbors is 1"),
        (lambda a: bm.pp.neighbors(a, n_pcs=9, use_rep="spatial"), "has 2 columns"),
        (lambda a: bm.pp.pca(a, random_state="seed"), "random_state is 'seed'"),
    ],
)
def test_options_out_of_range(adata, call, message):
    before = snapshot(adata)
    with pytest.raises(ValueError, match=message):
        call(adata)
    same(before, adata)


def test_options_must_be_named(adata):
    with pytest.raises(TypeError):
        bm.pp.normalize_total(adata, 1e4)


def test_few_observations_and_duplicates_work():
    adata = tissue(sp.csr_matrix(counts(6, 20)))
    adata.obsm["spatial"][:] = 1.0
    bm.pp.pca(adata)
    with pytest.warns(UserWarning, match="too few for n_neighbors = 15"):
        bm.pp.neighbors(adata)
    with pytest.warns(UserWarning):
        bm.gr.spatial_neighbors(adata)
    assert np.isfinite(adata.obsp["connectivities"].data).all()
    single = tissue(sp.csr_matrix(counts(1, 20)))
    bm.pp.normalize_total(single)
    with pytest.warns(UserWarning):
        bm.gr.spatial_neighbors(single)
    assert single.obsp["spatial_connectivities"].nnz == 0


# Arrays that numpy allows and Rust does not


def between(x):
    """The same numbers, beginning one byte off."""
    room = np.zeros(x.nbytes + 1, np.uint8)
    off = room[1:].view(x.dtype).reshape(x.shape)
    off[...] = x
    assert not off.flags.aligned
    return off


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_between_the_words_of_memory_are_copied(dtype):
    adata = tissue()
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(adata.n_obs, 4)).astype(dtype)
    found = []
    for x in (embedding, between(embedding)):
        adata.obsm["X_own"] = x
        adata.obsm["spatial"] = between(np.asarray(adata.obsm["spatial"]))
        bm.tl.kmeans(adata, n_clusters=3, use_rep="X_own")
        bm.gr.spatial_neighbors(adata)
        found.append((list(adata.obs["kmeans"]), adata.obsp["spatial_connectivities"].indices.tolist()))
    assert found[0] == found[1]
    x = sp.csr_matrix(rng.poisson(1.0, size=(adata.n_obs, 6)).astype(np.float32))
    options = dict(mask=None, n_components=3, scale=False, max_value=None, random_state=0)
    plain = bm._brodmann.pca(x, **options)
    x.data, x.indices, x.indptr = between(x.data), between(x.indices), between(x.indptr)
    off = bm._brodmann.pca(x, **options)
    assert plain and all(np.array_equal(plain[key], off[key]) for key in plain)
