"""What the library calls its options is what Python's functions call them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import brodmann as bm

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("brodmann", "brodmann-data") for path in (ROOT / "crates" / part / "src").rglob("*.rs")]
#: Options of the library or of the command line alone: no function of Python passes them on.
NOT_IN_PYTHON = {
    "blur", "blur_filtered", "color", "cost_scale", "ctrl_size", "denoised", "density", "edges", "empty",
    "encoder_batch_size", "encoder_checkpoint", "encoder_checkpoint_every", "encoder_components", "encoder_epochs",
    "encoder_learning_rate", "encoder_mean", "encoder_resume", "encoder_side", "encoder_std", "enhancers_per_gene", "follow_external", "force",
    "frequencies", "highest", "in_place", "keep_log_normalized", "kind", "length_scales", "locus", "longest", "loss", "lowest",
    "max_length", "max_memory", "max_size", "method", "min_delta", "min_dist", "min_matched", "min_recall",
    "min_size", "min_spots_per_slice", "n_domains", "n_edges", "n_epochs", "n_hops", "n_permutations", "n_places",
    "n_runs", "n_spatial", "normalization", "options", "out", "patch_filter", "patches", "patience", "pitch",
    "randomness", "reach", "reference", "regulated", "repulsion_strength", "save_encoder", "selection", "shape",
    "slices", "spatial_columns", "spot_pitch", "spread", "stains", "start", "weight", "weights", "which",
}  # fmt: skip


def said(opening: str) -> set[str]:
    """The names that follow ``opening`` in the sources, tests left out."""
    texts = (path.read_text() for path in SOURCES if "tests" not in path.stem and "tests" not in path.parts)
    return {name for text in texts for name in re.findall(opening + r'\("([a-z_]+)"', text)}


def keywords() -> set[str]:
    modules = (bm.pp, bm.gr, bm.tl, bm.im, bm.metrics, bm.datasets, bm.read, bm.pl)
    functions = [bm.report, *(f for m in modules for f in vars(m).values() if inspect.isfunction(f))]
    return {name for function in functions for name in inspect.signature(function).parameters}


def spelled(table: str) -> dict[str, str]:
    """A table of the differences in crates/brodmann-py/src/errors.rs."""
    text = (ROOT / "crates/brodmann-py/src/errors.rs").read_text()
    body = text.split(f"const {table}:", 1)[1].split("];", 1)[0]
    return dict(re.findall(r'\("(\w+)", "([^"]+)"\)', body))


@pytest.mark.skipif(not SOURCES, reason="the sources are not here")
def test_every_option_is_a_keyword_of_some_function():
    names = said("Opt") | said("OptionError::new") | said("PipelineError::option") | said("refuse") | said("fail")
    assert len(names) > 40
    own = spelled("KEYWORDS")
    unknown = {name for name in names - NOT_IN_PYTHON if own.get(name, name) not in keywords()}
    assert not unknown


@pytest.mark.skipif(not SOURCES, reason="the sources are not here")
def test_every_step_is_a_function():
    own = spelled("STEPS")
    for step in said("Step") - {"convert"}:
        module, function = own.get(step, f"bm.tl.{step}").split(".")[1:]
        assert callable(getattr(getattr(bm, module), function))
