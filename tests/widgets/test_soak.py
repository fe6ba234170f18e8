"""A few seconds of the soak run: random clicks raise nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "tools" / "soak.py"


@pytest.mark.gui
def test_random_clicks_raise_nothing():
    run = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "0.08", "--no-memory"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NAPARI_CONFIG": ""},
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "0 errors" in run.stdout
