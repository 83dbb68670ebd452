"""Ctrl-C stops long work soon and changes nothing; progress is shown when asked for; threads and forks."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from samples import tissue

import brodmann as bm


@pytest.fixture
def large():
    """Enough observations for seconds of work on any machine."""
    rng = np.random.default_rng(0)
    adata = ad.AnnData(sp.csr_matrix((90_000, 2), dtype=np.float32))
    adata.obsm["X_pca"] = rng.normal(size=(90_000, 50)).astype(np.float32)
    adata.obsm["spatial"] = rng.uniform(size=(90_000, 2))
    return adata


@contextlib.contextmanager
def signalled(after):
    """SIGINT to this process `after` seconds; yields a list that gets the time it was sent."""
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        yield sent
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize(
    "work",
    [
        lambda a: bm.pp.neighbors(a),
        lambda a: bm.tl.gmm(a, 20, model="VVV", n_init=20),
        lambda a: bm.tl.select_n_clusters(a),
        lambda a: bm.metrics.silhouette(a.obsm["X_pca"], np.arange(a.n_obs) % 7),
        lambda a: bm.metrics.lisi(a.obsm["X_pca"], np.arange(a.n_obs) % 2),
    ],
)
def test_ctrl_c_interrupts_and_leaves_the_object_unchanged(large, work):
    with signalled(0.7) as sent, pytest.raises(KeyboardInterrupt):
        work(large)
    # A second is promised; a loaded machine gets three.
    assert time.monotonic() - sent[0] < 3
    assert not large.obsp and not large.uns and list(large.obsm) == ["X_pca", "spatial"]
    # The threads are as good as new.
    small = tissue()
    bm.pp.pca(small, n_comps=4)
    bm.pp.neighbors(small)
    assert "connectivities" in small.obsp


def test_permutations_can_be_interrupted(large):
    bm.gr.spatial_neighbors(large)
    large.obs["x"] = large.obsm["spatial"][:, 0]
    before = list(large.uns)
    with signalled(0.7), pytest.raises(KeyboardInterrupt):
        bm.gr.morans_i(large, attr="obs", n_perms=100_000)
    assert list(large.uns) == before


def test_training_can_be_interrupted():
    adata = bm.datasets.simulated(side=20, modalities="rna", n_genes=200)
    before = (list(adata.obs), list(adata.obsm), list(adata.uns), list(adata.var))
    with signalled(1.5) as sent, pytest.raises(KeyboardInterrupt):
        bm.tl.staig(adata, n_clusters=5, epochs=1_000_000)
    assert time.monotonic() - sent[0] < 3
    assert (list(adata.obs), list(adata.obsm), list(adata.uns), list(adata.var)) == before


def test_the_exception_of_a_signal_handler_is_raised(large):
    class Stopped(Exception):
        pass

    def handler(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGINT, handler)
    try:
        with signalled(0.5), pytest.raises(Stopped):
            bm.pp.neighbors(large)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_python_threads_run_meanwhile(large):
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        with signalled(1.0), pytest.raises(KeyboardInterrupt):
            bm.pp.neighbors(large)
    finally:
        stop.set()
        thread.join()
    assert len(ticks) > 20


def test_work_on_another_thread_than_the_main_one():
    found = []

    def work():
        adata = tissue()
        bm.pp.pca(adata, n_comps=4)
        found.append(adata.obsm["X_pca"])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def forked(queue):
    adata = tissue()
    bm.pp.pca(adata, n_comps=4)
    queue.put(adata.obsm["X_pca"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_processes_make_threads_of_their_own():
    adata = tissue()
    bm.pp.pca(adata, n_comps=4)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=forked, args=(queue,))
    process.start()
    try:
        np.testing.assert_array_equal(queue.get(timeout=30), adata.obsm["X_pca"])
        process.join(timeout=10)
        assert process.exitcode == 0
    finally:
        process.kill()


@pytest.fixture
def progress():
    """Sets `bm.settings.progress` for a test."""

    def choose(value):
        bm.settings.progress = value

    yield choose
    bm.settings.progress = "auto"


def test_a_function_is_told_how_far_the_work_is(large, progress):
    told = []
    progress(lambda stage, done, total: told.append((stage, done, total)))
    with signalled(3.0), pytest.raises(KeyboardInterrupt):
        bm.pp.neighbors(large)
    # On a busy machine the stage before it takes long enough to be told of, too.
    stages = {stage for stage, _, _ in told}
    assert told and all(stage.startswith("nearest neighbours") for stage in stages)
    # A total of 0: how much there will be is not known.
    assert all(0 <= done and (done <= total or total == 0) for _, done, total in told)
    for stage in stages:
        counts = [done for of, done, _ in told if of == stage]
        assert counts == sorted(counts)


def test_an_error_of_that_function_stops_the_work(large, progress):
    def refuse(stage, done, total):
        raise RuntimeError("enough")

    progress(refuse)
    with pytest.raises(RuntimeError, match="enough"):
        bm.pp.neighbors(large)


@pytest.mark.parametrize("tqdm", [True, False])
def test_a_bar_is_drawn_when_asked_for_and_silence_is_the_default(large, progress, capfd, monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    for value, shown in (("auto" if tqdm else False, False), (True, True)):
        progress(value)
        with signalled(2.8), pytest.raises(KeyboardInterrupt):
            bm.pp.neighbors(large)
        assert ("nearest neighbours" in capfd.readouterr().err) == shown, value


def test_short_work_is_silent(progress, capfd):
    progress(True)
    bm.pp.pca(tissue(), n_comps=4)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
