"""bm.pl: pictures are drawn from the keys, with the colours asked for."""

import numpy as np
import pandas as pd
import pytest
from samples import tissue

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import to_hex, to_rgba  # noqa: E402

import brodmann as bm  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def title(ax):
    return ax.get_title(loc="left")


def test_one_panel_for_each_color_and_slice(adata):
    axes = bm.pl.spatial(adata, color=["truth", "gene_3"], library_key="slice")
    assert [title(ax) for ax in axes] == ["a · Truth", "b · Truth", "a · gene_3", "b · gene_3"]
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
    assert title(ax) == "mine"
    with pytest.raises(ValueError, match="1 axes were given for 2 panels"):
        bm.pl.spatial(adata, color=["truth", "slice"], axes=ax)


def test_attention_and_loss(adata):
    adata.obsm["spami_attention"] = np.random.default_rng(0).random((240, 2))
    adata.uns["spami"] = {"loss": {"total": [3.0, 2.0, 1.5], "recon": [1.0, 0.5, 0.4]}}
    axes = bm.pl.attention(adata, names=["rna", "adt"])
    assert [title(ax) for ax in axes] == ["rna", "adt"]
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
    for ax in bm.pl.embedding(adata, basis="umap", color=["staig", "library_id"]):
        assert len(ax.collections[0].get_offsets()) == 128
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("UMAP 1", "UMAP 2")
    # What the method wrote are the colours of both doors.
    drawn = bm.pl.embedding(adata, basis="umap", color="staig")[0].collections[0].get_facecolors()
    assert {to_hex(c) for c in drawn} == set(adata.uns["staig_colors"])
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


def test_only_functions_are_offered():
    assert set(dir(bm.pl)) == set(bm.pl.__all__)
    assert all(callable(getattr(bm.pl, name)) for name in dir(bm.pl))


def test_a_prediction_has_the_colours_of_the_truth(adata):
    adata.obs["ground_truth"] = adata.obs["truth"]
    adata.obs["found"] = adata.obs["truth"].cat.rename_categories({"one": "2", "two": "0", "three": "1"})
    adata.obs["found"] = adata.obs["found"].cat.reorder_categories(["0", "1", "2"])
    found, truth = bm.pl.spatial(adata, color=["found", "ground_truth"])
    assert np.array_equal(found.collections[0].get_facecolors(), truth.collections[0].get_facecolors())
    found, truth = bm.pl.spatial(adata, color=["found", "ground_truth"], match_colors=False)
    assert not np.array_equal(found.collections[0].get_facecolors(), truth.collections[0].get_facecolors())


def test_limits_are_percentiles_unless_given(adata):
    adata.obs["number"] = np.r_[np.arange(239.0), 1e6]
    low, high = np.percentile(adata.obs["number"], [1, 99])

    def drawn(**options):
        (ax,) = bm.pl.spatial(adata, color="number", **options)
        return ax.collections[0].get_clim()

    assert drawn() == pytest.approx((low, high))
    assert drawn(vmin=0, vmax="p100") == (0.0, 1e6)
    with pytest.raises(ValueError, match="p100"):
        drawn(vmax="high")
    with pytest.raises(ValueError, match="not above vmax"):
        drawn(vmin=5, vmax=1)


def test_any_number_of_categories_leaves_the_panel_its_size(adata):
    def size(n):
        adata.obs["many"] = pd.Categorical([f"category {i % n}" for i in range(240)])
        (ax,) = bm.pl.spatial(adata, color="many")
        ax.figure.canvas.draw()
        box = ax.get_window_extent()
        assert len(ax.get_legend().get_texts()) == n
        legend = ax.get_legend().get_window_extent()
        # Within the figure.
        assert legend.x1 <= ax.figure.bbox.x1 + 1 and legend.y0 >= -1
        return box.width, box.height

    assert size(3) == pytest.approx(size(60))


def test_pictures_hexagons_and_outlines(adata):
    side = 12
    x, y = np.meshgrid(np.arange(20), np.arange(side))
    adata.obsm["spatial"] = np.column_stack([(x + 0.5 * (y % 2)).ravel() * 100, y.ravel() * 100 * np.sqrt(3) / 2])
    (ax,) = bm.pl.spatial(adata, color="truth")
    assert len(ax.collections[0].get_paths()[0].vertices) == 7, "hexagons"
    adata.uns["spatial"] = {
        "s": {
            "images": {"hires": np.full((110, 210, 3), 0.5)},
            "scalefactors": {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 55.0},
        }
    }
    (ax,) = bm.pl.spatial(adata, color="truth")
    assert len(ax.images) == 1 and ax.collections[0].get_alpha() == 0.8
    assert np.ptp(ax.collections[0].get_paths()[0].vertices[:, 0]) == pytest.approx(55.0)
    (ax,) = bm.pl.spatial(adata, color="truth", outline="domains")
    assert ax.collections[0].get_alpha() == 0.0 and len(ax.lines) >= 6
    (ax,) = bm.pl.spatial(adata, color="truth", outline="spots", alpha=0.2)
    assert set(ax.collections[0].get_facecolors()[:, 3]) == {0.2}
    assert not bm.pl.spatial(adata, color="truth", image=False)[0].images
    ax.figure.canvas.draw()


def test_what_is_in_a_domain(tmp_path):
    adata = bm.datasets.simulated(side=12, modalities="rna", n_genes=150, random_state=1)
    bm.tl.markers(adata, groupby="ground_truth")
    axes = bm.pl.volcano(adata)
    groups = list(adata.obs["ground_truth"].cat.categories)
    assert len(axes) == len(groups) and title(axes[0]).startswith(str(groups[0]))
    genes = list(adata.var_names[:4])
    ax = bm.pl.dotplot(adata, genes=genes, groupby="ground_truth", save=tmp_path / "dots.png")
    assert (tmp_path / "dots.png").stat().st_size > 1000
    # Every group and gene has a dot, its size the share of spots.
    assert len(ax.collections[0].get_sizes()) == 4 * len(groups)
    assert [t.get_text() for t in ax.get_xticklabels()] == genes
    x = bm.pl.heatmap(adata, genes=genes, groupby="ground_truth", standardized=False).collections[0].get_array()
    own = np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X)[:, :4]
    mean = own[(adata.obs["ground_truth"] == groups[0]).to_numpy()].mean(axis=0)
    assert np.allclose(np.asarray(x).reshape(len(groups), 4)[0], mean, rtol=1e-5)
    # Groups that are alike stand together, in the rows as in the tree.
    plain = np.asarray(bm.pl.heatmap(adata, genes=genes, groupby="ground_truth").collections[0].get_array())
    ax = bm.pl.heatmap(adata, genes=genes, groupby="ground_truth", dendrogram=True)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert sorted(names) == sorted(map(str, groups)) and len(ax.child_axes[0].lines) == len(groups) - 1
    own = np.asarray(ax.collections[0].get_array()).reshape(len(groups), 4)
    rows = dict(zip(map(str, groups), plain.reshape(len(groups), 4), strict=True))
    assert all(np.allclose(row, rows[name]) for row, name in zip(own, names, strict=True))
    similar = [np.corrcoef(rows[a], rows[b])[0, 1] for a, b in zip(names, names[1:])]
    assert max(similar) == pytest.approx(np.triu(np.corrcoef(list(rows.values())), 1).max())
    ax = bm.pl.dotplot(adata, genes=genes, groupby="ground_truth", dendrogram=True)
    assert len(ax.child_axes[0].lines) == len(groups) - 1
    assert len(bm.pl.violin(adata, keys=genes[:2], groupby="ground_truth")) == 2
    assert len(bm.pl.stacked_expression(adata, genes=genes, groupby="ground_truth")) == 4
    bars = bm.pl.composition(adata, column="ground_truth", groupby="ground_truth")
    assert sum(patch.get_width() for patch in bars.patches) == pytest.approx(len(groups))
    bm.gr.neighborhood_enrichment(adata, groupby="ground_truth")
    scores = adata.uns["ground_truth_nhood_enrichment"]["zscore"]
    drawn = bm.pl.neighborhood(adata, groupby="ground_truth").collections[0]
    assert np.allclose(np.asarray(drawn.get_array()).reshape(scores.shape), scores)
    assert drawn.get_clim()[0] == -drawn.get_clim()[1]
    adata.uns["enrichment"] = pd.DataFrame(
        {"group": [str(groups[0])] * 3, "set": ["a", "b", "c"], "p_adjusted": [1e-8, 1e-3, 0.9]}
    )
    assert len(bm.pl.enrichment(adata, groupby="ground_truth").patches) == 2
    adata.uns["domains"] = {"agreement": np.array([[1.0, 0.4], [0.4, 1.0]]), "members": np.array(["x", "y"])}
    assert len(bm.pl.agreement(adata).texts) == 4
    adata.obs["domains_entropy"] = np.linspace(0, 0.5, adata.n_obs)
    assert bm.pl.entropy(adata)[0].collections[0].get_clim() == (0.0, 1.0)
    for refused in (bm.pl.enrichment, bm.pl.volcano, bm.pl.agreement):
        with pytest.raises(KeyError, match="run bm.tl"):
            refused(tissue())
    for function in (bm.pl.violin, bm.pl.heatmap):
        with pytest.raises(ValueError, match="numbers were expected"):
            function(adata, **{"keys" if function is bm.pl.violin else "genes": ["ground_truth"]}, groupby="ground_truth")


def test_an_embedding_is_found_by_its_short_name(adata):
    rng = np.random.default_rng(0)
    adata.obsm["X_pca"] = rng.normal(size=(240, 5))
    (ax,) = bm.pl.embedding(adata, basis="pca", components=(2, 4), color="gene_1")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("PC 2", "PC 4")
    assert np.allclose(np.sort(np.asarray(ax.collections[0].get_offsets())[:, 0]), np.sort(adata.obsm["X_pca"][:, 1]))
    with pytest.raises(KeyError, match="umap"):
        bm.pl.embedding(adata, basis="umap")
    with pytest.raises(ValueError, match="components"):
        bm.pl.embedding(adata, basis="pca", components=(1, 9))
