"""Fixtures of the tests of the Python package."""

import pytest
from samples import tissue


@pytest.fixture
def adata():
    """Raw counts with coordinates, slices and a truth."""
    return tissue()
