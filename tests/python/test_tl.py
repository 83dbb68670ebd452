"""`bm.tl`: domains on AnnData and MuData, what is written, and what is refused."""

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from planted import one_sided, planted_adata, planted_graph, planted_mdata, same_partition, snapshot

import brodmann as bm


def test_leiden_writes_categories_by_size_and_a_record():
    adata = planted_adata()
    assert bm.tl.leiden(adata, resolution=0.8, random_state=3) is None
    labels = adata.obs["leiden"]
    assert isinstance(labels.dtype, pd.CategoricalDtype)
    assert list(labels.cat.categories) == ["0", "1", "2"]
    assert same_partition(labels, adata.obs["group"])
    sizes = labels.value_counts(sort=False)
    assert (sizes.to_numpy()[:-1] >= sizes.to_numpy()[1:]).all()
    record = adata.uns["leiden"]
    assert record["method"] == "leiden" and record["version"] == bm.__version__
    assert record["n_clusters"] == 3 and record["converged"] and record["n_clusters_reached"]
    assert record["params"] == {
        "resolution": {"latent": 0.8},
        "layer_weights": {"latent": 1.0},
        "directed": {"latent": False},
        "use_weights": True,
        "quality": "rb",
        "n_iterations": -1,
        "random_state": 3,
        "neighbors_key": "connectivities",
    }


def repeat(function, data, key):
    """Runs again from the record alone."""
    params = dict(data.uns[key]["params"])
    params.pop("n_clusters", None)
    if function is bm.tl.leiden:
        params.pop("layer_weights")
        params["resolution"] = params["resolution"]["latent"]
        params["directed"] = params["directed"]["latent"]
    return function(data, **params, key_added="again", copy=True)


@pytest.mark.parametrize("n_clusters", [None, 2, 5])
def test_the_record_repeats_the_run(n_clusters):
    adata = planted_adata(120, 5, across=0.05)
    mdata = planted_mdata(120, 5)
    bm.tl.leiden(adata, n_clusters=n_clusters)
    bm.tl.spatialleiden(adata, n_clusters=n_clusters, layer_ratio=1.8, quality="cpm", resolution=0.1)
    weights = {"rna": 1.5, "adt": 1, "spatial": 2.5}
    bm.tl.spatialleiden_multimodal(mdata, n_clusters=n_clusters, layer_weights=weights)
    for function, data, key in (
        (bm.tl.leiden, adata, "leiden"),
        (bm.tl.spatialleiden, adata, "spatialleiden"),
        (bm.tl.spatialleiden_multimodal, mdata, "spatialleiden"),
    ):
        again = repeat(function, data, key)
        assert list(again.obs["again"]) == list(data.obs[key])
        assert again.uns["again"]["quality"] == data.uns[key]["quality"]


def test_results_survive_the_file(tmp_path):
    import mudata as mu

    adata, mdata = planted_adata(), planted_mdata()
    bm.tl.spatialleiden(adata, n_clusters=3)
    bm.tl.spatialleiden_multimodal(mdata, neighbors_key={"rna": "connectivities", "adt": "connectivities"})
    adata.write_h5ad(tmp_path / "a.h5ad")
    mdata.write_h5mu(tmp_path / "m.h5mu")
    for before, after in ((adata, ad.read_h5ad(tmp_path / "a.h5ad")), (mdata, mu.read_h5mu(tmp_path / "m.h5mu"))):
        assert list(after.obs["spatialleiden"]) == list(before.obs["spatialleiden"])
        assert after.uns["spatialleiden"]["params"] == before.uns["spatialleiden"]["params"]


def test_copy_leaves_the_original():
    adata, mdata = planted_adata(), planted_mdata()
    before = snapshot(adata), snapshot(mdata)
    copies = (
        bm.tl.leiden(adata, copy=True, key_added="x"),
        bm.tl.spatialleiden(adata, copy=True, key_added="x"),
        bm.tl.spatialleiden_multimodal(mdata, copy=True, key_added="x"),
    )
    assert all("x" in c.obs and "x" in c.uns for c in copies)
    assert (snapshot(adata), snapshot(mdata)) == before


def test_names_of_observations_are_respected():
    adata = planted_adata()
    bm.tl.leiden(adata)
    turned = planted_adata()[::-1].copy()
    bm.tl.leiden(turned)
    joined = adata.obs[["leiden"]].join(turned.obs["leiden"], rsuffix="_turned")
    assert same_partition(joined["leiden"], joined["leiden_turned"])


def test_space_makes_domains_smoother():
    rng = np.random.default_rng(0)
    adata = planted_adata(200, 2, inside=0.06, across=0.04)
    adata.obsp["spatial_connectivities"] = planted_graph(200, 2, 0.2, 0.01, 5)
    truth = adata.obs["group"]
    bm.tl.leiden(adata, n_clusters=2)
    bm.tl.spatialleiden(adata, n_clusters=2, layer_ratio=2, random_state=int(rng.integers(100)))
    from planted import adjusted_rand_index

    assert adjusted_rand_index(truth, adata.obs["spatialleiden"]) > adjusted_rand_index(truth, adata.obs["leiden"])
    assert same_partition(truth, adata.obs["spatialleiden"])


def test_ratio_and_weights_say_the_same():
    adata = planted_adata()
    bm.tl.spatialleiden(adata, layer_ratio=2.5, key_added="ratio")
    bm.tl.spatialleiden(adata, layer_weights={"latent": 1, "spatial": 2.5}, key_added="weights")
    assert list(adata.obs["ratio"]) == list(adata.obs["weights"])
    assert adata.uns["ratio"]["quality"] == adata.uns["weights"]["quality"]
    with pytest.raises(ValueError, match="layer_ratio is 2 and layer_weights is given"):
        bm.tl.spatialleiden(adata, layer_ratio=2, layer_weights={"latent": 1, "spatial": 1})


def test_a_layer_of_weight_0_has_no_say():
    adata = planted_adata()
    bm.tl.spatialleiden(adata, layer_ratio=0, n_clusters=3)
    bm.tl.leiden(adata, n_clusters=3)
    assert same_partition(adata.obs["spatialleiden"], adata.obs["leiden"])


def test_graphs_that_are_not_symmetric_are_read_as_directed(caplog):
    adata = planted_adata()
    adata.obsp["connectivities"] = one_sided(adata.obsp["connectivities"])
    with caplog.at_level("INFO", logger="brodmann"):
        bm.tl.spatialleiden(adata)
    assert adata.uns["spatialleiden"]["params"]["directed"] == {"latent": True, "spatial": False}
    assert "latent: the graph is not symmetric, read as directed" in caplog.text
    bm.tl.spatialleiden(adata, directed=True, key_added="directed")
    assert list(adata.obs["directed"]) == list(adata.obs["spatialleiden"])


def test_unreachable_numbers_are_said():
    adata = planted_adata()
    blocks = sp.block_diag([planted_graph(30, 1, 0.5, 0, s) for s in range(3)], format="csr")
    adata.obsp["connectivities"] = blocks
    with pytest.warns(UserWarning, match="2 clusters were not reached.*3 connected parts.*3 is the nearest"):
        bm.tl.leiden(adata, n_clusters=2)
    assert adata.obs["leiden"].nunique() == 3
    assert not adata.uns["leiden"]["n_clusters_reached"]


def test_search_resolution_finds_and_writes_nothing():
    adata, mdata = planted_adata(120, 5), planted_mdata(120, 5)
    before = snapshot(adata), snapshot(mdata)
    for data, names in ((adata, ["latent", "spatial"]), (mdata, ["rna", "adt", "spatial"])):
        found = bm.tl.search_resolution(data, 5)
        assert list(found.resolution) == names
        assert found.exact and found.n_clusters == 5 and found.reason is None
        assert len(np.unique(found.labels)) == 5
        assert any(count == 5 for _, count in found.trace)
    assert list(bm.tl.search_resolution(adata, 5, spatial=False).resolution) == ["latent"]
    assert (snapshot(adata), snapshot(mdata)) == before
    bm.tl.spatialleiden(adata, resolution=bm.tl.search_resolution(adata, 5).resolution)
    assert adata.obs["spatialleiden"].nunique() == 5


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_on_any_number_of_threads(threads):
    graph = planted_graph(1500, 12, 0.03, 0.004)
    adata = ad.AnnData(np.zeros((1500, 1), dtype=np.float32))
    adata.obsp["connectivities"] = graph
    adata.obsp["spatial_connectivities"] = planted_graph(1500, 12, 0.02, 0.003, 1)
    n_threads = bm.settings.n_threads
    try:
        bm.settings.n_threads = 1
        one = bm.tl.spatialleiden(adata, copy=True)
        bm.settings.n_threads = threads
        many = bm.tl.spatialleiden(adata, copy=True)
    finally:
        bm.settings.n_threads = n_threads
    assert list(one.obs["spatialleiden"]) == list(many.obs["spatialleiden"])
    assert one.uns["spatialleiden"]["quality"] == many.uns["spatialleiden"]["quality"]


def test_graphs_are_not_copied_and_not_changed():
    from brodmann.tl._graphs import as_csr

    for dtype in (np.float32, np.float64):
        graph = planted_graph(50, 2, 0.5, 0.1, dtype=dtype)
        assert as_csr(graph, 50, "graph") is graph
    adata = planted_adata()
    before = {k: (g.data.copy(), g.indices.copy()) for k, g in adata.obsp.items()}
    bm.tl.spatialleiden(adata)
    for key, (data, indices) in before.items():
        assert np.array_equal(adata.obsp[key].data, data) and np.array_equal(adata.obsp[key].indices, indices)


# Bad input


def with_graph(change, key="connectivities"):
    adata = planted_adata()
    graph = adata.obsp[key].tolil()
    change(graph)
    adata.obsp[key] = graph.tocsr()
    return adata


def put(value):
    def change(graph):
        graph[3, 5] = graph[5, 3] = value

    return change


BAD = {
    "no latent graph": (
        lambda: planted_adata(),
        dict(neighbors_key="nope"),
        KeyError,
        r"obsp\['nope'\] is missing.*bm.pp.neighbors",
    ),
    "no spatial graph": (lambda: planted_adata(), dict(spatial_neighbors_key="x"), KeyError, "bm.gr.spatial_neighbors"),
    "NaN weights": (lambda: with_graph(put(np.nan)), {}, ValueError, 'the layer "latent" stores NaN'),
    "infinite weights": (lambda: with_graph(put(np.inf)), {}, ValueError, 'the layer "latent" stores inf'),
    "negative weights": (
        lambda: with_graph(put(-1), "spatial_connectivities"),
        {},
        ValueError,
        'the layer "spatial" stores -1',
    ),
    "no observations": (lambda: planted_adata()[:0].copy(), {}, ValueError, "0 observations"),
    "MuData": (lambda: planted_mdata(), {}, TypeError, "spatialleiden_multimodal"),
    "array": (lambda: np.eye(4), {}, TypeError, "AnnData was expected"),
    "negative layer weight": (
        lambda: planted_adata(),
        dict(layer_ratio=-1),
        ValueError,
        'layer_ratio is -1 for layer "spatial"',
    ),
    "layer weight NaN": (
        lambda: planted_adata(),
        dict(layer_ratio=np.nan),
        ValueError,
        'layer_ratio is NaN for layer "spatial"',
    ),
    "unknown layer": (
        lambda: planted_adata(),
        dict(layer_weights={"latent": 1, "space": 1}),
        ValueError,
        "names 'space'",
    ),
    "layer lacking": (lambda: planted_adata(), dict(resolution={"spatial": 1}), KeyError, "resolution lacks 'latent'"),
    "resolution 0": (lambda: planted_adata(), dict(resolution=0), ValueError, 'resolution is 0 for layer "latent"'),
    "resolution text": (lambda: planted_adata(), dict(resolution="1"), ValueError, "a number was expected"),
    "quality": (lambda: planted_adata(), dict(quality="best"), ValueError, "'rb', 'modularity', 'cpm', 'rber'"),
    "modularity search": (lambda: planted_adata(), dict(quality="modularity", n_clusters=3), ValueError, "use 'rb'"),
    "no clusters": (lambda: planted_adata(), dict(n_clusters=0), ValueError, "n_clusters is 0; expected 1 to 89"),
    "too many clusters": (lambda: planted_adata(), dict(n_clusters=91), ValueError, "n_clusters is 91"),
    "a cluster each": (lambda: planted_adata(), dict(n_clusters=90), ValueError, "n_clusters is 90; expected 1 to 89"),
    "huge resolution": (lambda: planted_adata(), dict(resolution=2e9), ValueError, "resolution is 2000000000 .*1e9"),
    "no iterations": (lambda: planted_adata(), dict(n_iterations=0), ValueError, "n_iterations is 0"),
    "seed": (lambda: planted_adata(), dict(random_state=-1), ValueError, "random_state"),
    "directed": (lambda: planted_adata(), dict(directed="yes"), ValueError, "True or False was expected"),
    "key": (lambda: planted_adata(), dict(key_added="neighbors"), ValueError, "uns keeps for something else"),
    "key with slash": (lambda: planted_adata(), dict(key_added="a/b"), ValueError, "holds a '/'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_changes_nothing(case):
    make, options, error, message = BAD[case]
    data = make()
    before = snapshot(data) if hasattr(data, "obs") else None
    with pytest.raises(error, match=message) as raised:
        bm.tl.spatialleiden(data, **options)
    # Found, expected, and what to do: the compiled part writes the last as a hint.
    assert str(raised.value).count("; ") == 1 or ". Hint: " in str(raised.value)
    if before is not None:
        assert snapshot(data) == before


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_bad_mudata():
    import mudata as mu

    whole = planted_mdata()
    run = bm.tl.spatialleiden_multimodal
    with pytest.raises(ValueError, match="layer_weights names 'protein'"):
        run(whole, layer_weights={"rna": 1, "adt": 1, "spatial": 1, "protein": 2})
    with pytest.raises(KeyError, match="layer_weights lacks 'adt'"):
        run(whole, layer_weights={"rna": 1, "spatial": 1})
    with pytest.raises(ValueError, match='layer_weights is -1 for layer "adt"'):
        run(whole, layer_weights={"rna": 1, "adt": -1, "spatial": 1})
    with pytest.raises(ValueError, match="layer_weights is 0 for every layer"):
        run(whole, layer_weights=0)
    with pytest.raises(KeyError, match=r"mod\['rna'\].obsp\['x'\].*bm.pp.neighbors\(mdata\['rna'\]\)"):
        run(whole, neighbors_key="x")
    fewer = mu.MuData({"rna": whole["rna"], "adt": whole["adt"][:50].copy()})
    with pytest.raises(ValueError, match="modality 'adt' has 50 observations where the MuData has 90"):
        run(fewer)
    named = mu.MuData({"spatial": whole["rna"], "adt": whole["adt"]})
    with pytest.raises(ValueError, match="rename the modality"):
        run(named)
    with pytest.raises(TypeError, match="MuData was expected"):
        run(planted_adata())
    assert "spatialleiden" not in whole.obs and "spatialleiden" not in whole.uns


def test_a_matrix_of_other_observations_is_refused():
    from brodmann.tl._graphs import as_csr

    with pytest.raises(ValueError, match="of 60 observations, 90 were expected"):
        as_csr(planted_graph(60, 2, 0.5, 0.1), 90, "graph")
    with pytest.raises(ValueError, match="60 × 30"):
        as_csr(planted_graph(60, 2, 0.5, 0.1)[:, :30], 60, "graph")


def test_a_view_becomes_an_object_of_its_own():
    adata = planted_adata()
    view = adata[:60]
    with pytest.warns(UserWarning, match="view"):
        bm.tl.spatialleiden(view)
    assert "spatialleiden" in view.obs and "spatialleiden" in view.uns and not view.is_view
    assert "spatialleiden" not in adata.obs and "spatialleiden" not in adata.uns


def test_objects_in_x_do_not_matter():
    adata = planted_adata()
    made = ad.AnnData(obs=adata.obs, obsp=dict(adata.obsp))
    bm.tl.spatialleiden(made)
    assert made.obs["spatialleiden"].nunique() == 3


def test_a_file_backed_object_works(tmp_path):
    planted_adata().write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    bm.tl.spatialleiden(backed)
    assert backed.obs["spatialleiden"].nunique() == 3


# Long work

LONG = """
import sys, time, threading, os, signal
import numpy as np, scipy.sparse as sp, anndata as ad
import brodmann as bm
n = 200_000
rng = np.random.default_rng(0)
rows, columns = rng.integers(n, size=(2, 3_000_000))
graph = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n, n))
adata = ad.AnnData(sp.csr_matrix((n, 1), dtype=np.float32))
adata.obsp["connectivities"] = (graph + graph.T).tocsr()
"""


def test_ctrl_c_ends_the_work_within_a_second_and_changes_nothing():
    code = (
        LONG
        + """
sent = []
def interrupt():
    time.sleep(1.0)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    bm.tl.leiden(adata)
except KeyboardInterrupt:
    print(time.monotonic() - sent[0], "leiden" in adata.obs, "leiden" in adata.uns)
else:
    print("finished")
"""
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != "finished", "the graph is too small for this machine: interrupt was not tested"
    seconds, obs, uns = done.stdout.split()
    # No timed assertion on a loaded machine: the work takes tens of seconds, this says that it did not go on.
    assert float(seconds) < 5
    assert (obs, uns) == ("False", "False")


def test_other_threads_run_meanwhile():
    code = (
        LONG
        + """
ticks = []
ended = []
def tick():
    while not ended:
        ticks.append(time.monotonic())
        time.sleep(0.01)
thread = threading.Thread(target=tick)
thread.start()
start = time.monotonic()
bm.tl.leiden(adata, n_iterations=1)
elapsed = time.monotonic() - start
ended.append(True)
thread.join()
print(len([t for t in ticks if t > start]), elapsed)
"""
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ticks, elapsed = map(float, done.stdout.split())
    # A held GIL would let through none but the first.
    assert ticks > 5 * elapsed


def test_umap_keeps_neighbours_together():
    draw = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 50)
    adata = ad.AnnData(np.zeros((150, 1), dtype=np.float32))
    adata.obsm["X_mine"] = np.eye(3)[group] * 20 + draw.normal(size=(150, 3))
    with pytest.raises(KeyError, match="bm.pp.neighbors first"):
        bm.tl.umap(adata)
    bm.tl.umap(adata, use_rep="X_mine", n_epochs=100, random_state=3)
    plane = adata.obsm["X_umap"]
    assert plane.shape == (150, 2) and plane.dtype == np.float32
    assert adata.uns["umap"]["params"]["use_rep"] == "X_mine"
    centres = np.stack([plane[group == g].mean(0) for g in range(3)])
    nearest = ((plane[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert (nearest == group).mean() == 1
    # The same from neighbours that are there, under a name of its own.
    bm.pp.neighbors(adata, use_rep="X_mine", random_state=3, key_added="near")
    again = bm.tl.umap(adata, neighbors_key="near", n_epochs=100, random_state=3, key_added="X_plane", copy=True)
    np.testing.assert_array_equal(again.obsm["X_plane"], plane)
    assert "plane" in again.uns and "X_plane" not in adata.obsm
    with pytest.raises(ValueError, match="min_dist is 3; expected a number from 0 to spread"):
        bm.tl.umap(adata, use_rep="X_mine", min_dist=3)
    with pytest.raises(ValueError, match="init is circle; expected spectral, pca or random"):
        bm.tl.umap(adata, use_rep="X_mine", init="circle")
