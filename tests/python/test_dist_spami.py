"""``bm.dist.spami``: real worker processes, on any number of them the bits of one process; a worker and the client killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import brodmann as bm

distributed = pytest.importorskip("distributed")
mudata = pytest.importorskip("mudata")

# A network that trains in a moment; genes are selected, as of a transcriptome.
SMALL = {"n_clusters": 4, "epochs": 6, "hidden": 12, "latent": 6, "n_top_genes": 100, "n_comps": 8, "cluster": "kmeans"}
KINDS = ("rna", "adt", "atac")
PACKAGE = str(Path(bm.__file__).parents[1])


def spatial_mudata(parts, names):
    whole = mudata.MuData(parts)
    whole.obsm["spatial"] = np.asarray(next(iter(parts.values())).obsm["spatial"])
    for name, column in names.items():
        whole.obs[name] = column
    return whole


@pytest.fixture(scope="module")
def objects():
    """Three slices of several sizes; features are not in one order, and each slice lacks some of the others'."""
    made = []
    for k, side in enumerate((10, 9, 12)):
        tissue = bm.datasets.simulated(side=side, modalities=KINDS, n_genes=160, random_state=k)
        parts = {}
        for kind in KINDS:
            part = tissue.mod[kind]
            order = np.random.default_rng(k).permutation(part.n_vars)
            part = part[:, order[order % 23 != k]].copy()
            part.obs_names = [f"{k}-{name}" for name in part.obs_names]
            part.obsm["spatial"] = np.asarray(tissue.obsm["spatial"])
            parts[kind] = part
        made.append(spatial_mudata(parts, {}))
    return made


@pytest.fixture(scope="module")
def files(objects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    paths = [folder / f"s{k}.h5mu" for k in range(len(objects))]
    for path, tissue in zip(paths, objects):
        tissue.write(path)
    return paths


def joined(objects, kinds=KINDS, **options):
    """One process on the same slices."""
    parts = {}
    for kind in kinds:
        of = [tissue.mod[kind] for tissue in objects]
        shared = [name for name in of[0].var_names if all(name in part.var_names for part in of)]
        parts[kind] = ad.concat({f"s{k}": a[:, shared] for k, a in enumerate(of)}, label="library_id")
        assert list(parts[kind].var_names) == shared
    whole = spatial_mudata(parts, {"library_id": parts[kinds[0]].obs["library_id"]})
    bm.tl.spami(whole, library_key="library_id", denoise=False, **{**SMALL, **options})
    return whole


@pytest.fixture(scope="module")
def whole(objects):
    return joined(objects)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def same(found, whole, key="spami"):
    assert np.array_equal(np.concatenate(found.embeddings), whole.obsm[f"X_{key}"])
    assert [label for labels in found.labels for label in labels] == list(whole.obs[key])
    assert found.epochs[-1] == whole.uns[key]["loss"]["loss"][-1]


@pytest.mark.parametrize("n_workers", [1, 3])
def test_any_number_of_workers_has_the_bits_of_one_process(files, whole, n_workers):
    with (
        distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = bm.dist.spami(files, client=client, **SMALL)
    same(found, whole)
    assert found.names == ["s0", "s1", "s2"] and found.n_clusters == whole.uns["spami"]["n_clusters"] == 4
    assert found.epochs == list(whole.uns["spami"]["loss"]["loss"]) and found.n_lost == 0
    attention = np.concatenate([table.to_numpy() for table in found.attention])
    assert np.array_equal(attention, whole.obsm["spami_attention"].to_numpy())
    assert list(found.attention[0].columns) == list(KINDS)
    for kind in KINDS:
        one, apart = (record["features"][kind] for record in (whole.uns["spami"], found.record))
        assert one["n_selected"] == apart["n_selected"] and one["mean_attention"] == apart["mean_attention"]
    assert found.record["features"]["rna"]["n_selected"] == 100
    assert min(found.bytes_per_epoch) > 0 and "domains of" in repr(found)


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "concat", "balance": False, "flavor": "seurat", "umap": True, "modality_embeddings": True},
        {"contrast": False, "dropout": 0.0, "select": "mvp", "min_cells": 20, "integrate": "harmony"},
        {"epochs": 60, "early_stopping": 2, "learning_rate": 0.05, "modalities": ["adt", "rna"], "cosine": False},
        {"n_top_genes": 0, "weight_decay": 0.01, "refine": 4, "cluster": "leiden", "n_neighbors": 3},
    ],
)
def test_options_mean_what_they_mean_on_one_machine(objects, files, client, options):
    one = joined(objects, **options)
    found = bm.dist.spami(files, client=client, **{**SMALL, **options})
    same(found, one)
    assert found.epochs == list(one.uns["spami"]["loss"]["loss"])
    assert found.record["params"]["latent"] == 6
    if "early_stopping" in options:
        assert found.record["stopped_early"] and len(found.epochs) < 60


def test_objects_and_delayed_are_slices_too(objects, files, whole, client):
    import dask

    first = objects[0].copy()
    slices = [first, dask.delayed(mudata.read_h5mu)(files[1]), files[2]]
    found = bm.dist.spami(slices, client=client, names=["a", "b", "c"], **SMALL)
    same(found, whole)
    assert list(first.obs["spami"]) == list(found.labels[0])
    assert np.array_equal(first.obsm["X_spami"], found.embeddings[0])
    assert list(first.obsm["spami_attention"].columns) == list(KINDS)
    assert "spami" not in objects[0].obs


def test_one_modality_and_embeddings_in_place_of_counts(objects, client):
    genes = [tissue.mod["rna"].copy() for tissue in objects]
    one = joined(objects, kinds=("rna",))
    same(bm.dist.spami(genes, client=client, **SMALL), one)
    for k, adata in enumerate(genes):
        adata.obsm["X_given"] = np.random.default_rng(k).normal(size=(adata.n_obs, 5)).astype(np.float32)
    whole = ad.concat({f"s{k}": a[:, genes[0].var_names[:1]] for k, a in enumerate(genes)}, label="library_id", join="outer")
    whole.obsm["spatial"] = np.concatenate([a.obsm["spatial"] for a in genes])
    bm.tl.spami(whole, library_key="library_id", use_rep="X_given", denoise=False, **SMALL)
    same(bm.dist.spami(genes, client=client, use_rep="X_given", **SMALL), whole)
    del genes[2].obsm["X_given"]
    with pytest.raises(KeyError, match="slice 'slice_3'.*X_given"):
        bm.dist.spami(genes, client=client, use_rep="X_given", **SMALL)


def test_workers_in_this_process_share_its_threads(files, whole):
    before = bm.settings.n_threads
    bm.settings.n_threads = 1
    try:
        with (
            distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            found = bm.dist.spami(files, client=client, **SMALL)
    finally:
        bm.settings.n_threads = before
    same(found, whole)


def test_copies_of_files_and_a_model_that_knows_its_domains(files, client, tmp_path):
    model = tmp_path / "model.safetensors"
    # A mixture is kept as it is; of what others find, a Gaussian per domain.
    options = {**SMALL, "cluster": "gmm"}
    found = bm.dist.spami(files, client=client, out=tmp_path / "copies", save_model=model, **options)
    for k, path in enumerate(files):
        copy = mudata.read_h5mu(tmp_path / "copies" / path.name)
        assert list(copy.obs["spami"]) == list(found.labels[k])
        assert np.array_equal(copy.obsm["X_spami"], found.embeddings[k])
        assert "spami" not in mudata.read_h5mu(path).obs
        slice_ = mudata.read_h5mu(path)
        bm.tl.spami(slice_, load_model=model, denoise=True)
        assert list(slice_.obs["spami"]) == list(found.labels[k]) and "spami_denoised" in slice_.mod["rna"].layers


def test_a_worker_killed_in_mid_epoch_changes_no_bit(objects, files):
    one = joined(objects, epochs=80)
    killed = []
    stop = threading.Event()

    def kill(cluster):
        while not stop.wait(0.5) and len(killed) < 3:
            # Those at work: a nanny whose worker dies before it has begun gives up for good.
            there = set(cluster.scheduler.workers)
            pids = [n.pid for n in cluster.workers.values() if n.pid and n.worker_address in there]
            if pids:
                os.kill(pids[len(killed) % len(pids)], signal.SIGKILL)
                killed.append(pids[0])

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        thread = threading.Thread(target=kill, args=(cluster,))
        thread.start()
        try:
            found = bm.dist.spami(files, client=client, **{**SMALL, "epochs": 80})
        finally:
            stop.set()
            thread.join()
    same(found, one)
    assert killed, "the run was over before anybody was killed"


def test_a_client_killed_goes_on_from_its_checkpoint(objects, files, client, tmp_path):
    one = joined(objects, epochs=40)
    code = (
        "import sys, brodmann as bm\nfrom distributed import Client\n"
        f"bm.dist.spami({[str(f) for f in files]!r}, client=Client({client.scheduler.address!r}), "
        f"checkpoint={str(tmp_path)!r}, checkpoint_every=3, **{({**SMALL, 'epochs': 40})!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": PACKAGE})
    saved = tmp_path / "spami.checkpoint.safetensors"
    start = time.monotonic()
    while not saved.exists() and process.poll() is None and time.monotonic() - start < 120:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was killed in mid-training"
    again = {"client": client, "checkpoint": tmp_path, "checkpoint_every": 3, "resume": True, **SMALL, "epochs": 40}
    found = bm.dist.spami(files, **again)
    same(found, one)
    assert 0 < len(found.epochs) < 40
    with pytest.raises(ValueError, match="another run"):
        bm.dist.spami(files[:2], **again)


def test_what_cannot_be_done_says_which_slice(objects, client):
    fractions = objects[1].copy()
    fractions.mod["rna"].X = fractions.mod["rna"].X * 0.5
    with pytest.raises(ValueError, match="slice 'slice_2'"):
        bm.dist.spami([objects[0], fractions], client=client, **SMALL)
    fewer = mudata.MuData({"rna": objects[1].mod["rna"].copy()})
    fewer.obsm["spatial"] = np.asarray(objects[1].obsm["spatial"])
    with pytest.raises(ValueError, match=r"rna \(rna\) in slice_2.*as in slice_1"):
        bm.dist.spami([objects[0], fewer], client=client, **SMALL)
    foreign = objects[1].copy()
    foreign.mod["adt"].var_names = [f"other{j}" for j in range(foreign.mod["adt"].n_vars)]
    with pytest.raises(ValueError, match="0 genes in common"):
        bm.dist.spami([objects[0], foreign], client=client, **SMALL)
    assert "spami" not in fractions.obs and "spami" not in foreign.obs


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"library_key": "slice"}, ValueError, "library_key"),
        ({"select": "svg"}, ValueError, "select"),
        ({"denoise": True}, ValueError, "denoise"),
        ({"prior": "atlas.h5ad", "prior_key": "region"}, ValueError, "prior"),
        ({"load_model": "model.safetensors"}, ValueError, "load_model"),
        ({"latent": 0}, ValueError, "latent"),
        # Before a training that nobody would wait for.
        ({"n_clusters": 10**6, "epochs": 10**7}, ValueError, "n_clusters"),
        ({"layer": {"rna": "counts"}}, ValueError, "layer"),
        ({"nonsense": 1}, TypeError, "nonsense"),
        ({"names": ["a", "a"]}, ValueError, "names"),
    ],
)
def test_options_that_have_no_place_here_are_refused(files, client, options, error, words):
    with pytest.raises(error, match=words):
        bm.dist.spami(files[:2], **{"client": client, **SMALL, **options})
