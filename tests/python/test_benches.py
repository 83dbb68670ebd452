"""The bench framework on made results: no timing, no peers."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHES = REPOSITORY / "benches"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHES))
    yield importlib.import_module("common"), importlib.import_module("render")
    for name in ("common", "render"):
        sys.modules.pop(name, None)


def speaking(report):
    """A command that prints a report."""
    return [sys.executable, "-c", f"print('chatter'); print({json.dumps(json.dumps(report))})"]


def made(common, folder, name="made"):
    arguments = argparse.Namespace(repeats=3, threads=1, json=folder / f"{name}.json", no_peers=False)
    return common.Bench(name, "Made up", "Read it so.", arguments)


def test_pairs_alternate_and_become_rows_and_a_page(modules, tmp_path, capsys):
    common, render = modules
    bench = made(common, tmp_path)
    ours = speaking({"seconds": 0.5, "peak_mib": 10, "quality": {"ARI": 0.9}})
    peers = {
        "slow": speaking({"seconds": 2.0, "peak_mib": 40, "quality": {"ARI": 0.8}, "versions": {"slow": "1.2"}}),
        "quick": speaking({"seconds": 0.25, "peak_mib": 5}),
        "broken": [sys.executable, "-c", "raise SystemExit('it broke')"],
    }
    bench.compare("a | b", 100, ours, peers)
    bench.compare("alone", 100, speaking({"steps": {"read": {"seconds": 1}, "write": {"seconds": 2}}}))
    bench.write()
    report = json.loads((tmp_path / "made.json").read_text())
    assert {"schema", "name", "date", "machine", "versions", "rows", "notes", "command"} <= set(report)
    assert {"cpu", "cores", "memory_gib"} <= set(report["machine"])
    assert report["versions"]["slow"] == "1.2" and "brodmann" in report["versions"]
    assert [row["case"] for row in report["rows"]] == ["a | b", "a | b", "alone: read", "alone: write"]
    slow, quick, read, _ = report["rows"]
    assert (slow["ratio"]["median"], slow["memory_ratio"], quick["ratio"]["median"]) == (4.0, 4.0, 0.5)
    assert slow["ours"]["seconds"] == {"median": 0.5, "min": 0.5, "max": 0.5, "n": 3}
    # What the system counts starts from the size of the process that started it: up to there it says nothing.
    assert read["peer"] is None and read["ours"]["peak_mib"] is None
    assert any("broken" in note for note in report["notes"])

    page = render.render(tmp_path)
    assert "## Made up" in page and "Read it so." in page and "a \\| b" in page
    assert "**slower** 0.5×" in page and "Slower than the peer in 1 of 2 comparisons." in page
    assert "[Made up](#made-up)" in page
    # Nobody's folders.
    assert str(tmp_path) not in page and sys.executable not in page
    assert "Made up" not in capsys.readouterr().err


def test_where_a_process_gives_no_peak_the_systems_is_taken_if_it_is_its_own(modules, tmp_path):
    resource = pytest.importorskip("resource")
    common, _ = modules
    unit = 2**20 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    wanted = int(own) + 100
    script = f"held = bytearray(b'1') * ({wanted} * 2**20); print('{{\"seconds\": 1}}')"
    bench = made(common, tmp_path)
    bench.compare("large", 1, [sys.executable, "-c", script])
    bench.write()
    (row,) = json.loads((tmp_path / "made.json").read_text())["rows"]
    assert wanted <= row["ours"]["peak_mib"]["median"] < wanted + 100


def test_one_pair_is_said_to_be_one(modules, tmp_path):
    common, render = modules
    bench = made(common, tmp_path)
    quick, slow = speaking({"seconds": 0.5}), speaking({"seconds": 2.0})
    reports = bench.compare("few", 1, quick, {"peer": slow}, peer_repeats=1)
    assert (len(reports["brodmann"]), len(reports["peer"])) == (3, 1)
    bench.write()
    assert "4.00× (1 pair)" in render.render(tmp_path)


def test_results_of_the_command_are_rendered_too(modules, tmp_path):
    _, render = modules
    spread = {"median": 1.5, "min": 1.0, "max": 2.0, "n": 3}
    side = {"tool": "brodmann", "command": "brodmann bench", "seconds": spread, "cpu_seconds": spread, "peak_mib": None, "quality": {"ARI": spread}}
    row = {"bench": "end-to-end", "case": "all", "n": 100, "ours": side, "peer": None, "ratio": None, "memory_ratio": None}
    machine = {"cpu": "a", "cores": 2, "memory_gib": None, "system": "linux"}
    report = {"schema": 1, "name": "end-to-end", "title": "All", "reading": "So.", "date": "2026-01-01", "command": "brodmann bench", "machine": machine, "versions": {"brodmann": "0.1.0"}, "threads": 2, "rows": [row], "notes": []}
    (tmp_path / "end-to-end.json").write_text(json.dumps(report))
    assert "| all | 1.50 [1.00–2.00] | 1.50 | ARI 1.5 [1–2] |" in render.render(tmp_path)


def test_the_page_is_what_the_results_give():
    if not (REPOSITORY / "BENCHMARKS.md").exists():
        pytest.skip("there is no BENCHMARKS.md yet")
    done = subprocess.run([sys.executable, BENCHES / "render.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_bench_says_what_it_does():
    names = sorted(p.parent.name for p in BENCHES.glob("*/[cr]*.py") if p.parent.name != "__pycache__")
    run = (BENCHES / "run").read_text()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for name in names:
        assert name in run, name
        script = next(BENCHES.glob(f"{name}/[cr]*.py"))
        done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and f"benches/run {name}" in done.stdout, done.stderr or done.stdout
    assert len(names) == 23
