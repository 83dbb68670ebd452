"""Every writing command, ended at a random moment: the input is as it was, and the output is the old one, a whole new one,
or none.

With SIGKILL temporary files may stay; the next run that writes the same output sweeps them. With SIGTERM and SIGINT nothing
stays, and the exit code is 143 or 130. Outputs are opened by anndata or mudata where these are there, else by h5py.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from harness import digest, main, rng, run, tissue


def opened(path: Path) -> str:
    """Whether a peer opens what was written."""
    try:
        if path.suffix in {".png", ".svg", ".csv"}:
            start = {".png": b"\x89PNG", ".svg": b"<", ".csv": b""}[path.suffix]
            return "ok" if path.read_bytes().startswith(start) and path.stat().st_size else "torn output"
        if path.suffix == ".zarr":
            import anndata

            anndata.read_zarr(path)
        elif path.suffix == ".h5mu":
            import mudata

            mudata.read_h5mu(path)
        else:
            import anndata

            anndata.read_h5ad(path)
    except Exception as e:
        return f"torn output ({type(e).__name__}: {e})"
    return "ok"


def commands(folder: Path):
    a, b = folder / "a.h5ad", folder / "b.h5mu"
    out = folder / "out.h5ad"
    return [
        (["convert", a, "--out", out], out, None),
        (["convert", a, "--out", folder / "out.zarr"], folder / "out.zarr", None),
        (["preprocess", a, "--out", out], out, None),
        (["neighbors", a, "--out", out], out, None),
        (["mixture", a, "--out", out, "-k", "3"], out, None),
        (["smoothed-pca", a, "--out", out, "-k", "3"], out, None),
        (["banksy", a, "--out", out, "-k", "3"], out, None),
        (["spatialleiden", a, "--in-place"], a, a),
        (["leiden", b, "--out", folder / "out.h5mu"], folder / "out.h5mu", None),
        (["staig", a, "--out", out, "--epochs", "4", "-k", "3"], out, None),
        (["spami", b, "--out", folder / "out.h5mu", "--epochs", "3", "-k", "3"], folder / "out.h5mu", None),
        (["qc", a, "--out", out], out, None),
        (["plot", a, "--color", "ground_truth", "--out", folder / "p.png"], folder / "p.png", None),
        (["svg", a, "--table", folder / "t.csv"], folder / "t.csv", None),
        (["simulate", "--side", "12", "--out", folder / "s.h5ad"], folder / "s.h5ad", None),
    ]


def prepare(base: Path):
    seeds = base / "seeds"
    seeds.mkdir()
    tissue(seeds / "a.h5ad", side=10)
    tissue(seeds / "b.h5mu", side=10, modalities="rna,adt")
    return {"seeds": seeds, "seconds": {}}


def fresh(folder: Path, seeds: Path) -> None:
    for path in seeds.iterdir():
        shutil.copy(path, folder / path.name)


def one(campaign, i, folder, prepared):
    r = rng("kills", i)
    fresh(folder, prepared["seeds"])
    which = i % len(commands(folder))
    args, output, replaced = commands(folder)[which]
    if which not in prepared["seconds"]:
        whole = run([*args, "--quiet"])
        if whole.code != 0:
            campaign.note(i, f"does not run ({whole.stderr.strip()[-200:]})", whole)
            return
        prepared["seconds"][which] = whole.seconds
        # By bits: what an uninterrupted run writes.
        shutil.rmtree(folder)
        folder.mkdir()
        fresh(folder, prepared["seeds"])
    before = {path.name: digest(path) for path in folder.iterdir()}
    how = r.choice([signal.SIGKILL] * 6 + [signal.SIGTERM, signal.SIGINT])
    ended = run([*args, "--quiet"], kill_after=r.uniform(0.001, 1.05) * prepared["seconds"][which], kill_with=how)
    for name, was in before.items():
        path = folder / name
        if path == replaced:
            continue
        if not path.exists() or digest(path) != was:
            campaign.note(i, f"{name} was changed", ended)
            return
    if how != signal.SIGKILL and ended.code not in {0, 128 + how, -how}:
        campaign.note(i, f"exit code {ended.code} after signal {int(how)}", ended)
        return
    if "panicked" in ended.stderr or ended.timed_out:
        campaign.note(i, ended.verdict(), ended)
        return
    if output.exists():
        verdict = opened(output)
        if verdict != "ok":
            campaign.note(i, verdict, ended)
            return
    left = [p.name for p in folder.iterdir() if "brodmann-part" in p.name or "brodmann-lock" in p.name]
    if how != signal.SIGKILL and ended.code != -how and left:
        campaign.note(i, f"left behind {left}", ended)
        return
    if left:
        # The next run to this output sweeps what the killed one left.
        again = run([*args, "--quiet", *(["--force"] if "--out" in args else [])])
        still = [p.name for p in folder.iterdir() if "brodmann-part" in p.name or "brodmann-lock" in p.name]
        if again.code != 0 or still:
            campaign.note(i, f"not swept: {still}, exit {again.code}", again)
            return
    campaign.note(i, "killed" if ended.code != 0 else "ok", ended)


if __name__ == "__main__":
    main("kills", one, prepare)
