"""bm.metrics against scikit-learn, and on AnnData."""

import json
import os
import subprocess

import numpy as np
import pandas as pd
import pytest
from samples import peer, tissue

import brodmann as bm

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 5, 300)
PRED = np.where(RNG.random(300) < 0.6, TRUTH, RNG.integers(0, 7, 300))
POINTS = RNG.normal(size=(300, 6)) + TRUTH[:, None]

PAIRS = {
    "adjusted_rand_index": "adjusted_rand_score",
    "normalized_mutual_information": "normalized_mutual_info_score",
    "adjusted_mutual_information": "adjusted_mutual_info_score",
    "homogeneity": "homogeneity_score",
    "completeness": "completeness_score",
    "v_measure": "v_measure_score",
}
OF_POINTS = {
    "silhouette": "silhouette_score",
    "davies_bouldin": "davies_bouldin_score",
    "calinski_harabasz": "calinski_harabasz_score",
}
LABELS = {
    "integers": (TRUTH, PRED),
    "strings": (TRUTH.astype(str), [f"cluster {p}" for p in PRED]),
    "categoricals": (pd.Categorical(TRUTH), pd.Series(PRED).astype("category")),
    "series": (pd.Series(TRUTH, index=np.arange(300)[::-1]), pd.Series(PRED)),
    "floats": (TRUTH.astype(float), PRED.astype(np.int8)),
    "one cluster": (TRUTH, np.zeros(300)),
    "equal": (TRUTH, TRUTH + 3),
    "singletons": (np.arange(300), PRED),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", PAIRS)
def test_scores_of_two_partitions_are_scikit_learns(name, labels):
    sklearn = peer("sklearn.metrics")
    truth, pred = LABELS[labels]
    expected = getattr(sklearn, PAIRS[name])(np.asarray(truth), np.asarray(pred))
    assert getattr(bm.metrics, name)(truth, pred) == pytest.approx(expected, abs=1e-10)
    assert getattr(bm.metrics, PAIRS[name]) is getattr(bm.metrics, name)


def test_the_three_at_once_are_scikit_learns():
    sklearn = peer("sklearn.metrics")
    found = bm.metrics.homogeneity_completeness_v_measure(TRUTH, PRED)
    assert found == pytest.approx(sklearn.homogeneity_completeness_v_measure(TRUTH, PRED))


@pytest.mark.parametrize("name", OF_POINTS)
@pytest.mark.parametrize(
    "convert", [np.asarray, np.asfortranarray, lambda x: x.astype(np.float32), pd.DataFrame, np.ndarray.tolist]
)
def test_scores_of_an_embedding_are_scikit_learns(name, convert):
    sklearn = peer("sklearn.metrics")
    expected = getattr(sklearn, OF_POINTS[name])(POINTS, PRED)
    found = getattr(bm.metrics, name)(
        convert(POINTS) if convert is not np.ndarray.tolist else np.array(POINTS.tolist()), PRED
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_silhouette_samples_are_scikit_learns():
    sklearn = peer("sklearn.metrics")
    np.testing.assert_allclose(
        bm.metrics.silhouette_samples(POINTS, PRED), sklearn.silhouette_samples(POINTS, PRED), atol=1e-9
    )
    sampled = [bm.metrics.silhouette(POINTS, PRED, sample_size=100, random_state=s) for s in (1, 1, 2)]
    assert sampled[0] == sampled[1] != sampled[2]


def test_missing_labels_are_left_out_of_comparisons_and_refused_elsewhere():
    truth = ["a", None, "b", "b", np.nan, "a"]
    pred = [1, 1, 2, 2, 2, 2]
    expected = bm.metrics.adjusted_rand_index(["a", "b", "b", "a"], [1, 2, 2, 2])
    assert bm.metrics.adjusted_rand_index(truth, pred) == expected
    assert bm.metrics.adjusted_rand_index(pd.Categorical(truth), pred) == expected
    with pytest.raises(ValueError, match="labels is missing for 2 observations"):
        bm.metrics.silhouette(POINTS[:6], truth)
    with pytest.raises(ValueError, match="no observation has all the labels needed"):
        bm.metrics.adjusted_rand_index([None, None], [1, 2])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="labels_true has 3 entries and labels_pred 2"):
        bm.metrics.adjusted_rand_index([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="1 was expected"):
        bm.metrics.adjusted_rand_index(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="name 1 clusters; expected 2 to 299"):
        bm.metrics.silhouette(POINTS, np.zeros(300))
    with pytest.raises(ValueError, match="labels has 299 entries, 300 were expected"):
        bm.metrics.davies_bouldin(POINTS, PRED[1:])
    bad = POINTS.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7, column 2"):
        bm.metrics.silhouette(bad, PRED)
    with pytest.raises(ValueError, match="dtype"):
        bm.metrics.silhouette(POINTS.astype(object), PRED)


def test_mixing_is_seen():
    mixed, apart = RNG.integers(0, 2, 300), (POINTS[:, 0] > 2).astype(int)
    assert np.median(bm.metrics.lisi(POINTS, mixed)) > 1.6 > np.median(bm.metrics.lisi(POINTS, apart))
    assert bm.metrics.batch_kl(POINTS, mixed).mean() < bm.metrics.batch_kl(POINTS, apart).mean()
    assert bm.metrics.lisi(POINTS, mixed).shape == bm.metrics.batch_kl(POINTS, mixed).shape == (300,)


def test_space_is_seen():
    adata = tissue()
    bm.gr.spatial_neighbors(adata)
    graph = adata.obsp["spatial_connectivities"]
    left = adata.obsm["spatial"][:, 0] > 50
    shuffled = RNG.permutation(left)
    assert bm.metrics.pas(left, graph) < bm.metrics.pas(shuffled, graph)
    assert bm.metrics.chaos(adata.obsm["spatial"], left) < bm.metrics.chaos(adata.obsm["spatial"], shuffled)


def test_evaluate_gives_what_the_single_functions_give():
    adata = tissue()
    adata.obs["pred"] = pd.Categorical(np.where(np.arange(240) % 9, adata.obs["truth"], "one"))
    adata.obs["partial"] = adata.obs["truth"].astype(object).where(np.arange(240) > 20)
    bm.pp.pca(adata, n_comps=5)
    bm.gr.spatial_neighbors(adata)
    scores = bm.metrics.evaluate(adata, pred="pred", truth="partial", batch_key="slice")
    known = adata.obs["partial"].notna()
    assert scores["ari"] == bm.metrics.adjusted_rand_index(adata.obs["truth"][known], adata.obs["pred"][known])
    assert scores["n_without_truth"] == 21
    embedding = adata.obsm["X_pca"].astype(float)
    assert scores["silhouette"] == pytest.approx(bm.metrics.silhouette(embedding, adata.obs["pred"]))
    assert scores["ilisi_median"] == pytest.approx(np.median(bm.metrics.lisi(embedding, adata.obs["slice"])))
    nearest = bm.metrics.coherence_graph(adata.obsm["spatial"], batch=adata.obs["slice"])
    assert scores["pas"] == bm.metrics.pas(adata.obs["pred"], nearest)
    stored = bm.metrics.evaluate(adata, pred="pred", connectivity_key="spatial_connectivities")
    assert stored["pas"] == bm.metrics.pas(adata.obs["pred"], adata.obsp["spatial_connectivities"])
    no_space = tissue()
    del no_space.obsm["spatial"]
    alone = bm.metrics.evaluate(no_space, pred="truth")
    assert set(alone.index) == {"n_obs", "n_clusters"}
    assert any("no coordinates" in note for note in alone.attrs["notes"])
    with pytest.raises(KeyError, match=r"obs\['nothing'\] is missing.*bm\.tl\.spatialleiden"):
        bm.metrics.evaluate(adata, pred="nothing")


def test_the_coherence_graph_is_that_of_the_six_nearest_within_a_batch():
    xy = RNG.random((80, 2))
    batch = np.repeat(["a", "b"], 40)
    graph = bm.metrics.coherence_graph(xy, batch=batch).toarray()
    expected = np.zeros((80, 80))
    for i in range(80):
        distance = np.where(batch == batch[i], ((xy - xy[i]) ** 2).sum(axis=1), np.inf)
        distance[i] = np.inf
        expected[i, np.argsort(distance)[:6]] = 1
    np.testing.assert_array_equal(graph, np.maximum(expected, expected.T))


@pytest.mark.parametrize("batch_key", [None, "slice"])
def test_the_command_evaluates_to_the_same_numbers(tmp_path, batch_key):
    binary = os.environ.get("BRODMANN")
    if binary is None:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    adata = tissue()
    adata.obs["pred"] = pd.Categorical(np.where(np.arange(240) % 9, adata.obs["truth"], "one"))
    adata.obs["partial"] = adata.obs["truth"].astype(object).where(np.arange(240) > 20)
    bm.pp.pca(adata, n_comps=5)
    # A graph of another kind in the file has no say at either door.
    bm.gr.spatial_neighbors(adata, n_neighs=15)
    path = tmp_path / "tissue.h5ad"
    adata.write_h5ad(path)
    options = [] if batch_key is None else ["--batch-key", batch_key]
    command = [binary, "evaluate", path, "--pred", "pred", "--truth", "partial", "--json", *options]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = {k: v for k, v in report["metrics"].items() if isinstance(v, (int, float))}
    scores = bm.metrics.evaluate(adata, pred="pred", truth="partial", batch_key=batch_key)
    shared = set(found) & set(scores.index)
    assert {"ari", "v_measure", "silhouette", "morans_i", "pas", "clisi_mean", "n_obs"} <= shared
    assert set(scores.index) <= set(found)
    assert {k: found[k] for k in shared} == {k: scores[k] for k in shared}


def test_the_truth_is_found_where_it_has_its_usual_name():
    adata = bm.datasets.simulated(side=8, modalities="rna")
    adata.obs["pred"] = adata.obs["ground_truth"].astype(str)
    assert bm.metrics.evaluate(adata, pred="pred")["ari"] == 1
    # The truth itself is judged by space alone.
    assert "ari" not in bm.metrics.evaluate(adata, pred="ground_truth")
    adata.obs["ground_truth"] = np.nan
    assert "ari" not in bm.metrics.evaluate(adata, pred="pred")
