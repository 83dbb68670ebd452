"""Recomputes the arrays of this folder from the inputs stored beside them, and compares.

    pip install scanpy==1.11.5 squidpy==1.8.2 leidenalg==0.11.0 scikit-learn==1.9.1 \
        opencv-python-headless==5.0.0.93 scikit-image==0.26.0
    python tests/oracles/check.py

scanpy, squidpy, leidenalg and scikit-learn are called by their public functions; graph convolutions, STAIG's edge
probabilities and losses, SpaMI's forward pass and the transformations of counts are evaluated in NumPy from the
formulas of docs/methods.md. Gradients are compared with central differences along random directions. mclust's
likelihoods, responsibilities and criteria are recomputed from the parameters it found. Names of files may be given.
"""

import pathlib
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent


def load(name):
    return dict(np.load(HERE / f"{name}.npz"))


def same(name, found, expected, tolerance=1e-9):
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape, (name, found.shape, expected.shape)
    scale = max(1.0, np.nanmax(np.abs(expected)))
    worst = np.nanmax(np.abs(found - expected)) / scale
    print(f"  {name}: {worst:.1e}")
    assert worst <= tolerance, (name, worst)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def along(loss, arrays, gradients, h=1e-5):
    """The derivative of `loss` along a random direction, by central differences and from the gradients."""
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=a.shape) for a in arrays]
    up, down = (loss(*[a + s * h * d for a, d in zip(arrays, steps)]) for s in (1, -1))
    return (up - down) / (2 * h), sum((g * d).sum() for g, d in zip(gradients, steps))


def convolve(x, edges, weights=None):
    """Â x with loops of weight one added where missing; edges are (source, target), degrees those of the target."""
    a = np.zeros((len(x), len(x)))
    np.add.at(a, (edges[1], edges[0]), 1.0 if weights is None else weights)
    a[np.diag_indices(len(x))] = np.where(np.diag(a) == 0, 1.0, np.diag(a))
    root = 1 / np.sqrt(a.sum(1))
    return root[:, None] * a * root @ x


def gcn():
    o = load("gcn")
    for suffix, edges, weights in [
        ("", "edge_index", None),
        ("_weighted", "edge_index", "edge_weight"),
        ("_loops", "edge_index_loops", None),
        ("_directed", "edge_index_directed", None),
    ]:
        w = None if weights is None else o[weights]
        same("out" + suffix, convolve(o["x"] @ o["W"].T, o[edges], w) + o["b"], o["out" + suffix])

    def loss(x, w, b):
        return ((convolve(x @ w.T, o["edge_index"]) + b) * o["upstream"]).sum()

    same("gradients", *along(loss, [o["x"], o["W"], o["b"]], [o["grad_x"], o["grad_W"], o["grad_b"]]), 1e-7)


def staig_edgeprob():
    o = load("staig_edgeprob")

    def rows(values, graph):
        out = np.zeros_like(values)
        for i, near in enumerate(graph != 0):
            out[i, near] = softmax(values[i, near])
        return out

    def cosine(x):
        return 1 - unit(x) @ unit(x).T

    image = o["img_emb"]
    distance = np.linalg.norm(image[:, None] - image[None], axis=2)
    with np.errstate(divide="ignore"):
        same("P_img", rows(np.log(distance), o["graph_neigh"]), o["P_img"])
    same("P_cosine_of_img", rows(cosine(image), o["graph_neigh"]), o["P_cosine_of_img"])
    same("P_gene90", rows(cosine(o["pca64"]), o["graph_neigh90"]), o["P_gene90"])


def staig_loss():
    o = load("staig_loss")
    n = len(o["z1"])
    others = o["pseudo_labels"][:, None] != o["pseudo_labels"][None]

    def nodes(z1, z2, tau, adjacency, keep, subtracted):
        intra, inter = (np.exp(unit(z1) @ unit(z).T / tau) for z in (z1, z2))
        positive = np.diag(inter) + (intra * adjacency).sum(1) + (inter * adjacency).sum(1)
        negative = (keep * (intra + inter)).sum(1) - subtracted * np.diag(intra)
        return -np.log(positive / negative / (2 * adjacency.sum(1) + 1))

    for tau, text in [(0.5, "0p5"), (2.0, "2p0"), (10.0, "10p0")]:
        for kind, adjacency, keep in [
            ("nei", o["adj"], np.ones((n, n))),
            ("mask", o["adj_blockdiag"], o["mask"]),
            ("bias", o["adj"], others),
        ]:
            def loss(a, b):
                both = nodes(a, b, tau, adjacency, keep, 1), nodes(b, a, tau, adjacency, keep, 1)
                return sum(both).mean() / 2

            key = f"{kind}_{{}}_tau{text}".format
            z1, z2 = o["z1"], o["z2"]
            same(key("l12"), nodes(z1, z2, tau, adjacency, keep, 1), o[key("l12")])
            same(key("l21"), nodes(z2, z1, tau, adjacency, keep, 1), o[key("l21")])
            same(key("loss"), loss(z1, z2), o[key("loss")])
            same(key("gradients"), *along(loss, [z1, z2], [o[key("gz1")], o[key("gz2")]]), 1e-7)


def spami():
    o = load("spami")
    names = [k[len("param_"):] for k in o if k.startswith("param_")]
    edges = np.array(np.nonzero(o["adj"] + np.eye(len(o["adj"]))))
    readout = o["graph_neigh"] + np.eye(len(o["graph_neigh"]))
    readout /= readout.sum(1, keepdims=True)
    n = len(readout)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def forward(*values):
        p = dict(zip(names, values))
        feats = [o["feat1"], o["feat2"]]

        def coder(x, stem):
            for layer in (1, 2):
                x = convolve(x @ p[f"{stem}{layer}.lin.weight"].T, edges) + p[f"{stem}{layer}.bias"]
                x = np.maximum(x, 0) if layer == 1 else x
            return x

        latent, logits, contrast = [], [], []
        for m, x in enumerate(feats, 1):
            encoder = f"omics{m}_encoder"
            z, fake = (coder(f, f"{encoder}.encoder_conv") for f in (x, x[o[f"perm{m}"]]))
            g, g_fake = (sigmoid(unit(readout @ v)) for v in (z, fake))
            w, b = (p[f"{encoder}.discriminator.f_k.{k}"] for k in ("weight", "bias"))

            def score(h, c):
                return np.einsum("ni,ij,nj->n", h, w[0], c) + b

            ret = np.c_[score(z, g), score(fake, g)]
            mirrored = np.c_[score(fake, g_fake), score(z, g_fake)]
            label = np.array([1.0, 0.0])
            contrast.append(sum((np.logaddexp(0, r) - label * r).mean() for r in (ret, mirrored)))
            latent.append(z)
            logits.append((ret, mirrored))
        v = [np.tanh(z @ p["attention_layer.w_omega"]) @ p["attention_layer.u_omega"][:, 0] + 1e-6 for z in latent]
        alpha = np.array([softmax(row) for row in np.array(v).T])
        fused = sum(alpha[:, [m]] * z for m, z in enumerate(latent))
        rec = [coder(fused, f"omics{m}_decoder.decoder_conv") for m in (1, 2)]
        mse = [((r - x) ** 2).mean() for r, x in zip(rec, feats)]
        cosine = 1 - (unit(latent[0]) * unit(latent[1])).sum(1).mean()
        return latent, logits, alpha, fused, rec, np.array([*contrast, *mse, cosine])

    values = [o["param_" + k] for k in names]
    latent, logits, alpha, fused, rec, terms = forward(*values)
    for m in (1, 2):
        same(f"out_emb{m}", latent[m - 1], o[f"out_emb{m}"])
        same(f"out_ret{m}", logits[m - 1][0], o[f"out_ret{m}"])
        same(f"out_ret{m}_a", logits[m - 1][1], o[f"out_ret{m}_a"])
        same(f"out_rec{m}", rec[m - 1], o[f"out_rec{m}"])
    same("out_alpha", alpha.reshape(n, 2), o["out_alpha"].reshape(n, 2))
    same("out_combined", fused, o["out_combined"])
    same("loss_terms", terms, o["loss_terms"])
    factors = np.array([1, 1, 10, 10, 5])
    gradients = [o["grad_" + k] for k in names]
    # Small steps, or a unit of the hidden layers changes sides.
    same("gradients", *along(lambda *v: factors @ forward(*v)[-1], values, gradients, 1e-9), 1e-5)


def clr_lsi():
    o = load("clr_lsi")
    x = o["counts"]
    same("clr", np.log1p(x / np.exp(np.log1p(x).sum(1, keepdims=True) / x.shape[1])), o["clr"])
    x = o["peaks"]
    tfidf = x / x.sum(1, keepdims=True) * (len(x) / x.sum(0))
    same("tfidf", tfidf, o["tfidf"])
    same("logn", np.log1p(1e4 * tfidf / np.abs(tfidf).sum(1, keepdims=True)), o["logn"])
    same("sv", np.linalg.svd(o["logn"], compute_uv=False)[: len(o["sv"])], o["sv"])
    u = o["U21"]
    z = (u - u.mean(1, keepdims=True)) / u.std(1, ddof=1, keepdims=True)
    same("lsi20_exact", z[:, 1:], o["lsi20_exact"])


def mclust():
    o = load("mclust")
    x, n = o["x"], len(o["x"])
    for m in ("EEE", "VVV", "EII", "VII"):
        log = np.empty((n, 4))
        for k, sigma in enumerate(o[f"{m}_sigma"]):
            d = x - o[f"{m}_mean"][k]
            mahalanobis = (d * np.linalg.solve(sigma, d.T).T).sum(1)
            log[:, k] = np.log(o[f"{m}_pro"][k]) - (np.linalg.slogdet(2 * np.pi * sigma)[1] + mahalanobis) / 2
        # Of the spherical models mclust returns the responsibilities from before its last M-step.
        before = m in ("EII", "VII")
        z = np.array([softmax(row) for row in log])
        same(f"{m}_z", z, o[f"{m}_z"], 0.1 if before else 1e-9)
        same(f"{m}_class", o[f"{m}_z"].argmax(1) + 1, o[f"{m}_class"])
        same(f"{m}_loglik", np.logaddexp.reduce(log, axis=1).sum(), o[f"{m}_loglik"], 1e-4 if before else 1e-9)
        same(f"{m}_bic", 2 * o[f"{m}_loglik"] - o[f"{m}_df"] * np.log(n), o[f"{m}_bic"])


def scanpy():
    import anndata
    import scanpy as sc

    o = load("scanpy")
    a = anndata.AnnData(o["counts"])
    raw = a.copy()
    sc.pp.highly_variable_genes(raw, flavor="seurat_v3", n_top_genes=50)
    same("v3_var_norm", raw.var["variances_norm"], o["v3_var_norm"])
    same("v3_hv", raw.var["highly_variable"], o["v3_hv"])
    sc.pp.normalize_total(a, target_sum=1e4)
    same("norm1e4", a.X, o["norm1e4"])
    sc.pp.log1p(a)
    same("log", a.X, o["log"])
    for flavor in ("seurat", "cell_ranger"):
        b = a.copy()
        sc.pp.highly_variable_genes(b, flavor=flavor, n_top_genes=50)
        same(f"{flavor}_hv", b.var["highly_variable"], o[f"{flavor}_hv"])
    sc.pp.scale(a)
    same("scaled", a.X, o["scaled"], 1e-6)
    sc.pp.pca(a, n_comps=20, svd_solver="full")
    same("pca, up to signs", np.abs(a.obsm["X_pca"]), np.abs(o["pca"]), 1e-5)
    a.obsm["X_pca"] = o["pca"]
    sc.pp.neighbors(a, n_neighbors=15, use_rep="X_pca")
    same("nb_dist", a.obsp["distances"].toarray(), o["nb_dist"], 1e-5)
    same("nb_conn", a.obsp["connectivities"].toarray(), o["nb_conn"], 1e-5)


def metrics():
    import anndata
    import squidpy as sq
    from scipy import sparse
    from sklearn import metrics as sk

    o = load("metrics")
    truth, pred, emb = o["truth"], o["pred"], o["emb"]
    for name, f in [
        ("ARI", sk.adjusted_rand_score),
        ("NMI", sk.normalized_mutual_info_score),
        ("AMI", sk.adjusted_mutual_info_score),
        ("homogeneity", sk.homogeneity_score),
        ("completeness", sk.completeness_score),
        ("v_measure", sk.v_measure_score),
        ("MI", sk.mutual_info_score),
    ]:
        same(name, f(truth, pred), o[name])
    same("silhouette", sk.silhouette_score(emb, truth), o["silhouette"])
    same("silhouette_samples", sk.silhouette_samples(emb, truth), o["silhouette_samples"])
    same("davies_bouldin", sk.davies_bouldin_score(emb, truth), o["davies_bouldin"])
    same("calinski", sk.calinski_harabasz_score(emb, truth), o["calinski"])
    _, batch = np.unique(o["batch"], return_inverse=True)
    near = np.argsort(((emb[:, None] - emb[None]) ** 2).sum(2), axis=1, kind="stable")[:, :15]
    share = np.eye(batch.max() + 1)[batch]
    p, q = share[near].mean(1), share.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(p > 0, p * np.log2(p / q), 0).sum(1)
    same("batchkl_per_cell", kl, o["batchkl_per_cell"])
    for w, moran in [("moran_W8", "moran_I"), ("moran_W6", "moran_I6")]:
        a = anndata.AnnData(o["moran_X"].astype(np.float32))
        a.obsp["spatial_connectivities"] = sparse.csr_matrix(o[w])
        sq.gr.spatial_autocorr(a, mode="moran", n_perms=None, n_jobs=1, show_progress_bar=False)
        same(moran, a.uns["moranI"].loc[a.var_names, "I"], o[moran], 1e-5)
        if w == "moran_W6":
            sq.gr.spatial_autocorr(a, mode="geary", n_perms=None, n_jobs=1, show_progress_bar=False)
            same("geary_C6", a.uns["gearyC"].loc[a.var_names, "C"], o["geary_C6"], 1e-5)


def leiden():
    import igraph
    import leidenalg as la

    o = load("leiden")
    graphs = {}
    for name, directed in [("und", False), ("dir", True), ("dir2", True)]:
        graphs[name] = igraph.Graph(n=60, edges=o[f"{name}_edges"].tolist(), directed=directed)
        graphs[name].es["weight"] = o[f"{name}_w"].tolist()
    member = o["partition"].tolist()
    for name in ("und", "dir"):
        for text, gamma in [("0p5", 0.5), ("1p0", 1.0), ("1p7", 1.7)]:
            for kind, cls, factor in [
                ("RBC", la.RBConfigurationVertexPartition, 1.0),
                ("CPM", la.CPMVertexPartition, 0.1),
            ]:
                for weighted in ("w", "u"):
                    key = f"{name}_{weighted}_{kind}_{text}"
                    weights = "weight" if weighted == "w" else None
                    part = cls(graphs[name], member, weights=weights, resolution_parameter=gamma * factor)
                    same(key, part.quality(), o[key])
    resolution = np.broadcast_to(o["mx_resolution"], 2)
    parts = [
        la.RBConfigurationVertexPartition(graphs[g], member, weights="weight", resolution_parameter=r)
        for g, r in zip(("dir", "dir2"), resolution)
    ]
    same("mx_layer_quality", [p.quality() for p in parts], o["mx_layer_quality"])
    for node, target, *moves in o["mx_diff_move"]:
        same(f"mx_diff_move of {node:.0f}", [p.diff_move(int(node), int(target)) for p in parts], moves)


def banksy():
    o = load("banksy")
    xy, x, n = o["xy"], o["X"], len(o["X"])
    far = np.linalg.norm(xy[:, None] - xy[None], axis=2) + np.diag(np.full(n, np.inf))
    near = {k: np.argsort(far, axis=1, kind="stable")[:, : int(o[k])] for k in ("k_geom", "k_agf")}

    def weights(neighbors):
        d = np.take_along_axis(far, neighbors, 1)
        w = np.exp(-((d / np.median(d, axis=1, keepdims=True)) ** 2))
        return w / w.sum(1, keepdims=True)

    mean = np.einsum("ik,ikg->ig", weights(near["k_geom"]), x[near["k_geom"]])
    same("M0", mean, o["M0"])
    step = xy[near["k_agf"]] - xy[:, None]
    turned = weights(near["k_agf"]) * np.exp(1j * np.arctan2(step[..., 1], step[..., 0]))
    around = x[near["k_agf"]]

    def z(block):
        sd = block.std(0)
        return np.where(sd > 1e-9, (block - block.mean(0)) / np.where(sd > 1e-9, sd, 1), 0)

    for name, centre in [("plain", 0), ("centred", around.mean(1, keepdims=True))]:
        gradient = np.abs(np.einsum("ik,ikg->ig", turned, around - centre))
        same(f"AGF_{name}", gradient, o[f"AGF_{name}"])
        for text, lam in [("0p2", 0.2), ("0p8", 0.8)]:
            blocks = [np.sqrt(1 - lam) * z(x), np.sqrt(2 * lam / 3) * z(mean), np.sqrt(lam / 3) * z(gradient)]
            u, s, _ = np.linalg.svd(np.hstack(blocks), full_matrices=False)
            same(f"sv_{name}_l{text}", s[:20], o[f"sv_{name}_l{text}"])
            same(f"pca_{name}_l{text}", np.abs(u[:, :20] * s[:20]), np.abs(o[f"pca_{name}_l{text}"]), 1e-7)


def harmony():
    o = load("harmony")
    z, batch = o["Z"], o["batch"]
    phi = np.eye(3)[batch]
    share = phi.mean(0)
    for run, theta, ridge, sigma in (("a", 1, 1, 0.1), ("b", 1, 0.5, 0.2), ("c", 2, 1, 0.1)):
        y, orders = o[f"{run}_init_Y"], o[f"{run}_update_orders"]
        cells = unit(z)

        def assigned(rows, log_ratio):
            logits = -2 * (1 - cells[rows] @ y.T) / sigma - theta * phi[rows] @ log_ratio.T
            return np.exp(logits - np.logaddexp.reduce(logits, 1, keepdims=True))

        def objective(r):
            seen = r.T @ phi
            expected = np.outer(r.sum(0), share)
            cross = theta * (seen * np.log((seen + 1) / (expected + 1))).sum()
            distance, entropy = (r * 2 * (1 - cells @ y.T)).sum(), (r * np.log(np.where(r > 0, r, 1))).sum()
            return distance + sigma * (entropy + cross)

        r = assigned(slice(None), np.zeros((len(y), 3)))
        passes, rounds = [objective(r)], []
        rounds.append(passes[0])
        while True:
            for turn in range(20):
                y = unit(r.T @ cells)
                for block in np.array_split(orders[len(passes) - 1], 20):
                    rest = np.ones(len(z), bool)
                    rest[block] = False
                    seen, size = r[rest].T @ phi[rest], r[rest].sum(0)
                    r[block] = assigned(block, np.log((seen + 1) / (np.outer(size, share) + 1)))
                passes.append(objective(r))
                before, now = sum(passes[-4:-1]), sum(passes[-3:])
                if turn > 3 and abs(before - now) < 1e-5 * abs(before):
                    break
            rounds.append(passes[-1])
            design = np.column_stack([np.ones(len(z)), phi])
            corrected = z.copy()
            for k in range(len(y)):
                weighted = design * r[:, [k]]
                found = np.linalg.solve(weighted.T @ design + np.diag([0, ridge, ridge, ridge]), weighted.T @ z)
                corrected -= weighted[:, 1:] @ found[1:]
            cells = unit(corrected)
            if (rounds[-2] - rounds[-1]) / abs(rounds[-2]) < 1e-4:
                break
        same(f"harmony {run} objective", rounds, o[f"{run}_objective_harmony"])
        same(f"harmony {run}", corrected, o[f"{run}_Z_corr"])


def qc():
    import anndata
    import pandas as pd
    import scanpy as sc
    from scipy import sparse

    o = load("qc")
    a = anndata.AnnData(sparse.csr_matrix(o["counts"].astype(np.float32)), var=pd.DataFrame({"mt": o["mito"]}))
    spots, genes = sc.pp.calculate_qc_metrics(a, qc_vars=["mt"], percent_top=None, log1p=False)
    for name in ("total_counts", "n_genes_by_counts", "pct_counts_mt"):
        same(name, spots[name], o[name])
    same("n_cells_by_counts", genes["n_cells_by_counts"], o["n_cells_by_counts"])
    same("total_counts_of_genes", genes["total_counts"], o["total_counts_of_genes"])
    far = np.linalg.norm(o["coordinates"][:, None] - o["coordinates"][None], axis=2)
    far[(o["slices"][:, None] != o["slices"]) | np.eye(len(far), dtype=bool)] = np.inf
    near = np.argsort(far, axis=1, kind="stable")[:, :12]
    for name, x in [
        ("z_total_counts", np.log1p(o["total_counts"])),
        ("z_n_genes_by_counts", np.log1p(o["n_genes_by_counts"])),
        ("z_pct_counts_mt", o["pct_counts_mt"]),
    ]:
        m = np.nanmedian(x[near], axis=1)
        same(name, 0.6745 * (x - m) / np.nanmedian(np.abs(x[near] - m[:, None]), axis=1), o[name])


def explain():
    import anndata
    import pandas as pd
    import scanpy as sc

    o, s = load("explain"), load("scanpy")
    a = anndata.AnnData(s["log"], obs=pd.DataFrame({"group": pd.Categorical([f"c{c}" for c in s["label"]])}))
    for name, method, options in [
        ("wil", "wilcoxon", {"tie_correct": False}),
        ("wilt", "wilcoxon", {"tie_correct": True}),
        ("tov", "t-test_overestim_var", {}),
        ("t", "t-test", {}),
    ]:
        sc.tl.rank_genes_groups(a, "group", method=method, pts=True, **options)
        for k, group in enumerate(a.obs["group"].cat.categories):
            # scanpy keeps scores in single precision.
            found = sc.get.rank_genes_groups_df(a, group).set_index("names").loc[a.var_names]
            same(f"mk_{name}_scores {group}", found["scores"], o[f"mk_{name}_scores"][k], 1e-5)
            same(f"mk_{name}_pvals {group}", found["pvals"], o[f"mk_{name}_pvals"][k], 1e-6)
            same(f"mk_logfoldchanges {group}", found["logfoldchanges"], o["mk_logfoldchanges"][k], 1e-5)
            same(f"mk_pts {group}", found["pct_nz_group"], o["mk_pts"][k])


def histology():
    import cv2
    from skimage.color import rgb2hed
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    o = load("histology")
    image = o["img"]
    grey = image @ np.array([0.299, 0.587, 0.114])
    for size in (5, 7, 15):
        same(f"blur{size}_u8", cv2.GaussianBlur(image, (size, size), 0), o[f"blur{size}_u8"], 0)
    corner = image[:32, :32, 0].astype(float)
    same("blur15_f64", cv2.GaussianBlur(corner, (15, 15), 0), o["blur15_f64"], 1e-14)
    same("grey_u8", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), o["grey_u8"], 0)
    for size in (64, 40, 150):
        found = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
        same(f"resize{size}_u8", found, o[f"resize{size}_u8"], 0)
    found = cv2.resize(image.astype(float), (64, 64), interpolation=cv2.INTER_LINEAR)[:16, :16]
    same("resize64_f64_block", found, o["resize64_f64_block"], 1e-14)

    spectrum = np.fft.fftshift(np.fft.fft2(grey))
    window, ring = np.zeros((96, 96), bool), np.abs(np.indices((96, 96)) - 48).max(0)
    window[46:52, 46:52] = True
    ring = (ring >= 20) & (ring < 30)

    def back(mask):
        return np.fft.ifft2(np.fft.ifftshift(spectrum * mask))

    same("fft_win46_52_keep_abs", abs(back(window)), o["fft_win46_52_keep_abs"], 1e-13)
    same("fft_win46_52_drop_abs", abs(back(~window)), o["fft_win46_52_drop_abs"], 1e-13)
    same("fft_ring20_30_keep_real", back(ring).real, o["fft_ring20_30_keep_real"], 1e-13)

    for border, mode in [("reflect101", "reflect"), ("reflect", "symmetric")]:
        wide = np.pad(image, ((16, 16), (16, 16), (0, 0)), mode)
        found = [wide[r : r + 32, c : c + 32] for r, c in o["patch_centres"]]
        same(f"patches32_{border}", found, o[f"patches32_{border}"], 0)

    hed = rgb2hed(image)
    same("hed_block", hed[32:64, 32:64], o["hed_block"], 1e-12)
    tiles = hed.reshape(3, 32, 3, 32, 3).swapaxes(1, 2).reshape(9, -1, 3)[..., :2]
    same("hed_patch_mean", tiles.mean(1), o["hed_patch_mean"], 1e-12)
    same("hed_patch_std", tiles.std(1), o["hed_patch_std"], 1e-12)
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    density = -np.log(np.maximum(image[32:64, 32:64], 1) / 255)
    same("hed_unit_natural_block", density @ np.linalg.inv(stains), o["hed_unit_natural_block"], 1e-12)

    angles = np.arange(4) * np.pi / 4
    table = graycomatrix(o["glcm_levels"], [1, 2], angles, levels=16, symmetric=True, normed=True)
    same("glcm", table.transpose(2, 3, 0, 1), o["glcm"], 1e-14)
    for name in ("contrast", "homogeneity", "energy", "correlation"):
        same(f"glcm_{name}", graycoprops(table, name), o[f"glcm_{name}"], 1e-12)
    for method in ("default", "uniform"):
        same(f"lbp_{method}", local_binary_pattern(o["texture_patch"], 8, 1, method), o[f"lbp_{method}"], 0)


def links():
    o = load("links")
    n, pairs = len(o["M"]), o["pairs"]
    for run in "abc":
        eps, rho_mu, rho_nu = (float(o[f"{run}_{k}"]) for k in ("eps", "rho_mu", "rho_nu"))
        kernel = np.exp(-o["M"] / o["M"].max() / eps)
        a, b = (np.maximum(o[k], 0).T / o["max_amount"] for k in "SD")
        u, v = (a > 0).astype(float), (b > 0).astype(float)
        for _ in range(int(o[f"{run}_iterations"])):
            for own, mass, other, rho, columns in ((u, a, v, rho_mu, (0, 1)), (v, b, u, rho_nu, (1, 0))):
                sums = np.zeros_like(own)
                for pair in pairs:
                    sums[pair[columns[0]]] += kernel @ other[pair[columns[1]]]
                own[:] = mass / (sums + np.exp(-rho / eps))
        plans = [u[p][:, None] * kernel * v[g][None] * float(o["max_amount"]) for p, g in pairs]
        same(f"{run} pair_total", [plan.sum() for plan in plans], o[f"{run}_pair_total"])
        blocks = [np.ix_(o["group"] == k, o["group"] == k) for k in (0, 1)]
        same(f"{run} strengths", [[plan[k].mean() for k in blocks] for plan in plans], o[f"{run}_link_intensity"])
        f = (eps * np.log(u.ravel()[o["nz_a"]]), eps * np.log(v.ravel()[o["nz_b"]]))
        same(f"{run} f", f[0], o[f"{run}_f"])
        same(f"{run} g", f[1], o[f"{run}_g"])


CHECKS = (
    gcn, staig_edgeprob, staig_loss, spami, clr_lsi, mclust, scanpy, metrics, leiden, banksy, harmony, qc, explain,
    histology, links,
)  # fmt: skip
for check in CHECKS:
    if len(sys.argv) == 1 or check.__name__ in sys.argv[1:]:
        print(check.__name__)
        check()
