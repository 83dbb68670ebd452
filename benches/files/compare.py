#!/usr/bin/env python3
"""Reading and writing a `.h5ad` of 100,000 × 2000 spots (5 % non-zero), ours beside Python's anndata.

    bash benches/run files [--sizes 100000] [--runs 3]

Seconds are those of the read and of the write alone, measured inside the process; the peak is that of the whole process,
imports included. The same file, plain and compressed with gzip at anndata's level 4; both write it as they read it.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

def peer(source, out, level):
    import anndata

    with common.Clock() as read:
        adata = anndata.read_h5ad(source)
    options = {} if level == 0 else {"compression": "gzip", "compression_opts": level}
    with common.Clock() as write:
        adata.write_h5ad(out, **options)
    steps = {"read": read.report(), "write": write.report()}
    common.say({"steps": steps, "peak_mib": common.peak_mib(), "versions": common.versions("anndata", "h5py")})


def make(path, compression, n_obs):
    import anndata
    import numpy as np
    import scipy.sparse as sp

    n_vars, per_row = 2000, 100
    rng = np.random.default_rng(0)
    pattern = max(n_obs // 50, 1)
    columns = np.argsort(rng.random((pattern, n_vars), dtype=np.float32), axis=1)[:, :per_row]
    rows = np.sort(np.tile(columns, (-(-n_obs // pattern), 1))[:n_obs], axis=1)
    data = (1 + rng.poisson(1.0, n_obs * per_row)).astype(np.float32)
    starts = np.arange(0, n_obs * per_row + 1, per_row)
    x = sp.csr_matrix((data, rows.astype(np.int32).ravel(), starts), shape=(n_obs, n_vars))
    anndata.AnnData(x).write_h5ad(path, compression=compression)


def ours(report, tool):
    if tool == "brodmann":
        seconds = dict(re.findall(r"(read|write) ([0-9.]+)", report["stdout"]))
        report["steps"] = {step: {"seconds": float(seconds[step])} for step in ("read", "write")}


def main():
    parser = common.parser(__doc__, "files")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--program", type=Path, default=common.program("edit_roundtrip"))
    arguments = parser.parse_args()
    bench = common.Bench(
        "files",
        "Files: reading and writing `.h5ad`",
        "The same sparse counts, plain and compressed with gzip at anndata's level 4, from and into the system's file cache. Seconds "
        "of reading and writing alone; one process does both, and its peak includes what importing takes.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for n in arguments.sizes:
            for name, compression, level in [("plain", "", 0), ("gzip", "gzip", 4)]:
                source, mine, theirs = folder / f"{n}-{name}.h5ad", folder / "ours.h5ad", folder / "theirs.h5ad"
                # In a process of its own: a child's peak begins at the size of its parent.
                subprocess.run([sys.executable, __file__, "--make", source, compression, str(n)], check=True)
                command = [arguments.program, "bench", source, mine, level]
                peers = {"anndata": [sys.executable, __file__, "--peer", source, theirs, level]}
                bench.compare(f"{n:,} × 2000, {name}", n, command, peers, finish=ours)
    if not arguments.no_peers:
        alone = common.run([sys.executable, "-c", "import anndata"], arguments.threads)
        bench.note(f"Importing anndata alone peaks at {alone['peak_mib']:.0f} MiB.")
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], sys.argv[3] or None, int(sys.argv[4]))
    else:
        main()
