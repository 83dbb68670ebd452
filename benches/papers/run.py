#!/usr/bin/env python3
"""What the three papers claim of their parts, measured: ablations, noise, epochs, denoising.

    bash benches/run papers DATA [--seeds 10] [--only noise parts epochs denoising staig layers]

noise      SpaMI beside the others as noise grows, on tissues simulated here and by others (SpaMI's figure 2)
parts      SpaMI without its contrastive loss, without the loss that keeps modalities alike, with other fusions, and with
           one modality alone, on the same tissues (SpaMI's ablations)
epochs     SpaMI's accuracy by epochs, on those and on real tissues of RNA alone
denoising  Half of the molecules of each tissue, drawn by thinning, are given, and what is held out is predicted: by SpaMI's
           denoised expression, the mean of a spot and its six neighbours, principal components, MAGIC where it is
           installed, and the given half itself. Over the 100 features of the highest Moran's I in the given half: `r2` is the
           median squared correlation with the held-out half, over spots; `Moran` the median of Moran's I, `Moran held out`
           that of the held-out half, noise and all. Of two predictions with the same `r2` the one of higher Moran's I is
           smoother than the tissue is
staig      STAIG's edge rules, resampled graphs, negatives, views (STAIG's ablations)
layers     SpatialLeiden by the weight of its spatial layer, and Leiden of expression alone (SpatialLeiden's figure)

ARI is that of the domains, their number given. Denoising needs anndata, mudata, scipy and scikit-learn; the rest the
standard library, the program and the data folder.
"""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

STARMAP = ("STARmap V1", "starmap_v1_1k/starmap_v1_1k.h5ad", 7, ["--preset", "starmap"])
DLPFC = ("DLPFC 151673", "dlpfc_151673/dlpfc_151673.h5ad", 7, ["--preset", "visium"])
# Of RNA alone: what training is long enough for.
MORE = [
    ("her2st A1", "her2st_A1/her2st_A1.h5ad", 5),
    ("her2st F1", "her2st_F1/her2st_F1.h5ad", 3),
    ("osmFISH cortex", "osmfish_cortex/osmfish_cortex.h5ad", 11),
]
OTHERS = "sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu"
TWO = ["--modalities", "rna,adt"]
NOISE = [0, 1, 2, 3]
PARTS = {
    "whole": [],
    "without the contrast": ["--no-contrast"],
    "without the cosine": ["--no-cosine"],
    "without both": ["--no-contrast", "--no-cosine"],
    "side by side": ["--fusion", "concat"],
    "plain mean": ["--fusion", "mean"],
}
EPOCHS = [50, 100, 200, 400, 1000]
STAIG = {
    "as it is": [],
    "edges dropped at random": ["--edge-rule", "fixed=0.3"],
    "no edges dropped": ["--edge-rule", "fixed=0"],
    "ten graphs drawn": ["--resamples", "10"],
    "mean of two views": ["--average-views"],
    "by moments": ["--negatives", "moments"],
}
# Features that denoising is judged by.
MARKERS = 100
LAYERS = [0.25, 0.5, 1, 2, 4]


# What needs AnnData, in processes of their own.


def modalities(path):
    import anndata
    import mudata

    if str(path).endswith(".h5mu"):
        whole = mudata.read_h5mu(path)
        return whole, {name: whole.mod[name] for name in ("rna", "adt") if name in whole.mod}
    whole = anndata.read_h5ad(path)
    return whole, {"rna": whole}


def thin(path, given, held, seed):
    """Each molecule goes to one half or the other."""
    import numpy as np
    import scipy.sparse as sp

    draw = np.random.default_rng(seed)
    halves = []
    whole, parts = modalities(path)
    for adata in parts.values():
        x = sp.csr_matrix(adata.X, dtype=np.float32)
        # Simulated counts that had noise added are not whole.
        counts = np.maximum(np.rint(x.data), 0).astype(np.int64)
        taken = draw.binomial(counts, 0.5)
        halves.append((adata, x, counts, taken))
    for out, of in ((given, lambda counts, taken: taken), (held, lambda counts, taken: counts - taken)):
        for adata, x, counts, taken in halves:
            # Copied: what is taken out of one half's places would be taken out of the other's.
            adata.X = sp.csr_matrix((of(counts, taken).astype(np.float32), x.indices, x.indptr), x.shape, copy=True)
            adata.X.eliminate_zeros()
        whole.write(out)


def logged(adata, is_rna):
    """Dense, as the predictions are: log1p of what a total of 10,000 gives, or CLR."""
    import numpy as np
    import scipy.sparse as sp

    x = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
    x = x.astype(np.float64)
    if is_rna:
        return np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1))
    log = np.where(x > 0, np.log1p(x), 0)
    return np.log1p(x / np.exp(log.sum(1, keepdims=True) / x.shape[1]))


def correlations(a, b):
    import numpy as np

    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.where(scale > 0, (a * b).sum(0) / np.where(scale > 0, scale, 1), np.nan)


def moran(x, w):
    import numpy as np

    centred = x - x.mean(0)
    own = (centred**2).sum(0)
    return np.where(own > 0, len(x) / w.sum() * (centred * (w @ centred)).sum(0) / np.where(own > 0, own, 1), np.nan)


def predict(given, held, denoised):
    """Scores of each prediction, by modality."""
    import numpy as np
    import scipy.sparse as sp
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    _, parts = modalities(given)
    whole, of_spami = modalities(denoised)
    _, others = modalities(held)
    found = {}
    for name, adata in parts.items():
        layer = of_spami[name].layers["spami_denoised"]
        layer = layer.toarray() if sp.issparse(layer) else np.asarray(layer)
        flags = of_spami[name].var.get("spami_denoised")
        known = np.ones(adata.n_vars, bool) if flags is None else flags.to_numpy(bool)
        # A spot that thinning left empty has no prediction by SpaMI, and takes no part in the others' either.
        kept = np.asarray(adata.X.sum(1)).ravel() > 0
        kept &= np.isfinite(layer[:, known]).all(1)
        layer = layer[kept]
        mine, target = (logged(a, name == "rna")[kept][:, known] for a in (adata, others[name]))
        xy = (adata if "spatial" in adata.obsm else whole).obsm["spatial"][kept]
        near = NearestNeighbors(n_neighbors=7).fit(xy).kneighbors(xy, return_distance=False)[:, 1:]
        n = len(xy)
        w = sp.csr_matrix((np.ones(6 * n), (np.repeat(np.arange(n), 6), near.ravel())), (n, n))
        pca = PCA(30, random_state=0)
        scores = pca.fit_transform(mine)
        predictions = {
            "SpaMI": layer[:, known],
            "given half": mine,
            "neighbours' mean": (mine + w @ mine) / 7,
            "components": pca.inverse_transform(scores),
            "components, neighbours' mean": pca.inverse_transform((scores + w @ scores) / 7),
        }
        try:
            import magic

            predictions["MAGIC"] = np.asarray(magic.MAGIC(verbose=0, random_state=0, n_jobs=1).fit_transform(mine))
        except ImportError:
            pass
        spatial = np.nan_to_num(moran(mine, w), nan=-1.0)
        spatial[target.std(0) == 0] = -1.0
        markers = np.sort(np.argsort(-spatial, kind="stable")[:MARKERS])
        truth = float(np.nanmedian(moran(target[:, markers], w)))
        for way, values in predictions.items():
            r = correlations(values[:, markers], target[:, markers])
            found[f"{name}: {way}"] = {
                "r2": float(np.nanmedian(np.where(np.isnan(r), 0, r) ** 2)),
                "Moran": float(np.nanmedian(moran(values[:, markers], w))),
                "Moran held out": truth,
            }
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    sections = ["noise", "parts", "epochs", "denoising", "staig", "layers"]
    parser.add_argument("--only", nargs="*", choices=sections, default=sections)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100, help="of SpaMI, where they are not what is looked at")
    parser.add_argument("--side", type=int, default=36, help="spots along the edge of a simulated tissue")
    parser.add_argument("--noise", nargs="*", type=float, default=NOISE, help="standard deviations of the noise")
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "papers.json")
    arguments = parser.parse_args()
    arguments.threads = common.cores()
    bench = common.Bench(
        "papers",
        "What the papers claim",
        "Ablations, noise, epochs and denoising of the three papers' methods over seeds: ARI and NMI with the known domains, or "
        "what `benches/papers/run.py` says of its scores.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: pathlib.Path(folder) / name

        def add(case, words):
            reports = [common.brodmann(words[0], *words[1:], "--seed", seed, "--out", at("out" + words[1].suffix)) for seed in range(arguments.seeds)]
            bench.add(case, reports[0]["n_obs"], {"brodmann": reports[0]["command"]}, {"brodmann": [common.judged(r) for r in reports]})

        # Simulated here at each noise; by others as it is.
        tissues = {}
        if {"noise", "parts", "epochs", "denoising"} & set(arguments.only):
            for noise in arguments.noise:
                path = at(f"noise-{noise:g}.h5mu")
                common.brodmann("simulate", "--out", path, "--side", arguments.side, "--noise", noise, *TWO)
                tissues[f"simulated here, noise {noise:g}"] = path
            others = arguments.data / OTHERS
            if others.exists():
                tissues["simulated by others"] = others
            else:
                bench.note(f"Simulated by others: skipped, {others.name} is absent.")
        both = lambda path: ["spami", path, *TWO, "-k", "5"]
        for name, path in tissues.items():
            if "noise" in arguments.only:
                add(f"{name}: SpaMI", [*both(path), "--epochs", arguments.epochs])
                add(f"{name}: SpatialLeiden", ["spatialleiden", path, "-k", "5"])
                add(f"{name}: domains", ["domains", path, "-k", "5"])
            if "parts" in arguments.only:
                for part, more in PARTS.items():
                    add(f"{name}: SpaMI, {part}", [*both(path), "--epochs", arguments.epochs, *more])
                for one in ("rna", "adt"):
                    alone = ["spami", path, "--modalities", one, "-k", "5", "--epochs", arguments.epochs]
                    add(f"{name}: SpaMI, {one} alone", alone)
            if "epochs" in arguments.only:
                for epochs in EPOCHS:
                    add(f"{name}: SpaMI, {epochs} epochs", [*both(path), "--epochs", epochs])
        if "epochs" in arguments.only:
            for name, file, k, *_ in (STARMAP, DLPFC, *MORE):
                path = arguments.data / file
                if not path.exists():
                    bench.note(f"{name}: skipped, {path.name} is absent.")
                    continue
                for epochs in EPOCHS:
                    add(f"{name}: SpaMI, {epochs} epochs", ["spami", path, "-k", k, "--epochs", epochs])
        if "denoising" in arguments.only:
            subjects = {name: path for name, path in tissues.items() if "here" not in name or name.endswith((" 0", " 1"))}
            for name, file, *_ in (STARMAP, DLPFC):
                if (arguments.data / file).exists():
                    subjects[name] = arguments.data / file
            for name, path in subjects.items():
                reports, command = {}, None
                for seed in range(arguments.seeds):
                    given, held, out = (at(stem + path.suffix) for stem in ("given", "held", "denoised"))
                    common.aside(__file__, "--thin", path, given, held, seed)
                    words = ["--epochs", arguments.epochs, "--denoise", "always", "--seed", seed, "--out", out, "-k", "5"]
                    done = common.brodmann("spami", given, *(TWO if path.suffix == ".h5mu" else []), *words)
                    command = command or done["command"]
                    for way, scores in common.aside(__file__, "--predict", given, held, out).items():
                        of_spami = way.endswith("SpaMI")
                        seconds = sum(done["seconds"].values()) if of_spami else 0.0
                        reports.setdefault(way, []).append({"seconds": seconds, "quality": scores, "peak_mib": None})
                for way, of in reports.items():
                    bench.add(f"{name}, thinned, {way}", done["n_obs"], {"brodmann": command}, {"brodmann": of})
        for name, file, k, preset in (STARMAP, DLPFC):
            path = arguments.data / file
            if not path.exists():
                bench.note(f"{name}: skipped, {path.name} is absent.")
                continue
            if "staig" in arguments.only:
                for part, more in STAIG.items():
                    add(f"{name}: STAIG, {part}", ["staig", path, "-k", k, *preset, *more])
            if "layers" in arguments.only:
                add(f"{name}: Leiden of expression", ["leiden", path, "-k", k])
                for weight in LAYERS:
                    add(f"{name}: SpatialLeiden, spatial layer {weight:g}", ["spatialleiden", path, "-k", k, "--layer-ratio", weight])
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--thin"]:
        thin(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    elif sys.argv[1:2] == ["--predict"]:
        predict(*sys.argv[2:5])
    else:
        main()
