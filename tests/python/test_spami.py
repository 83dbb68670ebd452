"""``bm.tl.spami``: keys and dtypes, the same bits as the command line, bad input, models."""

import json
import os
import subprocess

import numpy as np
import pandas as pd
import pytest

import brodmann as bm

EPOCHS = 12


@pytest.fixture(scope="module")
def tissue():
    return bm.datasets.simulated(side=14, modalities=("rna", "adt"), random_state=1)


@pytest.fixture(scope="module")
def integrated(tissue):
    return bm.tl.spami(tissue, n_clusters=4, epochs=EPOCHS, umap=True, modality_embeddings=True, copy=True)


def test_every_key_listed_is_written(tissue, integrated):
    n = tissue.n_obs
    assert integrated.obsm["X_spami"].shape == (n, 64) and integrated.obsm["X_spami"].dtype == np.float32
    attention = integrated.obsm["spami_attention"]
    assert isinstance(attention, pd.DataFrame) and list(attention) == ["rna", "adt"]
    assert np.allclose(attention.sum(axis=1), 1, atol=1e-5)
    assert attention.index.equals(integrated.obs_names)
    labels = integrated.obs["spami"]
    assert isinstance(labels.dtype, pd.CategoricalDtype)
    assert list(labels.cat.categories) == [str(i) for i in range(labels.nunique())]
    assert (np.diff(labels.value_counts().reindex(labels.cat.categories)) <= 0).all()
    assert integrated.obsm["X_spami_umap"].shape == (n, 2)
    assert integrated.obsm["X_spami_rna"].shape == (n, 64)
    record = integrated.uns["spami"]
    assert len(record["loss"]["loss"]) == EPOCHS and np.isfinite(record["loss"]["loss"]).all()
    assert record["params"]["epochs"] == EPOCHS and record["params"]["random_state"] == 42
    assert record["features"]["adt"]["modality"] == "adt"
    for name, adata in integrated.mod.items():
        denoised = adata.layers["spami_denoised"]
        assert denoised.shape == adata.shape and adata.var["spami_denoised"].any()
        values = denoised.toarray() if hasattr(denoised, "toarray") else denoised
        assert (values >= 0).all() and values.any(), name
    assert "spami" not in tissue.obs and "X_spami" not in tissue.obsm


def test_the_same_bits_as_the_command_line(tissue, integrated, tmp_path):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    import mudata

    tissue.write(tmp_path / "in.h5mu")
    done = subprocess.run(
        [binary, "spami", tmp_path / "in.h5mu", "--out", tmp_path / "out.h5mu", "-k", "4", "--epochs", str(EPOCHS),
         "--json", "--threads", "1", "--quiet"],
        capture_output=True, text=True, check=True,
    )
    assert json.loads(done.stdout)["n_obs"] == tissue.n_obs
    written = mudata.read_h5mu(tmp_path / "out.h5mu")
    assert np.array_equal(written.obsm["X_spami"], integrated.obsm["X_spami"])
    assert list(written.obs["spami"]) == list(integrated.obs["spami"])


def test_what_is_written_survives_a_file(integrated, tmp_path):
    import mudata

    integrated.write(tmp_path / "x.h5mu")
    read = mudata.read_h5mu(tmp_path / "x.h5mu")
    assert np.array_equal(read.obsm["spami_attention"]["rna"], integrated.obsm["spami_attention"]["rna"])
    assert read.uns["spami"]["params"]["epochs"] == EPOCHS


def test_one_modality_is_enough(tissue):
    adata = tissue.mod["rna"].copy()
    adata.obsm["spatial"] = tissue.obsm["spatial"] if "spatial" in tissue.obsm else adata.obsm["spatial"]
    assert bm.tl.spami(adata, n_clusters=3, epochs=3, modality_kinds="rna", denoise=False) is None
    assert adata.obsm["X_spami"].shape[0] == adata.n_obs
    assert "spami_denoised" not in adata.layers


def test_a_saved_model_gives_what_training_gave(tissue, integrated, tmp_path):
    path = tmp_path / "model.safetensors"
    bm.tl.spami(tissue, n_clusters=4, epochs=EPOCHS, save_model=path, key_added="trained", denoise=False)
    applied = bm.tl.spami(tissue, n_clusters=4, load_model=path, copy=True, denoise=False)
    assert np.array_equal(applied.obsm["X_spami"], integrated.obsm["X_spami"])
    for group in (tissue.obs, tissue.obsm, tissue.uns):
        for key in [k for k in group if "trained" in k]:
            del group[key]


def test_training_goes_on_where_it_was(tissue, integrated, tmp_path):
    folder = tmp_path / "checkpoints"
    bm.tl.spami(tissue, n_clusters=4, epochs=5, checkpoint=folder, checkpoint_every=5, copy=True, denoise=False)
    resumed = bm.tl.spami(tissue, n_clusters=4, epochs=EPOCHS, checkpoint=folder, resume=True, copy=True, denoise=False)
    assert np.array_equal(resumed.obsm["X_spami"], integrated.obsm["X_spami"])
    options = {"n_clusters": 4, "epochs": 2, "checkpoint": folder, "copy": True, "denoise": False}
    with pytest.raises(ValueError, match=f"saved after epoch {EPOCHS}, is there already.*resume.*restart"):
        bm.tl.spami(tissue, **options)
    bm.tl.spami(tissue, restart=True, **options)
    with pytest.raises(ValueError, match="restart is given with resume"):
        bm.tl.spami(tissue, restart=True, resume=True, **options)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate"),
        ({"contrast_weights": {"protein": 1.0}}, ValueError, "protein"),
        ({"contrast_weights": {"rna": -1.0}}, ValueError, "contrast_weights"),
        ({"modality_kinds": {"rna": "dna"}}, ValueError, "rna"),
        ({"modalities": ["rna", "dna"]}, ValueError, "dna"),
        ({"preset": "mine"}, ValueError, "preset"),
        ({"fusion": "sum"}, ValueError, "fusion"),
        ({"cluster": "kmeans", "n_clusters": None}, ValueError, "n_clusters"),
        ({"n_clusters": 100000}, ValueError, "100000"),
        ({"spatial_key": "space"}, KeyError, "space"),
        ({"library_key": "slice"}, KeyError, "slice"),
        ({"layer": {"rna": "raw"}}, KeyError, "raw"),
        ({"use_rep": {"rna": "X_pca", "adt": "X_pca"}}, KeyError, "X_pca"),
        ({"resume": True}, ValueError, "checkpoint"),
        ({"load_model": "no-such-file.safetensors"}, (OSError, ValueError), "no-such-file"),
        ({"key_added": "spatial"}, ValueError, "key_added"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(tissue, options, error, words):
    before = (set(tissue.obs), set(tissue.obsm), set(tissue.uns))
    with pytest.raises(error, match=words) as raised:
        bm.tl.spami(tissue, **{"n_clusters": 4, "epochs": 2, **options})
    assert "--" not in str(raised.value), "a flag of the command line in a message for Python"
    assert before == (set(tissue.obs), set(tissue.obsm), set(tissue.uns))


def test_counts_that_are_none_are_refused(tissue):
    negative = tissue.copy()
    x = negative.mod["rna"].X.copy()
    x.data[0] = -1
    negative.mod["rna"].X = x
    with pytest.raises(ValueError, match="rna"):
        bm.tl.spami(negative, n_clusters=4, epochs=1)


@pytest.fixture(scope="module")
def atlas():
    adata = bm.datasets.simulated(side=14, modalities=("rna", "adt"), random_state=1).mod["rna"].copy()
    whole = bm.datasets.simulated(side=14, modalities=("rna", "adt"), random_state=1)
    adata.obs["region"] = whole.obs["ground_truth"].to_numpy()
    adata.obsm["spatial"] = np.asarray(whole.obsm["spatial"] if "spatial" in whole.obsm else adata.obsm["spatial"])
    return adata


def test_a_labelled_slice_gives_its_labels(tissue, atlas, tmp_path):
    found = bm.tl.spami(tissue, n_clusters=4, epochs=EPOCHS, prior=atlas, prior_key="region", copy=True)
    labels, confidence = found.obs["spami_prior"], found.obs["spami_prior_confidence"]
    assert isinstance(labels.dtype, pd.CategoricalDtype) and confidence.dtype == np.float32
    assert set(labels.cat.categories) <= {*map(str, atlas.obs["region"].unique()), "none of these"}
    assert ((confidence >= 0) & (confidence <= 1)).all()
    record = found.uns["spami"]
    assert record["prior"]["n_reference"] == atlas.n_obs and record["prior"]["trusted"]
    assert record["params"]["prior"]["prior_key"] == "region"
    # The file of the reference is the reference.
    atlas.write_h5ad(tmp_path / "atlas.h5ad")
    by_file = bm.tl.spami(
        tissue, n_clusters=4, epochs=EPOCHS, prior=tmp_path / "atlas.h5ad", prior_key="region", copy=True
    )
    assert np.array_equal(by_file.obsm["X_spami"], found.obsm["X_spami"])
    assert list(by_file.obs["spami_prior"]) == list(labels)
    assert "spami_prior" not in tissue.obs


def test_a_reference_with_shuffled_labels_changes_nothing(tissue, integrated, atlas):
    wrong = atlas.copy()
    wrong.obs["region"] = wrong.obs["region"].to_numpy()[np.random.default_rng(0).permutation(wrong.n_obs)]
    with pytest.warns(UserWarning, match="not trusted"):
        found = bm.tl.spami(tissue, n_clusters=4, epochs=EPOCHS, prior=wrong, prior_key="region", copy=True)
    assert np.array_equal(found.obsm["X_spami"], integrated.obsm["X_spami"])
    assert (found.obs["spami_prior"] == "none of these").all()


def test_half_a_reference_is_refused(tissue, atlas):
    with pytest.raises(ValueError, match="prior_key"):
        bm.tl.spami(tissue, epochs=1, prior=atlas)
    with pytest.raises(ValueError, match="prior"):
        bm.tl.spami(tissue, epochs=1, prior_key="region")
    with pytest.raises(KeyError, match="nothing"):
        bm.tl.spami(tissue, epochs=1, prior=atlas, prior_key="nothing")
    unlike = atlas.copy()
    unlike.var_names = [f"other{i}" for i in range(unlike.n_vars)]
    with pytest.raises(ValueError, match="shares 0"):
        bm.tl.spami(tissue, epochs=1, prior=unlike, prior_key="region")


def test_a_labelled_slice_names_the_domains_of_another_and_helps_to_find_them():
    # Two sections of one layout, each with its own cells; both see all domains.
    both = bm.datasets.simulated(side=16, modalities="rna", n_genes=400, n_slices=2, random_state=3)
    first, second = (both[both.obs["library_id"] == name].copy() for name in both.obs["library_id"].cat.categories)
    options = dict(n_clusters=5, epochs=200, copy=True)
    guided = bm.tl.spami(first, prior=second, prior_key="ground_truth", **options)
    labels = guided.obs["spami_prior"].astype(str)
    truth = guided.obs["ground_truth"].astype(str)
    named = labels != "none of these"
    assert named.mean() > 0.6 and (labels == truth)[named].mean() > 0.75
    alone = bm.tl.spami(first, **options)
    ari = [bm.metrics.adjusted_rand_index(truth, of.obs["spami"]) for of in (guided, alone)]
    assert ari[0] > ari[1], ari
