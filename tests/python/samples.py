"""Samples, and the packages to compare with, for the tests of the Python package."""

import importlib
import json
import os
import subprocess

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


def peer(name):
    """The package to compare with. `scripts/test` installs all of them, and lets none be skipped."""
    if os.environ.get("BRODMANN_REQUIRE_PEERS") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name)


def counts(n_obs=240, n_vars=160, seed=0):
    """Counts of three groups, with depth and gene effects."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(2.0, 1.0, size=(1, n_vars)) * rng.gamma(3.0, 0.5, size=(n_obs, 1))
    group = np.arange(n_obs) * 3 // n_obs
    rate *= 1 + 3 * (group[:, None] == np.arange(n_vars)[None, :] % 3)
    return rng.poisson(rate).astype(np.float32)


def tissue(x=None, seed=0):
    """An AnnData of `counts()`, or of `x`."""
    x = sp.csr_matrix(counts(seed=seed)) if x is None else x
    n_obs, n_vars = x.shape
    rng = np.random.default_rng(seed)
    adata = ad.AnnData(
        x,
        obs=pd.DataFrame(index=[f"spot_{i}" for i in range(n_obs)]),
        var=pd.DataFrame(index=[f"gene_{j}" for j in range(n_vars)]),
    )
    adata.obs["slice"] = pd.Categorical(np.where(np.arange(n_obs) % 2, "a", "b"))
    adata.obs["truth"] = pd.Categorical.from_codes(np.arange(n_obs) * 3 // n_obs, ["one", "two", "three"])
    adata.obsm["spatial"] = rng.uniform(0, 100, size=(n_obs, 2))
    return adata


def dense(x):
    """Any matrix as a plain array."""
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def command(data, folder, *args):
    """A command on the data as a file: the file it wrote and its report."""
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    data.write(folder / "in.h5ad")
    (folder / "out.h5ad").unlink(missing_ok=True)
    done = subprocess.run(
        [binary, args[0], folder / "in.h5ad", "--out", folder / "out.h5ad", "--json", "--quiet", *args[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ad.read_h5ad(folder / "out.h5ad"), json.loads(done.stdout)
