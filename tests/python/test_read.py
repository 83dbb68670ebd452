"""bm.read: folders and files of platforms, as scanpy reads them."""

import gzip
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from samples import counts, peer

import brodmann as bm

N_OBS, N_VARS = 40, 25
X = counts(N_OBS, N_VARS)
BARCODES = [f"AAAC{i:04d}-1" for i in range(N_OBS)]
GENES = [f"Gene{j}" for j in range(N_VARS)]


def tenx_h5(path, types=None):
    """A 10x matrix, version 3."""
    import h5py

    m = sp.csc_matrix(X.T)
    with h5py.File(path, "w") as f:
        g = f.create_group("matrix")
        g["barcodes"] = np.array(BARCODES, dtype="S")
        g["data"], g["indices"], g["indptr"] = m.data.astype(np.int32), m.indices, m.indptr
        g["shape"] = np.array(m.shape)
        features = g.create_group("features")
        features["name"] = np.array(GENES, dtype="S")
        features["id"] = np.array([f"ENSG{j}" for j in range(N_VARS)], dtype="S")
        features["feature_type"] = np.array(types or ["Gene Expression"] * N_VARS, dtype="S")
        features["genome"] = np.array(["GRCh38"] * N_VARS, dtype="S")
    return path


def visium(folder):
    """A Space Ranger folder."""
    folder.mkdir()
    tenx_h5(folder / "filtered_feature_bc_matrix.h5")
    spatial = folder / "spatial"
    spatial.mkdir()
    rows = pd.DataFrame(
        {
            "barcode": BARCODES,
            "in_tissue": 1,
            "array_row": np.arange(N_OBS),
            "array_col": np.arange(N_OBS) * 2,
            "pxl_row_in_fullres": np.arange(N_OBS) * 100,
            "pxl_col_in_fullres": np.arange(N_OBS) * 50,
        }
    )
    rows.sample(frac=1, random_state=0).to_csv(spatial / "tissue_positions.csv", index=False)
    scales = {
        "tissue_hires_scalef": 0.1,
        "tissue_lowres_scalef": 0.03,
        "spot_diameter_fullres": 80.0,
        "fiducial_diameter_fullres": 120.0,
    }
    (spatial / "scalefactors_json.json").write_text(json.dumps(scales))
    return folder


def test_tenx_h5_is_scanpys(tmp_path):
    sc = peer("scanpy")
    path = tenx_h5(tmp_path / "m.h5")
    ours, theirs = bm.read.tenx_h5(path), sc.read_10x_h5(path)
    assert isinstance(ours, ad.AnnData)
    assert ours.obs_names.tolist() == theirs.obs_names.tolist() and ours.var_names.tolist() == theirs.var_names.tolist()
    assert (ours.X != theirs.X).nnz == 0 and ours.X.dtype == np.float32
    assert set(ours.var) == set(theirs.var)
    for column in theirs.var:
        assert ours.var[column].astype(str).tolist() == theirs.var[column].astype(str).tolist()


def test_several_kinds_of_features_are_modalities(tmp_path):
    pytest.importorskip("mudata")
    path = tenx_h5(tmp_path / "m.h5", ["Gene Expression"] * 20 + ["Antibody Capture"] * 5)
    mdata = bm.read.tenx_h5(path)
    assert {name: m.n_vars for name, m in mdata.mod.items()} == {"rna": 20, "adt": 5}
    np.testing.assert_array_equal(mdata["adt"].X.toarray(), X[:, 20:])


def test_tenx_mtx(tmp_path):
    for name, lines in (
        ("barcodes.tsv.gz", BARCODES),
        ("features.tsv.gz", [f"ENSG{j}\t{g}\tGene Expression" for j, g in enumerate(GENES)]),
    ):
        with gzip.open(tmp_path / name, "wt") as f:
            f.write("\n".join(lines) + "\n")
    with gzip.open(tmp_path / "matrix.mtx.gz", "wb") as f:
        scipy.io.mmwrite(f, sp.coo_matrix(X.T.astype(int)))
    adata = bm.read.tenx_mtx(tmp_path)
    np.testing.assert_array_equal(adata.X.toarray(), X)
    assert adata.var["gene_ids"].iloc[3] == "ENSG3"


def test_visium(tmp_path):
    folder = visium(tmp_path / "sample")
    adata = bm.read.visium(folder, library_id="mine")
    np.testing.assert_array_equal(
        adata.obsm["spatial"], np.column_stack([np.arange(N_OBS) * 50, np.arange(N_OBS) * 100])
    )
    assert adata.obs["array_col"].tolist() == (np.arange(N_OBS) * 2).tolist()
    assert adata.uns["spatial"]["mine"]["scalefactors"]["spot_diameter_fullres"] == 80.0
    bm.gr.spatial_neighbors(adata)
    assert adata.uns["spatial_neighbors"]["params"]["coord_type"] == "grid"


def test_tables(tmp_path):
    names = [f"cell{i}" for i in range(N_OBS)]
    table = pd.DataFrame(X, index=names, columns=GENES)
    places = pd.DataFrame({"x": np.arange(N_OBS) * 1.5, "y": np.arange(N_OBS)[::-1] * 2.0, "layer": "L1"}, index=names)
    table.to_csv(tmp_path / "counts.csv")
    table.T.to_csv(tmp_path / "genes.tsv.gz", sep="\t")
    places.sample(frac=1, random_state=1).to_csv(tmp_path / "places.csv")
    for counts_file, rows in (("counts.csv", "auto"), ("genes.tsv.gz", "genes"), ("genes.tsv.gz", "auto")):
        adata = bm.read.tables(tmp_path / counts_file, coordinates=tmp_path / "places.csv", rows=rows)
        np.testing.assert_array_equal(adata.X.toarray(), X)
        np.testing.assert_allclose(adata.obsm["spatial"], places[["x", "y"]])
        assert adata.obs_names.tolist() == names and set(adata.obs["layer"]) == {"L1"}
    renamed = places.rename(columns={"x": "east", "y": "north"})
    renamed.to_csv(tmp_path / "odd.csv")
    adata = bm.read.tables(
        tmp_path / "counts.csv", coordinates=tmp_path / "odd.csv", coordinate_columns=["east", "north"]
    )
    np.testing.assert_allclose(adata.obsm["spatial"], places[["x", "y"]])


def test_what_was_read_can_be_written(tmp_path):
    adata = bm.read.visium(visium(tmp_path / "sample"))
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert again.obs.equals(adata.obs) and (again.X != adata.X).nnz == 0


def test_bad_files_are_os_errors_in_pythons_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        bm.read.tenx_h5(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(OSError, match="not an HDF5 file") as error:
        bm.read.tenx_h5(tmp_path / "text.h5")
    assert "--" not in str(error.value) and "bm.read" in str(error.value)
    with pytest.raises(OSError, match="spatial/"):
        bm.read.visium(tmp_path)
    (tmp_path / "bad.csv").write_text("name,a,x,y\nc1,1,2,3\nc2,oops\n")
    with pytest.raises((ValueError, OSError), match="line 3|bad.csv"):
        bm.read.tables(tmp_path / "bad.csv")
    with pytest.raises(ValueError, match="rows is 'cells'"):
        bm.read.tables(tmp_path / "bad.csv", rows="cells")


def test_anything_is_read_by_one_call(tmp_path):
    pytest.importorskip("mudata")
    pytest.importorskip("zarr")
    by_name = bm.read.tenx_h5(tenx_h5(tmp_path / "counts.h5"))
    found = bm.read(tmp_path / "counts.h5")
    assert found.obs_names.tolist() == by_name.obs_names.tolist() and (found.X != by_name.X).nnz == 0
    found.write_h5ad(tmp_path / "mine.h5ad")
    assert bm.read(str(tmp_path / "mine.h5ad")).shape == found.shape
    found.write_zarr(tmp_path / "mine.zarr")
    assert bm.read(tmp_path / "mine.zarr").shape == found.shape
    mdata = bm.datasets.simulated(side=6)
    mdata.write(tmp_path / "mine.h5mu")
    assert set(bm.read(tmp_path / "mine.h5mu").mod) == set(mdata.mod)
    with pytest.raises(FileNotFoundError):
        bm.read(tmp_path / "absent")
    with pytest.raises(ValueError, match="bin is 8 for a .h5ad"):
        bm.read(tmp_path / "mine.h5ad", bin=8)
    (tmp_path / "odd.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(OSError, match="odd.bin is of no known format"):
        bm.read(tmp_path / "odd.bin")
