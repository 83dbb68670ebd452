"""`bm.tl.gmm`, `bm.tl.select_n_clusters` and `bm.tl.refine_labels`."""

import json
import os
import subprocess

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from planted import same_partition, snapshot
from samples import peer

import brodmann as bm


def stretched(n_each=60, seed=0):
    """Three parallel cigars, which k-means cuts across."""
    rng = np.random.default_rng(seed)
    sizes = (n_each + 20, n_each, n_each - 20)
    group = np.repeat([0, 1, 2], sizes)
    points = rng.normal(size=(sum(sizes), 2)) * [6.0, 0.4] + np.column_stack([np.zeros(len(group)), 4.0 * group])
    adata = ad.AnnData(np.zeros((len(points), 1), dtype=np.float32))
    adata.obsm["X_pca"] = points
    adata.obsm["spatial"] = rng.uniform(size=(len(points), 2))
    adata.obs["group"] = group
    return adata


@pytest.mark.parametrize("model", ["EEI", "VVI", "EEE", "VVV"])
def test_clusters_that_have_a_shape_are_found(model):
    adata = stretched()
    # mclust's tolerance, the default, ends many starts on a plateau that this one leaves.
    assert bm.tl.gmm(adata, 3, model=model, tol=1e-8, probabilities=True) is None
    assert same_partition(adata.obs["gmm"], adata.obs["group"])
    assert list(adata.obs["gmm"].cat.categories) == ["0", "1", "2"]
    assert list(adata.obs["gmm"].value_counts(sort=False)) == [80, 60, 40]
    shares = adata.obsm["gmm_probabilities"]
    assert shares.shape == (180, 3) and shares.dtype == np.float64 and np.allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == adata.obs["gmm"].cat.codes).all()
    record = adata.uns["gmm"]
    assert record["weights"].shape == (3,) and record["weights"].sum() == pytest.approx(1)
    assert record["means"].shape == (3, 2) and record["covariances"].shape == (3, 2, 2)
    assert len(record["start_logliks"]) == 5 and record["quality"] == record["start_logliks"].max()
    assert record["converged"] and not record["singular"] and record["n_clusters"] == 3
    again = bm.tl.gmm(adata, **record["params"], key_added="again", copy=True)
    assert list(again.obs["again"]) == list(adata.obs["gmm"]) and "again" not in adata.obs
    bm.tl.kmeans(adata, 3)
    assert not same_partition(adata.obs["kmeans"], adata.obs["group"])


def test_the_likelihood_is_that_of_the_parameters():
    """The density of the mixture, written out."""
    adata = stretched()
    bm.tl.gmm(adata, 3, model="VVV", tol=1e-8)
    record, x = adata.uns["gmm"], adata.obsm["X_pca"]
    density = np.zeros(len(x))
    for weight, mean, covariance in zip(record["weights"], record["means"], record["covariances"]):
        away = x - mean
        distance = np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away)
        density += weight * np.exp(-distance / 2) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    # The likelihood is taken one step of EM before the last parameters.
    assert record["quality"] == pytest.approx(np.log(density).sum(), rel=1e-4)
    n_parameters = 3 * 2 + 2 + 3 * 3
    assert record["bic"] == pytest.approx(2 * record["quality"] - n_parameters * np.log(len(x)), rel=1e-12)


@pytest.mark.parametrize(("model", "theirs"), [("EEE", "tied"), ("VVI", "diag"), ("VVV", "full"), ("VII", "spherical")])
def test_the_mixture_is_as_likely_as_that_of_scikit_learn(model, theirs):
    mixture = peer("sklearn.mixture")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 3)) * [1, 2, 3] + 9 * rng.normal(size=(4, 3))[rng.integers(4, size=300)]
    adata = ad.AnnData(np.zeros((300, 1), dtype=np.float32), obsm={"X_pca": x})
    bm.tl.gmm(adata, 4, model=model, tol=1e-8)
    reference = mixture.GaussianMixture(
        4, covariance_type=theirs, n_init=5, random_state=0, tol=1e-8, max_iter=1000, reg_covar=0
    ).fit(x)
    # The same optimum; what is left are the last steps of both.
    assert adata.uns["gmm"]["quality"] == pytest.approx(reference.score(x) * len(x), rel=1e-5)
    assert same_partition(adata.obs["gmm"], reference.predict(x))


def command(adata, folder, *flags):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    adata.write(folder / "in.h5ad")
    (folder / "out.h5ad").unlink(missing_ok=True)
    done = subprocess.run(
        [binary, "cluster", folder / "in.h5ad", "--out", folder / "out.h5ad", "--method", "gmm", "--use-rep", "X_pca",
         "--json", "--threads", "1", "--quiet", *flags],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ad.read_h5ad(folder / "out.h5ad"), json.loads(done.stdout)


def test_the_same_labels_and_likelihood_as_the_command_line(tmp_path):
    adata = stretched(seed=3)
    adata.obs["slice"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 3, "a", "b"))
    bm.tl.gmm(adata, 4, model="VVI", n_init=3, random_state=5)
    bm.tl.refine_labels(adata, "gmm", n_neighbors=7, library_key="slice")
    flags = ["--gmm-model", "VVI", "-k", "4", "--n-init", "3", "--seed", "5"]
    written, report = command(adata, tmp_path, *flags, "--key-added", "cli")
    assert list(written.obs["cli"]) == list(adata.obs["gmm"])
    assert report["quality"] == adata.uns["gmm"]["quality"]
    assert report["mixture"]["bic"] == adata.uns["gmm"]["bic"]
    refined, report = command(
        adata, tmp_path, *flags, "--key-added", "cli", "--refine", "7", "--library-key", "slice"
    )
    # The command numbers its result by size once more; labels that somebody gave keep their names.
    assert same_partition(refined.obs["cli"], adata.obs["gmm_refined"])
    assert refined.obs["cli"].value_counts()["0"] == adata.obs["gmm_refined"].value_counts().max()
    assert report["n_refined"] == adata.uns["gmm_refined"]["n_changed"] > 0


@pytest.mark.parametrize("select_by", ["stability", "silhouette", "bic"])
def test_a_number_is_chosen_as_the_command_line_chooses_it(tmp_path, select_by):
    adata = stretched()
    bm.tl.gmm(adata, "auto", max_clusters=6, select_by=select_by)
    tried = adata.uns["gmm"]["tried"]
    found = bm.tl.select_n_clusters(adata, max_clusters=6, select_by=select_by)
    assert found.n_clusters == adata.uns["gmm"]["n_clusters"] and found.select_by == select_by
    assert list(found.table.index) == list(tried["n_clusters"]) == [2, 3, 4, 5, 6]
    assert found.table.index.name == "n_clusters"
    assert list(found.table) == ["n_found", "stability", "silhouette", "bic"]
    for score in ("stability", "silhouette", "bic"):
        assert np.array_equal(found.table[score], tried[score]) and found.table[score].dtype == np.float64
    if select_by != "stability":
        assert found.n_clusters == found.table[select_by].idxmax()
    again = bm.tl.gmm(adata, **adata.uns["gmm"]["params"], key_added="again", copy=True)
    assert list(again.obs["again"]) == list(adata.obs["gmm"])
    _, report = command(adata, tmp_path, "-k", "auto", "--select-by", select_by, "--max-clusters", "6")
    assert report["n_clusters"] == found.n_clusters
    assert [t["stability"] for t in report["mixture"]["tried"]] == list(found.table["stability"])


def test_arrays_and_k_means_have_numbers_too():
    adata = stretched()
    x = np.random.default_rng(2).normal(size=(90, 3)) + 12 * np.repeat(np.eye(3), 30, axis=0)
    by_means = bm.tl.select_n_clusters(x, cluster="kmeans", max_clusters=5, select_by="silhouette")
    assert by_means.n_clusters == 3 and by_means.table["bic"].isna().all()
    assert same_partition(by_means.labels, np.repeat([0, 1, 2], 30))
    frame = bm.tl.select_n_clusters(pd.DataFrame(x), cluster="kmeans", max_clusters=5, select_by="silhouette")
    pd.testing.assert_frame_equal(frame.table, by_means.table)
    whole = bm.tl.select_n_clusters(adata, max_clusters=4)
    pd.testing.assert_frame_equal(whole.table, bm.tl.select_n_clusters(adata.obsm["X_pca"], max_clusters=4).table)
    with pytest.raises(ValueError, match="BIC, which k-means does not have"):
        bm.tl.select_n_clusters(x, cluster="kmeans", select_by="bic")


def test_more_components_than_the_data_bear_are_warned_of():
    adata = ad.AnnData(np.zeros((40, 1), dtype=np.float32))
    adata.obsm["X_pca"] = np.repeat(np.eye(2), 20, axis=0)
    with pytest.warns(UserWarning, match="regularization"):
        bm.tl.gmm(adata, 4, model="VVV")
    assert adata.uns["gmm"]["singular"]


def grid(side=12):
    """Two halves, with some spots of the other label among each, and a lone third label."""
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    adata = ad.AnnData(np.zeros((side * side, 1), dtype=np.float32))
    # The halves lie apart, so that all of a spot's nearest are of its own.
    adata.obsm["spatial"] = np.column_stack([x.ravel() + 20 * (x.ravel() >= side // 2), y.ravel()]).astype(float)
    truth = np.where(x.ravel() < side // 2, "left", "right")
    noisy = truth.copy()
    noisy[[15, 40, 77, 100]] = np.where(truth[[15, 40, 77, 100]] == "left", "right", "left")
    noisy[66] = "odd"
    adata.obs["truth"] = truth
    adata.obs["domain"] = pd.Categorical(noisy, categories=["right", "odd", "left"])
    return adata


def test_single_spots_follow_their_neighbours():
    adata = grid()
    adata.uns["domain_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    assert bm.tl.refine_labels(adata, "domain", n_neighbors=8) is None
    refined = adata.obs["domain_refined"]
    assert (refined == adata.obs["truth"]).all()
    assert list(refined.cat.categories) == ["right", "left"], "in their order, without the one that is gone"
    assert adata.uns["domain_refined_colors"] == ["#ff0000", "#0000ff"]
    record = adata.uns["domain_refined"]
    assert record["n_changed"] == 5
    again = bm.tl.refine_labels(adata, **record["params"], key_added="again", copy=True)
    assert list(again.obs["again"]) == list(refined) and "again" not in adata.obs
    # In place: the record of the labels stays.
    adata.uns["domain"] = {"method": "mine"}
    bm.tl.refine_labels(adata, "domain", n_neighbors=8, key_added="domain")
    assert (adata.obs["domain"] == adata.obs["truth"]).all()
    assert adata.uns["domain"]["method"] == "mine" and adata.uns["domain"]["refine"]["n_changed"] == 5


def test_labels_of_any_kind_are_refined():
    adata = grid()
    adata.obs["text"] = adata.obs["domain"].astype(str)
    adata.obs["number"] = adata.obs["domain"].cat.codes.astype(int) * 10
    for key in ("text", "number"):
        bm.tl.refine_labels(adata, key, n_neighbors=8)
        assert same_partition(adata.obs[f"{key}_refined"], adata.obs["truth"])
    assert set(adata.obs["number_refined"].cat.categories) == {0, 20}


def test_no_vote_crosses_slices():
    adata = grid()
    double = ad.concat({"a": adata, "b": adata}, label="slice", index_unique="-")
    double.obs["domain"] = pd.Categorical(double.obs["domain"].astype(str))
    # The second slice says the opposite at the same places.
    swap = {"left": "right", "right": "left", "odd": "odd"}
    second = double.obs["slice"] == "b"
    double.obs["domain"] = double.obs["domain"].astype(str).mask(second, double.obs["domain"].map(swap).astype(str))
    bm.tl.refine_labels(double, "domain", n_neighbors=8, library_key="slice")
    assert (double.obs["domain_refined"][~second] == double.obs["truth"][~second]).all()
    assert (double.obs["domain_refined"][second] == double.obs["truth"][second].map(swap)).all()


def test_bad_input_changes_nothing():
    adata = stretched()
    adata.obsm["bad"] = np.where(np.arange(adata.n_obs)[:, None] == 7, np.nan, adata.obsm["X_pca"])
    adata.obsm["places"] = adata.obsm["bad"]
    adata.obs["gaps"] = adata.obs["group"].where(adata.obs["group"] > 0)
    before = snapshot(adata)

    def gmm(**options):
        bm.tl.gmm(adata, **{"n_clusters": 3, **options})

    def select(**options):
        bm.tl.select_n_clusters(adata, **options)

    def refine(**options):
        bm.tl.refine_labels(adata, **{"key": "group", **options})

    for call, error, options, message in (
        (gmm, KeyError, dict(use_rep="X_nope"), "bm.pp.pca"),
        (gmm, ValueError, dict(use_rep="bad"), "row 7"),
        (gmm, ValueError, dict(n_clusters=0), "n_clusters is 0"),
        (gmm, ValueError, dict(n_clusters="some"), "n_clusters is 'some'"),
        (gmm, ValueError, dict(n_clusters=180), "ask for fewer"),
        (gmm, ValueError, dict(model="VEV"), 'model is "VEV"'),
        (gmm, ValueError, dict(init="random"), 'init is "random"'),
        (gmm, ValueError, dict(n_init=0), "n_init is 0"),
        (gmm, ValueError, dict(tol=-1.0), "tol is -1"),
        (gmm, ValueError, dict(regularization=2.0), "regularization is 2"),
        (gmm, ValueError, dict(key_added="umap"), "key_added"),
        (gmm, ValueError, dict(n_clusters="auto", select_by="luck"), 'select_by is "luck"'),
        (select, KeyError, dict(use_rep="X_nope"), "bm.pp.pca"),
        (select, ValueError, dict(use_rep="bad"), "row 7"),
        (select, ValueError, dict(cluster="leiden"), "cluster is 'leiden'"),
        (select, ValueError, dict(min_clusters=5, max_clusters=3), "5 to 3 clusters"),
        (select, ValueError, dict(max_clusters=170), "choose another range"),
        (select, ValueError, dict(n_runs=1), "n_runs is 1"),
        (select, ValueError, dict(sample_size=3), "sample_size is 3"),
        (refine, KeyError, dict(key="domains"), "domains"),
        (refine, KeyError, dict(spatial_key="xy"), "spatial_key"),
        (refine, KeyError, dict(library_key="slice"), "slice"),
        (refine, ValueError, dict(key="gaps"), "missing for 80"),
        (refine, ValueError, dict(n_neighbors=0), "n_neighbors is 0"),
        (refine, ValueError, dict(spatial_key="places"), "NaN|finite"),
        (refine, ValueError, dict(key_added="a/b"), "key_added"),
    ):
        with pytest.raises(error, match=message) as raised:
            call(**options)
        assert "--" not in str(raised.value)
        assert snapshot(adata) == before, (call.__name__, options)
    for call in (lambda: bm.tl.gmm(np.zeros((5, 2)), 2), lambda: bm.tl.refine_labels(np.zeros((5, 2)), "a")):
        with pytest.raises(TypeError, match="AnnData was expected"):
            call()
