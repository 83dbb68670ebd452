"""bm.pl: pictures are drawn from the keys, with the colours asked for."""

import numpy as np
import pandas as pd
import pytest
from samples import tissue

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgba  # noqa: E402

import brodmann as bm  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_one_panel_for_each_color_and_slice(adata):
    axes = bm.pl.spatial(adata, color=["truth", "gene_3"], library_key="slice")
    assert [ax.get_title() for ax in axes] == ["truth, a", "truth, b", "gene_3, a", "gene_3, b"]
    assert all(len(ax.collections[0].get_offsets()) == 120 for ax in axes)
    axes[0].figure.canvas.draw()


def test_colours_are_those_asked_for(adata):
    def drawn(**options):
        (ax,) = bm.pl.spatial(adata, color="truth", **options)
        return ax.collections[0].get_facecolors()

    red = to_rgba("red")
    assert tuple(drawn(palette={"one": "red", "two": "blue", "three": "lime"})[0]) == red
    adata.uns["truth_colors"] = ["#ff0000", "#0000ff", "#00ff00"]
    assert tuple(drawn()[0]) == red
    adata.obs["truth"] = adata.obs["truth"].astype(object).where(np.arange(240) > 0).astype("category")
    assert tuple(drawn()[0]) != red


def test_default_colours_are_those_of_the_command(adata):
    (ax,) = bm.pl.spatial(adata, color="truth")
    codes = adata.obs["truth"].astype("category").cat.codes.to_numpy()
    palette = [to_rgba(c) for c in ("#e69f00", "#56b4e9", "#009e73")]
    assert [tuple(c) for c in ax.collections[0].get_facecolors()] == [palette[c] for c in codes]
    # More categories than the palette was chosen for all get one of their own.
    adata.obs["each"] = pd.Categorical([f"c{i % 40}" for i in range(240)])
    (ax,) = bm.pl.spatial(adata, color="each")
    assert len({tuple(c) for c in ax.collections[0].get_facecolors()}) == 40


def test_stored_colours_count_where_there_is_one_for_each(adata):
    adata.uns["truth_colors"] = ["red", "#0000ff"]
    (ax,) = bm.pl.spatial(adata, color="truth")
    assert to_rgba("red") not in {tuple(c) for c in ax.collections[0].get_facecolors()}
    adata.uns["truth_colors"] = ["red", "#0000ff", "lime"]
    (ax,) = bm.pl.spatial(adata, color="truth")
    assert {tuple(c) for c in ax.collections[0].get_facecolors()} == {to_rgba(c) for c in ("red", "blue", "lime")}


def test_axes_given_are_drawn_into(adata):
    _, ax = plt.subplots()
    assert bm.pl.spatial(adata, color="truth", axes=ax, titles=["mine"]) == [ax]
    assert ax.get_title() == "mine"
    with pytest.raises(ValueError, match="1 axes were given for 2 panels"):
        bm.pl.spatial(adata, color=["truth", "slice"], axes=ax)


def test_attention_and_loss(adata):
    adata.obsm["spami_attention"] = np.random.default_rng(0).random((240, 2))
    adata.uns["spami"] = {"loss": {"total": [3.0, 2.0, 1.5], "recon": [1.0, 0.5, 0.4]}}
    axes = bm.pl.attention(adata, names=["rna", "adt"])
    assert [ax.get_title() for ax in axes] == ["rna", "adt"]
    assert len({ax.collections[0].get_clim() for ax in axes}) == 1
    assert len(bm.pl.loss(adata, log=True).lines) == 2
    adata.uns["other"] = {"loss": np.array([2.0, 1.0])}
    assert len(bm.pl.loss(adata, key="other").lines) == 1


def test_what_staig_writes_can_be_drawn():
    adata = bm.datasets.simulated(side=8, modalities="rna", n_slices=2, n_genes=120, random_state=3)
    bm.tl.staig(
        adata, n_clusters=3, epochs=3, width=4, n_init=2, restarts=2, refine=4, umap=True, library_key="library_id"
    )
    axes = bm.pl.spatial(adata, color=["staig", "staig_stability"], library_key="library_id")
    assert len(axes) == 4 and all(len(ax.collections[0].get_offsets()) == 64 for ax in axes)
    # Numbers are drawn as numbers, with one scale for all slices.
    assert axes[2].collections[0].get_array() is not None
    assert axes[2].collections[0].get_clim() == axes[3].collections[0].get_clim()
    assert axes[1].get_legend() is not None
    # The embedding in the plane, by domain and by slice.
    for ax in bm.pl.spatial(adata, color=["staig", "library_id"], spatial_key="X_staig_umap"):
        assert len(ax.collections[0].get_offsets()) == 128
    assert len(bm.pl.loss(adata, key="staig").lines) == 1
    axes[0].figure.canvas.draw()


def test_what_is_missing_is_named():
    adata = tissue()
    with pytest.raises(KeyError, match=r"obs\['nothing'\] is missing, there are 'slice', 'truth'"):
        bm.pl.spatial(adata, color="nothing")
    with pytest.raises(KeyError, match="bm.tl.spami"):
        bm.pl.attention(adata)
    with pytest.raises(KeyError, match="bm.tl.spami"):
        bm.pl.loss(adata)
    adata.obsm["spatial"][3, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        bm.pl.spatial(adata, color="truth")


def test_a_single_spot_can_be_drawn():
    adata = tissue()[:1].copy()
    bm.pl.spatial(adata, color=["truth", "gene_0"])[0].figure.canvas.draw()
