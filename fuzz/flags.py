"""Combinations of flags and odd data: read off the command's own help, so that a new flag is in without a line here."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
from harness import digest, main, rng, run, tissue

VALUES = ["0", "1", "-1", "3", "1e308", "nan", "inf", "-inf", "", " ", ".", "..", "a/b", "/", "x" * 5000, "腫瘍", "\x1b[31m", "a\nb", "spatial",
          "ground_truth", "X_pca", "counts", "99999999999999999999", "1" + "0" * 300, "true", "auto", "rna", "knn", "0.5", "rna=1,adt=0", "no.h5ad",
          "/dev/null", "/dev/full", "/proc/self/mem"]  # fmt: skip
METHODS = ["preprocess", "neighbors", "leiden", "spatialleiden", "domains", "banksy", "smoothed-pca", "mixture", "cluster", "staig", "qc",
           "markers", "svg", "gene-modules", "neighborhood", "evaluate", "plot", "convert", "info", "export", "report", "simulate", "spami"]  # fmt: skip
#: Long by themselves.
SMALL = {"staig": ["--epochs", "2"], "spami": ["--epochs", "2"], "simulate": ["--side", "6", "--n-genes", "20"]}


def odd(path: Path, r) -> None:
    """Data that a file may hold and nobody expects."""
    with h5py.File(path, "r+") as f:
        kind = r.choice(["none", "one place", "constant", "nan place", "zeros", "huge", "two spots", "names"])
        if kind == "one place":
            f["obsm/spatial"][...] = 7.0
        elif kind == "nan place":
            f["obsm/spatial"][0, 0] = np.nan
        elif kind == "constant":
            f["X/data"][...] = 1.0
        elif kind == "zeros":
            f["X/data"][...] = 0.0
        elif kind == "huge":
            f["obsm/spatial"][...] *= 1e150
        elif kind == "names":
            index = f["obs"].attrs["_index"]
            values = [f"\x1b[2J{k}" for k in range(len(f["obs"][index]))]
            del f["obs"][index]
            f["obs"].create_dataset(index, data=np.array(values, dtype=object), dtype=h5py.string_dtype())


def prepare(base: Path):
    flags = {}
    for command in METHODS:
        told = run([command, "--help"]).stdout
        flags[command] = re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)( [<\[]\S+)?", told, re.M)
    return tissue(base / "a.h5ad", side=7), tissue(base / "b.h5mu", side=7, modalities="rna,adt"), flags


def one(campaign, i, folder, prepared):
    single, several, flags = prepared
    r = rng("flags", i)
    seed = several if r.random() < 0.3 else single
    path = folder / seed.name
    path.write_bytes(seed.read_bytes())
    if seed is single and r.random() < 0.5:
        odd(path, r)
    command = METHODS[i % len(METHODS)]
    args = [command] if command == "simulate" else [command, path]
    ending = {"plot": r.choice([".png", ".svg"]), "report": ".html", "export": ".geojson"}.get(command, path.suffix)
    if command not in {"info", "evaluate"}:
        args += ["--out", folder / ("out" + ending)]
    if command == "plot":
        args += ["--color", r.choice(["ground_truth", "Gene0", "x"])]
    args += SMALL.get(command, [])
    for flag, value in r.sample(flags[command], min(len(flags[command]), r.choice([0, 1, 2, 3]))):
        if flag in {"--help", "--version", "--out", "--epochs", "--side", "--n-genes", "--log", "--checkpoint", "--save-model", "--in-place"}:
            continue
        args += [flag, r.choice(VALUES)] if value else [flag]
    before = digest(path)
    try:
        ended = run(args, cwd=folder)
    except ValueError:  # a null byte cannot be an argument
        return
    verdict = ended.verdict()
    if verdict in {"ok", "refused"} and re.search(r"[\x00-\x08\x0b-\x1f\x7f]", ended.stderr):
        verdict = "control characters on the terminal"
    if digest(path) != before:
        verdict = "input changed"
    campaign.note(i, verdict, ended, good=("ok", "refused", "wordless") if ended.code == 2 else ("ok", "refused"))


if __name__ == "__main__":
    main("flags", one, prepare)
