#!/usr/bin/env python3
"""The hot kernels by themselves (criterion), into the common schema.

    bash benches/run kernels [--only exp]

Seconds are criterion's median with its 95 % interval. Instructions are counted by `perf stat` where the processor lets it: most
virtual machines do not, and then there is no such number. valgrind counts too, but it knows no AVX-512 and so counts
another code path than the one that runs: it is not used.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common


def executable():
    """Builds the micro-benches, and where they are."""
    words = ["cargo", "bench", "--package", "brodmann-kernels", "--bench", "kernels", "--no-run", "--message-format", "json"]
    done = subprocess.run(words, cwd=common.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in reversed(messages) if m.get("executable"))


def instructions(program, name, threads):
    """Instructions of one run of a kernel, or None: those of a hundred runs less those of none."""
    if not shutil.which("perf"):
        return None

    def count(kernel):
        environment = dict(os.environ, KERNELS_ONCE=kernel, RAYON_NUM_THREADS=str(threads))
        words = ["perf", "stat", "-x", ",", "-e", "instructions:u", program]
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        found = re.search(r"^(\d+),", done.stderr, re.MULTILINE)
        return int(found.group(1)) if found else None

    with_kernel, without = count(name), count("none")
    return None if with_kernel is None or without is None else (with_kernel - without) / 100


def main():
    parser = common.parser(__doc__, "kernels")
    parser.add_argument("--only", default="", help="kernels whose name holds this")
    arguments = parser.parse_args()
    program = executable()
    environment = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
    home = common.target().parent / "criterion"
    environment["CRITERION_HOME"] = str(home)
    shutil.rmtree(home, ignore_errors=True)
    words = [program, "--bench", *([arguments.only] if arguments.only else [])]
    subprocess.run(words, check=True, env=environment, cwd=common.REPOSITORY)
    bench = common.Bench(
        "kernels",
        "Kernels",
        "The innermost loops at the shapes they are used in: criterion's median of one call and its 95 % interval.",
        arguments,
    )
    counted = False
    for path in sorted(home.glob("**/new/estimates.json")):
        name = json.loads((path.parent / "benchmark.json").read_text())["title"]
        median = json.loads(path.read_text())["median"]
        interval = median["confidence_interval"]
        seconds = {
            "median": median["point_estimate"] / 1e9,
            "min": interval["lower_bound"] / 1e9,
            "max": interval["upper_bound"] / 1e9,
            "n": 20,
        }
        quality = {}
        if (count := instructions(program, name, arguments.threads)) is not None:
            counted = True
            quality["instructions"] = common.spread([count])
        command = f"cargo bench -p brodmann-kernels -- '{name}'"
        ours = {"tool": "brodmann", "command": command, "seconds": seconds, "cpu_seconds": None, "peak_mib": None, "quality": quality}
        bench.rows.append({"case": name, "n": None, "ours": ours, "peer": None, "ratio": None, "memory_ratio": None})
    if not counted:
        bench.note("No instruction counts: `perf stat -e instructions:u` counts nothing on this machine.")
    bench.write()


if __name__ == "__main__":
    main()
