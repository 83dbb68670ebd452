#!/usr/bin/env python3
"""A sheet of figures: ours, and beside each scanpy's or squidpy's of the same data by their defaults, to be looked at.

    bash benches/run figures DATA

DLPFC 151673 with its picture; its domains, markers and neighbourhoods by ours, so that both sides draw the same numbers. One
picture per kind, and `sheet.png` with all of them, in target/figures.
"""

import argparse
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

WIDTH = 1100
SPATIAL = "dlpfc_151673"


def tissue(data):
    """DLPFC with its picture under scanpy's keys, and all that is drawn."""
    import json

    import matplotlib.image
    import numpy as np
    import pandas as pd

    import brodmann as bm

    folder = data / SPATIAL
    adata = bm.read(folder / f"{SPATIAL}.h5ad")
    (library,) = adata.uns["spatial"]
    scales = json.loads((folder / "spatial" / "scalefactors_json.json").read_text())
    picture = matplotlib.image.imread(folder / "spatial" / "tissue_lowres_image.png")
    adata.uns["spatial"][library] = {"images": {"lowres": picture}, "scalefactors": scales}
    bm.tl.domains(adata, n_clusters=7)
    counts = adata.X.copy()
    bm.pp.normalize_total(adata)
    bm.pp.log1p(adata)
    bm.pp.pca(adata)
    bm.pp.neighbors(adata)
    bm.tl.umap(adata)
    bm.tl.markers(adata, groupby="domains")
    adata.layers["counts"] = counts
    # As many kinds as a palette rarely has.
    square = adata.obsm["spatial"] // (np.ptp(adata.obsm["spatial"], axis=0) / 5)
    adata.obs["square"] = pd.Categorical([f"square {int(x)}-{int(y)}" for x, y in square])
    return adata


def kinds(adata):
    """What is drawn: name, ours, theirs. Each function draws a figure of its own."""
    import scanpy as sc
    import squidpy as sq

    import brodmann as bm

    genes = ["PCP4", "MBP", "SNAP25"]
    genes = [gene for gene in genes if gene in adata.var_names] or list(adata.var_names[:3])
    sq.gr.spatial_neighbors(adata, key_added="sq")
    sq.gr.nhood_enrichment(adata, cluster_key="domains", connectivity_key="sq", show_progress_bar=False)
    bm.gr.neighborhood_enrichment(adata, groupby="domains")
    return [
        ("domains", lambda: bm.pl.spatial(adata, color="domains"), lambda: sq.pl.spatial_scatter(adata, color="domains", img_res_key="lowres")),
        (
            "truth and domains",
            lambda: bm.pl.spatial(adata, color=["ground_truth", "domains"]),
            lambda: sq.pl.spatial_scatter(adata, color=["ground_truth", "domains"], img_res_key="lowres"),
        ),
        (
            "outlines on the picture",
            lambda: bm.pl.spatial(adata, color="domains", outline="domains"),
            lambda: sq.pl.spatial_scatter(adata, color="domains", img_res_key="lowres", outline=True),
        ),
        ("genes", lambda: bm.pl.spatial(adata, color=genes), lambda: sq.pl.spatial_scatter(adata, color=genes, img_res_key="lowres")),
        ("many categories", lambda: bm.pl.spatial(adata, color="square"), lambda: sq.pl.spatial_scatter(adata, color="square", img_res_key="lowres")),
        ("umap", lambda: bm.pl.embedding(adata, basis="umap", color="domains"), lambda: sc.pl.umap(adata, color="domains", show=False)),
        ("pca", lambda: bm.pl.embedding(adata, basis="pca", color="domains"), lambda: sc.pl.pca(adata, color="domains", show=False)),
        (
            "markers",
            lambda: bm.pl.dotplot(adata),
            lambda: sc.pl.rank_genes_groups_dotplot(adata, n_genes=3, dendrogram=False, show=False),
        ),
        (
            "heatmap of markers",
            lambda: bm.pl.heatmap(adata),
            lambda: sc.pl.rank_genes_groups_matrixplot(adata, n_genes=3, dendrogram=False, show=False),
        ),
        ("violins", lambda: bm.pl.violin(adata, keys=genes[:1], groupby="domains"), lambda: sc.pl.violin(adata, genes[0], groupby="domains", show=False)),
        (
            "neighbourhoods",
            lambda: bm.pl.neighborhood(adata),
            lambda: sq.pl.nhood_enrichment(adata, cluster_key="domains"),
        ),
        ("sureness", lambda: bm.pl.entropy(adata), lambda: sq.pl.spatial_scatter(adata, color="domains_entropy", img_res_key="lowres")),
    ]


def drawn(draw, path):
    """The figure that a function draws, as a picture; what went wrong, in words."""
    import matplotlib.pyplot as plt

    plt.close("all")
    try:
        draw()
        plt.gcf().savefig(path, dpi=110, bbox_inches="tight")
    except Exception as failed:  # A figure of a peer that fails is a result, too.
        figure, ax = plt.subplots(figsize=(5, 2))
        ax.text(0.5, 0.5, f"{type(failed).__name__}: {failed}"[:200], ha="center", va="center", wrap=True)
        ax.axis("off")
        figure.savefig(path, dpi=110)


def pasted(rows, path):
    """Ours on the left, theirs on the right."""
    from PIL import Image, ImageDraw

    placed, y = [], 0
    for name, ours, theirs in rows:
        pair = [Image.open(file).convert("RGB") for file in (ours, theirs)]
        for picture in pair:
            picture.thumbnail((WIDTH, 520))
        placed.append((y, name, pair))
        y += max(picture.height for picture in pair) + 40
    sheet = Image.new("RGB", (2 * WIDTH + 30, y), "white")
    pen = ImageDraw.Draw(sheet)
    for top, name, pair in placed:
        pen.text((10, top + 8), f"{name}: brodmann", fill="black")
        pen.text((WIDTH + 30, top + 8), "scanpy or squidpy", fill="black")
        for x, picture in zip((0, WIDTH + 20), pair, strict=True):
            sheet.paste(picture, (x, top + 30))
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=common.REPOSITORY / "target" / "figures")
    parser.add_argument("--only", nargs="*", help="kinds, by name")
    arguments = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    warnings.simplefilter("ignore")
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, *both in kinds(tissue(arguments.data)):
        if arguments.only and name not in arguments.only:
            continue
        files = [arguments.out / f"{name.replace(' ', '-')}-{whose}.png" for whose in ("ours", "theirs")]
        for draw, file in zip(both, files, strict=True):
            drawn(draw, file)
        rows.append((name, *files))
        print(name, flush=True)
    pasted(rows, arguments.out / "sheet.png")
    print(f"written to {arguments.out / 'sheet.png'}")


if __name__ == "__main__":
    main()
