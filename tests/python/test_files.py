"""What we write, as Python's anndata, mudata and h5py read it; run by scripts/test.

BRODMANN is the command, EDIT_ROUNDTRIP the example of brodmann-data.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import hdf5plugin
import mudata as mu
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("BRODMANN_SHARED", HERE.parents[2] / "shared")) / "data"


def check(folder):
    """Edits, edits again and rewrites every file below `folder`; every difference Python sees is printed."""
    command = [sys.executable, HERE / "check_files.py", os.environ["EDIT_ROUNDTRIP"], folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def brodmann(*arguments):
    done = subprocess.run([os.environ["BRODMANN"], *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tissue(n_obs=60, n_vars=25, seed=0):
    """A container with every kind of element the formats know."""
    rng = np.random.default_rng(seed)
    domain = np.arange(n_obs) * 3 // n_obs
    mean = 1.0 + 6.0 * (np.arange(n_vars)[None, :] % 3 == domain[:, None])
    adata = ad.AnnData(sp.csr_matrix(rng.poisson(mean).astype(np.float32)))
    adata.obs_names = [f"spot_{i}" for i in range(n_obs)]
    adata.var_names = [f"gène {j}" for j in range(n_vars)]
    adata.obs["ground_truth"] = pd.Categorical.from_codes(domain, ["a", "b", "c"])
    adata.obs["ordered"] = pd.Categorical(np.where(domain > 0, "high", "low"), categories=["low", "high"], ordered=True)
    adata.obs["text"] = [f"é{i}" for i in range(n_obs)]
    adata.obs["number"] = rng.normal(size=n_obs)
    adata.obs["whole"] = pd.array([None if i % 7 == 0 else i for i in range(n_obs)], dtype="Int64")
    adata.obs["truth"] = pd.array([None if i % 5 == 0 else i % 2 == 0 for i in range(n_obs)], dtype="boolean")
    adata.obsm["spatial"] = np.column_stack([np.arange(n_obs) % 10, np.arange(n_obs) // 10]).astype(float)
    adata.obsm["frame"] = pd.DataFrame({"a": rng.normal(size=n_obs)}, index=adata.obs_names)
    adata.layers["columns"] = sp.csc_matrix(adata.X)
    adata.obsp["graph"] = sp.random(n_obs, n_obs, density=0.05, format="csr", random_state=0)
    adata.uns["nested"] = {"list": ["x", "y"], "number": 3, "none": None, "deeper": {"array": np.arange(4)}}
    adata.raw = adata.copy()
    return adata


COMPRESSIONS = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "zstd": dict(hdf5plugin.Zstd(clevel=5)),
    "blosc": dict(hdf5plugin.Blosc(cname="zstd")),
    "blosc_lz4_shuffle": dict(hdf5plugin.Blosc(cname="lz4", shuffle=hdf5plugin.Blosc.SHUFFLE)),
}


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_files_survive_editing_and_rewriting_whatever_their_compression(tmp_path, name):
    options = COMPRESSIONS[name]
    path = tmp_path / "tissue.h5ad"
    # The filter plugins crash on texts of variable length in Python itself, so only numbers get them.
    builtin = options.get("compression") in (None, "gzip", "lzf")
    tissue().write_h5ad(path, **(options if builtin else {}))
    if not builtin:
        with h5py.File(path, "a") as file:
            for key in ("X/data", "X/indices", "layers/columns/data", "obsm/spatial", "obs/number"):
                values = file[key][()]
                attributes = dict(file[key].attrs)
                del file[key]
                file.create_dataset(key, data=values, chunks=True, **options).attrs.update(attributes)
    assert "0 differences" in check(tmp_path)


def test_mudata_survives_editing_and_rewriting(tmp_path):
    rna, adt = tissue(), tissue(n_vars=8, seed=1)
    adt.var_names = [f"protein_{j}" for j in range(8)]
    del rna.raw, adt.raw
    mdata = mu.MuData({"rna": rna, "adt": adt[::-1].copy()})
    mdata.obsm["spatial"] = mdata["rna"][mdata.obs_names].obsm["spatial"]
    mdata.write(tmp_path / "tissue.h5mu")
    assert "0 differences" in check(tmp_path)


def test_files_of_other_projects_survive():
    if not SHARED.exists():
        assert os.environ.get("BRODMANN_REQUIRE_SHARED") != "1", f"{SHARED} is missing"
        pytest.skip(f"{SHARED} is not beside this checkout")
    print(check(SHARED))


def test_the_command_adds_results_under_scverse_keys_and_leaves_the_rest(tmp_path):
    original = tissue()
    source, result = tmp_path / "tissue.h5ad", tmp_path / "domains.h5ad"
    original.write_h5ad(source)
    before = source.read_bytes()
    report = json.loads(brodmann("spatialleiden", source, "--out", result, "-k", 3, "--json", "--quiet"))
    assert source.read_bytes() == before
    written = ad.read_h5ad(result)
    labels = written.obs["spatialleiden"]
    assert isinstance(labels.dtype, pd.CategoricalDtype)
    assert list(labels.cat.categories) == [str(i) for i in range(report["n_clusters"])]
    assert report["metrics"]["ari"] > 0.8
    n = original.n_obs
    assert written.obsp["connectivities"].shape == written.obsp["spatial_connectivities"].shape == (n, n)
    assert written.obsm["X_pca"].shape[0] == n
    assert written.uns["neighbors"]["connectivities_key"] == "connectivities"
    assert written.uns["spatialleiden"]["params"]["random_state"] == 42
    for key in original.obs:
        pd.testing.assert_series_equal(written.obs[key], original.obs[key])
    assert (written.X != original.X).nnz == 0
    assert (written.raw.X != original.raw.X).nnz == 0


def test_modalities_in_another_order_get_the_same_domains_by_name(tmp_path):
    rna, adt = tissue(), tissue(n_vars=12, seed=1)
    adt.var_names = [f"protein_{j}" for j in range(12)]
    for adata in (rna, adt):
        del adata.raw, adata.obsm["frame"]
    labels = []
    for name, order in [("same", slice(None)), ("reversed", slice(None, None, -1))]:
        mdata = mu.MuData({"rna": rna.copy(), "adt": adt[order].copy()})
        mdata.obsm["spatial"] = rna[mdata.obs_names].obsm["spatial"]
        source, result = tmp_path / f"{name}.h5mu", tmp_path / f"{name}-domains.h5mu"
        mdata.write(source)
        brodmann("spatialleiden", source, "--out", result, "--quiet", "-k", 3)
        written = mu.read_h5mu(result)
        labels.append(written.obs["spatialleiden"].astype(str).sort_index())
        # What is written to a modality stands in that modality's own order.
        embedding = pd.DataFrame(written["adt"].obsm["X_pca"], index=written["adt"].obs_names)
        if name == "reversed":
            np.testing.assert_allclose(embedding.loc[first.index], first, rtol=1e-5, atol=1e-5)
        first = embedding
    pd.testing.assert_series_equal(labels[0], labels[1])


def elements_of_size(n):
    """Every type of element, `n` long."""
    text = np.array([f"é{i}" for i in range(n)], dtype=object)
    adata = ad.AnnData(sp.csr_matrix(np.ones((n, n), dtype=np.float32)))
    adata.obs_names, adata.var_names = [f"s{i}" for i in range(n)], [f"g{i}" for i in range(n)]
    for frame in (adata.obs, adata.var):
        frame["number"] = np.arange(n, dtype=float)
        frame["whole"] = np.arange(n)
        frame["flag"] = np.arange(n) % 2 == 0
        frame["text"] = text
        frame["category"] = pd.Categorical(text)
        frame["no_category"] = pd.Categorical.from_codes([-1] * n, [])
        frame["nullable"] = pd.array([None if i % 2 else i for i in range(n)], dtype="Int64")
        frame["nullable_flag"] = pd.array([None if i % 2 else True for i in range(n)], dtype="boolean")
    adata.layers["dense"] = np.ones((n, n))
    adata.layers["columns"] = sp.csc_matrix((n, n))
    adata.obsm["table"] = pd.DataFrame({"a": np.arange(n)}, index=adata.obs_names)
    adata.obsm["width_0"] = np.zeros((n, 0))
    adata.obsp["graph"] = sp.csr_matrix((n, n))
    for dtype in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"):
        adata.uns[f"array_{dtype}"] = np.zeros(n, dtype=dtype)
    adata.uns["texts"] = text
    adata.uns["texts_2d"] = np.tile(text, (2, 1))
    adata.uns["categories"] = pd.Categorical(text)
    adata.uns["frame"] = pd.DataFrame({"a": np.arange(n), "t": text}, index=[str(i) for i in range(n)])
    adata.uns["sparse"] = sp.csr_matrix((n, 3))
    adata.uns["empty"] = {}
    return adata


@pytest.mark.parametrize("n", [0, 1, 7, 5000])
def test_elements_of_every_size_are_read_by_everyone(tmp_path, n):
    adata = elements_of_size(min(n, 300))
    if n > 300:
        adata.uns["many_texts"] = np.array([str(i) for i in range(n)], dtype=object)
        adata.uns["many_numbers"] = np.arange(n, dtype=float)
    adata.write_h5ad(tmp_path / "sizes.h5ad")
    for step in ("edit", "rewrite", "convert"):
        output = tmp_path / f"{step}.h5ad"
        command = [os.environ["EDIT_ROUNDTRIP"], step, tmp_path / "sizes.h5ad", output]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        back = ad.read_h5ad(output)
        assert back.shape == adata.shape
        assert list(back.uns["texts"]) == list(adata.uns["texts"])
        with h5py.File(output) as file:
            # Every array opens and reads.
            file.visititems(lambda _, node: node[()] is None if isinstance(node, h5py.Dataset) else None)
