"""``bm.tl.staig`` and ``bm.tl.smoothed_pca``: keys and dtypes, the same bits as the command line, bad input, models."""

import json
import os
import subprocess

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from planted import adjusted_rand_index, same_partition

import brodmann as bm

# A network that trains in a moment, and the same in flags.
SMALL = {"n_clusters": 4, "epochs": 8, "width": 8, "n_init": 2}
FLAGS = ["-k", "4", "--epochs", "8", "--width", "8", "--n-init", "2"]


@pytest.fixture(scope="module")
def tissue():
    adata = bm.datasets.simulated(side=12, modalities="rna", n_genes=300, random_state=1)
    place = adata.obsm["spatial"]
    adata.obsm["X_image"] = np.sin(place[:, :1] * [0.05, 0.1, 0.2]) + np.cos(place[:, 1:])
    return adata


@pytest.fixture(scope="module")
def slices():
    return bm.datasets.simulated(side=10, modalities="rna", n_slices=2, batch_effect=0.5, n_genes=300, random_state=2)


@pytest.fixture(scope="module")
def found(tissue):
    return bm.tl.staig(tissue, **SMALL, refine=6, restarts=2, umap=True, copy=True)


def command(adata, folder, *flags, more=()):
    """`brodmann` run on a file of `adata` (or of several); what it wrote."""
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    several = adata if isinstance(adata, list) else [adata]
    inputs = [folder / f"in{i}.h5ad" for i in range(len(several))]
    for path, one in zip(inputs, several):
        one.write(path)
    (folder / "out.h5ad").unlink(missing_ok=True)
    done = subprocess.run(
        [binary, "staig", *inputs, "--out", folder / "out.h5ad", "--json", "--threads", "1", "--quiet", *flags, *more],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ad.read_h5ad(folder / "out.h5ad"), json.loads(done.stdout)


def same_result(written, ours, key="staig"):
    assert np.array_equal(written.obsm[f"X_{key}"], ours.obsm[f"X_{key}"])
    assert list(written.obs[key]) == list(ours.obs[key])
    assert list(written.obs[key].cat.categories) == list(ours.obs[key].cat.categories)
    assert written.uns[key]["data_hash"] == ours.uns[key]["data_hash"]
    assert sorted(written.uns[key]) == sorted(ours.uns[key])
    assert sorted(written.uns[key]["params"]) == sorted(ours.uns[key]["params"])


def test_every_key_listed_is_written(tissue, found):
    n = tissue.n_obs
    assert found.obsm["X_staig"].shape == (n, 8) and found.obsm["X_staig"].dtype == np.float32
    assert found.obsm["X_staig_umap"].shape == (n, 2) and found.obsm["X_staig_umap"].dtype == np.float32
    labels, before = found.obs["staig"], found.obs["staig_unrefined"]
    for column in (labels, before):
        assert isinstance(column.dtype, pd.CategoricalDtype)
    assert (np.diff(labels.value_counts().reindex(labels.cat.categories)) <= 0).all()
    assert set(labels) <= set(before), "labels before the vote go by the same names"
    stability = found.obs["staig_stability"]
    assert stability.dtype == np.float64 and stability.between(0.5, 1).all()
    assert found.var["staig_features"].dtype == bool
    record = found.uns["staig"]
    assert found.var["staig_features"].sum() == record["features"]["n_features"]
    loss = record["loss"]["loss"]
    assert len(loss) == record["n_epochs"] == 8 and np.isfinite(loss).all() and loss[-1] < loss[0]
    assert record["params"]["epochs"] == 8 and record["params"]["random_state"] == 42
    assert record["params"]["refine"] == 6 and record["params"]["restarts"] == 2
    assert record["negatives"] == "exact" and record["n_clusters_reached"] and np.isfinite(record["bic"])
    assert len(record["restarts"]["run_agreement"]) == 2
    assert "staig" not in tissue.obs and "X_staig" not in tissue.obsm and "staig_features" not in tissue.var


def test_what_is_written_survives_a_file(found, tmp_path):
    found.write(tmp_path / "x.h5ad")
    read = ad.read_h5ad(tmp_path / "x.h5ad")
    assert np.array_equal(read.obsm["X_staig"], found.obsm["X_staig"])
    assert read.uns["staig"]["params"]["tau"] == found.uns["staig"]["params"]["tau"] == 10
    assert np.array_equal(read.uns["staig"]["loss"]["loss"], found.uns["staig"]["loss"]["loss"])


def test_the_same_bits_as_the_command_line(tissue, found, tmp_path):
    written, report = command(tissue, tmp_path, *FLAGS, "--refine", "6", "--restarts", "2", "--umap")
    assert report["n_obs"] == tissue.n_obs
    same_result(written, found)
    assert np.array_equal(written.obsm["X_staig_umap"], found.obsm["X_staig_umap"])
    assert np.array_equal(written.obs["staig_stability"], found.obs["staig_stability"])
    assert list(written.obs["staig_unrefined"]) == list(found.obs["staig_unrefined"])
    assert list(written.var["staig_features"]) == list(found.var["staig_features"])


def test_the_same_bits_with_every_option(tissue, tmp_path):
    options = dict(
        preset="starmap", tau=3, learning_rate=1e-3, weight_decay=1e-4, layers=1, n_neighbors=6, negatives="moments",
        feature_mask=(0.05, 0.1), edge_rule=0.25, resamples=3, average_views=True, values="log", n_top_genes=100,
        flavor="seurat", target_sum=5000, min_cells=5, cluster="leiden", library_key=None, random_state=7,
    )  # fmt: skip
    ours = bm.tl.staig(tissue, **{**SMALL, **options, "n_clusters": None, "resolution": 0.5}, copy=True)
    written, _ = command(
        tissue, tmp_path, *FLAGS[2:], "--preset", "starmap", "--tau", "3", "--lr", "1e-3", "--weight-decay", "1e-4",
        "--layers", "1", "--n-neighbors", "6", "--negatives", "moments", "--feature-mask", "0.05,0.1",
        "--edge-rule", "fixed=0.25", "--resamples", "3", "--average-views", "--values", "log", "--n-top-genes", "100",
        "--hvg", "seurat", "--target-sum", "5000", "--min-cells", "5", "--cluster", "leiden", "--resolution", "0.5",
        "--seed", "7",
    )  # fmt: skip
    same_result(written, ours)
    assert ours.uns["staig"]["negatives"] == "moments" and len(ours.uns["staig"]["moments_bound"]) == 8
    for name, value in written.uns["staig"]["params"].items():
        if not isinstance(value, (dict, np.ndarray)):
            assert ours.uns["staig"]["params"][name] == value, name


def test_one_and_several_threads_agree(tissue, found):
    before = bm.settings.n_threads
    try:
        bm.settings.n_threads = 1
        alone = bm.tl.staig(tissue, **SMALL, refine=6, restarts=2, copy=True)
    finally:
        bm.settings.n_threads = None
    assert bm.settings.n_threads == before
    assert np.array_equal(alone.obsm["X_staig"], found.obsm["X_staig"])
    assert list(alone.obs["staig"]) == list(found.obs["staig"])


def test_image_features_come_by_key_and_as_an_array(tissue, tmp_path):
    options = {**SMALL, "image_classes": 5}
    by_key = bm.tl.staig(tissue, **options, image_key="X_image", copy=True)
    frame = pd.DataFrame(tissue.obsm["X_image"], index=tissue.obs_names)
    for image in (tissue.obsm["X_image"], frame, np.asfortranarray(tissue.obsm["X_image"])):
        given = bm.tl.staig(tissue, **options, image_key=image, copy=True)
        assert np.array_equal(given.obsm["X_staig"], by_key.obsm["X_staig"])
        assert "array" in given.uns["staig"]["params"]["image"]
    assert by_key.uns["staig"]["params"]["image"] == "X_image"
    assert by_key.uns["staig"]["params"]["edge_rule"] == "image"
    without = bm.tl.staig(tissue, **SMALL, copy=True)
    assert not np.array_equal(without.obsm["X_staig"], by_key.obsm["X_staig"])
    written, _ = command(tissue, tmp_path, *FLAGS, "--image-key", "X_image", "--image-classes", "5")
    same_result(written, by_key)


def test_slices_of_one_object(slices, tmp_path):
    both = slices.copy()
    # The order of the categories is the order of the sums.
    names = both.obs["library_id"].cat
    both.obs["library_id"] = names.reorder_categories(list(names.categories)[::-1])
    ours = bm.tl.staig(both, **SMALL, preset="integration", library_key="library_id", copy=True)
    record = ours.uns["staig"]
    assert 1 <= record["integration"]["ilisi"] <= 2 and 1 <= record["integration"]["ilisi_before"] <= 2
    assert record["params"]["library_key"] == "library_id" and record["params"]["preset"] == "integration"
    written, report = command(both, tmp_path, *FLAGS, "--preset", "integration", "--library-key", "library_id")
    assert report["n_slices"] == 2
    same_result(written, ours)


def test_slices_joined_by_anndata_are_slices_of_several_files(slices, tmp_path):
    parts = [slices[slices.obs["library_id"] == name].copy() for name in slices.obs["library_id"].cat.categories]
    # One has a gene fewer; the order of the others is its own.
    parts[1] = parts[1][:, ::-1][:, 1:].copy()
    for part in parts:
        part.obs_names = [f"spot_{i}" for i in range(part.n_obs)]
        del part.obs["library_id"]
        part.uns.clear()
    both = ad.concat(dict(zip(["in0", "in1"], parts)), label="library_id", index_unique="-")
    bm.tl.staig(both, **SMALL, library_key="library_id")
    written, report = command(parts, tmp_path, *FLAGS)
    assert report["n_slices"] == 2
    assert np.array_equal(written.obsm["X_staig"], both.obsm["X_staig"])
    assert list(written.obs["staig"]) == list(both.obs["staig"])


def test_of_several_modalities_gene_expression_is_taken(tissue):
    pytest.importorskip("mudata")
    mdata = bm.datasets.simulated(side=12, modalities=("adt", "rna"), n_genes=300, random_state=1)
    mdata.mod["rna"].layers["raw"] = mdata.mod["rna"].X.copy()
    whole = bm.tl.staig(mdata, **SMALL, copy=True)
    assert "staig_features" in whole.mod["rna"].var and "staig_features" not in whole.mod["adt"].var
    assert whole.obs["staig"].notna().all() and whole.obsm["X_staig"].shape == (144, 8)
    alone = mdata.mod["rna"].copy()
    if "spatial" not in alone.obsm:
        alone.obsm["spatial"] = mdata.obsm["spatial"]
    bm.tl.staig(alone, **SMALL)
    assert np.array_equal(alone.obsm["X_staig"], whole.obsm["X_staig"])
    bm.tl.staig(mdata, **SMALL, layer={"rna": "raw"}, key_added="layered")
    assert np.array_equal(mdata.obsm["X_layered"], whole.obsm["X_staig"])
    assert mdata.uns["layered"]["params"]["preprocess"]["layer"] == {"rna": "raw"}


def test_a_saved_model_gives_what_training_gave(tissue, tmp_path):
    path = tmp_path / "model.safetensors"
    trained = bm.tl.staig(tissue, **SMALL, save_model=path, copy=True)
    applied = bm.tl.staig(tissue, n_clusters=4, n_init=2, load_model=path, copy=True)
    assert np.array_equal(applied.obsm["X_staig"], trained.obsm["X_staig"])
    assert list(applied.obs["staig"]) == list(trained.obs["staig"])
    other = bm.datasets.simulated(side=9, modalities="rna", n_genes=300, random_state=5)[:, ::-1].copy()
    bm.tl.staig(other, n_clusters=4, n_init=2, load_model=path)
    assert other.obsm["X_staig"].shape == (81, 8)
    with pytest.raises(ValueError, match="missing"):
        bm.tl.staig(other[:, :100].copy(), n_clusters=4, load_model=path)
    for option in ({"epochs": 3}, {"preset": "visium"}, {"average_views": True}, {"restarts": 2}, {"save_model": "x"}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} cannot be given together with the model"):
            bm.tl.staig(tissue, n_clusters=4, load_model=path, **option)


def test_training_goes_on_where_it_was(tissue, tmp_path):
    folder = tmp_path / "checkpoints"
    whole = bm.tl.staig(tissue, **SMALL, copy=True)
    bm.tl.staig(tissue, **{**SMALL, "epochs": 3}, checkpoint=folder, checkpoint_every=3, copy=True)
    resumed = bm.tl.staig(tissue, **SMALL, checkpoint=folder, resume=True, copy=True)
    assert np.array_equal(resumed.obsm["X_staig"], whole.obsm["X_staig"])
    assert np.array_equal(resumed.uns["staig"]["loss"]["loss"], whole.uns["staig"]["loss"]["loss"])
    with pytest.raises(ValueError, match="another run") as refused:
        bm.tl.staig(tissue, **{**SMALL, "width": 9}, checkpoint=folder, resume=True, copy=True)
    assert "--" not in str(refused.value)
    with pytest.raises(OSError, match="does not exist"):
        bm.tl.staig(tissue, **SMALL, checkpoint=tmp_path / "other", resume=True, copy=True)


def test_the_number_of_domains_is_chosen_and_said(tissue):
    options = {**SMALL, "n_clusters": "auto", "max_clusters": 6, "select_by": "silhouette"}
    chosen = bm.tl.staig(tissue, **options, copy=True)
    tried = chosen.uns["staig"]["tried"]
    assert list(tried["n_clusters"]) == [2, 3, 4, 5, 6]
    best = tried["n_clusters"][np.argmax(tried["silhouette"])]
    assert chosen.obs["staig"].nunique() == chosen.uns["staig"]["n_clusters"] == best
    unsaid = bm.tl.staig(tissue, **{**options, "n_clusters": None}, copy=True)
    assert list(unsaid.obs["staig"]) == list(chosen.obs["staig"])


@pytest.mark.parametrize("cluster", ["gmm", "kmeans"])
def test_a_number_that_is_not_reached_is_warned_of(tissue, cluster):
    # Spots of two kinds, in halves: smoothed, there are fewer than thirty different ones.
    halves = tissue.copy()
    right = tissue.obsm["spatial"][:, 0] > tissue.obsm["spatial"][:, 0].mean()
    halves.X = tissue.X[np.where(right, 5, 0)]
    with pytest.warns(UserWarning, match="domains were found where 30 had been asked for; ") as warned:
        bm.tl.smoothed_pca(halves, n_clusters=30, cluster=cluster, n_comps=5, normalized=True, n_top_genes=0)
    assert warned[0].filename == __file__
    assert not halves.uns["smoothed_pca"]["n_clusters_reached"]


def test_refinement_is_that_of_refine_labels(tissue, found):
    again = found.copy()
    bm.tl.refine_labels(again, "staig_unrefined", n_neighbors=6)
    assert same_partition(again.obs["staig_unrefined_refined"], found.obs["staig"])


def test_the_baseline(tmp_path):
    adata = bm.datasets.simulated(side=20, modalities="rna", n_genes=300, random_state=1)
    baseline = adata.copy()
    assert bm.tl.smoothed_pca(baseline, n_clusters=5, n_comps=12, n_neighbors=4, refine=6, umap=True) is None
    assert baseline.obsm["X_smoothed_pca"].shape == (400, 12)
    assert baseline.obsm["X_smoothed_pca"].dtype == np.float32
    assert baseline.obsm["X_smoothed_pca_umap"].shape == (400, 2)
    assert {"smoothed_pca", "smoothed_pca_unrefined"} <= set(baseline.obs)
    record = baseline.uns["smoothed_pca"]
    assert record["method"] == "smoothed_pca" and "loss" not in record
    assert record["params"]["n_components"] == 12 and record["params"]["n_neighbors"] == 4
    assert adjusted_rand_index(baseline.obs["smoothed_pca"], baseline.obs["ground_truth"]) > 0.4
    flags = ["--method", "smoothed-pca", "-k", "5", "--n-pcs", "12", "--n-neighbors", "4", "--refine", "6", "--umap"]
    written, _ = command(adata, tmp_path, *flags)
    same_result(written, baseline, "smoothed_pca")
    assert bm.tl.smoothed_pca(adata, n_clusters=5, key_added="plain") is None
    written, _ = command(adata, tmp_path, "--method", "smoothed-pca", "-k", "5", "--key-added", "plain")
    same_result(written, adata, "plain")


BAD = [
    ({"epochs": 0}, ValueError, "epochs is 0"),
    ({"learning_rate": -1.0}, ValueError, "learning_rate is -1"),
    ({"learning_rate": "fast"}, ValueError, 'learning_rate is "fast"'),
    ({"tau": 0}, ValueError, "tau is 0"),
    ({"layers": 3}, ValueError, "layers is 3"),
    ({"width": 5000}, ValueError, "width is 5000"),
    ({"n_neighbors": 1000}, ValueError, "n_neighbors is 1000"),
    ({"resamples": 11}, ValueError, "resamples is 11"),
    ({"negatives": "some"}, ValueError, "negatives is \"some\""),
    ({"feature_mask": (0.1, 0.2, 0.3)}, ValueError, "feature_mask"),
    ({"feature_mask": 1.5}, ValueError, "feature_mask"),
    ({"edge_rule": "distance"}, ValueError, "edge_rule"),
    ({"edge_rule": 2.0}, ValueError, "edge_rule"),
    ({"edge_rule": "image"}, ValueError, "edge_rule is image.*image_key"),
    ({"image_classes": 5}, ValueError, "image_classes is 5.*image_key"),
    ({"preset": "visium_image"}, ValueError, "preset is visium_image.*image_key"),
    ({"preset": "mine"}, ValueError, "mine.*visium"),
    ({"image_key": "X_picture"}, KeyError, "X_picture.*X_image.*image_key"),
    ({"image_key": np.zeros((3, 2))}, ValueError, "image_key has shape"),
    ({"image_key": np.full((144, 2), np.nan)}, ValueError, "image_key"),
    ({"image_key": np.zeros((144, 0))}, ValueError, "image_key"),
    ({"image_key": "X_image", "image_classes": 144}, ValueError, "image_classes is 144"),
    ({"values": "logs"}, ValueError, "values is \"logs\""),
    ({"values": "log", "normalized": True}, ValueError, "values is log together with normalized"),
    ({"flavor": "paprika"}, ValueError, "paprika"),
    ({"target_sum": -1, "values": "log"}, ValueError, "target_sum"),
    ({"n_clusters": 144}, ValueError, "n_clusters"),
    ({"n_clusters": "many"}, ValueError, 'n_clusters is "many"'),
    ({"n_clusters": "auto", "cluster": "kmeans"}, ValueError, "n_clusters is auto.*gmm"),
    ({"n_clusters": None, "cluster": "kmeans"}, ValueError, "n_clusters"),
    ({"cluster": "dbscan"}, ValueError, "cluster is \"dbscan\""),
    ({"gmm_model": "XXX"}, ValueError, "gmm_model is \"XXX\""),
    ({"select_by": "taste"}, ValueError, "select_by is \"taste\""),
    ({"n_init": 0}, ValueError, "n_init is 0"),
    ({"refine": 144}, ValueError, "refine is 144"),
    ({"refine": -1}, ValueError, "refine is -1"),
    ({"restarts": 0}, ValueError, "restarts is 0"),
    ({"restarts": 1001}, ValueError, "restarts is 1001"),
    ({"spatial_key": "space"}, KeyError, "space"),
    ({"library_key": "slice"}, KeyError, "slice"),
    ({"layer": "raw"}, KeyError, "raw"),
    ({"resume": True}, ValueError, "resume is given alone.*checkpoint"),
    ({"load_model": "no-such-file.safetensors", "epochs": None, "width": None}, OSError, "no-such-file"),
    ({"key_added": "spatial"}, ValueError, "key_added"),
    ({"random_state": -1}, ValueError, "random_state"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "words"), BAD, ids=lambda v: str(v)[:40] if isinstance(v, dict) else "")
def test_bad_input_is_named_and_changes_nothing(tissue, options, error, words):
    before = (set(tissue.obs), set(tissue.var), set(tissue.obsm), set(tissue.uns))
    with pytest.raises(error, match=words) as raised:
        bm.tl.staig(tissue, **{**SMALL, **options})
    assert "--" not in str(raised.value), "a flag of the command line in a message for Python"
    # Found, expected, and what to do: the compiled part writes the last as a hint.
    assert str(raised.value).count("; ") == 1 or ". Hint: " in str(raised.value)
    assert before == (set(tissue.obs), set(tissue.var), set(tissue.obsm), set(tissue.uns))


def test_values_that_are_no_counts_are_refused(tissue):
    logged = tissue.copy()
    logged.X = logged.X.log1p()
    with pytest.raises(ValueError, match="give raw counts, or say normalized=True"):
        bm.tl.staig(logged, **SMALL, values="log")
    assert bm.tl.staig(logged, **SMALL, normalized=True) is None
    assert logged.uns["staig"]["features"]["values"] == "logged"


def test_tissues_without_gene_expression_say_what_takes_them():
    pytest.importorskip("mudata")
    mdata = bm.datasets.simulated(side=8, modalities=("adt", "atac"), n_proteins=20, n_peaks=30)
    with pytest.raises(ValueError, match=r"the tissue holds adt, atac.*bm\.tl\.spami"):
        bm.tl.staig(mdata, n_clusters=3)
