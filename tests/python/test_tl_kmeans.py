"""`bm.tl.kmeans`."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from planted import same_partition, snapshot

import brodmann as bm


def three_blobs(n_each=50, dtype=np.float64):
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [10, 0], [0, 10]])
    sizes = (n_each + 20, n_each, n_each - 20)
    points = np.concatenate([c + rng.normal(size=(n, 2)) for c, n in zip(centers, sizes)]).astype(dtype)
    adata = ad.AnnData(np.zeros((len(points), 1), dtype=np.float32))
    adata.obsm["X_pca"] = points
    adata.obs["group"] = np.repeat([0, 1, 2], sizes)
    return adata


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kmeans_finds_blobs_and_records_its_run(dtype):
    adata = three_blobs(dtype=dtype)
    assert bm.tl.kmeans(adata, 3) is None
    assert same_partition(adata.obs["kmeans"], adata.obs["group"])
    assert list(adata.obs["kmeans"].cat.categories) == ["0", "1", "2"]
    assert list(adata.obs["kmeans"].value_counts(sort=False)) == [70, 50, 30]
    record = adata.uns["kmeans"]
    assert record["centers"].shape == (3, 2) and record["converged"]
    x = adata.obsm["X_pca"].astype(float)
    codes = adata.obs["kmeans"].cat.codes.to_numpy()
    assert record["quality"] == pytest.approx(((x - record["centers"][codes]) ** 2).sum(), rel=1e-9)
    again = bm.tl.kmeans(adata, **record["params"], key_added="again", copy=True)
    assert list(again.obs["again"]) == list(adata.obs["kmeans"]) and "again" not in adata.obs


def test_kmeans_is_as_good_as_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(1)
    adata = ad.AnnData(np.zeros((400, 1), dtype=np.float32))
    adata.obsm["X_pca"] = rng.normal(size=(400, 5)) + rng.integers(4, size=(400, 1))
    bm.tl.kmeans(adata, 6)
    reference = cluster.KMeans(6, n_init=10, random_state=0).fit(adata.obsm["X_pca"])
    # Two searches of ten starts; a percent is their chance.
    assert adata.uns["kmeans"]["quality"] <= reference.inertia_ * 1.01


def test_bad_input_of_kmeans_changes_nothing():
    adata = three_blobs()
    adata.obsm["bad"] = np.where(np.arange(adata.n_obs)[:, None] == 7, np.nan, adata.obsm["X_pca"])
    adata.obsm["text"] = pd.DataFrame({"a": ["x"] * adata.n_obs}, index=adata.obs_names)
    before = snapshot(adata)
    for error, options, message in (
        (KeyError, dict(use_rep="X_nope"), "bm.pp.pca"),
        (ValueError, dict(use_rep="bad"), "row 7"),
        (ValueError, dict(use_rep="text"), "numbers"),
        (ValueError, dict(n_clusters=0), "n_clusters is 0"),
        (ValueError, dict(n_clusters=150), "fewer clusters"),
        (ValueError, dict(n_init=0), "n_init is 0"),
        (ValueError, dict(tol=-1.0), "tol is -1"),
    ):
        with pytest.raises(error, match=message):
            bm.tl.kmeans(adata, **{"n_clusters": 3, **options})
    assert snapshot(adata) == before
