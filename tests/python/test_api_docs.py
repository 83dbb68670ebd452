"""docs/api.py renders every public name of the package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import peer

import brodmann as bm

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.skipif(not (DOCS / "api.py").exists(), reason="the documentation is not here")
def test_every_public_name_has_a_place_in_the_reference(tmp_path):
    peer("pdoc")
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, str(DOCS / "api.py"), str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'id="report"' in (tmp_path / "brodmann.html").read_text()
    for name in ("datasets", "dist", "gr", "im", "metrics", "pl", "pp", "spatialleiden", "tl"):
        page = (tmp_path / "brodmann" / f"{name}.html").read_text()
        for public in getattr(bm, name).__all__:
            assert f'id="{public}"' in page, f"{name}.{public}"
        # Tables that only some renderers know would stand there as rows of signs.
        assert "=====" not in page
