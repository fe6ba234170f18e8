"""Fixtures of the pipeline's tests."""

from __future__ import annotations

import pytest

from napari_polarmap.pipeline import simulating


@pytest.fixture
def in_process(monkeypatch):
    """Run the pieces here: starting processes takes longer than the simulation."""

    class Pool:
        def __init__(self, *_args, **_options): ...

        def __enter__(self):
            return self

        def __exit__(self, *_args): ...

        def submit(self, function, *args):
            from concurrent.futures import Future

            future = Future()
            future.set_result(function(*args))
            return future

    monkeypatch.setattr(simulating, "ProcessPoolExecutor", Pool)
