#!/usr/bin/env python3
"""STAIG and SpaMI of many slices on the workers of a Dask cluster beside one process: the same bits, what travels, what it costs.

    bash benches/run dist [--methods staig spami --slices 20 --side 30 --genes 500 --epochs 20 --workers 1 2 4 --kills 0]

The slices are simulated tissues of side × side spots in files: of genes for STAIG, of genes and proteins for SpaMI. One
process runs `bm.tl` on all of them; the clusters are of processes on this machine, one thread each, so with as many workers
as cores both have the same processors and the ratio is the overhead: starting workers, opening files twice over, sending
parameters and gradients. A row's note says how many bytes went either way in an epoch, and the run stops where a bit differs.
With --kills N one run more, with the largest number of workers, loses a worker N times, at moments drawn at random.
"""
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common


# One name makes an AnnData, a list a MuData.
MODALITIES = {"staig": "rna", "spami": ["rna", "adt"]}


def simulate(folder, method, n_slices, side, n_genes):
    import brodmann as bm

    for k in range(int(n_slices)):
        made = bm.datasets.simulated(
            side=int(side), modalities=MODALITIES[method], n_genes=int(n_genes), random_state=k
        )
        if method == "spami":
            made.write(Path(folder) / f"slice_{k:03d}.h5mu")
        else:
            made.write(Path(folder) / f"slice_{k:03d}.h5ad")


def options(method, epochs):
    shared = {"n_clusters": 5, "cluster": "kmeans", "epochs": int(epochs)}
    return {**shared, "values": "log", "n_top_genes": 0} if method == "staig" else shared


def report(embedding, seconds, **more):
    digest = hashlib.sha256(embedding.tobytes()).hexdigest()
    print(json.dumps({"seconds": seconds, "bits": digest, **more}))


def read_all(folder, method):
    """All slices as one object."""
    import anndata as ad

    paths = sorted(Path(folder).glob("slice_*"))
    if method == "staig":
        return ad.concat({p.stem: ad.read_h5ad(p) for p in paths}, label="library_id", index_unique="-")
    import mudata
    import numpy as np

    slices = {p.stem: mudata.read_h5mu(p) for p in paths}
    parts = {
        kind: ad.concat({name: of.mod[kind] for name, of in slices.items()}, label="library_id", index_unique="-")
        for kind in MODALITIES[method]
    }
    whole = mudata.MuData(parts)
    whole.obs["library_id"] = parts["rna"].obs["library_id"]
    whole.obsm["spatial"] = np.concatenate([of.obsm["spatial"] for of in slices.values()])
    return whole


def one(folder, method, epochs):
    import brodmann as bm

    bm.settings.progress = False
    started = time.perf_counter()
    whole = read_all(folder, method)
    more = {"denoise": False} if method == "spami" else {}
    getattr(bm.tl, method)(whole, library_key="library_id", **more, **options(method, epochs))
    report(whole.obsm[f"X_{method}"], time.perf_counter() - started, peak_mib=common.peak_mib())


def killer(cluster, n, stop, killed):
    """Kills a worker at moments drawn at random, until there were `n`."""
    draws = random.Random(0)
    while len(killed) < n and not stop.wait(draws.uniform(0.5, 5.0)):
        # Those at work: a nanny whose worker dies before it has begun gives up for good.
        try:
            there, nannies = set(cluster.scheduler.workers), list(cluster.workers.values())
        except RuntimeError:  # one came or went just now
            continue
        pids = [nanny.pid for nanny in nannies if nanny.pid and nanny.worker_address in there]
        if pids:
            try:
                os.kill(draws.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(time.perf_counter())


def many(folder, method, epochs, n_workers, n_kills):
    import numpy as np
    from distributed import Client, LocalCluster

    import brodmann as bm

    bm.settings.progress = False
    paths = sorted(Path(folder).glob("slice_*"))
    stop, killed = threading.Event(), []
    with (
        LocalCluster(n_workers=int(n_workers), threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        thread = threading.Thread(target=killer, args=(cluster, int(n_kills), stop, killed))
        thread.start()
        started = time.perf_counter()
        try:
            found = getattr(bm.dist, method)(paths, client=client, **options(method, epochs))
            seconds = time.perf_counter() - started
        finally:
            stop.set()
            thread.join()
    sent, received = found.bytes_per_epoch
    report(
        np.concatenate(found.embeddings), seconds, peak_mib=common.peak_mib(), sent=sent, received=received,
        killed=len(killed), lost=found.n_lost, versions=common.versions("distributed"),
    )  # fmt: skip


def main():
    parser = common.parser(__doc__, "dist")
    parser.add_argument("--methods", nargs="+", choices=list(MODALITIES), default=["staig", "spami"])
    parser.add_argument("--slices", type=int, nargs="+", default=[20])
    parser.add_argument("--side", type=int, default=30, help="spots along an edge of a slice")
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--kills", type=int, default=0, help="times that a worker is killed in one run more")
    arguments = parser.parse_args()
    bench = common.Bench("dist", "Many slices by Dask", __doc__.split("\n\n", 2)[2].replace("\n", " "), arguments)
    command = [sys.executable, __file__]
    for method, n_slices in [(m, n) for m in arguments.methods for n in arguments.slices]:
        n_obs = n_slices * arguments.side**2
        with tempfile.TemporaryDirectory() as folder:
            common.aside(__file__, "--simulate", folder, method, n_slices, arguments.side, arguments.genes)
            alone = [*command, "--one", folder, method, arguments.epochs]
            bits = None
            for n_workers in arguments.workers:
                ours = [*command, "--many", folder, method, arguments.epochs, n_workers, 0]
                case = f"{method}, {n_slices} slices, {n_workers} workers"
                reports = bench.compare(case, n_obs, ours, {"one process": alone})
                everything = [r for of in reports.values() for r in of]
                bits = everything[0]["bits"]
                if reports.get("one process") == []:
                    sys.exit(f"{case}: one process failed, so that there is nothing to compare with")
                if len({r["bits"] for r in everything}) != 1:
                    sys.exit(f"{case}: bits differ")
                first = next(r for r in everything if "sent" in r)
                bench.note(f"{case}: {first['sent']:,} bytes sent and {first['received']:,} received in an epoch")
            if arguments.kills:
                most = max(arguments.workers)
                words = ["--many", folder, method, arguments.epochs, most, arguments.kills]
                found = common.aside(__file__, *words)
                if bits is not None and found["bits"] != bits:
                    sys.exit(f"{method}, {n_slices} slices: bits differ after workers were killed")
                if found["killed"] < arguments.kills:
                    sys.exit(f"{method}: the run was over after {found['killed']} of {arguments.kills} kills; give more --epochs")
                bench.note(
                    f"{method}, {n_slices} slices, {most} workers, {found['killed']} times one was killed: the same bits, "
                    f"{found['seconds']:.0f} s"
                )
    bench.write()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("--simulate", "--one", "--many"):
        {"--simulate": simulate, "--one": one, "--many": many}[sys.argv[1]](*sys.argv[2:])
    else:
        main()
