"""Genes that rise and fall together: planted modules found through both doors, and what cannot be told refused."""

import json
import os
import subprocess

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from samples import command

import brodmann as bm

mudata = pytest.importorskip("mudata")


def ran(*words):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    ended = subprocess.run([str(w) for w in [binary, *words]], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def planted():
    """Forty genes of a gradient along x, thirty of a stripe along y, eighty of nothing; two slices, one of them brighter."""
    rng = np.random.default_rng(0)
    side = 30
    xy = np.array([(x, y) for x in range(side) for y in range(side)], dtype=float)
    patterns = np.stack([xy[:, 0] / side, np.abs(xy[:, 1] - side / 2) < 5, np.zeros(side**2)])
    of = np.repeat([0, 1, 2], [40, 30, 80])
    rate = 3 * np.exp(1.5 * patterns[of].T)
    late = np.arange(side**2) % 2
    counts = rng.poisson(rate * (1 + 2 * late[:, None]))
    order = rng.permutation(len(of))
    adata = ad.AnnData(counts[:, order].astype(np.float32))
    adata.var_names = [f"g{k}" for k in range(len(of))]
    adata.var["planted"] = of[order]
    adata.obsm["spatial"] = xy + 1000 * late[:, None]
    adata.obs["slice"] = pd.Categorical(np.where(late, "late", "early"))
    return adata


def test_planted_modules_are_found_with_their_places(planted):
    own = planted.copy()
    found = bm.tl.gene_modules(own, library_key="slice")
    assert found.modules["module"].tolist() == [1, 2]
    for module, pattern in [(1, 0), (2, 1)]:
        genes = found.genes[found.genes["module"] == module]
        assert set(genes.feature) <= set(own.var_names[own.var["planted"] == pattern])
        assert len(genes) >= 0.8 * (own.var["planted"] == pattern).sum()
        assert genes.kme.abs().is_monotonic_decreasing and genes["rank"].tolist() == list(range(1, len(genes) + 1))
    assert found.modules["n_genes"].tolist() == found.genes.groupby("module").size().tolist()
    # Both are patterns of the tissue, and told by their hubs.
    assert (found.modules["I"] > 0.3).all() and (found.modules["p_adjusted"] < 1e-6).all()
    assert found.modules["hubs"][0].split(", ") == found.genes.feature[:10].tolist()
    # What is written says the same.
    assert own.var["gene_modules"].tolist() == [
        dict(zip(found.genes.feature, found.genes["module"])).get(name, 0) for name in own.var_names
    ]
    eigengenes = own.obsm["X_gene_modules"]
    assert eigengenes.shape == (own.n_obs, 2) and np.allclose((eigengenes**2).sum(axis=0), 1, atol=1e-5)
    for name in ("early", "late"):
        assert np.abs(eigengenes[own.obs["slice"] == name].mean(axis=0)).max() < 1e-6
    assert abs(np.corrcoef(eigengenes[:, 0], own.obsm["spatial"][:, 0] % 1000)[0, 1]) > 0.8
    gene = found.genes.feature[0]
    assert own.var.loc[gene, "gene_modules_kme"] == found.genes.kme[0]
    assert own.uns["gene_modules"]["n_genes"].tolist() == found.modules["n_genes"].tolist()
    assert own.uns["gene_modules_params"]["power"] >= 1


def test_both_doors_find_the_same_and_draw_it(planted, tmp_path):
    own = planted.copy()
    found = bm.tl.gene_modules(own, library_key="slice", min_module_size=10, network="signed", n_top=3)
    table, plot = tmp_path / "genes.csv", tmp_path / "maps.png"
    flags = ["--library-key", "slice", "--min-module-size", "10", "--network", "signed", "--n-top", "3"]
    written, report = command(planted, tmp_path, "gene-modules", *flags, "--table", str(table), "--plot", str(plot))
    pd.testing.assert_frame_equal(pd.read_csv(table), found.genes, check_dtype=False)
    assert np.array_equal(written.obsm["X_gene_modules"], own.obsm["X_gene_modules"])
    assert written.var["gene_modules"].tolist() == own.var["gene_modules"].tolist()
    assert [m["hubs"] for m in report["modules"]] == [hubs.split(", ") for hubs in found.modules["hubs"]]
    assert report["n_genes"] == [150, 150, len(found.genes)] and report["n_slices"] == 2
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_modules_need_no_coordinates_and_know_their_modality(planted, tmp_path):
    bare = planted.copy()
    del bare.obsm["spatial"]
    found = bm.tl.gene_modules(bare, library_key="slice")
    assert "I" not in found.modules and len(found.modules) == 2
    with pytest.raises(KeyError, match="spatial"):
        bm.tl.gene_modules(bare, library_key="slice", n_spatial=4)
    proteins = ad.AnnData(np.ones((planted.n_obs, 3), dtype=np.float32), obs=planted.obs[[]])
    proteins.var_names = ["CD3", "CD4", "CD8"]
    genes = planted.copy()
    bm.pp.normalize_total(genes, target_sum=1e4)
    bm.pp.log1p(genes)
    genes.layers["log_normalized"] = genes.X
    genes.X = planted.X
    genes.var["gene_name"] = [f"name {k}" for k in range(genes.n_vars)]
    whole = mudata.MuData({"adt": proteins, "rna": genes})
    found = bm.tl.gene_modules(whole)
    # Coordinates of the modality are those of the whole, its logarithms are taken, and its names are told.
    assert "I" in found.modules
    assert whole.mod["rna"].uns["gene_modules_params"]["values"].endswith("as logarithms")
    assert found.genes["name"][0].startswith("name ") and found.modules["hubs"][0].startswith("name ")
    assert "gene_modules" in whole.mod["rna"].var and "gene_modules" not in whole.mod["adt"].var
    path, out = tmp_path / "whole.h5mu", tmp_path / "out.h5mu"
    whole.write(path)
    report = json.loads(ran("gene-modules", path, "--out", out, "--json").stdout)
    written = mudata.read_h5mu(out)
    assert report["modality"] == "rna" and report["values"].endswith("as logarithms")
    assert written.mod["rna"].var["gene_modules"].tolist() == whole.mod["rna"].var["gene_modules"].tolist()
    with pytest.raises(ValueError, match="at least 2 genes|no module|2 genes"):
        bm.tl.gene_modules(whole, modality="adt", min_cells=10_000)


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_what_holds_no_module_says_so(planted, tmp_path, ending):
    if ending == ".zarr":
        pytest.importorskip("zarr")
    noise = planted[:, planted.var["planted"] == 2].copy()
    with pytest.warns(UserWarning, match="no module of 20 genes or more"):
        found = bm.tl.gene_modules(noise, library_key="slice")
    assert len(found.genes) == 0 and len(found.modules) == 0
    assert (noise.var["gene_modules"] == 0).all() and noise.obsm["X_gene_modules"].shape == (noise.n_obs, 0)
    path, out, plot = tmp_path / "noise.h5ad", tmp_path / f"out{ending}", tmp_path / "maps.png"
    planted[:, planted.var["planted"] == 2].copy().write_h5ad(path)
    words = ["--library-key", "slice", "--out", out, "--plot", plot, "--table", tmp_path / "t.csv"]
    ended = ran("gene-modules", path, *words)
    assert "no module of 20 genes or more" in ended.stderr, ended.stderr
    written = ad.read_h5ad(out) if ending == ".h5ad" else ad.read_zarr(out)
    assert written.obsm["X_gene_modules"].shape == (noise.n_obs, 0) and len(written.uns["gene_modules"]) == 0
    assert plot.read_bytes()[:4] == b"\x89PNG" and len(pd.read_csv(tmp_path / "t.csv")) == 0


def test_modules_that_are_not_of_the_tissue_are_told(planted):
    shuffled = planted.copy()
    order = np.random.default_rng(1).permutation(shuffled.n_obs)
    shuffled.obsm["spatial"] = shuffled.obsm["spatial"][order]
    shuffled.obs["slice"] = shuffled.obs["slice"].to_numpy()[order]
    shuffled.X = planted.X
    with pytest.warns(UserWarning, match="2 of 2 modules do not vary in space"):
        found = bm.tl.gene_modules(shuffled)
    assert (found.modules["p_adjusted"] >= 0.05).all()


def test_what_has_no_edge_within_a_slice_is_refused(planted):
    for function in (bm.tl.gene_modules, bm.gr.spatially_variable):
        with pytest.raises(ValueError, match="edge"):
            function(planted.copy(), library_key="slice", radius=1e-6)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"min_cells": 10_000}, "min_cells.*at least 2 genes"),
        ({"power": 0.5}, "power.*from 1 to 100"),
        ({"deep_split": 5}, "deep_split.*0 to 4"),
        ({"max_block_size": 1}, "max_block_size"),
        ({"min_module_size": 1}, "min_module_size"),
        ({"modality": "atac"}, r"^modality is 'atac', .*correct the name"),
    ],
)
def test_options_out_of_range_are_refused(planted, options, words):
    whole = mudata.MuData({"rna": planted.copy()}) if "modality" in options else planted.copy()
    with pytest.raises(ValueError, match=words):
        bm.tl.gene_modules(whole, **options)
