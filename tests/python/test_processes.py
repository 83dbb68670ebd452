"""The package in the company it is kept in: workers, threads, pickles, no terminal, too little memory.

Forks, interruption and threads of one's own are in test_interrupt.py.
"""

from __future__ import annotations

import concurrent.futures
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from samples import tissue

import brodmann as bm


@pytest.fixture(autouse=True)
def settings_as_they_were():
    yield
    bm.settings.max_memory = None
    bm.settings.follow_external = False


def labels(adata):
    bm.tl.mixture(adata, n_clusters=3, random_state=1)
    return adata.obs["mixture"].to_numpy()


def test_results_and_errors_go_through_a_pickle():
    adata = tissue()
    labels(adata)
    back = pickle.loads(pickle.dumps(adata))
    assert (back.obs["mixture"] == adata.obs["mixture"]).all()
    assert back.uns["mixture"]["method"] == adata.uns["mixture"]["method"]
    with pytest.raises(ValueError, match="n_clusters") as refused:
        bm.tl.mixture(adata, n_clusters=0)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_workers_started_anew_give_the_same_bits():
    code = textwrap.dedent(
        """
        import concurrent.futures, multiprocessing, sys
        import numpy as np
        import brodmann as bm

        def one(seed):
            rows = np.random.default_rng(seed).normal(size=(200, 4))
            return bm.tl.__name__, bm.metrics.silhouette(rows, np.arange(200) % 3)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                assert list(pool.map(one, [1, 2])) == [one(1), one(2)]
            print("same")
        """
    )
    # A file of its own: what is typed at a prompt cannot be imported by a worker.
    ended = subprocess.run([sys.executable, "-c", PREPARE, code], capture_output=True, text=True, timeout=300)
    assert ended.stdout.strip() == "same", ended.stderr


PREPARE = """
import os, runpy, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "work.py")
    open(path, "w").write(sys.argv[1])
    import subprocess
    sys.exit(subprocess.run([sys.executable, path]).returncode)
"""


def test_threads_that_share_an_object_each_get_a_whole_result():
    shared = tissue()
    alone = labels(shared.copy())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(bm.tl.mixture, shared, n_clusters=3, random_state=1, key_added=f"m{k}") for k in range(4)]
        for job in jobs:
            job.result()
    for k in range(4):
        assert (shared.obs[f"m{k}"].to_numpy() == alone).all()


def test_an_interpreter_without_streams_works():
    code = """
        import os, sys
        for stream in (0, 1, 2):
            os.close(stream)
        sys.stdin = sys.stdout = sys.stderr = None
        import numpy as np
        import brodmann as bm
        bm.settings.progress = True
        rows = np.random.default_rng(0).normal(size=(300, 4))
        os._exit(0 if np.isfinite(bm.metrics.silhouette(rows, np.arange(300) % 3)) else 3)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=300).returncode == 0


def test_too_little_memory_is_a_memory_error_before_the_work():
    adata = tissue()
    before = set(adata.obs)
    bm.settings.max_memory = "1M"
    assert bm.settings.max_memory == 1_000_000
    with pytest.raises(MemoryError, match="memory"):
        bm.tl.smoothed_pca(adata, n_clusters=3)
    assert set(adata.obs) == before
    bm.settings.max_memory = None
    bm.tl.smoothed_pca(adata, n_clusters=3)
    for wrong in ("lots", 0, -1, True, 1.5e99):
        with pytest.raises(ValueError, match="max_memory"):
            bm.settings.max_memory = wrong
