"""banksy.npz: pybanksy 1.3.5 on 200 cells x 20 genes; every block re-derived in numpy and asserted."""
import contextlib
import io
import numpy as np
from _common import check, save, hide_script_dir
hide_script_dir()
import matplotlib  # noqa: E402
matplotlib.use("Agg")
import anndata  # noqa: E402
from sklearn.neighbors import NearestNeighbors  # noqa: E402
from banksy.main import generate_spatial_weights_fixed_nbrs, concatenate_all  # noqa: E402
from banksy.embed_banksy import create_nbr_matrix, create_mat_list, generate_banksy_matrix  # noqa: E402
from banksy_utils.umap_pca import pca_umap  # noqa: E402

rng = np.random.default_rng(11)
N, G, K = 200, 20, 15
xy = rng.uniform(0, 100, (N, 2))
domain = (xy[:, 0] > 50).astype(int) + 2 * (xy[:, 1] > 60).astype(int)
ctype = rng.integers(0, 3, N)
mu = rng.gamma(2, 1.0, (4, G)) + rng.gamma(1, 1.0, (3, G))[:, None, :].sum(0)
counts = rng.poisson(mu[domain] * (1 + 0.5 * ctype[:, None])).astype(float)
counts[:, 19] = 0  # a gene without variance: its z-scores are 0, not NaN
X = np.log1p(counts)


def quiet(f, *a, **k):
    with contextlib.redirect_stdout(io.StringIO()):
        return f(*a, **k)


def fresh():
    ad = anndata.AnnData(X.copy())
    ad.obsm["xy"] = xy
    return ad


nb = NearestNeighbors(algorithm="ball_tree").fit(xy)
w, dist, theta = {}, {}, {}
for m in (0, 1):
    w[m], dist[m], theta[m] = quiet(generate_spatial_weights_fixed_nbrs, xy, m=m, num_neighbours=K,
                                    decay_type="scaled_gaussian", nbr_object=nb, verbose=False, max_radius=None)
out = {"xy": xy, "X": X, "domain": domain, "k_geom": K, "k_agf": 2 * K}


def rows(mat, k):
    assert (np.diff(mat.indptr) == k).all()
    return mat.indices.reshape(N, k), mat.data.reshape(N, k)


# neighbours and weights, in numpy
D = np.sqrt(((xy[:, None] - xy[None]) ** 2).sum(-1))
np.fill_diagonal(D, np.inf)
mine = {}
for m, k in ((0, K), (1, 2 * K)):
    idx = np.argsort(D, axis=1, kind="stable")[:, :k]
    r = np.take_along_axis(D, idx, 1)
    g = np.exp(-(r / np.median(r, axis=1, keepdims=True)) ** 2)
    g /= g.sum(1, keepdims=True)
    ri, rw = rows(w[m], k)
    assert np.array_equal(ri, idx)
    check(f"distances m={m}", rows(dist[m], k)[1], r)
    check(f"weights m={m}", np.abs(rw), g, 1e-6 if m else 1e-10)
    th = np.arctan2(xy[idx, 1] - xy[:, [1]], xy[idx, 0] - xy[:, [0]])
    if m:
        check("theta (the reference stores it in single precision)", rows(theta[m], k)[1], th, 1e-6)
    mine[m] = (idx, g, th)
    out[f"nbr_idx_k{k}"], out[f"nbr_dist_k{k}"], out[f"weights_k{k}"] = idx, r, g
out["theta_k30"] = mine[1][2]
out["theta_k30_reference_f32"] = rows(theta[1], 2 * K)[1]

bd = {"scaled_gaussian": {"weights": w}}
nm_plain = quiet(create_nbr_matrix, fresh(), bd, "scaled_gaussian", 1, center=False, verbose=False)
nm_cent = quiet(create_nbr_matrix, fresh(), bd, "scaled_gaussian", 1, center=True, verbose=False)


def agf(center):
    idx, g, th = mine[1]
    c = g * np.exp(1j * th)
    xj = X[idx]
    if center:
        xj = xj - xj.mean(1, keepdims=True)
    return np.abs(np.einsum("nk,nkg->ng", c, xj))


M0 = np.einsum("nk,nkg->ng", mine[0][1], X[mine[0][0]])
check("mean matrix", nm_plain[0], M0)
check("mean matrix (same for both)", nm_cent[0], M0)
check("AGF plain", nm_plain[1], agf(False), 1e-6)
check("AGF centred", nm_cent[1], agf(True), 1e-6)
out.update(M0=M0, AGF_plain=agf(False), AGF_centred=agf(True), AGF_plain_reference=nm_plain[1],
           AGF_centred_reference=nm_cent[1])


def zscore(m):
    v = (m ** 2).mean(0) - m.mean(0) ** 2
    with np.errstate(all="ignore"):
        return np.nan_to_num((m - m.mean(0)) / np.sqrt(v))


out["X_z"] = zscore(X)
out["M0_z"] = zscore(M0)
for tag, nm in (("plain", nm_plain), ("centred", nm_cent)):
    a = agf(tag == "centred")
    out[f"AGF_{tag}_z"] = zscore(a)
    for lam in (0.2, 0.8):
        mats, _ = create_mat_list(fresh(), nm, 1)
        ad = quiet(concatenate_all, mats, lam, fresh())
        f = np.sqrt([1 - lam, lam * 2 / 3, lam / 3])
        mine_cat = np.hstack([f[0] * zscore(X), f[1] * zscore(M0), f[2] * zscore(a)])
        check(f"concatenated {tag} {lam}", ad.X, mine_cat, 1e-5)
        d = {"scaled_gaussian": {lam: {"adata": ad.copy()}}}
        quiet(pca_umap, d, pca_dims=[20], plt_remaining_var=False)
        pc = d["scaled_gaussian"][lam]["adata"].obsm["reduced_pc_20"]
        U, S, _ = np.linalg.svd(mine_cat - mine_cat.mean(0), full_matrices=False)
        sgn = np.sign((U[:, :20] * S[:20] * pc).sum(0))
        check(f"PCA {tag} {lam}", pc, U[:, :20] * S[:20] * sgn, 1e-4)
        s = f"_{tag}_l{str(lam).replace('.', 'p')}"
        out["concat" + s] = mine_cat
        out["pca" + s] = U[:, :20] * S[:20] * sgn
        out["sv" + s] = S[:20]
        out["scale_factors_l" + str(lam).replace(".", "p")] = f
# only the mean block (max_m = 0): factors sqrt(1-l), sqrt(l)
ad = quiet(concatenate_all, [X, M0], 0.2, fresh())
check("concatenated max_m=0", ad.X, np.hstack([np.sqrt(0.8) * zscore(X), np.sqrt(0.2) * zscore(M0)]))
out["concat_m0_l0p2"] = ad.X

# what the package's own driver does (it passes variance_balance into the place of `center`)
for vb in (False, True):
    try:
        d, last = quiet(generate_banksy_matrix, fresh(), {"scaled_gaussian": {"weights": w}}, [0.2], 1,
                        variance_balance=vb, verbose=False)
        plain = np.abs(last.X - out["concat_plain_l0p2"]).max()
        cent = np.abs(last.X - out["concat_centred_l0p2"]).max()
        print(f"driver with variance_balance={vb}: distance to plain {plain:.2e}, to centred {cent:.2e}")
        out[f"driver_variance_balance_{int(vb)}_l0p2_dist_to_plain_centred"] = np.array([plain, cent])
    except Exception as e:  # noqa: BLE001
        print("driver", vb, type(e), e)

# the R package's z-score divides by the ddof=1 standard deviation
n1 = np.sqrt((N - 1) / N)
out["X_z_R"] = out["X_z"] * n1
out["M0_z_R"] = out["M0_z"] * n1
with np.errstate(all="ignore"):
    check("R style z", np.nan_to_num((X - X.mean(0)) / X.std(0, ddof=1)), out["X_z_R"])
for k in ("X_z_R", "M0_z_R"):
    del out[k]
keep = ("xy", "X", "k_geom", "k_agf", "M0", "AGF_plain", "AGF_centred")
save("banksy", {k: v for k, v in out.items() if k in keep or k.startswith(("pca_", "sv_"))})
