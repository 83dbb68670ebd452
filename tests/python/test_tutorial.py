"""The scripts in docs run, find what they say they find, and the pages show those scripts."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def what_says(stem):
    """What a script in docs prints, once it has run to its end."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("mudata")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(DOCS / f"{stem}.py")],
        capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tutorial_finds_all_five_domains_jointly_and_not_singly():
    said = what_says("tutorial")
    together = re.search(r"all together, spatialleiden: 5 domains, ARI (\d\.\d+)", said)
    assert together and float(together[1]) >= 0.95
    alone = [float(ari) for ari in re.findall(r"alone,.*ARI (\d\.\d+)", said)]
    assert len(alone) == 6 and max(alone) < 0.7
    # What the page shows is what the script prints.
    page = (DOCS / "tutorial.md").read_text()
    for line in said.splitlines():
        if "ARI" in line:
            assert line.rstrip() in page


def test_the_answers_run_and_find_what_they_say():
    said = what_says("howto")
    page = (DOCS / "howto.md").read_text()
    scores = [line for line in said.splitlines() if "ARI" in line]
    assert len(scores) == 4 and all(float(line.split()[-1]) > 0.4 for line in scores), scores
    for line in scores:
        assert line.rstrip() in page


@pytest.mark.parametrize(
    ("stem", "found"), [("spami", r"^5 domains, ARI (\d\.\d+)"), ("staig", r"(?s)staig.*ARI (\d\.\d+)")]
)
def test_the_tutorial_of_a_network_finds_the_domains(stem, found):
    said = what_says(stem)
    ari = re.search(found, said, flags=re.M)
    assert ari and float(ari[1]) >= 0.75, said


@pytest.mark.parametrize("stem", ["tutorial", "howto", "spami", "staig"])
def test_the_page_shows_the_script_as_it_is(stem):
    spec = importlib.util.spec_from_file_location("render", DOCS / "render.py")
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    page = (DOCS / f"{stem}.md").read_text()
    for _, content in render.cells((DOCS / f"{stem}.py").read_text()):
        assert content in page, f"docs/{stem}.md is of another docs/{stem}.py: run python docs/render.py {stem}"
    for picture in re.findall(rf"\]\(({stem}-\d+\.png)\)", page):
        assert (DOCS / picture).exists()
