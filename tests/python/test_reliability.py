"""Hostile files, each once by name; and the campaigns of fuzz/, a few runs each: they work, and find nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

import brodmann as bm

FUZZ = Path(__file__).parents[2] / "fuzz"

pytestmark = pytest.mark.skipif(
    not os.environ.get("BRODMANN") or not FUZZ.is_dir() or sys.platform == "win32",
    reason="needs the command (BRODMANN), the folder fuzz and signals",
)


@pytest.mark.parametrize(("campaign", "n"), [("structured", 12), ("flags", 22), ("kills", 15), ("parallel", 6), ("faults", 12)])
def test_a_few_runs_of_each_campaign_find_nothing(campaign, n):
    pytest.importorskip("h5py")
    pytest.importorskip("mudata")
    ended = subprocess.run(
        [sys.executable, str(FUZZ / f"{campaign}.py"), "-n", str(n)], capture_output=True, text=True, timeout=900
    )
    assert ended.stdout, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["runs"] >= n
    assert report["findings"] == []


# What a process had held before it became the command counts as the command's, so a small one stands in between.
LAUNCH = """
import os, sys
report, command = int(sys.argv[1]), sys.argv[2:]
child = os.fork()
if child == 0:
    os.close(report)
    os.execv(command[0], command)
_, status, usage = os.wait4(child, 0)
os.write(report, f"{status} {usage.ru_maxrss}".encode())
"""


def ran(*args):
    """The command's run, and the most memory it held."""
    report, end = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", LAUNCH, str(end), os.environ["BRODMANN"], *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[end], start_new_session=True,
    )  # fmt: skip
    os.close(end)
    clock = threading.Timer(120, os.killpg, (child.pid, signal.SIGKILL))
    clock.start()
    stdout, stderr = child.communicate()
    clock.cancel()
    with open(report) as lines:
        said = lines.read()
    assert said, "the command did not end within two minutes"
    status, most = map(int, said.split())
    return subprocess.CompletedProcess(args, os.waitstatus_to_exitcode(status), stdout, stderr), most * 1024


def hostile(path, what):
    """A small file that declares gigabytes, holds itself, or keeps its values elsewhere."""
    bm.datasets.simulated(side=5, modalities="rna", n_genes=20).write_h5ad(path)
    text = h5py.string_dtype()
    with h5py.File(path, "r+") as f:
        if what == "unwritten":
            f.create_dataset("uns/u", shape=(2 * 10**8,), chunks=(65536,), dtype="f4")
        elif what == "one text":
            one = f.create_dataset("uns/u", shape=(3000,), dtype=text)
            one[:] = "x"
            f["uns/long"] = "y" * 2_000_000
            many = f["uns"].create_group("many")
            for k in range(3000):
                many[f"k{k}"] = f["uns/long"]
        elif what == "cycle":
            f["uns/again"] = f["uns"]
        elif what == "root":
            f["uns/root"] = f["/"]
        elif what == "deep":
            group = f["uns"]
            for _ in range(5000):
                group = group.create_group("g")
        elif what == "twice":
            group = f["uns"]
            for _ in range(30):
                below = f.create_group(None)
                group["a"], group["b"] = below, below
                group = below
        elif what == "external":
            f.create_dataset("uns/u", shape=(8,), dtype="u1", external=[(str(path.parent / "secret"), 0, 8)])
        elif what == "virtual":
            layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(path.parent / "other.h5"), "x", shape=(3,))
            f.create_virtual_dataset("uns/u", layout)
    return path


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("unwritten", "memory"), ("one text", "memory"), ("cycle", "holds itself"), ("root", "holds itself"),
        ("deep", "deep"), ("twice", "unfolds"), ("external", "another file"), ("virtual", "other arrays"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_words(tmp_path, what, said):
    (tmp_path / "secret").write_bytes(b"password")
    path = hostile(tmp_path / "a.h5ad", what)
    for args in (["info", path], ["convert", path, "--out", tmp_path / "out.h5ad"], ["mixture", path, "--in-place", "-k", "2"]):
        ended, peak = ran(*args)
        if args[0] != "convert" and ended.returncode == 0:
            continue  # what is not looked at is not refused
        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
        assert "bug" not in ended.stderr
        assert peak < 1 << 30
    assert not (tmp_path / "out.h5ad").exists()


def test_values_in_other_files_are_read_when_asked_for(tmp_path):
    (tmp_path / "secret").write_bytes(b"password")
    path = hostile(tmp_path / "a.h5ad", "external")
    ended, _ = ran("convert", path, "--out", tmp_path / "out.h5ad", "--follow-external")
    assert ended.returncode == 0, ended.stderr
    with h5py.File(tmp_path / "out.h5ad") as f:
        assert bytes(f["uns/u"][()]) == b"password"


def test_many_keys_end(tmp_path):
    # Where every key is looked for among all, these take minutes, and the clock of `ran` ends them.
    path = tmp_path / "a.h5ad"
    bm.datasets.simulated(side=5, modalities="rna", n_genes=20).write_h5ad(path)
    with h5py.File(path, "r+") as f:
        for k in range(8000):
            f[f"uns/k{k}"] = k
    ended, _ = ran("convert", path, "--out", tmp_path / "out.h5ad")
    assert ended.returncode == 0, ended.stderr


def test_columns_whose_names_have_slashes_survive(tmp_path):
    path = tmp_path / "a.h5ad"
    bm.datasets.simulated(side=5, modalities="rna", n_genes=20).write_h5ad(path)
    with h5py.File(path, "r+") as f:
        f["obs/CD3/CD4"] = np.arange(25.0)
        f["obs"].attrs["column-order"] = np.array([*f["obs"].attrs["column-order"], "CD3/CD4"], dtype=h5py.string_dtype())
    ended, _ = ran("convert", path, "--out", tmp_path / "out.h5ad")
    assert ended.returncode == 0, ended.stderr
    assert (anndata.read_h5ad(tmp_path / "out.h5ad").obs["CD3/CD4"] == np.arange(25.0)).all()


def test_a_column_of_the_user_is_replaced_in_place_only_when_forced(tmp_path):
    path = tmp_path / "a.h5ad"
    adata = bm.datasets.simulated(side=6, modalities="rna", n_genes=40)
    adata.obs["mine"] = np.arange(36.0)
    adata.write_h5ad(path)
    command = ["mixture", path, "--in-place", "-k", "2", "--key-added", "mine"]
    ended, _ = ran(*command)
    assert ended.returncode == 2 and "--force" in ended.stderr, ended.stderr
    assert (anndata.read_h5ad(path).obs["mine"] == np.arange(36.0)).all()
    # Elsewhere the input keeps it; its own columns a run may replace.
    assert ran("mixture", path, "--out", tmp_path / "b.h5ad", "-k", "2", "--key-added", "mine")[0].returncode == 0
    assert ran("mixture", tmp_path / "b.h5ad", "--in-place", "-k", "3", "--key-added", "mine")[0].returncode == 0
    assert ran(*command, "--force")[0].returncode == 0
    assert anndata.read_h5ad(path).obs["mine"].nunique() == 2


@pytest.mark.parametrize("what", ["one place", "constant"])
def test_domains_are_not_invented_where_nothing_differs(tmp_path, what):
    path = tmp_path / "a.h5ad"
    adata = bm.datasets.simulated(side=6, modalities="rna", n_genes=40)
    if what == "one place":
        adata.obsm["spatial"] = np.ones((36, 2))
    else:
        adata.X = np.ones(adata.shape, dtype=np.float32)
    adata.write_h5ad(path)
    for method in ("spatialleiden", "banksy", "smoothed-pca", "domains"):
        ended, _ = ran(method, path, "--out", tmp_path / "b.h5ad", *(() if method == "spatialleiden" else ("-k", "3")))
        assert ended.returncode == 2, (method, ended.stderr)


def test_small_oddities_are_told_in_words(tmp_path):
    path = tmp_path / "a.h5ad"
    bm.datasets.simulated(side=6, modalities="rna", n_genes=40).write_h5ad(path)
    assert ran("mixture", path, "--out", tmp_path / "b.h5ad", "-k", "2", "--threads", "3000")[0].returncode == 0
    for more in (["--key-added", "."], ["--key-added", "a/b"]):
        ended, _ = ran("mixture", path, "--out", tmp_path / "c.h5ad", "-k", "2", *more)
        assert ended.returncode == 2 and "key-added" in ended.stderr, ended.stderr
    ended, _ = ran("simulate", "--out", tmp_path / "s.h5ad", "--spot-pitch", "1e308")
    assert ended.returncode == 2 and "0" * 41 not in ended.stderr, ended.stderr
    named = tmp_path / "\x1b[31mred\nline.h5ad"
    ended, _ = ran("info", named)
    assert ended.returncode == 2 and "\x1b" not in ended.stderr and "\\u{1b}" in ended.stderr, ended.stderr


def test_the_exit_code_says_which_signal_it_was(tmp_path):
    path = tmp_path / "a.h5ad"
    bm.datasets.simulated(side=40, modalities="rna", n_genes=300).write_h5ad(path)
    for sent, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
        child = subprocess.Popen(
            [os.environ["BRODMANN"], "staig", str(path), "--out", str(tmp_path / "b.h5ad"), "-k", "3"], stderr=subprocess.PIPE, text=True
        )
        # The handler stands before the first note is printed.
        child.stderr.readline()
        child.send_signal(sent)
        said = child.communicate(timeout=120)[1]
        assert child.returncode == code and "interrupted" in said, said
        assert [p.name for p in tmp_path.iterdir()] == ["a.h5ad"]


def test_letters_that_a_png_has_not_are_told(tmp_path):
    path = tmp_path / "a.h5ad"
    adata = bm.datasets.simulated(side=6, modalities="rna", n_genes=40)
    adata.obs["腫瘍"] = ["aé"] * 18 + ["אב"] * 18
    adata.obs["long"] = ["x" * 200_000] * 36
    adata.write_h5ad(path)
    ended, _ = ran("plot", path, "--color", "腫瘍", "--out", tmp_path / "p.png")
    assert ended.returncode == 0 and "腫" in ended.stderr and "svg" in ended.stderr and "é" not in ended.stderr, ended.stderr
    assert "boxes" not in ran("plot", path, "--color", "腫瘍", "--out", tmp_path / "p.svg")[0].stderr
    assert ran("plot", path, "--color", "long", "--out", tmp_path / "l.png")[0].returncode == 0


TABLES = {
    "complex.mtx": "%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 1 3 4\n",
    "nan.mtx": "%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 nan\n",
    "huge.mtx": "%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1e400\n",
    "nan.csv": "spot,x,y,g0,g1\ns0,0,1,nan,3\ns1,4,5,6,0\n",
    "huge.csv": "spot,x,y,g0,g1\ns0,0,1,1e400,3\ns1,4,5,6,0\n",
    "twice.csv": "spot,x,y,g0,g1\ns0,0,1,2,3\ns0,4,5,6,0\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_with_what_is_no_count_are_refused(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".mtx"):
        path = tmp_path / "folder"
        path.mkdir()
        (path / "barcodes.tsv").write_text("s0\ns1\n")
        (path / "features.tsv").write_text("i0\tg0\ni1\tg1\n")
        (path / "matrix.mtx").write_text(TABLES[name])
    else:
        path.write_text(TABLES[name])
    ended, _ = ran("convert", path, "--out", tmp_path / "out.h5ad")
    assert ended.returncode == 2, ended.stderr
    assert "expected" in ended.stderr or "not unique" in ended.stderr
