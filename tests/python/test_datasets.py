"""bm.datasets: the simulated tissue as scverse objects."""

import anndata as ad
import numpy as np
import pytest

import brodmann as bm


def test_a_single_modality_is_anndata(tmp_path):
    adata = bm.datasets.simulated(side=12, modalities="rna", n_slices=2, image=True, n_genes=50)
    assert isinstance(adata, ad.AnnData) and adata.shape == (288, 50)
    assert adata.X.dtype == np.float32 and adata.X.format == "csr"
    assert adata.obs["ground_truth"].cat.categories.tolist() == [
        "background",
        "factor1",
        "factor2",
        "factor3",
        "factor4",
    ]
    assert adata.obs["library_id"].value_counts().tolist() == [144, 144]
    assert adata.obsm["spatial"].shape == (288, 2) and adata.obsm["spatial"].dtype == np.float64
    assert adata.uns["spatial"]["slice1"]["images"]["hires"].dtype == np.uint8
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert ad.read_h5ad(tmp_path / "a.h5ad").obs.equals(adata.obs)


def test_several_modalities_are_mudata(tmp_path):
    mudata = pytest.importorskip("mudata")
    mdata = bm.datasets.simulated(side=10, n_genes=40, n_proteins=20, n_peaks=30)
    assert list(mdata.mod) == ["rna", "adt", "atac"]
    assert [m.n_vars for m in mdata.mod.values()] == [40, 20, 30]
    assert mdata.obs["ground_truth"].nunique() == 5 and mdata.obsm["spatial"].shape == (100, 2)
    mdata.write_h5mu(tmp_path / "m.h5mu")
    again = mudata.read_h5mu(tmp_path / "m.h5mu")
    assert (again["rna"].X != mdata["rna"].X).nnz == 0


def test_the_seed_decides():
    first, same, other = (bm.datasets.simulated(side=8, modalities="adt", random_state=s).X for s in (1, 1, 2))
    assert (first != same).nnz == 0 and (first != other).nnz > 0


def test_a_list_of_one_is_mudata_too():
    pytest.importorskip("mudata")
    assert list(bm.datasets.simulated(side=6, modalities=["adt"]).mod) == ["adt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": "proteome"}, 'modality is called "proteome"; expected one of rna'),
        ({"side": 0}, "side is 0"),
        ({"noise": -1.0}, "noise is -1"),
        ({"noise": float("nan")}, "noise is NaN"),
        ({"modalities": []}, "no modality"),
        ({"modalities": ["rna", "rna"]}, "rna is given twice"),
        ({"random_state": -1}, "random_state is -1"),
        ({"random_state": "x"}, "random_state is 'x'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bm.datasets.simulated(**options)
