"""One door, the same bits: methods on an object in memory and ``brodmann`` on its file."""

import numpy as np
import pytest
import scipy.sparse as sp
from samples import command

import brodmann as bm


@pytest.fixture(scope="module")
def tissue():
    return bm.datasets.simulated(side=14, modalities="rna", random_state=3)


def same(a, b):
    if sp.issparse(a):
        assert (a != b).nnz == 0 and a.shape == b.shape
    else:
        assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f")


def test_spatialleiden_on_raw_counts_is_the_command(tissue, tmp_path):
    here = bm.tl.spatialleiden(tissue, n_clusters=5, copy=True)
    written, report = command(tissue, tmp_path, "spatialleiden", "-k", "5")
    assert here.obs["spatialleiden"].tolist() == written.obs["spatialleiden"].tolist()
    for key in ("connectivities", "distances", "spatial_connectivities", "spatial_distances"):
        same(here.obsp[key], written.obsp[key])
    same(here.obsm["X_pca"], written.obsm["X_pca"])
    same(here.varm["PCs"], written.varm["PCs"])
    same(here.var["highly_variable"], written.var["highly_variable"])
    assert here.uns["spatialleiden"]["quality"] == report["quality"]
    assert "spatialleiden" not in tissue.obs and not tissue.obsp.keys()


def test_options_of_graphs_and_features_are_those_of_the_command(tissue, tmp_path):
    here = bm.tl.spatialleiden(
        tissue, resolution={"latent": 0.8, "spatial": 1.2}, layer_ratio=1.5, n_top_genes=80, n_comps=7, n_neighbors=9,
        n_spatial=6, random_state=5, key_added="mine", copy=True,
    )  # fmt: skip
    flags = ["--resolution", "latent=0.8,spatial=1.2", "--layer-ratio", "1.5", "--n-top-genes", "80", "--n-pcs", "7"]
    more = ["--n-neighbors", "9", "--n-spatial", "6", "--seed", "5", "--key-added", "mine"]
    written, _ = command(tissue, tmp_path, "spatialleiden", *flags, *more)
    assert here.obs["mine"].tolist() == written.obs["mine"].tolist()
    assert here.obsm["X_pca"].shape[1] == 7
    same(here.obsp["connectivities"], written.obsp["connectivities"])


def test_options_said_once_are_shared_by_calls(tissue):
    genes, space = {"n_top_genes": 80, "min_cells": 2}, {"spatial_key": "spatial"}
    for method in (bm.tl.spatialleiden, bm.tl.smoothed_pca, bm.tl.mixture, bm.tl.banksy):
        name = method.__name__
        shared = method(tissue, n_clusters=4, options=[genes, space], copy=True)
        said = method(tissue, n_clusters=4, **genes, copy=True)
        assert shared.obs[name].tolist() == said.obs[name].tolist()
        assert shared.uns[name]["params"] == said.uns[name]["params"]
    # A keyword stands before them.
    fewer = bm.tl.mixture(tissue, n_clusters=3, options={"n_clusters": 5, "n_comps": 5}, copy=True)
    assert fewer.obs["mixture"].nunique() == 3 and fewer.obsm["X_mixture"].shape[1] == 5
    for wrong, words in [
        ({"n_top_gene": 80}, "no option of mixture; did you mean n_top_genes"),
        ({"data": tissue}, "no option of mixture"),
        ({"options": {}}, "no option of mixture"),
        ([{"refine": 1}, {"refine": 2}], "says refine twice, 1 and 2"),
        ("refine", "expected a dict"),
        ([3], "expected a dict"),
    ]:
        with pytest.raises(TypeError, match=words):
            bm.tl.mixture(tissue, n_clusters=3, options=wrong)


def test_graphs_that_are_there_are_used_as_they_are(tissue, tmp_path):
    adata = tissue.copy()
    bm.pp.pca(adata)
    bm.pp.neighbors(adata, n_neighbors=12)
    before = adata.obsp["connectivities"].copy()
    bm.tl.spatialleiden(adata, n_clusters=4)
    same(adata.obsp["connectivities"], before)
    assert "spatial_connectivities" in adata.obsp


def test_a_key_of_your_own_must_be_there(tissue):
    with pytest.raises(KeyError, match="mine"):
        bm.tl.spatialleiden(tissue, neighbors_key="mine", copy=True)


def test_mixture_is_the_command(tissue, tmp_path):
    here = bm.tl.mixture(tissue, n_clusters=4, refine=5, n_comps=8, copy=True)
    written, report = command(tissue, tmp_path, "mixture", "-k", "4", "--refine", "5", "--n-pcs", "8")
    assert here.obs["mixture"].tolist() == written.obs["mixture"].tolist()
    same(here.obsm["X_mixture"], written.obsm["X_mixture"])
    assert here.uns["mixture"]["bic"] == report["bic"]


def test_banksy_is_the_command(tissue, tmp_path):
    options = {"lambda_param": 0.6, "n_neighbors": 10, "n_neighbors_agf": 12, "n_comps": 6, "n_top_genes": 100}
    here = bm.tl.banksy(tissue, n_clusters=4, n_init=2, copy=True, **options)
    flags = ["--lambda", "0.6", "--n-neighbors", "10", "--n-neighbors-agf", "12", "--n-pcs", "6", "--n-top-genes", "100"]
    written, report = command(tissue, tmp_path, "banksy", "-k", "4", "--n-init", "2", *flags)
    assert here.obs["banksy"].tolist() == written.obs["banksy"].tolist()
    same(here.obsm["X_banksy"], written.obsm["X_banksy"])
    assert here.obsm["X_banksy"].shape == (tissue.n_obs, 6)
    assert here.uns["banksy"]["variance_ratio"].tolist() == report["variance_ratio"]
    with pytest.raises(ValueError, match="lambda_param is 2; expected a number from 0 to 1"):
        bm.tl.banksy(tissue, n_clusters=4, lambda_param=2.0, copy=True)


def test_harmony_is_the_command(tmp_path):
    slices = bm.datasets.simulated(side=12, modalities="rna", n_slices=2, batch_effect=0.5)
    options = {"n_clusters": 4, "n_init": 2, "library_key": "library_id", "integrate": "harmony"}
    here = bm.tl.banksy(slices, copy=True, **options)
    flags = ["-k", "4", "--n-init", "2", "--library-key", "library_id", "--integrate", "harmony"]
    written, _ = command(slices, tmp_path, "banksy", *flags)
    same(here.obsm["X_banksy_harmony"], written.obsm["X_banksy_harmony"])
    assert here.obs["banksy"].tolist() == written.obs["banksy"].tolist()
    assert here.uns["banksy"]["params"]["integrate"] == "harmony"
    with pytest.raises(ValueError, match="integrate is harmony on a single slice; expected several slices"):
        bm.tl.banksy(slices, n_clusters=4, integrate="harmony")


def test_harmony_comes_before_the_neighbours_of_spatialleiden(tmp_path):
    slices = bm.datasets.simulated(side=12, modalities="rna", n_slices=2, batch_effect=2)
    options = {"resolution": 0.7, "library_key": "library_id"}
    here = bm.tl.spatialleiden(slices, integrate="harmony", copy=True, **options)
    flags = ["--resolution", "0.7", "--library-key", "library_id", "--integrate", "harmony"]
    written, _ = command(slices, tmp_path, "spatialleiden", *flags)
    same(here.obsm["X_pca_harmony"], written.obsm["X_pca_harmony"])
    assert here.obs["spatialleiden"].tolist() == written.obs["spatialleiden"].tolist()
    assert here.uns["neighbors"]["params"]["use_rep"] == "X_pca_harmony"
    assert here.uns["spatialleiden"]["params"]["integrate"] == "harmony"
    plain = bm.tl.spatialleiden(slices, copy=True, **options)
    same(here.obsm["X_pca"], plain.obsm["X_pca"])
    assert (here.obsp["connectivities"] != plain.obsp["connectivities"]).nnz > 0
    # Neighbours that are in the data are not those asked for.
    again = bm.tl.spatialleiden(plain, integrate="harmony", copy=True, **options)
    assert again.obs["spatialleiden"].tolist() == here.obs["spatialleiden"].tolist()
    with pytest.raises(ValueError, match="integrate is harmony on a single slice; expected several slices"):
        bm.tl.spatialleiden(slices, integrate="harmony", copy=True)


def test_harmony_takes_slices_out_of_each_member(tmp_path):
    slices = bm.datasets.simulated(side=12, modalities="rna", n_slices=2, batch_effect=2)
    options = {"n_clusters": 4, "restarts": 1, "n_init": 2, "library_key": "library_id", "member_labels": True}
    here = bm.tl.domains(slices, copy=True, integrate="harmony", **options)
    flags = ["-k", "4", "--restarts", "1", "--n-init", "2", "--library-key", "library_id", "--member-labels"]
    written, _ = command(slices, tmp_path, "domains", *flags, "--integrate", "harmony")
    plain = bm.tl.domains(slices, copy=True, **options)
    for column in ["domains", *(f"domains_{member}" for member in here.uns["domains"]["members"])]:
        assert here.obs[column].tolist() == written.obs[column].tolist()
    for member in here.uns["domains"]["members"]:
        assert here.obs[f"domains_{member}"].tolist() != plain.obs[f"domains_{member}"].tolist()
    with pytest.raises(ValueError, match="integrate is harmony on a single slice; expected several slices"):
        bm.tl.domains(slices, n_clusters=4, integrate="harmony", copy=True)


def test_domains_are_the_command(tissue, tmp_path):
    options = {"members": ["smoothed", "hops", "banksy.8"], "restarts": 2, "n_init": 2, "refine": 4}
    here = bm.tl.domains(tissue, n_clusters=4, member_labels=True, copy=True, **options)
    flags = ["--members", "smoothed,hops,banksy.8", "--restarts", "2", "--n-init", "2", "--refine", "4"]
    written, report = command(tissue, tmp_path, "domains", "-k", "4", "--member-labels", *flags)
    for column in ["domains", "domains_unrefined", "domains_hops"]:
        assert here.obs[column].tolist() == written.obs[column].tolist()
    same(here.obs["domains_entropy"].to_numpy(), written.obs["domains_entropy"].to_numpy())
    votes = here.obsm["domains_probability"]
    same(votes, written.obsm["domains_probability"])
    assert np.allclose(votes.sum(1), 1) and votes.shape == (tissue.n_obs, report["n_clusters"])
    assert here.uns["domains"]["agreement"].shape == (3, 3)
    assert list(here.uns["domains"]["members"]) == options["members"]


def test_domains_of_several_modalities_are_the_command(tmp_path):
    mdata = bm.datasets.simulated(side=12)
    bm.tl.domains(mdata, n_clusters=4, restarts=1, n_init=2)
    assert "domains_features" in mdata["adt"].var
    assert set(mdata.uns["domains"]["features"]) == set(mdata.mod)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        (bm.tl.spami, {"epochs": 10}, "epochs"),
        (bm.tl.spami, {"n_top_genes": 500}, "n_top_genes"),
        (bm.tl.spami, {"preset": "misar"}, "preset"),
        (bm.tl.staig, {"tau": 3.0, "restarts": 2}, "restarts and tau"),
        (bm.tl.staig, {"values": "log"}, "values"),
    ],
)
def test_what_a_loaded_model_has_decided_is_refused(tissue, tmp_path, method, options, words):
    model = tmp_path / "model.safetensors"
    method(tissue, n_clusters=4, epochs=2, save_model=model, copy=True)
    with pytest.raises(ValueError, match=f"^{words} cannot be given together with the model"):
        method(tissue, n_clusters=4, load_model=model, copy=True, **options)


@pytest.mark.parametrize(
    "method",
    [
        bm.tl.spami,
        bm.tl.staig,
        bm.tl.domains,
        bm.tl.banksy,
        bm.tl.smoothed_pca,
        bm.tl.mixture,
        bm.tl.spatialleiden,
    ],
)
def test_values_that_an_option_cannot_have_are_refused_by_name(tissue, method):
    with pytest.raises(ValueError, match="min_cells is .many.; expected a whole number"):
        method(tissue, n_clusters=4, min_cells="many", copy=True)
    with pytest.raises(ValueError, match="target_sum is nan; expected a finite number"):
        method(tissue, n_clusters=4, target_sum=float("nan"), copy=True)


def test_qc_is_the_command(tissue, tmp_path):
    data = tissue.copy()
    data.var_names = [f"mt-{j}" if j < 4 else name for j, name in enumerate(data.var_names)]
    here = bm.pp.qc(data, n_neighbors=20, genes=True, copy=True)
    written, report = command(data, tmp_path, "qc", "--n-neighbors", "20", "--genes")
    written_obs = [key for key in written.obs if key not in data.obs]
    assert written_obs == [key for key in here.obs if key not in data.obs]
    for key in written_obs:
        assert here.obs[key].dtype == written.obs[key].dtype
        same(here.obs[key], written.obs[key])
    for key in ("n_cells_by_counts", "total_counts"):
        same(here.var[key], written.var[key])
    assert report["modalities"][0]["local_outliers"]["n"] == here.obs["local_outlier"].sum()


ON_A_HEXAGONAL_LATTICE = {"coord_type": "grid"}
ELSEWHERE = {"coord_type": "generic", "n_neighs": 10, "symmetrise": True, "transform": "distance"}


@pytest.mark.parametrize(
    ("lattice", "kind", "graph"),
    [("hexagonal", "grid", ON_A_HEXAGONAL_LATTICE), ("square", "knn", ELSEWHERE)],
)
def test_the_steps_written_out_are_the_call(tissue, lattice, kind, graph):
    adata = tissue.copy()
    if lattice == "hexagonal":
        places = adata.obsm["spatial"] - adata.obsm["spatial"].min(axis=0)
        column, row = (places / (np.ptp(places, axis=0) / (np.sqrt(adata.n_obs) - 1))).round().T
        adata.obsm["spatial"] = np.column_stack([column + row % 2 / 2, row * np.sqrt(3) / 2])
    at_once = bm.tl.spatialleiden(adata, n_clusters=4, copy=True)
    assert at_once.uns["spatial_neighbors"]["params"]["kind"] == kind
    bm.pp.filter_genes(adata, min_cells=3)
    bm.pp.highly_variable_genes(adata, n_top_genes=3000, flavor="seurat_v3")
    bm.pp.normalize_total(adata, target_sum=1e4)
    bm.pp.log1p(adata)
    bm.pp.pca(adata, n_comps=30, scale=True, random_state=42)
    bm.pp.neighbors(adata, random_state=42)
    bm.gr.spatial_neighbors(adata, **graph)
    same(adata.obsm["X_pca"], at_once.obsm["X_pca"].astype(adata.obsm["X_pca"].dtype))
    assert (adata.obsp["spatial_connectivities"] != at_once.obsp["spatial_connectivities"]).nnz == 0
    assert (adata.obsp["connectivities"] != at_once.obsp["connectivities"]).nnz == 0
    bm.tl.spatialleiden(adata, n_clusters=4)
    assert adata.obs["spatialleiden"].tolist() == at_once.obs["spatialleiden"].tolist()


def test_edges_weigh_by_distance(tissue):
    adata = tissue.copy()
    bm.gr.spatial_neighbors(adata, coord_type="generic", n_neighs=4, transform="distance", key_added="near")
    weights, lengths = adata.obsp["near_connectivities"], adata.obsp["near_distances"]
    np.testing.assert_allclose(weights.data, 1 - lengths.data / lengths.data.max())
    assert weights.dtype == np.float64
    bm.gr.spatial_neighbors(adata, coord_type="generic", n_neighs=4, symmetrise=True, key_added="near")
    both = adata.obsp["near_connectivities"]
    assert (both != both.T).nnz == 0 and both.nnz > weights.nnz
    with pytest.raises(ValueError, match="transform is 'distance' on a grid"):
        bm.gr.spatial_neighbors(adata, coord_type="grid", n_neighs=4, transform="distance", key_added="near")
