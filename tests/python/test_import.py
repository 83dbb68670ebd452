"""What `import brodmann` brings, and what it costs."""

import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import brodmann as bm

MODULES = ["datasets", "gr", "metrics", "pl", "pp", "read", "tl"]


def python(code):
    env = {**os.environ, "PYTHONPATH": str(Path(bm.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_neither_pandas_nor_scipy_nor_matplotlib():
    loaded = python(
        "import sys, brodmann; print([m for m in ('pandas', 'scipy', 'matplotlib', 'anndata') if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_pictures_load_matplotlib_only_when_drawn():
    loaded = python("import sys, brodmann as bm; bm.pl, bm.pp, bm.gr; print('matplotlib.pyplot' in sys.modules)")
    assert loaded.strip() == "False"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_is_documented(name):
    module = getattr(bm, name)
    assert name in dir(bm)
    for public in module.__all__:
        thing = getattr(module, public)
        assert thing.__doc__, f"{name}.{public} has no docstring"


@pytest.mark.parametrize("name", MODULES)
def test_options_are_keyword_only_and_documented(name):
    import inspect

    module = getattr(bm, name)
    for public in module.__all__:
        function = getattr(module, public)
        if not inspect.isfunction(function):
            continue
        signature = inspect.signature(function)
        positional = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        assert all(p.default is p.empty for p in positional), f"{name}.{public}: an option is positional"
        for parameter in signature.parameters:
            assert parameter in function.__doc__, f"{name}.{public} does not document {parameter}"
        assert all(p.annotation is not p.empty for p in signature.parameters.values())
        assert signature.return_annotation is not signature.empty


def test_the_stub_names_what_the_extension_has():
    stub = Path(bm.__file__).with_name("_brodmann.pyi").read_text()
    from brodmann import _brodmann

    for name in dir(_brodmann):
        if not name.startswith("_"):
            there = any(words in stub for words in (f"def {name}(", f"class {name}:", f"\n{name}: "))
            assert there, f"{name} is not in _brodmann.pyi"
    assert Path(bm.__file__).with_name("py.typed").exists()


def test_unknown_attributes_are_refused():
    with pytest.raises(AttributeError, match="nonsense"):
        bm.nonsense


def test_settings_check_their_values():
    before = bm.settings.n_threads
    try:
        bm.settings.n_threads = 1
        assert bm.settings.n_threads == 1
        for bad in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="n_threads is"):
                bm.settings.n_threads = bad
    finally:
        bm.settings.n_threads = None
    assert bm.settings.n_threads == before
    with pytest.raises(ValueError, match="progress is 3"):
        bm.settings.progress = 3
    assert typing.cast(str, repr(bm.settings)).startswith("brodmann.settings(")


@pytest.mark.parametrize("name", ["datasets", "gr", "im", "metrics", "pl", "pp", "read", "tl"])
def test_what_is_offered_on_tab_is_public(name):
    module = getattr(bm, name)
    assert sorted(dir(module)) == sorted(module.__all__)
