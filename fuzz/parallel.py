"""Several runs at once on the same files: each result is there and right, or its run was refused, and none is lost silently."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import h5py
from harness import digest, main, rng, run, tissue
from kills import opened


def prepare(base: Path):
    return [tissue(base / "a.h5ad", side=8), tissue(base / "other.h5ad", side=8, seed=2)]


def together(jobs):
    ended = [None] * len(jobs)

    def work(k, args):
        ended[k] = run([*args, "--quiet"])

    threads = [threading.Thread(target=work, args=job) for job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def columns(path: Path) -> set[str]:
    with h5py.File(path, "r") as f:
        return set(f["obs"].attrs["column-order"])


def in_place(folder, r, seeds):
    """Results of several runs in place: those that ended well are all there."""
    path = folder / "a.h5ad"
    shutil.copy(seeds[0], path)
    keys = [f"k{k}" for k in range(r.choice([2, 3]))]
    ended = together([["mixture", path, "--in-place", "-k", "3", "--key-added", key] for key in keys])
    there = columns(path)
    lost = [key for key, e in zip(keys, ended) if e.code == 0 and key not in there]
    yield from ((e, "busy" if e.code == 2 else e.verdict()) for e in ended)
    if lost:
        yield ended[0], f"lost {lost}"


def to_one(folder, r, seeds):
    """Several runs to one new file."""
    path, out = folder / "a.h5ad", folder / "out.h5ad"
    shutil.copy(seeds[0], path)
    command = r.choice([["convert", path, "--out", out], ["mixture", path, "--out", out, "-k", "3"]])
    ended = together([command] * r.choice([2, 3]))
    yield from ((e, "busy" if e.code == 2 else e.verdict()) for e in ended)
    if any(e.code == 0 for e in ended) and opened(out) != "ok":
        yield ended[0], opened(out)


def replaced(folder, r, seeds):
    """The input is replaced while it is read: the output is of one of the two, or the run is refused."""
    path, out = folder / "a.h5ad", folder / "out.h5ad"
    shutil.copy(seeds[0], path)
    stop = threading.Event()

    def swap():
        k = 0
        while not stop.is_set():
            k += 1
            shutil.copy(seeds[k % 2], folder / "next.h5ad")
            os.replace(folder / "next.h5ad", path)
            stop.wait(r.choice([0.0005, 0.005, 0.02]))

    swapper = threading.Thread(target=swap)
    swapper.start()
    ended = run(["mixture", path, "--out", out, "-k", "3", "--quiet"])
    stop.set()
    swapper.join()
    yield ended, ended.verdict()
    if ended.code == 0:
        yield ended, opened(out) if opened(out) != "ok" else whose(out, seeds, folder)


def whose(out, seeds, folder):
    for k, seed in enumerate(seeds):
        alone = folder / f"alone{k}.h5ad"
        run(["mixture", seed, "--out", alone, "-k", "3", "--quiet"])
        with h5py.File(out) as a, h5py.File(alone) as b:
            same = all((a[name][()] == b[name][()]).all() for name in ("obs/mixture/codes", "obsm/spatial"))
            if same and (a["X/data"][()] == b["X/data"][()]).all():
                return "ok"
    return "of two files"


def readers(folder, r, seeds):
    """Readers while a writer works in place."""
    path = folder / "a.h5ad"
    shutil.copy(seeds[0], path)
    ended = together([["mixture", path, "--in-place", "-k", "3"], ["info", path], ["info", path]])
    yield from ((e, e.verdict()) for e in ended)
    yield ended[0], opened(path)


def one(campaign, i, folder, seeds):
    r = rng("parallel", i)
    before = [digest(seed) for seed in seeds]
    for ended, verdict in r.choice([in_place, in_place, to_one, replaced, readers])(folder, r, seeds):
        campaign.note(i, verdict, ended)
    if [digest(seed) for seed in seeds] != before:
        campaign.note(i, "input changed")
    left = [p.name for p in folder.iterdir() if "brodmann-part" in p.name]
    if left:
        campaign.note(i, f"left behind {left}")


if __name__ == "__main__":
    main("parallel", one, prepare)
