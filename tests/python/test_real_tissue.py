"""bm on real tissue (../shared), step by step beside scanpy, squidpy and scikit-learn."""

import os
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from samples import peer

import brodmann as bm

SHARED = Path(os.environ.get("BRODMANN_SHARED", Path(__file__).parents[3] / "shared")) / "data"


def tissue(name):
    path = SHARED / name / f"{name}.h5ad"
    if not path.exists():
        assert os.environ.get("BRODMANN_REQUIRE_SHARED") != "1", f"{path} is missing"
        pytest.skip(f"{path} is not here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.read_h5ad(path)


def both(ours, theirs, step, **options):
    """One step of the pipeline by both, on objects that begin equal."""
    sc = peer("scanpy")
    getattr(bm.pp, step)(ours, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(sc.pp, step)(theirs, **options)


@pytest.mark.parametrize("name", ["dlpfc_151673", "starmap_v1_1k"])
def test_the_road_to_the_latent_graph_is_scanpys(name):
    ours = tissue(name)
    theirs = ours.copy()
    both(ours, theirs, "normalize_total", target_sum=1e4)
    both(ours, theirs, "log1p")
    both(ours, theirs, "highly_variable_genes", n_top_genes=500)
    differing = ours.var["highly_variable"] != theirs.var["highly_variable"]
    assert differing.sum() <= 2, "genes at the cut may swap"
    theirs.var["highly_variable"] = ours.var["highly_variable"]
    both(ours, theirs, "pca", n_comps=20)
    # The first components stand out; the last lie in the noise, where single precision turns them.
    np.testing.assert_allclose(ours.uns["pca"]["variance"], theirs.uns["pca"]["variance"], rtol=1e-3)
    np.testing.assert_allclose(ours.obsm["X_pca"][:, :5], theirs.obsm["X_pca"][:, :5], atol=2e-2)
    theirs.obsm["X_pca"] = ours.obsm["X_pca"]
    both(ours, theirs, "neighbors")
    ours, theirs = ours.obsp["connectivities"], theirs.obsp["connectivities"]
    # scanpy's search is approximate above 4096 observations; here it is exact as ours is.
    assert abs(ours - theirs).max() < 1e-3 and abs(ours.nnz - theirs.nnz) <= 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dlpfc_151673", {"coord_type": "grid", "n_neighs": 6, "n_rings": 2}),
        ("dlpfc_151673", {"coord_type": "generic", "delaunay": True}),
        ("starmap_v1_1k", {"coord_type": "generic", "n_neighs": 10}),
        ("osmfish_cortex", {"coord_type": "generic", "radius": 1500.0}),
    ],
)
def test_spatial_graphs_are_squidpys(name, options):
    sq = peer("squidpy")
    ours = tissue(name)
    theirs = ours.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bm.gr.spatial_neighbors(ours, **options)
        sq.gr.spatial_neighbors(theirs, **options)
    assert ours.obsp["spatial_connectivities"].nnz == theirs.obsp["spatial_connectivities"].nnz
    for key, graph in theirs.obsp.items():
        # Cells at one place are at distance 0, which ours stores and squidpy does not.
        assert abs(ours.obsp[key] - graph).max() < 1e-3


def test_morans_i_is_squidpys():
    sq = peer("squidpy")
    adata = tissue("starmap_v1_1k")
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    bm.gr.spatial_neighbors(adata, delaunay=True)
    ours = bm.gr.morans_i(adata, copy=True)
    theirs = sq.gr.spatial_autocorr(adata, mode="moran", copy=True, n_jobs=1, show_progress_bar=False)
    np.testing.assert_allclose(ours["I"].sort_index(), theirs["I"].sort_index(), atol=1e-5)


@pytest.mark.parametrize("version", ["1.2.0", "3.0.0"])
def test_10x_files_are_read_as_scanpy_reads_them(version):
    sc = peer("scanpy")
    folder = SHARED / "fixtures" / "tenx_scanpy" / version
    files = sorted(folder.rglob("*.h5"))
    if not files:
        assert os.environ.get("BRODMANN_REQUIRE_SHARED") != "1", f"{folder} is missing"
        pytest.skip(f"{folder} is not here")
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            several = path.name == "multiple_genomes.h5"
            if several:
                with pytest.raises(ValueError, match="genome is not given.*hg19_chr21; expected one of these"):
                    bm.read.tenx_h5(path)
            options = {"genome": "hg19_chr21"} if several else {}
            ours, theirs = bm.read.tenx_h5(path, **options), sc.read_10x_h5(path, **options)
        if not isinstance(ours, ad.AnnData):
            ours = ours["rna"]
        theirs = theirs[:, : ours.n_vars] if ours.n_vars != theirs.n_vars else theirs
        assert ours.obs_names.tolist() == theirs.obs_names.tolist()
        assert ours.var["gene_ids"].tolist() == theirs.var["gene_ids"].tolist()
        assert (ours.X != theirs.X).nnz == 0


def test_missing_truth_is_left_out():
    sklearn = peer("sklearn.metrics")
    adata = tissue("dlpfc_151673")
    truth = adata.obs["ground_truth"]
    pred = adata.obs["array_row"] // 20 if "array_row" in adata.obs else np.arange(adata.n_obs) // 600
    known = truth.notna().to_numpy()
    assert 0 < (~known).sum()
    expected = sklearn.adjusted_rand_score(truth[known].astype(str), np.asarray(pred)[known])
    assert bm.metrics.adjusted_rand_index(truth, pred) == pytest.approx(expected)
