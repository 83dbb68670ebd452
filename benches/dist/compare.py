#!/usr/bin/env python3
"""STAIG of many slices on the workers of a Dask cluster beside one process: the same bits, what travels, what it costs.

    bash benches/run dist [--slices 20 --side 30 --genes 500 --epochs 20 --workers 1 2 4]

The slices are simulated tissues of side × side spots in files. One process runs `bm.tl.staig` on all of them; the clusters are
of processes on this machine, one thread each, so with as many workers as cores both have the same processors and the ratio
is the overhead: starting workers, opening files twice over, sending parameters and gradients. A row's note says how
many bytes went either way in an epoch, and the run stops where a bit differs.
"""
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common


def simulate(folder, n_slices, side, n_genes):
    import brodmann as bm

    for k in range(int(n_slices)):
        adata = bm.datasets.simulated(side=int(side), modalities="rna", n_genes=int(n_genes), random_state=k)
        adata.write(Path(folder) / f"slice_{k:03d}.h5ad")


def options(epochs):
    return {"n_clusters": 5, "cluster": "kmeans", "epochs": int(epochs), "values": "log", "n_top_genes": 0}


def report(embedding, seconds, **more):
    digest = hashlib.sha256(embedding.tobytes()).hexdigest()
    print(json.dumps({"seconds": seconds, "bits": digest, **more}))


def one(folder, epochs):
    import anndata as ad

    import brodmann as bm

    bm.settings.progress = False
    started = time.perf_counter()
    slices = {path.stem: ad.read_h5ad(path) for path in sorted(Path(folder).glob("*.h5ad"))}
    whole = ad.concat(slices, label="library_id", index_unique="-")
    bm.tl.staig(whole, library_key="library_id", **options(epochs))
    report(whole.obsm["X_staig"], time.perf_counter() - started, peak_mib=common.peak_mib())


def many(folder, epochs, n_workers):
    import numpy as np
    from distributed import Client, LocalCluster

    import brodmann as bm

    bm.settings.progress = False
    paths = sorted(Path(folder).glob("*.h5ad"))
    with (
        LocalCluster(n_workers=int(n_workers), threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        started = time.perf_counter()
        found = bm.dist.staig(paths, client=client, **options(epochs))
        seconds = time.perf_counter() - started
    sent, received = found.bytes_per_epoch
    report(
        np.concatenate(found.embeddings), seconds, peak_mib=common.peak_mib(), sent=sent, received=received,
        versions=common.versions("distributed"),
    )  # fmt: skip


def main():
    parser = common.parser(__doc__, "dist")
    parser.add_argument("--slices", type=int, nargs="+", default=[20])
    parser.add_argument("--side", type=int, default=30, help="spots along an edge of a slice")
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    bench = common.Bench("dist", "Many slices by Dask", __doc__.split("\n\n", 2)[2].replace("\n", " "), arguments)
    command = [sys.executable, __file__]
    for n_slices in arguments.slices:
        n_obs = n_slices * arguments.side**2
        with tempfile.TemporaryDirectory() as folder:
            common.aside(__file__, "--simulate", folder, n_slices, arguments.side, arguments.genes)
            alone = [*command, "--one", folder, arguments.epochs]
            for n_workers in arguments.workers:
                ours = [*command, "--many", folder, arguments.epochs, n_workers]
                case = f"{n_slices} slices, {n_workers} workers"
                reports = bench.compare(case, n_obs, ours, {"one process": alone})
                everything = [r for of in reports.values() for r in of]
                if len({r["bits"] for r in everything}) != 1:
                    sys.exit(f"{case}: bits differ")
                first = next(r for r in everything if "sent" in r)
                bench.note(f"{case}: {first['sent']:,} bytes sent and {first['received']:,} received in an epoch")
    bench.write()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("--simulate", "--one", "--many"):
        {"--simulate": simulate, "--one": one, "--many": many}[sys.argv[1]](*sys.argv[2:])
    else:
        main()
