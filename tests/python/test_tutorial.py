"""docs/tutorial.py runs, finds what it says it finds, and docs/tutorial.md shows that script."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_tutorial_finds_all_five_domains_jointly_and_not_singly():
    pytest.importorskip("matplotlib")
    pytest.importorskip("mudata")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(DOCS / "tutorial.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    together = re.search(r"all together, spatialleiden: 5 domains, ARI (\d\.\d+)", done.stdout)
    assert together and float(together[1]) >= 0.95
    alone = [float(ari) for ari in re.findall(r"alone,.*ARI (\d\.\d+)", done.stdout)]
    assert len(alone) == 6 and max(alone) < 0.7
    # What the page shows is what the script prints.
    page = (DOCS / "tutorial.md").read_text()
    for line in done.stdout.splitlines():
        if "ARI" in line:
            assert line.rstrip() in page


def test_the_page_shows_the_script_as_it_is():
    spec = importlib.util.spec_from_file_location("render", DOCS / "render.py")
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    page = (DOCS / "tutorial.md").read_text()
    for _, content in render.cells((DOCS / "tutorial.py").read_text()):
        assert content in page, "docs/tutorial.md is of another docs/tutorial.py: run python docs/render.py"
    for picture in re.findall(r"\]\((tutorial-\d+\.png)\)", page):
        assert (DOCS / picture).exists()
