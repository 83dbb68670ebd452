#!/usr/bin/env python3
"""Reading and writing a `.h5ad` of 100,000 × 2000 spots (5 % non-zero), ours beside Python's anndata.

    cargo build --release -p brodmann-data --example edit_roundtrip
    python benches/files/compare.py [--runs 3] [--json out.json]

Needs anndata, numpy and scipy. Each run is a process of its own; the runs alternate. Seconds are those of the read
and of the write alone, measured inside the process; the peak is that of the whole process, imports included.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

PEER = """
import sys, time, anndata
start = time.perf_counter(); adata = anndata.read_h5ad(sys.argv[1]); read = time.perf_counter() - start
options = {} if sys.argv[3] == "0" else {"compression": "gzip", "compression_opts": int(sys.argv[3])}
start = time.perf_counter(); adata.write_h5ad(sys.argv[2], **options); write = time.perf_counter() - start
print(f"read {read:.4f} write {write:.4f}")
"""
IMPORTS = "import anndata"


def measured(command):
    """Standard output and peak resident megabytes of a process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return out, usage.ru_maxrss / 1024


def make(path, compression):
    import anndata
    import numpy as np
    import scipy.sparse as sp

    n_obs, n_vars, per_row = 100_000, 2000, 100
    rng = np.random.default_rng(0)
    columns = np.argsort(rng.random((n_obs // 50, n_vars), dtype=np.float32), axis=1)[:, :per_row]
    indices = np.sort(np.tile(columns, (50, 1)), axis=1).astype(np.int32).ravel()
    data = (1 + rng.poisson(1.0, n_obs * per_row)).astype(np.float32)
    x = sp.csr_matrix((data, indices, np.arange(0, n_obs * per_row + 1, per_row)), shape=(n_obs, n_vars))
    anndata.AnnData(x).write_h5ad(path, compression=compression)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/release/examples/edit_roundtrip")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        return make(arguments.make[0], arguments.make[1] or None)
    results = []
    print("| file | program | read s | write s | peak MB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, compression, level in [("plain", None, 0), ("gzip", "gzip", 4)]:
            source, out = folder / f"{name}.h5ad", folder / "out.h5ad"
            # In a process of its own: a child's peak begins at the size of its parent.
            subprocess.run([sys.executable, __file__, "--make", source, compression or ""], check=True)
            programs = {
                "brodmann": [arguments.program, "bench", source, out, str(level)],
                "anndata": [sys.executable, "-c", PEER, source, out, str(level)],
            }
            runs = {program: [] for program in programs}
            for _ in range(arguments.runs):
                for program, command in programs.items():
                    text, peak = measured([str(c) for c in command])
                    seconds = [float(v) for v in re.findall(r"(?:read|write) ([0-9.]+)", text)]
                    runs[program].append((*seconds[:2], peak))
            for program, values in runs.items():
                read, write, peak = (statistics.median(column) for column in zip(*values))
                print(f"| {name} | {program} | {read:.2f} | {write:.2f} | {peak:.0f} |", flush=True)
                results.append({"file": name, "program": program, "read": read, "write": write, "peak_mb": peak})
    print(f"importing anndata alone peaks at {measured([sys.executable, '-c', IMPORTS])[1]:.0f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
