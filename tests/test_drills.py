"""The drills that need no process of their own; `make faults` runs all of them."""

from __future__ import annotations

import pytest

from drills import DRILLS, LeftOutError


# writers that met a full disk complain once more when they are thrown away
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", [name for name in DRILLS if name.startswith("here_")])
def test_a_drill_is_survived(name, tmp_path, tally):
    try:
        DRILLS[name](tmp_path)
    except LeftOutError as reason:
        pytest.skip(str(reason))
    except BaseException:
        tally("fault drills", None)
        raise
    tally("fault drills", "survived")
