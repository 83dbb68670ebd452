"""Compare files written by brodmann-data with their originals, as Python's anndata, mudata and h5py read them.

    python tests/python/check_files.py PROGRAM DATA

PROGRAM is the example `edit_roundtrip` of brodmann-data (`cargo build -p brodmann-data --examples`), DATA the folder
of tissue and fixtures. Needs anndata, mudata, h5py, numpy, pandas, scipy; scanpy where 10x and Visium folders are
to be compared. Every difference is printed; the exit code is 1 if there is one.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import anndata as ad
import h5py
import mudata as mu

# As mudata itself advises: reading a file does not change its tables.
if hasattr(mu, "set_options"):
    mu.set_options(pull_on_update=False)
import numpy as np
import pandas as pd
import scipy.sparse as sp

PROGRAM, DATA = sys.argv[1], Path(sys.argv[2])
FAILED = []


def differ(where, what):
    FAILED.append(where)
    print(f"DIFFERS {where}: {what}")


def same_array(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind == "S" and b.dtype.kind != "S":
        # Bytes of old files are texts when written anew.
        a = a.astype(str)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        return np.array_equal(a, b, equal_nan=True)
    if a.dtype.names:
        return a.dtype.names == b.dtype.names and all(same_array(a[n], b[n]) for n in a.dtype.names)
    return bool(np.all(a == b)) if a.size else True


def compare(a, b, where, exact=True):
    """`exact`: types as well as values (a copy was edited); else values (written from scratch)."""
    if isinstance(a, (ad.AnnData, mu.MuData)):
        parts = ["obs", "var", "obsm", "varm", "obsp", "varp", "uns"]
        if isinstance(a, ad.AnnData):
            parts += ["layers"]
            compare(a.X, b.X, f"{where}.X", exact)
            if (a.raw is None) != (b.raw is None):
                return differ(f"{where}.raw", "one is missing")
            if a.raw is not None:
                compare(a.raw.X, b.raw.X, f"{where}.raw.X", exact)
                compare(a.raw.var, b.raw.var, f"{where}.raw.var", exact)
        else:
            if list(a.mod) != list(b.mod):
                return differ(where, f"modalities {list(a.mod)} {list(b.mod)}")
            for m in a.mod:
                compare(a.mod[m], b.mod[m], f"{where}.mod[{m}]", exact)
            for p in ("obsmap", "varmap"):
                compare(dict(getattr(a, p)), dict(getattr(b, p)), f"{where}.{p}", exact)
            if a.axis != b.axis:
                differ(where, "axis")
        for p in parts:
            compare(getattr(a, p), getattr(b, p), f"{where}.{p}", exact)
        return
    if isinstance(a, pd.DataFrame):
        if not isinstance(b, pd.DataFrame):
            return differ(where, f"{type(a)} {type(b)}")
        if list(map(str, a.index)) != list(map(str, b.index)):
            return differ(where, "row names")
        if a.index.name != b.index.name:
            differ(where, f"index name {a.index.name} {b.index.name}")
        ours = [c for c in b.columns if not (exact and "ours" in str(c))]
        if list(a.columns) != ours:
            return differ(where, f"columns {list(a.columns)} {ours}")
        for c in a.columns:
            compare(a[c], b[c], f"{where}[{c}]", exact)
        return
    if isinstance(a, pd.Series) or isinstance(a, pd.Categorical):
        if isinstance(a, pd.Series):
            if str(a.dtype) == "category":
                return compare(a.array, b.array if isinstance(b, pd.Series) else b, where, exact)
            if exact and str(a.dtype) != str(b.dtype):
                differ(where, f"dtype {a.dtype} {b.dtype}")
            if not (a.isna().to_numpy() == b.isna().to_numpy()).all():
                return differ(where, "missing entries")
            keep = ~a.isna().to_numpy()
            if not same_array(a.to_numpy()[keep], b.to_numpy()[keep]):
                differ(where, "values")
            return
        if not isinstance(b, pd.Categorical):
            return differ(where, f"categories became {type(b)}")
        if list(a.categories) != list(b.categories) or a.ordered != b.ordered or not same_array(a.codes, b.codes):
            differ(where, f"categories {list(a.categories)[:4]} {list(b.categories)[:4]} {a.ordered} {b.ordered}")
        return
    if hasattr(a, "keys") and hasattr(b, "keys") and not isinstance(a, np.ndarray):
        keys_b = [k for k in b.keys() if not (exact and ("ours" in str(k)))]
        dropped = set()
        if not exact:
            dropped = {k for k in a.keys() if k not in b.keys() and opaque(a[k])}
        if set(a.keys()) - dropped != set(keys_b):
            return differ(where, f"keys {sorted(map(str, a.keys()))} {sorted(map(str, keys_b))}")
        for k in a.keys():
            if k not in dropped:
                compare(a[k], b[k], f"{where}[{k}]", exact)
        return
    if sp.issparse(a) or sp.issparse(b):
        if not (sp.issparse(a) and sp.issparse(b)) or a.shape != b.shape:
            return differ(where, f"{type(a)} {type(b)}")
        if exact and (a.format != b.format or a.dtype != b.dtype):
            differ(where, f"{a.format} {a.dtype} {b.format} {b.dtype}")
        a, b = sp.csr_matrix(a), sp.csr_matrix(b)
        a.sort_indices(), b.sort_indices()
        if not (same_array(a.indptr, b.indptr) and same_array(a.indices, b.indices) and same_array(a.data, b.data)):
            differ(where, "stored entries")
        return
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if exact and getattr(a, "dtype", None) != getattr(b, "dtype", None):
            differ(where, f"dtype {getattr(a, 'dtype', type(a))} {getattr(b, 'dtype', type(b))}")
        if not exact and isinstance(a, str) and np.size(b) == 1:
            # Old files hold one text as a vector of one.
            a = [a]
        if not same_array(a, b):
            differ(where, "values")
        return
    if a is None or b is None:
        if a is not b:
            differ(where, f"{a!r} {b!r}")
        return
    try:
        equal = bool(a == b) or (a != a and b != b)
    except Exception:
        equal = repr(a) == repr(b)
    if not equal:
        differ(where, f"{a!r} {b!r}")


def opaque(value):
    """What brodmann-data says it cannot write from scratch: records, awkward arrays."""
    return bool(getattr(getattr(value, "dtype", None), "names", None)) or type(value).__module__.startswith("awkward")


def snapshot(path):
    """Every object of a file with its attributes and raw content."""
    out = {}

    def plain(v):
        return v.tolist() if hasattr(v, "tolist") else v

    def visit(name, o):
        attrs = {k: repr(plain(o.attrs[k])) for k in o.attrs}
        if isinstance(o, h5py.Dataset):
            value = o[()]
            content = value.tobytes() if isinstance(value, np.ndarray) and not o.dtype.hasobject else repr(plain(value))
            out[name] = ("array", str(o.dtype), o.shape, o.chunks, o.compression, content, attrs)
        else:
            out[name] = ("group", attrs)

    with h5py.File(path, "r") as f:
        visit("/", f)
        f.visititems(visit)
    return out


def check_additions(x, where):
    n, v = x.n_obs, x.n_vars
    want = [None if i % 5 == 4 else f"domain {i % 3}" for i in range(n)]
    got = [None if pd.isna(s) else s for s in x.obs["ours_label"]]
    ok = got == want and str(x.obs["ours_label"].dtype) == "category"
    ok &= np.array_equal(x.obs["ours_score"], np.arange(n) / 7.0)
    ok &= list(x.obs["ours_text"]) == [f"é{i}" for i in range(n)]
    ok &= x.obs["ours_flag"].dtype == bool and list(x.obs["ours_flag"]) == [i % 2 == 0 for i in range(n)]
    ok &= list(x.var["ours_rank"]) == list(range(v))
    ok &= np.array_equal(x.obsm["X_ours"], np.arange(n)[:, None] - 0.25 * np.arange(3)[None])
    if n:
        g = sp.csr_matrix(x.obsp["ours_connectivities"])
        ok &= g.shape == (n, n) and np.array_equal(g.indices, (np.arange(n) + 1) % n)
        ok &= np.array_equal(g.data, 0.5 + np.arange(n))
    u = x.uns["ours"]
    ok &= u["params"]["seed"] == 42 and u["params"]["method"] == "leiden" and u["params"]["none"] is None
    ok &= np.array_equal(u["loss"], [3.0, 2.5, np.nan], equal_nan=True) and list(u["names"]) == ["a", "β"]
    ok &= bool(u["converged"]) is True and u["quality"] == 0.1 + 0.2
    if not ok:
        differ(where, "the added elements")


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def load(path):
    return mu.read_h5mu(path) if str(path).endswith(".h5mu") else ad.read_h5ad(path)


def platforms():
    """10x and Visium as scanpy reads them."""
    try:
        import scanpy as sc
    except ImportError:
        print("SKIPPED 10x and Visium: no scanpy")
        return
    fixtures = DATA / "fixtures"
    tenx = fixtures / "tenx_scanpy"
    cases = [
        (tenx / "1.2.0/filtered_gene_bc_matrices_h5.h5", sc.read_10x_h5, {}),
        (tenx / "3.0.0/filtered_feature_bc_matrix.h5", sc.read_10x_h5, {}),
        (tenx / "1.2.0/filtered_gene_bc_matrices/hg19_chr21", sc.read_10x_mtx, {}),
        (tenx / "3.0.0/filtered_feature_bc_matrix", sc.read_10x_mtx, {}),
        (fixtures / "visium_scanpy/2.1.0/raw_probe_bc_matrix.h5", sc.read_10x_h5, {}),
        (fixtures / "xenium_mousebrain_subset/cell_feature_matrix.h5", sc.read_10x_h5, {}),
        (fixtures / "visium_scanpy/1.0.0", sc.read_visium, {}),
        (fixtures / "squidpy", sc.read_visium, {}),
    ]
    for path, reader, options in cases:
        name = str(path.relative_to(DATA))
        if not path.exists():
            print(f"SKIPPED {name}: not there")
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "converted.h5ad"
            done = run("convert", path, out)
            if done.returncode:
                differ(f"convert {name}", done.stderr.strip())
                continue
            if reader is sc.read_10x_mtx:
                options = {"make_unique": False, **options}
            theirs, ours = reader(path, **options), ad.read_h5ad(out)
            for frame in (theirs.var, ours.var):
                frame.drop(columns=[c for c in frame if c in ("pattern", "read", "sequence")], inplace=True)
            for library in ours.uns.get("spatial", {}).values():
                # What scanpy does not record.
                library["metadata"].pop("coordinate_unit")
            for library in theirs.uns.get("spatial", {}).values():
                # scanpy keeps some of these as arrays of bytes; we write texts.
                plain = {k: np.ravel(v)[0] for k, v in library["metadata"].items()}
                library["metadata"] = {k: v.decode() if isinstance(v, bytes) else v for k, v in plain.items()}
            theirs.var = theirs.var[sorted(theirs.var)].astype(object).where(theirs.var.notna(), None)
            ours.var = ours.var[sorted(ours.var)].astype(object).where(ours.var.notna(), None)
            compare(theirs, ours, f"convert {name}", exact=False)
        print(f"checked {name}")


def main():
    platforms()
    files = sorted(p for p in DATA.rglob("*") if p.suffix in (".h5ad", ".h5mu"))
    for path in files:
        name = str(path.relative_to(DATA))
        try:
            original = load(path)
        except Exception as e:
            print(f"SKIPPED {name}: Python cannot read it ({e})")
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"edited{path.suffix}"
            done = run("edit", path, out)
            if done.returncode:
                differ(f"edit {name}", done.stderr.strip())
            else:
                edited = load(out)
                compare(original, edited, f"edit {name}")
                check_additions(edited, f"edit {name}")
                if path.suffix == ".h5mu":
                    for m in edited.mod:
                        check_additions(edited.mod[m], f"edit {name} {m}")
                before, after = snapshot(path), snapshot(out)
                legacy = before.get("obs", ("",))[0] == "array"
                for key, value in before.items():
                    touched = key.split("/")[-1] in ("obs", "var") or (legacy and key.split("/")[0] in ("obs", "var", "obsm", "uns"))
                    if not touched and after.get(key) != value and "recarray" not in key:
                        differ(f"edit {name}", f"the object {key} changed")
                twice = Path(folder) / f"twice{path.suffix}"
                done = run("edit", out, twice)
                if done.returncode:
                    differ(f"edit twice {name}", done.stderr.strip())
                else:
                    again = load(twice)
                    compare(original, again, f"edit twice {name}")
                    check_additions(again, f"edit twice {name}")
            out = Path(folder) / f"rewritten{path.suffix}"
            done = run("rewrite", path, out)
            if done.returncode:
                differ(f"rewrite {name}", done.stderr.strip())
            else:
                compare(original, load(out), f"rewrite {name}", exact=False)
            if [p for p in os.listdir(folder) if "brodmann-part" in p]:
                differ(name, "a temporary file was left")
        print(f"checked {name}")
    print(f"{len(files)} files, {len(FAILED)} differences")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
