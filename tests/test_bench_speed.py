"""The speed benchmark: what is kept of a run that was stopped, and what a size of the scan is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import speed

    return speed


def test_a_run_goes_on_where_it_was_stopped(speed, tmp_path):
    asked = []

    def step(name, fails=False):
        asked.append(name)
        if fails:
            raise KeyboardInterrupt
        return [f"{name} {len(asked)}"]

    kept = tmp_path / "build" / "speed.json"
    with pytest.raises(KeyboardInterrupt):
        speed.measure({"map": lambda: step("map"), "growth": lambda: step("growth", fails=True)}, kept, resume=False)
    steps = {"map": lambda: step("map"), "growth": lambda: step("growth")}
    assert speed.measure(steps, kept, resume=True) == {"map": ["map 1"], "growth": ["growth 3"]}
    assert speed.measure(steps, kept, resume=False) == {"map": ["map 4"], "growth": ["growth 5"]}


def test_what_another_day_or_machine_has_measured_is_not_kept(speed, tmp_path, monkeypatch):
    kept = tmp_path / "speed.json"
    speed.measure({"map": lambda: ["one machine"]}, kept, resume=False)
    monkeypatch.setattr(speed, "machine", lambda: "another")
    assert speed.measure({"map": lambda: ["another"]}, kept, resume=True) == {"map": ["another"]}


def test_each_size_is_compared_with_the_smallest_beside_it(speed, monkeypatch):
    milliseconds = iter([4.0, 4.4, 4.8, 9.0, 6.0])  # a machine that becomes slower

    def row(edge):
        return {"edge": edge, "first_pass_s_per_1000": 1.0, "second_pass_s_per_1000": next(milliseconds)}

    monkeypatch.setattr(speed, "in_own_process", row)
    rows = speed.growing([64, 128, 256])
    assert [row["edge"] for row in rows] == [64, 128, 64, 256, 64]
    assert [round(row["relative"]["second_pass_s_per_1000"], 3) for row in rows] == [1, 1, 1, round(9 / 5.4, 3), 1]
    assert round(rows[3]["relative"]["together"], 3) == round(10 / 6.4, 3)
