"""Fixtures of the tests of the Python package."""

import signal

import pytest
from samples import tissue


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """A shell that starts the tests in the background has them, and all they start, ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def adata():
    """Raw counts with coordinates, slices and a truth."""
    return tissue()
