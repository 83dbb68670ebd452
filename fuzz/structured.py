"""HDF5 files whose structure is hostile: each is built by h5py from a number, and read by ``info``, ``convert`` and a method.

Bytes at random hardly ever get past the checksums of a file; what is wrong here is what a file *says*: groups that hold
themselves, chunks never written, one text referred to a thousand times, shapes, types, attributes and encodings that do
not fit one another, values in other files.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from harness import digest, main, rng, run, tissue

TEXT = h5py.string_dtype()


def pick_group(f, r):
    groups = []
    f.visititems(lambda name, o: groups.append(name) if isinstance(o, h5py.Group) else None)
    return f[r.choice(groups)] if groups else f


def pick_array(f, r):
    arrays = []
    f.visititems(lambda name, o: arrays.append(name) if isinstance(o, h5py.Dataset) else None)
    return r.choice(arrays)


def cycle(f, r):
    group = pick_group(f, r)
    group[f"again{r.randrange(10)}"] = r.choice([f["/"], f["uns"], f["obs"], group])


def soft_cycle(f, r):
    f["uns/loop"] = h5py.SoftLink(r.choice(["/uns", "/", "/uns/loop", "../uns", "/obs"]))


def deep(f, r):
    group = f["uns"]
    for _ in range(r.choice([20, 90, 150, 2000])):
        group = group.create_group("g")


def twice(f, r):
    group = f["uns"].create_group("top")
    for _ in range(r.choice([5, 12, 30])):
        below = f.create_group(None)
        group["a"], group["b"] = below, below
        group = below


def unwritten(f, r):
    rows = r.choice([10**3, 10**7, 2 * 10**8, 10**12])
    dtype = r.choice(["i1", "f4", "f8", TEXT])
    where = r.choice(["uns/u", "obsm/u", "layers/u", "obs/u"])
    shape = (rows,) if where in {"uns/u", "obs/u"} else (rows, r.choice([1, 30]))
    f.create_dataset(where, shape=shape, chunks=tuple(min(s, 1 << 16) for s in shape), dtype=dtype)


def many_references(f, r):
    n, size = r.choice([(3000, 2_000_000), (50, 1000), (100_000, 10)])
    f["uns/one"] = "x" * size
    texts = f.create_dataset("uns/many", shape=(1,), dtype=TEXT)
    texts[0] = "y" * size
    raw = h5py.h5d.open(f.id, b"uns/many")
    # The reference itself, copied: all entries mean one text.
    f.create_dataset("uns/copies", shape=(n,), dtype=TEXT, chunks=(min(n, 4096),), compression="gzip")
    del raw
    f["uns/copies"][:] = "z" * min(size, 2000)


def columns_linked(f, r):
    names = []
    source = pick_array(f, r)
    for i in range(r.choice([10, 2000])):
        f[f"obs/l{i}"] = f[source]
        names.append(f"l{i}")
    f["obs"].attrs.modify("column-order", np.array(names, dtype=TEXT))


def wrong_shape(f, r):
    name = pick_array(f, r)
    old = f[name]
    kept = dict(old.attrs)
    dtype = old.dtype
    del f[name]
    shape = r.choice([(), (0,), (1,), (7, 3), (2, 2, 2), None])
    if shape is None:
        f.create_dataset(name, dtype=dtype, data=h5py.Empty(dtype))
    else:
        f.create_dataset(name, shape=shape, dtype=dtype)
    for key, value in kept.items():
        f[name].attrs[key] = value


def wrong_type(f, r):
    name = pick_array(f, r)
    shape = f[name].shape or ()
    kept = dict(f[name].attrs)
    del f[name]
    dtype = r.choice(["i1", "u8", "f2", "f8", ">i4", "S3", TEXT, "?", [("a", "i4"), ("b", "f8")], h5py.vlen_dtype("i4"), "c16",
                      h5py.ref_dtype, h5py.enum_dtype({"A": 0, "B": 1}), "V5", h5py.opaque_dtype(np.dtype("M8[s]"))])
    f.create_dataset(name, shape=shape, dtype=dtype)
    for key, value in kept.items():
        f[name].attrs[key] = value


def wrong_attribute(f, r):
    group = pick_group(f, r)
    key = r.choice([*group.attrs, "encoding-type", "encoding-version", "shape", "_index", "column-order", "ordered"])
    value = r.choice([3, -1, 1.5, "categorical", "csr_matrix", "dataframe", "dict", "", "\x00", "x" * 40000, [1, 2, 3], [-5, 10**18],
                      np.array([], dtype="f8"), np.array(["a", "a"], dtype=TEXT), True, h5py.Empty("f4"), "../..", "a/b"])
    if key in group.attrs:
        del group.attrs[key]
    group.attrs[key] = value


def removed(f, r):
    names = []
    f.visit(names.append)
    del f[r.choice(names)]


def indices(f, r):
    for name in ("X/indices", "X/indptr"):
        if name in f and len(f[name]):
            f[name][r.randrange(len(f[name]))] = r.choice([-1, 2**31 - 1, 0, 10**6])


def external(f, r):
    f.create_dataset("uns/elsewhere", shape=(64,), dtype="u1", external=[("/etc/hostname", 0, 64)])


def virtual(f, r):
    layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(10,))
    f.create_virtual_dataset("uns/virtual", layout)


def external_link(f, r):
    f[r.choice(["uns/far", "obsm/far", "layers/far"])] = h5py.ExternalLink("/etc/passwd", "/x")


def keys(f, r):
    for i in range(r.choice([100, 3000])):
        f[f"uns/k{i}"] = i


def names(f, r):
    odd = ["\x1b[31mred", "a\nb", "腫瘍", "‮txt", "x" * 3000, " ", ".hidden", "a b", "é"]
    for name in r.sample(odd, 3):
        f["uns"].create_group(name)
        f["uns"][name].attrs["encoding-type"] = "dict"


def numbers(f, r):
    name = pick_array(f, r)
    a = f[name]
    if a.dtype.kind == "f" and a.size:
        a[...] = r.choice([np.nan, np.inf, -np.inf, -1.0, 1e38, 0.0])
    elif a.dtype.kind in "iu" and a.size:
        a[...] = r.choice([0, 1, -1 if a.dtype.kind == "i" else 1, np.iinfo(a.dtype).max])


def categories(f, r):
    group = f["obs"].create_group("loop") if "loop" not in f["obs"] else f["obs/loop"]
    group.attrs["encoding-type"] = r.choice(["categorical", "nullable-string-array", "nullable-integer"])
    group.attrs["encoding-version"] = "0.2.0"
    group["codes"] = np.zeros(64, dtype="i1")
    group["categories"] = r.choice([group, f["obs"]]) if r.random() < 0.5 else np.arange(3)
    f["obs"].attrs.modify("column-order", np.array(["loop"], dtype=TEXT))


def slashes(f, r):
    f["obs/a/b"] = np.arange(64.0)
    f["obs"].attrs.modify("column-order", np.array(["a/b"], dtype=TEXT))


DAMAGES = [cycle, soft_cycle, deep, twice, unwritten, many_references, columns_linked, wrong_shape, wrong_type, wrong_attribute, removed,
           indices, external, virtual, external_link, keys, names, numbers, categories, slashes]  # fmt: skip


def prepare(base: Path) -> list[Path]:
    return [tissue(base / "a.h5ad"), tissue(base / "b.h5mu", modalities="rna,adt")]


def one(campaign, i, folder, seeds):
    r = rng("structured", i)
    seed = seeds[0] if r.random() < 0.7 else seeds[1]
    path = folder / seed.name
    path.write_bytes(seed.read_bytes())
    done = []
    with h5py.File(path, "r+") as f:
        root = f if "uns" in f and "obs" in f and path.suffix == ".h5ad" else f
        if "uns" not in root:
            root.create_group("uns")
        for damage in r.sample(DAMAGES, r.choice([1, 1, 2])):
            try:
                damage(root, r)
                done.append(damage.__name__)
            except Exception:  # h5py itself refuses some combinations
                continue
    before = digest(path)
    commands = [["info", path], ["convert", path, "--out", folder / ("out" + path.suffix)],
                ["mixture", path, "--out", folder / ("m" + path.suffix), "-k", "3"]]  # fmt: skip
    for args in commands[:1] + [r.choice(commands[1:])]:
        ended = run([*args, "--quiet"], timeout=60)
        verdict = ended.verdict()
        if digest(path) != before:
            verdict = "input changed"
        if verdict == "ok" and args[0] != "info":
            verdict = readable(Path(args[args.index("--out") + 1]))
        campaign.note(f"{i} ({'+'.join(done)})", verdict, ended)


def readable(path: Path) -> str:
    """Whether h5py walks all of what was written."""
    try:
        with h5py.File(path, "r") as f:
            f.visititems(lambda _, o: o[()] if isinstance(o, h5py.Dataset) and o.size and o.size < 10**6 and not o.external and not o.is_virtual else None)
    except Exception as e:
        return f"unreadable output ({e})"
    return "ok"


if __name__ == "__main__":
    main("structured", one, prepare)
