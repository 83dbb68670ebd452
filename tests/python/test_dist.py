"""``bm.dist``: real worker processes, on any number of them the bits of one process; workers and clients killed."""

import os
import random
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

# A network that trains in a moment; genes are selected, as of a transcriptome.
SMALL = {"n_clusters": 4, "epochs": 6, "width": 8, "n_init": 2, "values": "log", "n_top_genes": 150}
FLAGS = ["-k", "4", "--epochs", "6", "--width", "8", "--n-init", "2", "--values", "log", "--n-top-genes", "150"]
PACKAGE = str(Path(bm.__file__).parents[1])


@pytest.fixture(scope="module")
def objects():
    """Five slices of several sizes; the genes are not in one order, and each lacks some of the others'."""
    made = []
    for k, side in enumerate((10, 9, 12, 8, 9)):
        adata = bm.datasets.simulated(side=side, modalities="rna", n_genes=240, random_state=k)
        order = np.random.default_rng(k).permutation(adata.n_vars)
        adata = adata[:, order[order % 23 != k]].copy()
        adata.obs_names = [f"{k}-{name}" for name in adata.obs_names]
        made.append(adata)
    return made


@pytest.fixture(scope="module")
def files(objects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    paths = [folder / f"s{k}.h5ad" for k in range(len(objects))]
    for path, adata in zip(paths, objects):
        adata.write(path)
    return paths


def joined(objects, **options):
    """One process on the same slices."""
    shared = [gene for gene in objects[0].var_names if all(gene in a.var_names for a in objects)]
    whole = ad.concat({f"s{k}": a[:, shared] for k, a in enumerate(objects)}, label="library_id")
    assert list(whole.var_names) == shared
    bm.tl.staig(whole, library_key="library_id", **{**SMALL, **options})
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


def same(found, whole, key="staig"):
    assert np.array_equal(np.concatenate(found.embeddings), whole.obsm[f"X_{key}"])
    assert [label for labels in found.labels for label in labels] == list(whole.obs[key])


@pytest.mark.parametrize("n_workers", [1, 4])
def test_any_number_of_workers_has_the_bits_of_one_process(files, whole, n_workers):
    with (
        distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = bm.dist.staig(files, client=client, **SMALL)
    same(found, whole)
    assert found.names == ["s0", "s1", "s2", "s3", "s4"] and found.n_clusters == whole.uns["staig"]["n_clusters"]
    assert found.epochs == list(whole.uns["staig"]["loss"]["loss"]) and found.n_lost == 0
    assert found.record["features"]["n_features"] == whole.uns["staig"]["features"]["n_features"] < 150
    assert found.record["features"]["density"] == whole.uns["staig"]["features"]["density"]
    assert min(found.bytes_per_epoch) > 0 and "domains of" in repr(found)


def test_the_bits_of_the_command_line(files, client, tmp_path):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    out = tmp_path / "out.h5ad"
    done = subprocess.run(
        [binary, "staig", *files, "--out", out, "--quiet", *FLAGS, "--refine", "5"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = bm.dist.staig(files, client=client, refine=5, out=tmp_path / "copies", **SMALL)
    written = ad.read_h5ad(out)
    same(found, written)
    start = 0
    for path in files:
        copy = ad.read_h5ad(tmp_path / "copies" / path.name)
        own = written[start : start + copy.n_obs]
        start += copy.n_obs
        assert list(copy.obs["staig"]) == list(own.obs["staig"])
        assert np.array_equal(copy.obsm["X_staig"], own.obsm["X_staig"])
        assert copy.var["staig_features"].sum() == found.record["features"]["n_features"]
        assert "staig" not in ad.read_h5ad(path).obs


@pytest.mark.parametrize(
    "options",
    [
        {"edge_rule": 0.3, "negatives": "moments", "average_views": True},
        {"flavor": "seurat", "layers": 2, "integrate": "harmony", "umap": True},
        {"values": "counts", "n_top_genes": 0, "cluster": "kmeans", "min_cells": 40},
    ],
)
def test_options_mean_what_they_mean_on_one_machine(objects, files, client, options):
    one = joined(objects, **options)
    found = bm.dist.staig(files, client=client, **{**SMALL, **options})
    same(found, one)
    assert found.record["params"]["epochs"] == 6


def test_objects_and_delayed_are_slices_too(objects, files, whole, client):
    import dask

    copies = [adata.copy() for adata in objects]
    delayed = dask.delayed(ad.read_h5ad)(files[3])
    mudata = pytest.importorskip("mudata").MuData({"rna": copies[4]})
    mudata.obsm["spatial"] = copies[4].obsm["spatial"]
    slices = [copies[0], files[1], copies[2], delayed, mudata]
    found = bm.dist.staig(slices, client=client, names=["a", "b", "c", "d", "e"], **SMALL)
    same(found, whole)
    for adata, index in ((copies[0], 0), (copies[2], 2)):
        assert list(adata.obs["staig"]) == list(found.labels[index])
        assert np.array_equal(adata.obsm["X_staig"], found.embeddings[index])
        assert adata.var["staig_features"].sum() == adata.uns["staig"]["features"]["n_features"]
    assert list(mudata.obs["staig"]) == list(found.labels[4]) and "staig_features" in mudata.mod["rna"].var
    assert "staig" not in objects[0].obs


def test_spots_off_the_tissue_get_no_label(objects, client):
    marked = [adata.copy() for adata in objects[:3]]
    marked[1].obs["in_tissue"] = (np.arange(marked[1].n_obs) % 7 != 0).astype(int)
    inside = [marked[0], marked[1][marked[1].obs["in_tissue"] == 1].copy(), marked[2]]
    found = bm.dist.staig(marked, client=client, **SMALL)
    one = joined(inside)
    labels = [label for labels in found.labels for label in labels]
    assert [label for label in labels if label == label] == list(one.obs["staig"])
    assert marked[1].obs["staig"].isna().sum() == (marked[1].obs["in_tissue"] == 0).sum()
    assert len(found.embeddings[1]) == inside[1].n_obs


@pytest.mark.parametrize("seed", range(2))
def test_a_worker_killed_at_any_moment_changes_no_bit(objects, files, seed):
    one = joined(objects, epochs=60)
    draws = random.Random(seed)
    stop = threading.Event()
    killed = []

    def kill(cluster):
        while not stop.wait(draws.uniform(0.2, 0.8)) and len(killed) < 4:
            # Those at work: a nanny whose worker dies before it has begun gives up for good.
            there = set(cluster.scheduler.workers)
            pids = [n.pid for n in cluster.workers.values() if n.pid and n.worker_address in there]
            if pids:
                victim = draws.choice(pids)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        thread = threading.Thread(target=kill, args=(cluster,))
        thread.start()
        try:
            found = bm.dist.staig(files, client=client, **{**SMALL, "epochs": 60})
        finally:
            stop.set()
            thread.join()
    same(found, one)
    assert found.epochs == list(one.uns["staig"]["loss"]["loss"])
    assert killed, "the run was over before anybody was killed"


def test_a_client_killed_goes_on_from_its_checkpoint(objects, files, client, tmp_path):
    one = joined(objects, epochs=40)
    code = (
        "import sys, brodmann as bm\nfrom distributed import Client\n"
        f"bm.dist.staig({[str(f) for f in files]!r}, client=Client({client.scheduler.address!r}), "
        f"checkpoint={str(tmp_path)!r}, checkpoint_every=3, **{({**SMALL, 'epochs': 40})!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": PACKAGE})
    saved = tmp_path / "staig.checkpoint.safetensors"
    start = time.monotonic()
    while not saved.exists() and process.poll() is None and time.monotonic() - start < 120:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was killed in mid-training"
    found = bm.dist.staig(
        files, client=client, checkpoint=tmp_path, checkpoint_every=3, resume=True, **{**SMALL, "epochs": 40}
    )
    same(found, one)
    assert 0 < len(found.epochs) < 40
    with pytest.raises(ValueError, match="another run"):
        bm.dist.staig(files[:4], client=client, checkpoint=tmp_path, resume=True, **{**SMALL, "epochs": 40})


def test_what_cannot_be_done_says_which_slice(objects, files, client, tmp_path):
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes(files[0].read_bytes()[:2000])
    for path, error in ((tmp_path / "absent.h5ad", OSError), (broken, (OSError, ValueError))):
        with pytest.raises(error, match=f"slice '{path.stem}'"):
            bm.dist.staig([*files[:2], path], client=client, **SMALL)
    foreign = objects[1].copy()
    foreign.var_names = [f"other{j}" for j in range(foreign.n_vars)]
    with pytest.raises(ValueError, match="0 genes in common"):
        bm.dist.staig([files[0], foreign], client=client, **SMALL)
    fractions = objects[1].copy()
    fractions.X = fractions.X * 0.5
    with pytest.raises(ValueError, match="slice 'slice_2'"):
        bm.dist.staig([files[0], fractions], client=client, **SMALL)
    flat = objects[1].copy()
    del flat.obsm["spatial"]
    with pytest.raises(KeyError, match="slice 'slice_2'.*spatial"):
        bm.dist.staig([files[0], flat], client=client, **SMALL)
    assert "staig" not in foreign.obs and "staig" not in fractions.obs


def test_modalities_that_differ_are_refused(objects, client):
    mudata = pytest.importorskip("mudata")
    proteins = bm.datasets.simulated(side=9, modalities="adt", random_state=1)
    mixed = mudata.MuData({"adt": proteins})
    with pytest.raises(ValueError, match="genes in common"):
        bm.dist.staig([objects[0], mixed], client=client, **SMALL)
    part = mudata.MuData({"rna": objects[0][5:].copy(), "adt": objects[0][:, :9].copy()})
    part.obsm["spatial"] = np.zeros((part.n_obs, 2))
    with pytest.raises(ValueError, match="holds other spots than the whole"):
        bm.dist.staig([objects[1], part], client=client, **SMALL)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"library_key": "slice"}, ValueError, "library_key"),
        ({"restarts": 3}, ValueError, "restarts"),
        ({"select": "svg"}, ValueError, "select"),
        ({"image": "slide.tif"}, ValueError, "image"),
        ({"tau": -1}, ValueError, "tau"),
        # Before a training that nobody would wait for.
        ({"n_clusters": 10**6, "epochs": 10**7}, ValueError, "n_clusters"),
        ({"nonsense": 1}, TypeError, "nonsense"),
        ({"names": ["a"]}, ValueError, "names"),
        ({"names": ["a", "a"]}, ValueError, "names"),
        ({"client": "tcp://nowhere"}, TypeError, "client is a str"),
    ],
)
def test_options_that_have_no_place_here_are_refused(files, client, options, error, words):
    with pytest.raises(error, match=words):
        bm.dist.staig(files[:2], **{"client": client, **SMALL, **options})


def test_one_slice_needs_no_cluster_and_a_closed_client_is_refused(files):
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        own = distributed.Client(cluster)
        with pytest.raises(ValueError, match="1 slice"):
            bm.dist.staig(files[:1], client=own, **SMALL)
        own.close()
        with pytest.raises(RuntimeError, match="client is closed"):
            bm.dist.staig(files[:2], client=own, **SMALL)


def test_workers_let_go_of_a_run_that_is_over(files, client):
    def held():
        from brodmann.dist import _tasks

        return set(_tasks._states)

    # What a client that was killed left behind goes after an hour.
    before = set().union(*client.run(held).values())
    bm.dist.staig(files[:2], client=client, **SMALL)
    start = time.monotonic()
    while set().union(*client.run(held).values()) - before and time.monotonic() - start < 20:
        time.sleep(0.1)
    assert not set().union(*client.run(held).values()) - before


def test_without_dask_the_import_says_what_is_missing(tmp_path):
    (tmp_path / "distributed.py").write_text("raise ImportError('none')")
    code = "import brodmann as bm\ntry:\n    bm.dist\nexcept ImportError as e:\n    print(e)"
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert "pip install 'brodmann[dist]'" in done.stdout, done.stderr
