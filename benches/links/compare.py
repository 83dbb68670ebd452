#!/usr/bin/env python3
"""Links between peaks and genes, beside FGOT.

    bash benches/run links [--cases 22x40 45x10 45x40 100x40 100x2000]

Simulated tissues whose peaks regulate genes in one domain each, so that what is true is known; the embedding is SpaMI's,
the domains are the true ones. Of ours all that is computed is timed (neighbours, transport, strengths, permutations, correlations); of FGOT its
solver and the mean of each plan over the cells of a domain, from matrices in memory. Both with its ε, ρ and window, to the same
tolerance; FGOT's plan has an entry for each pair and each two cells in which its peak and gene are seen, ours gives a cost of
their own to the 30 nearest cells alone. `AP` is the average precision of the strengths by pair and domain. A case is the
edge of a tissue in cells, and its genes. FGOT is run where it takes less than about 10 GiB.

FGOT 0.0.9 is called without the packages that its other parts need; `benches/run` installs it without them.
"""
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "benches"))
import common

EPOCHS = 50
WINDOW = 250_000
EPSILON, RHO, TOLERANCE, ROUNDS = 0.1, 10.0, 1e-6, 1000


def prepare(side, genes, path):
    """Runs in its own process: a tissue, where its genes lie, and an embedding."""
    raw = Path(path).with_suffix(".raw.h5mu")
    words = ["--side", side, "--n-genes", genes, "--regulation", Path(path).with_suffix(".bed")]
    common.brodmann("simulate", "--out", raw, *words, "--seed", 42)
    common.brodmann("spami", raw, "-k", 5, "--epochs", EPOCHS, "--denoise", "never", "--out", path)
    raw.unlink()


def average_precision(path, found):
    """Of strengths by (gene, peak, domain)."""
    import mudata
    import numpy as np
    from sklearn.metrics import average_precision_score

    links = mudata.read_h5mu(path).uns["true_links"]
    true = set(zip(links["gene"].astype(str), links["peak"].astype(str), links["domain"].astype(str)))
    y = np.array([key in true for key in found])
    return float(average_precision_score(y, np.array(list(found.values()))))


def ours(path):
    """Runs in its own process; prints one JSON line."""
    import csv

    table = Path(path).with_suffix(".csv")
    words = ["links", path, "--genes", Path(path).with_suffix(".bed"), "--groupby", "ground_truth", "--table", table]
    command = [str(word) for word in [common.program(), *words, "--force", "--json", "--quiet"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    report = json.loads(done.stdout)
    found = {}
    with table.open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name.startswith("strength:"):
                    found[row["gene"], row["peak"], name.removeprefix("strength:")] = float(value)
    stages = [report["seconds"][stage] for stage in ("preprocess", "graph", "train", "cluster")]
    common.say({
        "seconds": sum(stages), "peak_mib": report["peak_rss_bytes"] / 2**20,
        "quality": {"AP": average_precision(path, found), "pairs": report["n_pairs"]},
    })  # fmt: skip


def fgot():
    """FGOT's solver alone: the package's own start imports what only its other parts use."""
    package = next((Path(p) / "FGOT" for p in sys.path if (Path(p) / "FGOT" / "fgot_solver.py").exists()), None)
    if package is None:
        raise SystemExit("FGOT is not installed: pip install --no-deps fgot==0.0.9")
    for name in ("hnswlib", "gudhi"):
        # Imported by its utilities, and not called.
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
    sys.modules["FGOT"] = types.ModuleType("FGOT")
    sys.modules["FGOT"].__path__ = [str(package)]
    for name in ("utils", "fgot_solver"):
        spec = importlib.util.spec_from_file_location(f"FGOT.{name}", package / f"{name}.py")
        module = sys.modules[f"FGOT.{name}"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["FGOT.fgot_solver"].fgot_flatten_solve


def peer(path):
    """Runs in its own process; prints one JSON line."""
    import warnings

    warnings.filterwarnings("ignore")
    import mudata
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp
    from scipy.spatial.distance import cdist

    solve = fgot()
    whole = mudata.read_h5mu(path)
    rna, atac = (sp.csr_matrix(whole[name].X).toarray().astype(float) for name in ("rna", "atac"))
    total = rna.sum(1, keepdims=True)
    rna = np.log1p(rna * np.median(total[total > 0]) / np.maximum(total, 1))
    genes, peaks = list(whole["rna"].var_names), list(whole["atac"].var_names)
    bed = pd.read_csv(Path(path).with_suffix(".bed"), sep="\t", header=None).set_index(3).loc[genes]
    start = np.where(bed[5] == "+", bed[1], bed[2] - 1)
    place = pd.Series(peaks).str.rsplit("-", n=2, expand=True)
    middle = (place[1].astype(int) + place[2].astype(int)).to_numpy() / 2
    near = (place[0].to_numpy()[:, None] == bed[0].to_numpy()[None]) & (np.abs(middle[:, None] - start[None]) <= WINDOW)
    features = pd.DataFrame(np.where(near, 1.0, np.inf), index=peaks, columns=genes)
    cost = cdist(whole.obsm["X_spami"], whole.obsm["X_spami"])
    domain = whole.obs["ground_truth"].astype(str).to_numpy()
    columns = [pd.DataFrame(x, columns=names) for x, names in ((atac, peaks), (rna, genes))]
    with common.Clock() as clock:
        plans = solve(
            *columns, features, pd.DataFrame(cost / cost.max()), eps_p=EPSILON, rho_mu=RHO, rho_nu=RHO,
            nitermax=ROUNDS, stopthr=TOLERANCE, device="cpu",
        )  # fmt: skip
        found = {}
        member = sp.csr_matrix(np.stack([domain == name for name in np.unique(domain)]).astype(float))
        size = np.asarray(member.sum(1)).ravel()
        for (peak, gene), plan in plans.items():
            own = np.asarray((member @ sp.csr_matrix(plan)).multiply(member).sum(1)).ravel() / size**2
            found.update({(gene, peak, name): value for name, value in zip(np.unique(domain), own)})
    quality = {"AP": average_precision(path, found), "pairs": len(plans)}
    common.say(clock.report(peak_mib=common.peak_mib(), quality=quality, versions={"fgot": "0.0.9"}))


def main():
    parser = common.parser(__doc__, "links")
    parser.add_argument("--cases", nargs="+", default=["22x40", "45x10", "45x40", "100x40"], help="SIDExGENES")
    parser.add_argument("--peer-limit", type=float, default=5e7, help="cells² × genes; what is larger is ours alone")
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "target" / "bench-links")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bench = common.Bench(
        "links",
        "Links between peaks and genes",
        "All that is computed (neighbours, transport, strengths, permutations, correlations) against FGOT's solver and its strengths, "
        "from matrices in memory. FGOT keeps an entry for each pair and each two cells in which its peak and gene are seen. "
        "AP: average precision of the strengths by pair and domain.",
        arguments,
    )
    for case in arguments.cases:
        side, genes = map(int, case.split("x"))
        path = arguments.folder / f"{side}-{genes}.h5mu"
        if not path.exists():
            common.aside(__file__, "--prepare", side, genes, path)
        n = side * side
        peers = {"fgot": [sys.executable, __file__, "--peer", path]} if n * n * genes <= arguments.peer_limit else {}
        words = [sys.executable, __file__, "--ours", path]
        bench.compare(f"{n:,} cells × {genes} genes", n, words, peers, peer_repeats=arguments.peer_repeats)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        prepare(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        print(json.dumps({}))
    elif sys.argv[1:2] == ["--ours"]:
        ours(sys.argv[2])
    elif sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2])
    else:
        main()
