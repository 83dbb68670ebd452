#!/usr/bin/env python3
"""What the picture is worth: STAIG and `domains` without it and with it, over seeds.

    bash benches/run picture DATA [--seeds 10] [--only dlpfc her2st simulated] [--byol EPOCHS] [--strengths 0.5]

The number of domains is given. STAIG's ablation is the paper's: no image, edges judged by it, negatives without its
classes, both. `k-means of the picture` is the picture alone. Simulated slides show their domains at five strengths, from 0
(the stain knows nothing of them) to 1, with drifting stain and blur.
`--byol EPOCHS` trains ResNet-50 from a random start on each slide's patches, once per seed, and compares with its
features too. It needs the program built with networks (`--features histology`, which `benches/run` does where it is told so)
and, of 224 pixels, half a minute per step of 64 patches on two cores; `--encoder-side` makes them smaller.
Needs only Python's standard library, the program and the data folder.
"""
import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import common

# Name, file, domains, options of STAIG; the slide where it is not in the file, with its pixels per unit of the
# coordinates where its name does not tell.
TISSUES = [
    ("dlpfc", "DLPFC 151673, low-resolution picture", "dlpfc_151673/dlpfc_151673.h5ad", 7, ["--preset", "visium"], ("spatial/tissue_lowres_image.png", None)),
    ("dlpfc", "DLPFC 151674, low-resolution picture", "dlpfc_151674/dlpfc_151674.h5ad", 7, ["--preset", "visium"], ("spatial/tissue_lowres_image.png", None)),
    ("her2st", "her2st A1, breast tumour", "her2st_A1/her2st_A1.h5ad", 5, [], ("A1_HE_2000px.jpg", 2000 / 6954)),
]
STRENGTHS = [0, 0.25, 0.5, 0.75, 1]
STAIG = {
    "no image": None,
    "edges": ["--image-classes", "0"],
    "negatives": ["--edge-rule", "expression"],
    "both": [],
}
DOMAINS = {"no image": None, "with the image": []}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--side", type=int, default=36, help="spots along the edge of a simulated slide")
    parser.add_argument("--only", nargs="*", choices=["dlpfc", "her2st", "simulated"])
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS, help="of simulated slides")
    parser.add_argument("--byol", type=int, default=0, metavar="EPOCHS", help="epochs of BYOL; 0: without")
    parser.add_argument("--encoder-side", type=int, default=224, help="pixels of the patches BYOL sees")
    parser.add_argument("--json", type=pathlib.Path, default=common.RESULTS / "picture.json")
    arguments = parser.parse_args()
    arguments.threads = common.cores()
    wants = lambda name: not arguments.only or name in arguments.only
    bench = common.Bench(
        "picture",
        "What the picture is worth",
        "ARI and NMI with the known domains over seeds, by texture features of the picture (`--image file`) and, where it says "
        "so, by ResNet-50 trained on the slide's patches from a random start (BYOL). `edges` and `negatives` are STAIG's two "
        "uses of it, alone. Where the picture does not help, the row without it is the better one.",
        arguments,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.h5ad"

        def compare(name, path, k, options, slide=None, without=True):
            """The rows of a tissue; those without the picture only where it is asked for."""
            image = ["--image", "file"]
            if slide:
                image = ["--image", path.parent / slide[0], *(["--image-scale", slide[1]] if slide[1] else [])]
            seen = lambda more: [] if more is None else [*image, *more]
            features = pathlib.Path(folder) / "features.h5ad"
            n_obs = common.brodmann("image-features", path, "--out", features, *image)["n_obs"]

            def add(what, words_of):
                """A row of the table: what `words_of` a seed does."""
                reports = []
                for seed in range(arguments.seeds):
                    seeded = ["--out", out, "-k", k, "--seed", seed]
                    reports.append(common.brodmann(*words_of(seed), *seeded))
                command = {"brodmann": reports[0]["command"]}
                bench.add(f"{name}: {what}", reports[0]["n_obs"], command, {"brodmann": [common.judged(r) for r in reports]})

            kmeans = lambda file: ["cluster", file, "--use-rep", "X_image", "--method", "kmeans"]
            add("k-means of the picture", lambda seed: kmeans(features))
            kept = lambda uses: [(what, more) for what, more in uses.items() if without or more is not None]
            for what, more in kept(DOMAINS):
                add(f"domains, {what}", lambda seed, more=more: ["domains", path, *seen(more)])
            for what, more in kept(STAIG):
                add(f"STAIG, {what}", lambda seed, more=more: ["staig", path, *options, *seen(more)])
            if not arguments.byol:
                return
            # Trained once per seed: STAIG takes the features as they are, `domains` makes them again of the weights.
            side = ["--encoder-side", arguments.encoder_side]
            of = lambda seed, ending: pathlib.Path(folder) / f"byol-{seed}.{ending}"
            for seed in range(arguments.seeds):
                training = ["--encoder", "byol", "--encoder-epochs", arguments.byol, *side, "--seed", seed]
                saved = ["--save-encoder", of(seed, "safetensors")]
                common.brodmann("image-features", path, "--out", of(seed, "h5ad"), *image, *training, *saved)
            add("k-means of the picture, BYOL", lambda seed: kmeans(of(seed, "h5ad")))
            weights = lambda seed: ["--encoder", "resnet50", "--weights", of(seed, "safetensors"), *side]
            add("domains, BYOL", lambda seed: ["domains", path, *image, *weights(seed)])
            classes = ["--image-classes", min(40, n_obs // 10)]
            uses = {"edges": ["--image-classes", 0], "negatives": ["--edge-rule", "expression", *classes], "both": classes}
            for what, more in uses.items():
                given = ["--image-key", "X_image", *more]
                add(f"STAIG, {what}, BYOL", lambda seed, given=given: ["staig", of(seed, "h5ad"), *options, *given])

        for kind, name, file, k, options, slide in TISSUES:
            path = arguments.data / file
            if not wants(kind):
                continue
            if path.exists():
                compare(name, path, k, options, slide)
            else:
                bench.note(f"{name}: skipped, {path.name} is absent.")
        for strength in arguments.strengths if wants("simulated") else []:
            path = pathlib.Path(folder) / "simulated.h5ad"
            slide = ["--image", "--image-strength", strength, "--stain-drift", 0.5, "--image-blur-px", 1]
            common.brodmann("simulate", "--out", path, "--side", arguments.side, "--modalities", "rna", "--noise", 1, *slide)
            # The molecules are the same at any strength.
            without = strength == arguments.strengths[0]
            compare(f"simulated slide, strength {strength}", path, 5, [], without=without)
    bench.write()


if __name__ == "__main__":
    main()
