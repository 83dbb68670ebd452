"""What is in a domain: markers, gene sets, spatial genes and neighbourhoods, beside scanpy, scipy and squidpy, through
both doors and on real tissue."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from samples import command, dense, peer

import brodmann as bm

SHARED = Path(os.environ.get("BRODMANN_SHARED", Path(__file__).parents[3] / "shared")) / "data"


@pytest.fixture(scope="module")
def tissue():
    """Simulated counts on a grid; groups of unequal size, a few spots without one, two slices."""
    adata = bm.datasets.simulated(side=26, modalities="rna", random_state=5)
    codes = adata.obs["ground_truth"].cat.codes.to_numpy()
    names = np.array(["Layer 2/3", "WM", "c", "d", "e", "f"])[codes % 6].astype(object)
    adata.obs["group"] = pd.Categorical(names)
    adata.obs["slice"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, "left", "right"))
    return adata


def logged(adata):
    """The values that are compared, as scanpy makes them."""
    sc = peer("scanpy")
    own = adata.copy()
    sc.pp.normalize_total(own, target_sum=1e4)
    sc.pp.log1p(own)
    return own


@pytest.mark.parametrize("test, method", [("wilcoxon", "wilcoxon"), ("welch", "t-test")])
@pytest.mark.parametrize("ties", [False, True])
def test_markers_are_those_of_scanpy(tissue, test, method, ties):
    sc = peer("scanpy")
    if ties and test != "wilcoxon":
        pytest.skip("only rank sums have ties")
    theirs = logged(tissue)
    table = bm.tl.markers(theirs.copy(), groupby="group", test=test, tie_correct=ties)
    # From counts the logarithms are the same but for their last bits, which decide about ties.
    again = bm.tl.markers(tissue.copy(), groupby="group", test=test, tie_correct=ties)
    both = table.merge(again, on=["group", "feature"])
    assert np.allclose(both.score_x, both.score_y, atol=0.05) and np.allclose(both.mean_x, both.mean_y, rtol=1e-5)
    options = {"tie_correct": ties} if test == "wilcoxon" else {}
    sc.tl.rank_genes_groups(theirs, "group", method=method, pts=True, **options)
    for group in theirs.obs["group"].cat.categories:
        ours = table[table.group == group].set_index("feature")
        their = sc.get.rank_genes_groups_df(theirs, group).set_index("names").loc[ours.index]
        assert np.allclose(ours.score, their.scores, rtol=1e-4, atol=1e-4)
        assert np.allclose(ours.p_value, their.pvals, rtol=2e-3, atol=1e-290)
        assert np.allclose(ours.p_adjusted, their.pvals_adj, rtol=2e-3, atol=1e-290)
        assert np.allclose(ours.log2_fold_change, their.logfoldchanges, rtol=1e-3, atol=1e-4)
        assert np.allclose(ours.fraction, their.pct_nz_group) and np.allclose(ours.fraction_reference, their.pct_nz_reference)


def test_scanpy_reads_markers_from_a_file(tissue, tmp_path):
    sc = peer("scanpy")
    own = tissue.copy()
    own.obs["plain"] = own.obs["group"].cat.rename_categories({"Layer 2/3": "L23"})
    written, report = command(own, tmp_path, "markers", "--groupby", "plain", "--n-top", "3")
    here = bm.tl.markers(own, groupby="plain")
    frame = sc.get.rank_genes_groups_df(written, "L23")
    ours = here[here.group == "L23"]
    assert frame.names.tolist() == ours.feature.tolist()
    assert np.array_equal(frame.pvals_adj, ours.p_adjusted)
    assert {"pct_nz_group", "pct_nz_reference"} <= set(frame.columns)
    assert written.uns["rank_genes_groups"]["names"].dtype.names == tuple(own.obs["plain"].cat.categories)
    sc.pl.rank_genes_groups(written, show=False)
    groups = {g["name"]: g for g in report["modalities"][0]["groups"]}
    top = ours[ours.marker].feature.tolist()
    assert [m["feature"] for m in groups["L23"]["top"]] == top[:3] and groups["L23"]["n_markers"] == len(top)


def test_both_doors_find_the_same_markers(tissue, tmp_path):
    own = tissue.copy()
    table = bm.tl.markers(own, groupby="group", reference="neighbors", library_key="slice", n_spatial=4, spatial="knn")
    flags = ["--groupby", "group", "--reference", "neighbors", "--library-key", "slice", "--n-spatial", "4"]
    command(tissue, tmp_path, "markers", *flags, "--spatial", "knn", "--table", str(tmp_path / "t.csv"))
    written = pd.read_csv(tmp_path / "t.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(table, written.astype(table.dtypes), check_exact=True)
    if importlib.util.find_spec("pyarrow"):
        command(tissue, tmp_path, "markers", *flags, "--spatial", "knn", "--table", str(tmp_path / "t.parquet"))
        written = pd.read_parquet(tmp_path / "t.parquet")
        pd.testing.assert_frame_equal(table, written.astype(table.dtypes), check_exact=True)
    assert {"p_adjusted_slices", "slices_hold", "slices_judged"} <= set(table.columns)


def test_one_group_may_be_the_reference(tissue):
    sc = peer("scanpy")
    own, theirs = logged(tissue), logged(tissue)
    table = bm.tl.markers(own, groupby="group", reference="WM")
    assert "WM" not in set(table.group)
    sc.tl.rank_genes_groups(theirs, "group", groups=["c"], reference="WM", method="wilcoxon")
    their = sc.get.rank_genes_groups_df(theirs, "c").set_index("names")
    ours = table[table.group == "c"].set_index("feature").loc[their.index]
    assert np.allclose(ours.score, their.scores, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="reference is .*nobody"):
        bm.tl.markers(own, groupby="group", reference="nobody")


def test_markers_refuse_what_says_nothing(tissue):
    own = tissue.copy()
    own.obs["one"] = pd.Categorical(["all"] * own.n_obs)
    with pytest.raises(ValueError, match="at least two"):
        bm.tl.markers(own, groupby="one")
    own.obs["each"] = own.obs_names
    with pytest.raises(KeyError, match="missing"):
        bm.tl.markers(own, groupby="missing")
    with pytest.raises(ValueError, match="p_value"):
        bm.tl.markers(own, groupby="group", p_value=0.0)
    with pytest.raises(ValueError, match="n_spatial is 0"):
        bm.gr.neighborhood_enrichment(own, groupby="group", n_spatial=0)


def test_gene_sets_are_found_where_they_were_planted(tissue, tmp_path):
    own = tissue.copy()
    table = bm.tl.markers(own, groupby="group")
    chosen = {group: of.feature[of.marker].head(12).tolist() for group, of in table.groupby("group")}
    chosen = {group: genes for group, genes in chosen.items() if len(genes) >= 5}
    assert {"WM", "c", "d"} <= set(chosen)
    others = [g for g in own.var_names if not any(g in of for of in chosen.values())]
    lines = [f"{group.replace('/', '-')}\tplanted\t" + "\t".join(genes) for group, genes in chosen.items()]
    lines += [f"random {k}\tnone\t" + "\t".join(others[k::9][:15]) for k in range(9)]
    (tmp_path / "sets.gmt").write_text("\n".join(lines) + "\n")
    found = bm.tl.enrich(own, tmp_path / "sets.gmt", groupby="group", min_size=5, score="WM")
    for group in chosen:
        first = found[found.group == group].iloc[0]
        assert first["set"] == group.replace("/", "-") and first.p_adjusted < 0.01, group
        # The hypergeometric tail, by scipy.
        hyper = peer("scipy.stats").hypergeom
        n_query = int(table[(table.group == group) & table.marker].shape[0])
        p = hyper.sf(first.n_genes - 1, own.n_vars, first["size"], n_query)
        assert np.isclose(first.p_value, p, rtol=1e-9)
    scores = own.obs["score_WM"]
    assert scores[own.obs["group"] == "WM"].mean() > scores[own.obs["group"] != "WM"].mean() + 0.1
    ranked = bm.tl.enrich(own, tmp_path / "sets.gmt", groupby="group", method="gsea", min_size=5, n_permutations=200)
    best = ranked[ranked.nes > 0].sort_values("p_value").groupby("group", sort=False).head(1).set_index("group")
    assert best.loc["WM", "set"] == "WM"
    flags = ["--groupby", "group", "--gene-sets", str(tmp_path / "sets.gmt"), "--min-size", "5"]
    written, _ = command(tissue, tmp_path, "enrich", *flags)
    results = written.uns["enrichment"]["results"]
    assert results["set"].tolist() == found["set"].tolist()
    assert np.array_equal(results["p_adjusted"], found["p_adjusted"])


def test_spatial_genes_are_those_of_squidpy(tissue, tmp_path):
    sq = peer("squidpy")
    own, theirs = tissue.copy(), logged(tissue)
    bm.gr.spatial_neighbors(own, coord_type="generic", n_neighs=6)
    theirs.obsp["spatial_connectivities"] = own.obsp["spatial_connectivities"].copy()
    table = bm.gr.spatially_variable(own).set_index("feature")
    sq.gr.spatial_autocorr(theirs, mode="moran", genes=list(table.index), n_jobs=1)
    their = theirs.uns["moranI"].loc[table.index]
    assert np.allclose(table.I, their.I, atol=1e-5)
    assert np.allclose(table.p_value, their.pval_norm, rtol=1e-2, atol=1e-12)
    assert own.uns["moranI"].index.tolist() == table.index.tolist()
    geary = bm.gr.spatially_variable(own, statistic="geary").set_index("feature")
    sq.gr.spatial_autocorr(theirs, mode="geary", genes=list(geary.index), n_jobs=1)
    assert np.allclose(geary.C, theirs.uns["gearyC"].loc[geary.index].C, atol=1e-5)
    written, _ = command(own, tmp_path, "svg", "--table", str(tmp_path / "svg.csv"))
    assert np.array_equal(written.uns["moranI"]["I"], own.uns["moranI"]["I"])
    assert pd.read_csv(tmp_path / "svg.csv").feature.tolist() == table.index.tolist()


def test_a_difference_between_slices_is_no_variation_in_space(tissue):
    own = tissue.copy()
    rng = np.random.default_rng(0)
    x = dense(own.X).copy()
    gene = own.var_names[0]
    # As much as the slice gives, and not a bit more.
    x[:, 0] = rng.poisson(5, own.n_obs) + 200 * (own.obs["slice"] == "left")
    own.X = sp.csr_matrix(x.astype(np.float32))
    # Slices apart, as they are in files of several.
    own.obsm["spatial"] = own.obsm["spatial"] + np.outer(own.obs["slice"] == "left", [1e5, 0])
    pooled = bm.gr.spatially_variable(own, n_spatial=6, spatial="knn").set_index("feature").I
    apart = bm.gr.spatially_variable(own, n_spatial=6, spatial="knn", library_key="slice").set_index("feature")
    assert pooled[gene] > 0.5 > 0.2 > apart.I[gene]
    sizes = own.obs["slice"].value_counts()
    mean = sum(sizes[s] * apart[f"I:{s}"] for s in ("left", "right")) / own.n_obs
    assert np.allclose(mean, apart.I, atol=1e-12)


def test_neighbourhoods_are_those_of_squidpy(tissue, tmp_path):
    sq = peer("squidpy")
    own, theirs = tissue.copy(), tissue.copy()
    bm.gr.spatial_neighbors(own, coord_type="generic", n_neighs=6)
    theirs.obsp["spatial_connectivities"] = own.obsp["spatial_connectivities"].copy()
    theirs.uns["spatial_neighbors"] = own.uns["spatial_neighbors"]
    found = bm.gr.neighborhood_enrichment(own, groupby="group", co_occurrence=10, composition="slice")
    sq.gr.nhood_enrichment(theirs, "group", n_perms=2000, seed=0, show_progress_bar=False)
    their = theirs.uns["group_nhood_enrichment"]
    ours = own.uns["group_nhood_enrichment"]
    assert np.array_equal(ours["count"], their["count"])
    # 2,000 permutations know the deviation to about a 60th of itself, and the mean to a 45th of a deviation.
    assert np.all(np.abs(ours["zscore"] - their["zscore"]) < 0.12 + 0.1 * np.abs(their["zscore"]))
    interval = own.uns["group_co_occurrence"]["interval"]
    sq.gr.co_occurrence(theirs, "group", interval=interval.astype(np.float32), show_progress_bar=False)
    assert np.allclose(own.uns["group_co_occurrence"]["occ"], theirs.uns["group_co_occurrence"]["occ"], atol=2e-3)
    assert found.pairs.shape[0] == len(own.obs["group"].cat.categories) ** 2
    assert np.isclose(found.shapes.n_spots.sum(), own.n_obs)
    counts = pd.crosstab(own.obs["group"], own.obs["slice"])
    assert np.array_equal(own.uns["group_composition_slice"]["counts"], counts)
    flags = ["--groupby", "group", "--co-occurrence", "10", "--composition", "slice"]
    written, report = command(own, tmp_path, "neighborhood", *flags)
    for key in ("zscore", "count"):
        assert np.array_equal(written.uns["group_nhood_enrichment"][key], ours[key], equal_nan=True)
    assert np.array_equal(written.uns["group_co_occurrence"]["occ"], own.uns["group_co_occurrence"]["occ"])
    assert {g["name"] for g in report["groups"]} == set(own.obs["group"])


def test_joined_slices_are_told_apart_without_being_named(tissue, tmp_path):
    own = tissue.copy()
    own.obs["library_id"] = pd.Categorical(np.where(own.obs["slice"] == "left", "b", "a"))
    named = bm.gr.neighborhood_enrichment(own, groupby="group", library_key="library_id")
    found = bm.gr.neighborhood_enrichment(own, groupby="group")
    assert set(found.shapes["slice"]) == {"a", "b"}
    pd.testing.assert_frame_equal(found.pairs, named.pairs)
    pd.testing.assert_frame_equal(
        bm.tl.markers(own, groupby="group"), bm.tl.markers(own, groupby="group", library_key="library_id")
    )
    written, report = command(own, tmp_path, "neighborhood", "--groupby", "group")
    assert report["n_slices"] == 2
    assert np.array_equal(written.uns["group_nhood_enrichment"]["count"], own.uns["group_nhood_enrichment"]["count"])
    page = bm.report(own, tmp_path / "r.html", groupby="group").read_text()
    assert "on 2 slices" in page
    # A graph made without a word of slices leads across them: that says nothing of contacts.
    bm.gr.spatial_neighbors(own, coord_type="generic", n_neighs=6)
    assert np.isfinite(bm.gr.neighborhood_enrichment(own, groupby="group").pairs.contacts).all()
    assert "on 2 slices" in bm.report(own, tmp_path / "r.html", groupby="group").read_text()
    # Slices that are themselves compared are groups of one tissue.
    counts = own.X.tolil()
    counts[np.flatnonzero(own.obs["library_id"] == "a"), 0] = 50
    own.X = counts.tocsr()
    table = bm.tl.markers(own, groupby="library_id")
    assert table[table.group == "a"].p_adjusted.min() < 1e-10
    assert np.isfinite(bm.gr.neighborhood_enrichment(own, groupby="library_id").pairs.z).all()


def test_ripleys_l_is_that_of_squidpy_but_for_what_pairs_are_divided_by(tissue, tmp_path):
    sq = peer("squidpy")
    own, theirs = tissue.copy(), tissue.copy()
    # No radius is a distance of two spots, where "within" and "nearer than" differ.
    longest = 0.231347 * float(np.ptp(own.obsm["spatial"][:, 0]))
    found = bm.gr.neighborhood_enrichment(own, groupby="group", ripley=9, max_distance=longest)
    kept = own.uns["group_ripley_L"]
    sq.gr.ripley(theirs, "group", mode="L", max_dist=longest, n_steps=10, n_simulations=2, n_observations=50, seed=0)
    their = theirs.uns["group_ripley_L"]
    assert np.allclose(kept["bins"], their["bins"])
    sizes = own.obs["group"].value_counts()
    for name, rows in their["L_stat"].groupby("group", observed=True):
        ours = kept["L_stat"][kept["L_stat"]["group"] == name]
        n = sizes[name]
        # squidpy divides by the square of all spots, which makes L depend on how many others there are.
        assert np.allclose(ours["stats"] * np.sqrt(n * (n - 1)) / own.n_obs, rows["stats"], rtol=1e-6, atol=1e-9)
    table = found.ripley
    assert len(table) == 10 * len(sizes) and (table.low <= table.high).all()
    # Domains are clustered: beyond what dealt labels give, at short distances that any pair has.
    near = table[(table.high > 0) & (table.radius < longest / 2)]
    assert len(near) and (near.l > near.high).all()
    flags = ["--groupby", "group", "--ripley", "9", "--max-distance", repr(longest), "--plot", tmp_path / "r.png"]
    written, _ = command(own, tmp_path, "neighborhood", *flags)
    assert np.array_equal(written.uns["group_ripley_L"]["L_stat"]["stats"], kept["L_stat"]["stats"], equal_nan=True)
    assert bm.gr.neighborhood_enrichment(own, groupby="group").ripley is None


def test_names_are_told_where_the_index_holds_identifiers(tissue, tmp_path):
    own = tissue.copy()
    own.var["gene_name"] = [f"SYMBOL{j}" for j in range(own.n_vars)]
    own.var_names = [f"ENSG{j:011d}" for j in range(own.n_vars)]
    table = bm.tl.markers(own, groupby="group")
    assert (table.name.str[6:].astype(int) == table.feature.str[4:].astype(int)).all()
    genes = table[table.marker & (table.group == "WM")].name.head(10)
    (tmp_path / "sets.gmt").write_text("mine\t\t" + "\t".join(genes) + "\n")
    found = bm.tl.enrich(own, tmp_path / "sets.gmt", groupby="group", min_size=1).set_index("group")
    assert found.genes["WM"].split(";") == sorted(genes, key=lambda name: int(name[6:]))


def test_every_modality_has_its_own_markers():
    pytest.importorskip("mudata")
    mdata = bm.datasets.simulated(side=14, random_state=3)
    mdata.obs["group"] = mdata.obs["ground_truth"].to_numpy()
    table = bm.tl.markers(mdata, groupby="group")
    assert set(table.modality) == set(mdata.mod)
    for name in mdata.mod:
        assert "rank_genes_groups" in mdata.mod[name].uns
        of = table[table.modality == name]
        assert set(of.feature) == set(mdata.mod[name].var_names) and of.marker.any()


#: Genes by the identifiers that the file has.
CORTEX = {
    "ENSG00000197971": "MBP", "ENSG00000123560": "PLP1", "ENSG00000168314": "MOBP", "ENSG00000183036": "PCP4",
    "ENSG00000115756": "HPCAL1", "ENSG00000171617": "ENC1", "ENSG00000131095": "GFAP",
}  # fmt: skip


def test_known_biology_of_the_cortex():
    """The white matter of DLPFC 151673 is marked by myelin, layers by the genes they are known by."""
    path = SHARED / "dlpfc_151673" / "dlpfc_151673.h5ad"
    if not path.exists():
        assert os.environ.get("BRODMANN_REQUIRE_SHARED") != "1", f"{path} is missing"
        pytest.skip(f"SKIPPED: {path} is not here")
    adata = ad.read_h5ad(path)
    adata.var["gene_name"] = [CORTEX.get(gene, "") for gene in adata.var_names]
    table = bm.tl.markers(adata, groupby="ground_truth")
    first = {group: of[of.marker].name.tolist() for group, of in table.groupby("group")}
    assert {"MBP", "PLP1", "MOBP"} <= set(first["WM"][:10])
    assert {"HPCAL1", "ENC1"} <= set(first["L2"][:5])
    assert "PCP4" in first["L5"][:5]
    assert "GFAP" in first["L1"][:5]
    near = bm.tl.markers(adata, groupby="ground_truth", reference="neighbors", n_hops=2, key_added="near")
    white = near[(near.group == "WM") & near.marker]
    assert {"MBP", "PLP1"} <= set(white.name[:15])
    spatial = bm.gr.spatially_variable(adata)
    assert {"MBP", "PLP1"} <= set(spatial.name.head(10))
    pairs = bm.gr.neighborhood_enrichment(adata, groupby="ground_truth").pairs
    share = pairs.set_index(["group", "neighbor"]).boundary_share
    # Layers lie on each other in their order: none borders on one farther away.
    for a in first:
        apart = [c for c in first if abs(order(a) - order(c)) > 1]
        beside = [c for c in first if abs(order(a) - order(c)) == 1]
        assert sum(share[a, c] for c in apart) < 0.1 < min(share[a, c] for c in beside), a


def order(layer):
    return 7 if layer == "WM" else int(layer[1])


def test_a_report_is_one_file_that_holds_everything(tissue, tmp_path):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    own = tissue.copy()
    hostile = "<script>alert(1)</script>"
    own.obs["domains"] = own.obs["group"].cat.rename_categories({"WM": hostile, "c": "领域 \u202ed"})
    own.obs["domains_entropy"] = np.linspace(0, 1, own.n_obs)
    own.uns["domains"] = {"method": "domains", "version": "0", "params": {"n_clusters": 5, "random_state": 42}}
    own.write(tmp_path / "in.h5ad")
    before = (tmp_path / "in.h5ad").read_bytes()
    words = [binary, "report", tmp_path / "in.h5ad", "--out", tmp_path / "report.html", "--json", "--quiet"]
    words += ["--library-key", "slice", "--genes", f"{own.var_names[3]},no-such-gene"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    page = (tmp_path / "report.html").read_text()
    assert summary["n_domains"] == 5 and summary["n_slices"] == 2 and summary["bytes"] == len(page.encode())
    assert any("no-such-gene" in warning for warning in summary["warnings"])
    assert hostile not in page and "&lt;script&gt;alert(1)" in page
    for held in ("Content-Security-Policy", own.var_names[3], "ground_truth", "random_state", "brodmann report"):
        assert held in page, held
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    assert (tmp_path / "in.h5ad").read_bytes() == before
    again = subprocess.run([*words[:4], tmp_path / "again.html", *words[5:]], capture_output=True, check=False)
    assert again.returncode == 0 and (tmp_path / "again.html").read_text() == page
    here = bm.report(own, tmp_path / "here.html", library_key="slice", genes=[own.var_names[3]], title="in")
    assert here == tmp_path / "here.html" and hostile not in here.read_text()
    with pytest.raises(ValueError, match=r"\.html"):
        bm.report(tmp_path / "in.h5ad", tmp_path / "report.pdf")
    wrong = subprocess.run([*words[:4], tmp_path / "report.pdf"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and ".html" in wrong.stderr
