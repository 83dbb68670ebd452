#!/usr/bin/env python3
"""SpaMI-P: what a labelled slice adds to another, beside the transfer of labels by nearest neighbours.

    bash benches/run prior DATA [--seeds 3] [--epochs 100] [--only simulated dlpfc starmap]

Simulated pairs are two slices of one tissue (RNA and proteins; the second with a batch effect), the first as the atlas of the
second: with all, half or a tenth of its genes, with growing batch effects, without one of its regions, with labels shuffled,
and an atlas of another organ (other genes move together). On real tissue one section is the atlas of another. ARI is that of
the domains, their number given. `accuracy` is the share of all spots that get their true label, `of labelled` the share of
those that get any, `ECE` the error of the confidence (10 bins), `unlabelled` the share of spots that are none of these,
`unlabelled there` the same in the region that the atlas lacks. The transfers beside it take the 20 nearest spots of the atlas
in components of both slices together, each slice centred and scaled on its own, as they are and after Harmony.
"""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

KEY = "ground_truth"
NONE = "none of these"
REAL = {
    "dlpfc": ("DLPFC 151674 by 151673", "dlpfc_151673/dlpfc_151673.h5ad", "dlpfc_151674/dlpfc_151674.h5ad", 7),
    "starmap": ("STARmap, one half by the other", "starmap_v1_1k/starmap_v1_1k.h5ad", None, 7),
}


# What needs AnnData, in processes of their own.


def split(whole, atlas, target):
    """The two slices of a simulated tissue: the RNA of the first, all of the second."""
    import mudata

    both = mudata.read_h5mu(whole)
    first, second = sorted(both.obs["library_id"].astype(str).unique())
    for name, out in ((first, atlas), (second, target)):
        part = both[(both.obs["library_id"].astype(str) == name).to_numpy()].copy()
        if out == target:
            part.write(out)
            continue
        rna = part.mod["rna"].copy()
        rna.obs[KEY] = part.obs[KEY].to_numpy()
        rna.obsm["spatial"] = part.obsm["spatial"] if "spatial" in part.obsm else rna.obsm["spatial"]
        rna.write_h5ad(out)


def changed(atlas, out, how, amount):
    """An atlas with fewer genes, without a region, or with its labels in a wrong order."""
    import anndata
    import numpy as np

    adata = anndata.read_h5ad(atlas)
    draw = np.random.default_rng(0)
    if how == "genes":
        kept = np.sort(draw.permutation(adata.n_vars)[: int(round(float(amount) * adata.n_vars))])
        adata = adata[:, kept].copy()
    elif how == "without":
        adata = adata[(adata.obs[KEY].astype(str) != amount).to_numpy()].copy()
    elif how == "shuffled":
        adata.obs[KEY] = adata.obs[KEY].to_numpy()[draw.permutation(adata.n_obs)]
    elif how == "other organ":
        # The same names, and none of them what it was.
        adata.var_names = adata.var_names[draw.permutation(adata.n_vars)]
    adata.write_h5ad(out)


def halves(whole, atlas, target):
    import anndata
    import numpy as np

    adata = anndata.read_h5ad(whole)
    # Across the layers, which lie beside each other along the first axis: both halves have all of them.
    y = adata.obsm["spatial"][:, 1]
    first = y < np.median(y)
    adata[first].copy().write_h5ad(atlas)
    adata[~first].copy().write_h5ad(target)


def regions(path):
    import anndata

    print(json.dumps(anndata.read_h5ad(path).obs[KEY].astype(str).value_counts().index.tolist()))


def of_rna(path, out):
    import mudata

    both = mudata.read_h5mu(path)
    rna = both.mod["rna"].copy()
    rna.obs[KEY] = both.obs[KEY].to_numpy()
    rna.obsm["spatial"] = both.obsm["spatial"] if "spatial" in both.obsm else rna.obsm["spatial"]
    rna.write_h5ad(out)


def scores(truth, labels, confidence, lacking):
    import numpy as np

    truth, labels, confidence = map(np.asarray, (truth, labels, confidence))
    known = (truth != "nan") & (truth != lacking)
    given = labels != NONE
    right = labels == truth
    quality = {"accuracy": right[known].mean(), "unlabelled": (~given)[known].mean()}
    if (known & given).any():
        quality["of labelled"] = right[known & given].mean()
    bins = np.minimum((confidence * 10).astype(int), 9)
    of = [known & given & (bins == b) for b in range(10)]
    n = max((known & given).sum(), 1)
    quality["ECE"] = sum(abs(right[m].mean() - confidence[m].mean()) * m.sum() / n for m in of if m.any())
    if lacking:
        quality["unlabelled there"] = (~given)[truth == lacking].mean()
    return {name: float(value) for name, value in quality.items()}


def transferred(out, lacking):
    """How good the labels of a run are."""
    import anndata
    import mudata

    read = mudata.read_h5mu if out.endswith("h5mu") else anndata.read_h5ad
    obs = read(out).obs
    print(json.dumps(scores(obs[KEY].astype(str), obs["spami_prior"].astype(str), obs["spami_prior_confidence"], lacking)))


def nearest(joined, first, lacking):
    """Labels by the 20 nearest spots of the atlas, in components as they are and after Harmony."""
    import anndata
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    adata = anndata.read_h5ad(joined)
    slices = adata.obs["library_id"].astype(str).to_numpy()
    truth = adata.obs[KEY].astype(str).to_numpy()
    atlas = (slices == first) & (truth != "nan")
    target = slices != first
    names = np.unique(truth[atlas])
    found = {}
    for what, key in (("PCA", "X_pca"), ("Harmony", "X_mixture_harmony")):
        z = adata.obsm[key]
        index = NearestNeighbors(n_neighbors=20).fit(z[atlas])
        near = truth[atlas][index.kneighbors(z[target], return_distance=False)]
        shares = np.stack([(near == name).mean(axis=1) for name in names], axis=1)
        labels, confidence = names[shares.argmax(axis=1)], shares.max(axis=1)
        # As sure as ours must be.
        labels = np.where(confidence < 0.5, NONE, labels)
        found[what] = scores(truth[target], labels, confidence, lacking)
    print(json.dumps(found))


ASIDE = {f.__name__: f for f in (split, changed, halves, regions, of_rna, transferred, nearest)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--side", type=int, default=36, help="spots along the edge of a simulated slice")
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", choices=["simulated", *REAL])
    parser.add_argument("--options", nargs="*", default=[], help="more options of SpaMI-P, as `prior-weight=5`")
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "prior.json")
    arguments = parser.parse_args()
    arguments.threads = common.cores()
    options = [word for option in arguments.options for word in (f"--{option.split('=')[0]}", option.split("=")[1])]
    wants = lambda name: not arguments.only or name in arguments.only
    bench = common.Bench(
        "prior",
        "A labelled slice as a guide (SpaMI-P)",
        "ARI of the domains without and with the reference, and how good its labels are on the target, over seeds. A reference "
        "that is not trusted (shuffled labels, another organ) must leave the ARI as it is without one.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        aside = lambda *words: common.aside(__file__, *words)

        def compare(name, target, atlas, k, without, lacking=""):
            out = folder / f"out{target.suffix}"
            rows = []
            for seed, alone in enumerate(without):
                words = ["spami", target, "--out", out, "-k", k, "--seed", seed, "--epochs", arguments.epochs]
                report = common.brodmann(*words, "--denoise", "never", "--prior", atlas, "--prior-key", KEY, *options)
                quality = {"ARI": report["metrics"]["ari"], "ARI without": alone, **aside("transferred", out, lacking)}
                trusted = report["prior"]["trusted"]
                quality["trusted"] = float(trusted)
                rows.append({"seconds": report["wall"], "quality": quality})
            bench.add(name, report["n_obs"], {"brodmann": report["command"]}, {"brodmann": rows})
            # Genes alone, joined by name; the first file is the first slice.
            genes = target
            if target.suffix == ".h5mu":
                genes = folder / "genes.h5ad"
                aside("of_rna", target, genes)
            joined = folder / "joined.h5ad"
            common.brodmann("mixture", atlas, genes, "--out", joined, "-k", k, "--integrate", "harmony", "--n-init", 1)
            for what, quality in aside("nearest", joined, atlas.stem, lacking).items():
                row = {"seconds": 0.0, "quality": quality}
                bench.add(f"{name}: 20 nearest, {what}", report["n_obs"], {"brodmann": []}, {"brodmann": [row]})

        def alone(target, k):
            out = folder / f"alone{target.suffix}"
            words = ["spami", target, "--out", out, "-k", k, "--epochs", arguments.epochs, "--denoise", "never"]
            return [common.brodmann(*words, "--seed", seed)["metrics"]["ari"] for seed in range(arguments.seeds)]

        if wants("simulated"):
            for effect in (0, 1, 2, 4):
                whole, atlas, target = folder / "whole.h5mu", folder / "atlas.h5ad", folder / f"target{effect}.h5mu"
                common.brodmann(
                    "simulate", "--out", whole, "--side", arguments.side, "--modalities", "rna,adt", "--slices", 2,
                    "--noise", arguments.noise, "--batch-effect", effect,
                )  # fmt: skip
                aside("split", whole, atlas, target)
                without = alone(target, 5)
                compare(f"simulated, batch effect {effect}", target, atlas, 5, without)
                if effect != 1:
                    continue
                other = folder / "changed.h5ad"
                lacking = aside("regions", atlas)[1]
                for name, how, amount in (
                    ("half of the genes", "genes", 0.5),
                    ("a tenth of the genes", "genes", 0.1),
                    ("a region missing", "without", lacking),
                    ("labels shuffled", "shuffled", ""),
                    ("another organ", "other organ", ""),
                ):
                    aside("changed", atlas, other, how, amount)
                    missing = lacking if how == "without" else ""
                    compare(f"simulated, batch effect 1, {name}", target, other, 5, without, missing)
        for kind, (name, first, second, k) in REAL.items():
            paths = [arguments.data / file for file in (first, second) if file]
            if not wants(kind):
                continue
            if not all(path.exists() for path in paths):
                bench.note(f"{name}: skipped, its file is absent.")
                continue
            if second is None:
                paths = [folder / "left.h5ad", folder / "right.h5ad"]
                aside("halves", arguments.data / first, *paths)
            atlas, target = paths
            without = alone(target, k)
            compare(name, target, atlas, k, without)
            shuffled = folder / "changed.h5ad"
            aside("changed", atlas, shuffled, "shuffled", "")
            compare(f"{name}, labels shuffled", target, shuffled, k, without)
    bench.write()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ASIDE:
        ASIDE[sys.argv[1]](*sys.argv[2:])
    else:
        main()
