"""Settings that every test shares, made before napari or torch are imported."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

# nothing of the user's is read or written: napari's settings, models, caches
os.environ["NAPARI_CONFIG"] = ""
os.environ["MPLBACKEND"] = "Agg"
_home = tempfile.TemporaryDirectory(prefix="polarmap-tests-", ignore_cleanup_errors=True)
for _name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = os.path.join(_home.name, _name.lower())  # noqa: PTH118 -- before any import that is not needed


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> Iterator[None]:
    """Waiting threads of torch take the processor from each other where cores are few."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_COUNTS = pytest.StashKey[dict[str, Counter[str | None]]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, str | None], None]:
    """Count what was tried of a kind, and how it ended: None where it did not survive; told when all tests are over."""
    counts = request.config.stash.setdefault(_COUNTS, {})
    return lambda kind, ended: counts.setdefault(kind, Counter()).update([ended])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was tried and what survived."""
    for kind, ended in config.stash.get(_COUNTS, {}).items():
        told = ", ".join(f"{count} {how}" for how, count in sorted(ended.items(), key=str) if how)
        tried = ended.total()
        terminalreporter.write_line(f"{kind}: {tried} tried, {tried - ended[None]} survived ({told})")
