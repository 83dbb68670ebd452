"""bm.pp against scanpy: values, keys, dtypes, records."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from samples import counts, dense, peer, tissue

import brodmann as bm

FORMATS = {
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "array": np.asarray,
    "fortran": np.asfortranarray,
}
DTYPES = [np.float32, np.float64, np.int64, np.int32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "options",
    [{}, {"target_sum": 1e4, "key_added": "n"}, {"exclude_highly_expressed": True, "max_fraction": 0.02}],
)
def test_normalize_total_and_log1p_are_scanpys(form, dtype, options):
    sc = peer("scanpy")
    ours = tissue(FORMATS[form](counts().astype(dtype)))
    theirs = ours.copy()
    bm.pp.normalize_total(ours, **options)
    sc.pp.normalize_total(theirs, **options)
    assert ours.X.dtype == theirs.X.dtype
    assert sp.issparse(ours.X) == sp.issparse(theirs.X)
    np.testing.assert_allclose(dense(ours.X), dense(theirs.X), rtol=2e-6)
    if "key_added" in options:
        np.testing.assert_allclose(ours.obs["n"], theirs.obs["n"], rtol=1e-6)
        assert ours.obs["n"].dtype == theirs.obs["n"].dtype
    base = 2 if options else None
    bm.pp.log1p(ours, base=base)
    sc.pp.log1p(theirs, base=base)
    assert ours.X.dtype == theirs.X.dtype
    np.testing.assert_allclose(dense(ours.X), dense(theirs.X), rtol=2e-6, atol=1e-7)
    assert ours.uns["log1p"] == theirs.uns["log1p"]


def test_formats_survive(adata):
    expected = bm.pp.normalize_total(adata, inplace=False)["X"]
    for convert in (sp.csr_matrix, sp.csc_matrix, np.asarray, np.asfortranarray):
        made = bm.pp.normalize_total(_layered(convert(adata.X.toarray())), layer="l", inplace=False)["X"]
        assert sp.issparse(made) == (convert in (sp.csr_matrix, sp.csc_matrix))
        assert getattr(made, "format", None) == getattr(convert(adata.X.toarray()), "format", None)
        np.testing.assert_allclose(dense(made), dense(expected), rtol=1e-6)


def test_sparse_arrays_stay_sparse_arrays():
    x = sp.csr_array(counts())
    made = bm.pp.normalize_total(_layered(x), layer="l", inplace=False)["X"]
    assert isinstance(made, sp.csr_array)


def _layered(x):
    adata = tissue()
    adata.layers["l"] = x
    return adata


def test_the_callers_arrays_are_not_changed(adata):
    x = adata.X.copy()
    before = (x.data.copy(), x.indices.copy(), x.indptr.copy())
    adata.layers["l"] = x
    for function in (bm.pp.normalize_total, bm.pp.log1p, bm.pp.clr):
        copy = function(adata, layer="l", copy=True)
        assert copy is not adata
        for now, then in zip((x.data, x.indices, x.indptr), before):
            np.testing.assert_array_equal(now, then)


def test_unsorted_and_repeated_entries_are_understood(adata):
    x = adata.X.tocoo()
    order = np.random.default_rng(0).permutation(x.nnz)
    doubled = sp.csr_matrix(adata.shape, dtype=np.float32)
    rows, columns = np.concatenate([x.row[order]] * 2), np.concatenate([x.col[order]] * 2)
    half = np.concatenate([x.data[order]] * 2) / 2
    sort = np.argsort(rows, kind="stable")
    doubled.data, doubled.indices = half[sort].astype(np.float32), columns[sort].astype(np.int32)
    doubled.indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(adata.obs)))]).astype(np.int32)
    expected = bm.pp.pca(adata, n_comps=5, copy=True).obsm["X_pca"]
    found = bm.pp.pca(tissue(doubled), n_comps=5, copy=True).obsm["X_pca"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_wide_indices_give_the_same(adata):
    x = adata.X.copy()
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    expected = bm.pp.pca(adata, n_comps=5, copy=True).obsm["X_pca"]
    np.testing.assert_array_equal(bm.pp.pca(tissue(x), n_comps=5, copy=True).obsm["X_pca"], expected)


@pytest.mark.parametrize("flavor", ["seurat", "cell_ranger"])
@pytest.mark.parametrize(
    "options", [{}, {"n_top_genes": 40}, {"n_top_genes": 40, "batch_key": "slice"}, {"batch_key": "slice"}]
)
def test_highly_variable_genes_are_scanpys(adata, flavor, options):
    sc = peer("scanpy")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    theirs = adata.copy()
    bm.pp.highly_variable_genes(adata, flavor=flavor, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.highly_variable_genes(theirs, flavor=flavor, **options)
    assert list(adata.var) == list(theirs.var)
    assert adata.var.dtypes.tolist() == theirs.var.dtypes.tolist()
    assert adata.uns["hvg"] == theirs.uns["hvg"]
    for column in theirs.var:
        np.testing.assert_allclose(
            adata.var[column].astype(float), theirs.var[column].astype(float), rtol=1e-4, atol=1e-5, err_msg=column
        )


def test_seurat_v3_is_scanpys(adata):
    sc = peer("scanpy")
    peer("skmisc.loess")
    for options in ({}, {"batch_key": "slice"}):
        ours, theirs = adata.copy(), adata.copy()
        bm.pp.highly_variable_genes(ours, flavor="seurat_v3", n_top_genes=40, **options)
        sc.pp.highly_variable_genes(theirs, flavor="seurat_v3", n_top_genes=40, **options)
        assert set(ours.var) == set(theirs.var)
        same = (ours.var["highly_variable"] == theirs.var["highly_variable"]).mean()
        assert same >= 0.98, "the two local regressions may swap genes at the cut"
        np.testing.assert_allclose(ours.var["variances_norm"], theirs.var["variances_norm"], rtol=1e-2)
        for column in theirs.var:
            assert ours.var[column].dtype == theirs.var[column].dtype, column


def test_selecting_a_subset_and_returning_a_table(adata):
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    table = bm.pp.highly_variable_genes(adata, n_top_genes=30, inplace=False)
    assert isinstance(table, pd.DataFrame) and "highly_variable" not in adata.var
    bm.pp.highly_variable_genes(adata, n_top_genes=30, subset=True)
    assert adata.n_vars == 30 and list(adata.var_names) == list(table.index[table["highly_variable"]])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("options", [{}, {"max_value": 2.0}, {"zero_center": False, "max_value": 3.0}])
def test_scale_is_scanpys(form, options):
    sc = peer("scanpy")
    ours = tissue(FORMATS[form](np.log1p(counts())))
    theirs = ours.copy()
    bm.pp.scale(ours, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.scale(theirs, **options)
    np.testing.assert_allclose(dense(ours.X), dense(theirs.X), atol=5e-6)
    assert list(ours.var) == list(theirs.var)
    np.testing.assert_allclose(ours.var["std"], theirs.var["std"], rtol=1e-6)
    # scanpy widens a centred sparse matrix to float64; ours keeps float32.
    assert ours.X.dtype == np.float32


def test_pca_is_scanpys(adata):
    sc = peer("scanpy")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=60)
    theirs = adata.copy()
    bm.pp.pca(adata, n_comps=10)
    sc.pp.pca(theirs, n_comps=10, svd_solver="arpack")
    np.testing.assert_allclose(adata.obsm["X_pca"], theirs.obsm["X_pca"], atol=2e-3)
    np.testing.assert_allclose(adata.varm["PCs"], theirs.varm["PCs"], atol=1e-3)
    for key in ("variance", "variance_ratio"):
        np.testing.assert_allclose(adata.uns["pca"][key], theirs.uns["pca"][key], rtol=1e-4)
    assert adata.obsm["X_pca"].dtype == theirs.obsm["X_pca"].dtype == np.float32
    params = theirs.uns["pca"]["params"]
    assert {k: adata.uns["pca"]["params"][k] for k in params} == params
    assert (adata.varm["PCs"][~adata.var["highly_variable"].to_numpy()] == 0).all()


def test_pca_with_scale_is_pca_of_the_scaled(adata):
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    scaled = bm.pp.scale(adata, max_value=4.0, copy=True)
    bm.pp.pca(scaled, n_comps=8)
    bm.pp.pca(adata, n_comps=8, scale=True, max_value=4.0)
    np.testing.assert_allclose(adata.obsm["X_pca"], scaled.obsm["X_pca"], atol=1e-4)


def test_neighbors_are_scanpys(adata):
    sc = peer("scanpy")
    bm.pp.pca(adata, n_comps=10)
    for options in ({}, {"n_neighbors": 7, "n_pcs": 5, "key_added": "k"}, {"use_rep": "spatial"}):
        ours, theirs = adata.copy(), adata.copy()
        bm.pp.neighbors(ours, **options)
        sc.pp.neighbors(theirs, **options)
        assert set(ours.obsp) == set(theirs.obsp)
        for key, graph in theirs.obsp.items():
            assert ours.obsp[key].dtype == graph.dtype
            assert ours.obsp[key].nnz == graph.nnz
            assert abs(ours.obsp[key] - graph).max() < 1e-4
        name = options.get("key_added", "neighbors")
        record = theirs.uns[name]
        assert ours.uns[name]["connectivities_key"] == record["connectivities_key"]
        for key, value in record["params"].items():
            assert ours.uns[name]["params"][key] == value


def test_clr_follows_its_definition(adata):
    x = adata.X.toarray().astype(float)
    bm.pp.clr(adata)
    expected = np.log1p(x / np.exp(np.log1p(x).mean(axis=1, keepdims=True)))
    np.testing.assert_allclose(adata.X.toarray(), expected, rtol=1e-5, atol=1e-7)


def test_lsi_drops_the_component_of_depth():
    rng = np.random.default_rng(0)
    adata = tissue(sp.csr_matrix((rng.random((200, 300)) < rng.uniform(0.05, 0.5, (200, 1))).astype(np.float32)))
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    bm.pp.tfidf_lsi(adata, n_comps=10)
    assert adata.obsm["X_lsi"].shape == (200, 10) and adata.obsm["X_lsi"].dtype == np.float32
    assert adata.varm["LSI"].shape == (300, 10)
    assert adata.uns["lsi"]["stdev"].shape == (10,)
    correlation = [abs(np.corrcoef(depth, c)[0, 1]) for c in adata.obsm["X_lsi"].T]
    assert max(correlation) < 0.9


def test_results_do_not_depend_on_threads(adata):
    bm.pp.log1p(adata)
    found = []
    try:
        for n_threads in (1, 2, 4):
            bm.settings.n_threads = n_threads
            made = bm.pp.pca(adata, n_comps=10, copy=True)
            bm.pp.neighbors(made)
            found.append((made.obsm["X_pca"], made.obsp["connectivities"].data))
    finally:
        bm.settings.n_threads = None
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)


def test_results_survive_a_file(adata, tmp_path):
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    bm.pp.highly_variable_genes(adata, n_top_genes=50)
    bm.pp.pca(adata, n_comps=5)
    bm.pp.neighbors(adata)
    bm.gr.spatial_neighbors(adata, radius=(1.0, 20.0))
    bm.gr.morans_i(adata)
    bm.gr.gearys_c(adata, attr="obsm", layer="spatial")
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.obsm["X_pca"], adata.obsm["X_pca"])
    pd.testing.assert_frame_equal(again.uns["moranI"], adata.uns["moranI"], check_index_type=False)
    assert again.uns["neighbors"]["params"]["n_neighbors"] == 15
    assert list(again.uns["spatial_neighbors"]["params"]["radius"]) == [1.0, 20.0]


def test_scanpys_neighbour_tools_run_on_our_keys(adata):
    sc = peer("scanpy")
    bm.pp.pca(adata, n_comps=10)
    bm.pp.neighbors(adata)
    sc.tl.umap(adata)
    assert adata.obsm["X_umap"].shape == (adata.n_obs, 2)


def test_harmony_brings_batches_together():
    rng = np.random.default_rng(0)
    kind, batch = np.arange(400) % 2, np.arange(400) // 200
    x = rng.normal(size=(400, 5))
    x[:, 0] += 8 * kind
    x[:, 1] += 3 * batch
    obs = {"batch": batch.astype(str), "donor": (kind + batch).astype(str)}
    adata = ad.AnnData(np.zeros((400, 1), np.float32), obs=obs)
    adata.obsm["X_pca"] = x
    bm.pp.harmony(adata, "batch")
    after = adata.obsm["X_pca_harmony"]
    assert after.dtype == np.float32 and after.shape == x.shape
    assert bm.metrics.lisi(after, batch).mean() > 1.6 > 1.4 > bm.metrics.lisi(x, batch).mean()
    assert bm.metrics.lisi(after, kind).mean() < 1.1
    assert adata.uns["X_pca_harmony"]["objective"][0] > adata.uns["X_pca_harmony"]["objective"][-1]
    again = bm.pp.harmony(adata, ["batch", "donor"], adjusted_basis="two", nclust=4, copy=True)
    assert "two" in again.obsm and "two" not in adata.obsm
    for option in [{"nclust": 0}, {"lamb": -1}, {"theta": -1}, {"sigma": 0}, {"max_iter_kmeans": 0}]:
        with pytest.raises(ValueError, match=f"{next(iter(option))} is "):
            bm.pp.harmony(adata, "batch", **option)
    with pytest.raises(KeyError, match="nobody"):
        bm.pp.harmony(adata, "nobody")



def _with_mito(x=None):
    adata = tissue(x)
    adata.var_names = [f"MT-{j}" if j % 40 == 0 else name for j, name in enumerate(adata.var_names)]
    return adata


@pytest.mark.parametrize("form", FORMATS)
def test_qc_is_scanpys(form):
    sc = peer("scanpy")
    x = counts()
    x[[3, 77]] = 0
    ours = _with_mito(FORMATS[form](x))
    theirs = ours.copy()
    theirs.var["mt"] = theirs.var_names.str.startswith("MT-")
    bm.pp.qc(ours, genes=True)
    sc.pp.calculate_qc_metrics(theirs, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    for key in ("total_counts", "n_genes_by_counts", "pct_counts_mt"):
        np.testing.assert_allclose(ours.obs[key], theirs.obs[key], rtol=1e-6)
    assert np.isnan(ours.obs["pct_counts_mt"].iloc[3])
    for key in ("n_cells_by_counts", "total_counts"):
        np.testing.assert_allclose(ours.var[key], theirs.var[key], rtol=1e-6)
    assert ours.uns["qc"]["params"] == {"n_neighbors": 36, "threshold": 3.0, "spatial_key": "spatial"}


def test_qc_finds_what_differs_from_its_neighbours():
    x = counts()
    x[10] = 0
    x[10, 1] = 1
    x[200, 0] = 2000
    adata = _with_mito(sp.csr_matrix(x))
    copy = bm.pp.qc(adata, library_key="slice", copy=True)
    assert "local_outlier" not in adata.obs and copy.obs["local_outlier"].dtype == bool
    assert copy.obs["local_z_total_counts"].iloc[10] < -3 and copy.obs["local_z_pct_counts_mt"].iloc[200] > 3
    assert copy.obs["local_outlier"].iloc[[10, 200]].all()
    of_slice = (adata.obs["slice"] == "a").to_numpy()
    alone = bm.pp.qc(adata[of_slice].copy(), copy=True)
    for key in ("total_counts", "n_genes_by_counts", "pct_counts_mt"):
        np.testing.assert_array_equal(copy.obs[f"local_z_{key}"][of_slice], alone.obs[f"local_z_{key}"])


def test_qc_leaves_spots_off_the_tissue_alone():
    adata = _with_mito()
    adata.obs["in_tissue"] = (np.arange(adata.n_obs) % 4 > 0).astype(int)
    there = adata.obs["in_tissue"].to_numpy() == 1
    bm.pp.qc(adata)
    alone = bm.pp.qc(adata[there].copy(), copy=True)
    assert adata.obs["local_z_total_counts"][~there].isna().all()
    np.testing.assert_array_equal(adata.obs["local_z_total_counts"][there], alone.obs["local_z_total_counts"])
    adata.obs["in_tissue"] = pd.Categorical(adata.obs["in_tissue"].astype(str))
    again = bm.pp.qc(adata, copy=True)
    np.testing.assert_array_equal(adata.obs["local_z_total_counts"], again.obs["local_z_total_counts"])


def test_qc_asks_columns_of_names_and_says_what_is_missing():
    adata = tissue()
    with pytest.warns(UserWarning, match="no gene name begins with MT- or mt-"):
        bm.pp.qc(adata)
    assert "pct_counts_mt" not in adata.obs and "local_z_pct_counts_mt" not in adata.obs
    adata.var["gene_name"] = [f"mt-{j}" if j < 3 else "x" for j in range(adata.n_vars)]
    bm.pp.qc(adata)
    mt = dense(adata.X)[:, :3].sum(1) / dense(adata.X).sum(1)
    np.testing.assert_allclose(adata.obs["pct_counts_mt"], 100 * mt, rtol=1e-6)
    bm.pp.qc(adata, mt_prefix="gene_1")
    assert adata.obs["pct_counts_mt"].mean() > 10
    del adata.obsm["spatial"]
    with pytest.warns(UserWarning, match="local outliers are left out"):
        bm.pp.qc(adata)
    with pytest.raises(KeyError, match="place"):
        bm.pp.qc(adata, spatial_key="place")


@pytest.mark.parametrize(
    ("options", "named"),
    [({"n_neighbors": 2}, "n_neighbors"), ({"threshold": 0}, "threshold"), ({"mt_prefix": ""}, "mt_prefix")],
)
def test_qc_refuses_options_out_of_range(options, named, adata):
    with pytest.raises(ValueError, match=named):
        bm.pp.qc(adata, **options)
    assert "total_counts" not in adata.obs


def test_qc_refuses_what_is_no_amount(adata):
    adata.X = adata.X - sp.csr_matrix(np.eye(*adata.shape, dtype=np.float32) * 1e6)
    with pytest.raises(ValueError, match="expected a count of 0 or more"):
        bm.pp.qc(adata)


@pytest.mark.parametrize("limit", ["min_cells", "max_cells", "min_counts", "max_counts"])
@pytest.mark.parametrize("form", ["csr", "array"])
def test_filter_genes_is_scanpys(form, limit):
    sc = peer("scanpy")
    ours = tissue(FORMATS[form](counts()))
    value = float(np.median(dense(ours.X).sum(0))) if limit.endswith("counts") else int(np.median((dense(ours.X) > 0).sum(0)))
    theirs = ours.copy()
    bm.pp.filter_genes(ours, **{limit: value})
    sc.pp.filter_genes(theirs, **{limit: value})
    assert 0 < ours.n_vars < counts().shape[1]
    assert ours.var_names.tolist() == theirs.var_names.tolist()
    column = "n_counts" if limit.endswith("counts") else "n_cells"
    np.testing.assert_allclose(ours.var[column], theirs.var[column])
    np.testing.assert_array_equal(dense(ours.X), dense(theirs.X))


def test_filter_genes_takes_several_limits_and_refuses_none():
    whole = tissue(counts())
    seen, sums = (dense(whole.X) > 0).sum(0), dense(whole.X).sum(0)
    least, most = int(np.quantile(seen, 0.2)) + 1, float(np.quantile(sums, 0.8))
    both = bm.pp.filter_genes(whole, min_cells=least, max_counts=most, copy=True)
    kept = (seen >= least) & (sums <= most)
    assert 0 < kept.sum() < min((seen >= least).sum(), (sums <= most).sum())
    assert both.var_names.tolist() == whole.var_names[kept].tolist()
    assert whole.n_vars == counts().shape[1]
    with pytest.raises(ValueError, match="no limit was given"):
        bm.pp.filter_genes(whole)
    with pytest.raises(ValueError, match="none of the .* genes is within the limits"):
        bm.pp.filter_genes(whole, min_cells=10**6)
    with pytest.raises(ValueError, match="-1; expected a count"):
        bm.pp.filter_genes(tissue(-np.ones((4, 3), dtype=np.float32)), min_cells=1)


@pytest.mark.parametrize("value", [-1.0, -0.5, np.nan])
def test_logarithms_of_what_is_no_amount_are_refused(value):
    x = counts().astype(np.float32)
    x[2, 3] = value
    adata = tissue(x)
    with pytest.raises(ValueError, match=f"row 2, column 3 is {value:g}".replace("nan", "NaN")):
        bm.pp.log1p(adata)
    assert "log1p" not in adata.uns
    np.testing.assert_array_equal(adata.X, x)
