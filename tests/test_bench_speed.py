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


def test_each_size_is_compared_with_the_smallest_before_and_after(speed, monkeypatch):
    milliseconds = iter([4, 4, 7, 4.4, 4, 5, 5, 9, 6, 6, 2])  # a machine that becomes slower, and two outliers

    def row(edge):
        second = next(milliseconds)
        return {
            "edge": edge,
            "first_pass_s_per_1000": 1,
            "second_pass_s_per_1000": second,
            "together_s_per_1000": 1 + second,
        }

    monkeypatch.setattr(speed, "in_own_process", row)
    rows = speed.growing([64, 128, 256], runs=3)
    assert [row["edge"] for row in rows] == [64, 128, 256]
    # against the medians of 4, 4, 7, 4, 5, 5 and of 4, 5, 5, 6, 6, 2
    assert [round(row["relative"]["second_pass_s_per_1000"], 3) for row in rows] == [1, round(4.4 / 4.5, 3), 1.8]
    assert round(rows[2]["relative"]["together_s_per_1000"], 3) == round(10 / 6, 3)
    assert rows[0]["second_pass_s_per_1000"] == 5  # of all nine
