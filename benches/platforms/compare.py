#!/usr/bin/env python3
"""Folders of instruments opened: `brodmann convert` beside spatialdata-io, which hands over the same table in memory.

    bash benches/run platforms [--sizes 100000] [--kinds xenium cosmx merscope visium-hd]

Each folder is made here, complete enough for both: 500 genes (18,000 of Visium HD), about 60 counts per cell, four bands.
Pictures and molecules are left out on both sides. Ours ends with an `.h5ad` on disk, the peer with an object in memory;
cells, genes, the sum of the counts and the coordinates are compared, and a difference ends the bench.
"""
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

GENES = {"xenium": 500, "cosmx": 500, "merscope": 500, "visium-hd": 18_000}
PER_CELL = 60


def counts(n, genes):
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    profile = rng.gamma(0.5, 1, (4, genes)) + 0.01
    cumulated = np.cumsum(profile / profile.sum(1, keepdims=True), 1)
    band = np.arange(n) * 4 // n
    columns = np.empty((n, PER_CELL), np.int32)
    for k in range(4):
        drawn = np.searchsorted(cumulated[k], rng.random(((band == k).sum(), PER_CELL)))
        columns[band == k] = drawn.clip(0, genes - 1)
    rows = np.repeat(np.arange(n, dtype=np.int32), PER_CELL)
    return sp.coo_matrix((np.ones(rows.size, np.int32), (rows, columns.ravel())), shape=(n, genes)).tocsr()


def places(n):
    import numpy as np

    side = int(np.ceil(n**0.5))
    row, column = np.divmod(np.arange(n), side)
    return np.column_stack([column, row]) * 10.0 + np.random.default_rng(1).random((n, 2))


def write_tenx(path, x, barcodes):
    import h5py
    import numpy as np

    packed = {"compression": "gzip", "compression_opts": 1}
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix.create_dataset("data", data=x.data, **packed)
        matrix.create_dataset("indices", data=x.indices.astype(np.int64), **packed)
        matrix["indptr"], matrix["shape"] = x.indptr.astype(np.int64), np.array(x.shape[::-1], np.int32)
        matrix.create_dataset("barcodes", data=np.array(barcodes, "S"), **packed)
        features = matrix.create_group("features")
        n = x.shape[1]
        for name, values in {
            "id": [f"ENSG{j:06d}" for j in range(n)],
            "name": [f"Gene{j}" for j in range(n)],
            "feature_type": ["Gene Expression"] * n,
            "genome": ["GRCh38"] * n,
        }.items():
            features[name] = np.array(values, "S")


def make_xenium(folder, n):
    import numpy as np
    import pandas as pd
    import zarr

    x, xy = counts(n, GENES["xenium"]), places(n)
    digits = np.array(list("abcdefghijklmnop"))
    names = ["".join(digits[[(i >> shift) & 15 for shift in range(28, -1, -4)]]) + "-1" for i in range(n)]
    write_tenx(folder / "cell_feature_matrix.h5", x, names)
    cells = {"cell_id": names, "x_centroid": xy[:, 0], "y_centroid": xy[:, 1]}
    cells |= {"transcript_counts": np.asarray(x.sum(1)).ravel(), "cell_area": 80.0, "nucleus_area": 20.0}
    pd.DataFrame(cells).to_parquet(folder / "cells.parquet", index=False)
    described = {"analysis_sw_version": "xenium-2.0.0.10", "region_name": "r", "pixel_size": 0.2125, "num_cells": n}
    (folder / "experiment.xenium").write_text(json.dumps(described))
    # The peer asks for the segmentation even where it is told to leave it out.
    with zarr.storage.ZipStore(folder / "cells.zarr.zip", mode="w") as store:
        group = zarr.create_group(store, zarr_format=2)
        prefixes = np.column_stack([np.arange(n), np.ones(n)]).astype(np.uint32)
        group.create_array("cell_id", data=prefixes)
        summary = ["cell_centroid_x", "cell_centroid_y", "cell_area", "nucleus_centroid_x", "nucleus_centroid_y"]
        summary += ["nucleus_area", "z_level", "nucleus_count"]
        array = group.create_array("cell_summary", data=np.zeros((n, len(summary))))
        array.attrs["column_names"] = summary


def make_cosmx(folder, n):
    import numpy as np
    import pandas as pd

    x, xy = counts(n, GENES["cosmx"]), places(n)
    fov, cell = np.arange(n) // 1000 + 1, np.arange(n) % 1000 + 1
    table = pd.DataFrame(x.toarray(), columns=[f"Gene{j}" for j in range(x.shape[1])])
    table.insert(0, "fov", fov)
    table.insert(1, "cell_ID", cell)
    table.to_csv(folder / "S_exprMat_file.csv", index=False)
    described = {"fov": fov, "cell_ID": cell, "Area": 80, "CenterX_local_px": xy[:, 0], "CenterY_local_px": xy[:, 1]}
    described |= {"CenterX_global_px": xy[:, 0], "CenterY_global_px": xy[:, 1]}
    pd.DataFrame(described).to_csv(folder / "S_metadata_file.csv", index=False)
    fovs = pd.DataFrame({"fov": np.unique(fov), "x_global_px": 0.0, "y_global_px": 0.0})
    fovs.to_csv(folder / "S_fov_positions_file.csv", index=False)
    for name in ("CellComposite", "CellLabels"):
        (folder / name).mkdir()


def make_merscope(folder, n):
    import numpy as np
    import pandas as pd

    x, xy = counts(n, GENES["merscope"]), places(n)
    ids = 2667025897300100000 + 3 * np.arange(n)
    table = pd.DataFrame(x.toarray(), columns=[f"Gene{j}" for j in range(x.shape[1])])
    table.insert(0, "cell", ids)
    table.to_csv(folder / "cell_by_gene.csv", index=False)
    described = {"EntityID": ids, "fov": 0, "volume": 80.0, "center_x": xy[:, 0], "center_y": xy[:, 1]}
    pd.DataFrame(described).to_csv(folder / "cell_metadata.csv", index=False)
    (folder / "images").mkdir()
    (folder / "images/micron_to_mosaic_pixel_transform.csv").write_text("9.2 0 0\n0 9.2 0\n0 0 1\n")
    (folder / "images/manifest.json").write_text("{}")


def make_visium_hd(folder, n):
    import h5py
    import numpy as np
    import pandas as pd

    x = counts(n, GENES["visium-hd"])
    row, column = np.divmod(np.arange(n), int(np.ceil(n**0.5)))
    names = [f"s_008um_{r:05d}_{c:05d}-1" for r, c in zip(row, column)]
    inner = folder / "binned_outputs/square_008um"
    (inner / "spatial").mkdir(parents=True)
    write_tenx(inner / "filtered_feature_bc_matrix.h5", x, names)
    table = {"barcode": names, "in_tissue": 1, "array_row": row, "array_col": column}
    table |= {"pxl_row_in_fullres": row * 29.2, "pxl_col_in_fullres": column * 29.2}
    pd.DataFrame(table).to_parquet(inner / "spatial/tissue_positions.parquet", index=False)
    scales = {"spot_diameter_fullres": 29.2, "bin_size_um": 8.0, "microns_per_pixel": 8 / 29.2}
    scales |= {"tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.01, "regist_target_img_scalef": 0.1}
    (inner / "spatial/scalefactors_json.json").write_text(json.dumps(scales))
    layout = {"file_format": "1.0", "transform": np.eye(3).tolist()}
    described = {"hd_layout_json": json.dumps(layout), "transform_matrices": {}}
    for name in ("spot_colrow_to_microscope_colrow", "microscope_colrow_to_spot_colrow"):
        described["transform_matrices"][name] = np.eye(3).tolist()
    with h5py.File(folder / "feature_slice.h5", "w") as file:
        file.attrs["metadata_json"] = json.dumps(described)


MAKERS = {"xenium": make_xenium, "cosmx": make_cosmx, "merscope": make_merscope, "visium-hd": make_visium_hd}


def read_peer(kind, folder):
    import spatialdata_io as sio

    if kind == "xenium":
        without = ("cells_boundaries", "nucleus_boundaries", "cells_labels", "nucleus_labels", "cells_as_circles")
        without += ("transcripts", "morphology_mip", "morphology_focus", "aligned_images")
        return sio.xenium(folder, **dict.fromkeys(without, False))
    if kind == "cosmx":
        return sio.cosmx(folder, dataset_id="S", transcripts=False)
    if kind == "merscope":
        return sio.merscope(folder, transcripts=False, cells_boundaries=False, mosaic_images=False)
    return sio.visium_hd(folder, dataset_id="", bin_size=8, load_all_images=False)


def facts(adata):
    """What both sides must agree on, whatever order and names they give cells."""
    import numpy as np

    xy = np.asarray(adata.obsm["spatial"], dtype=float)[:, :2]
    sums = np.asarray(adata.X.sum(1)).ravel()
    order = np.lexsort((xy[:, 1], xy[:, 0]))
    return {
        "cells": int(adata.n_obs),
        "genes": int(adata.n_vars),
        "counts": float(sums.sum()),
        "xy": xy[order].sum(0).round(3).tolist(),
        "by_place": float((sums[order] * np.arange(1, len(order) + 1)).sum()),
    }


def peer(kind, folder):
    with common.Clock() as read:
        tissue = read_peer(kind, Path(folder))
        (table,) = tissue.tables.values()
    report = read.report() | {"peak_mib": common.peak_mib(), "facts": facts(table)}
    common.say(report | {"versions": common.versions("spatialdata", "spatialdata-io")})


def judge(path):
    import anndata

    common.say(facts(anndata.read_h5ad(path)))


def ours(report, tool):
    if tool == "brodmann":
        # The whole process, its start included.
        report["seconds"], report["cpu_seconds"] = report["process_seconds"], report["process_cpu_seconds"]


def main():
    parser = common.parser(__doc__, "platforms")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--kinds", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--program", type=Path, default=common.program())
    arguments = parser.parse_args()
    bench = common.Bench(
        "platforms",
        "Folders of instruments: `convert`",
        "A made folder of each instrument, from the system's file cache: ours into an `.h5ad` on disk, the peer into memory. Cells, "
        "genes, counts and coordinates of both are equal. The peer's seconds are without its imports.",
        arguments,
    )
    for kind in arguments.kinds:
        for n in arguments.sizes:
            with tempfile.TemporaryDirectory() as place:
                folder, out = Path(place) / kind, Path(place) / "ours.h5ad"
                folder.mkdir()
                common.aside(__file__, "--make", kind, folder, n)
                command = [arguments.program, "convert", folder, "--out", out, "--force", "--json", "--quiet"]
                command += ["--threads", arguments.threads]
                peers = {"spatialdata-io": [sys.executable, __file__, "--peer", kind, folder]}
                reports = bench.compare(f"{kind}, {n:,} × {GENES[kind]:,}", n, command, peers, finish=ours)
                mine = common.aside(__file__, "--judge", out)
                for report in reports.get("spatialdata-io", []):
                    if report["facts"] != mine:
                        sys.exit(f"{kind}: ours has {mine}, spatialdata-io {report['facts']}")
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["--make"]:
        MAKERS[sys.argv[2]](Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--judge"]:
        judge(sys.argv[2])
    else:
        main()
