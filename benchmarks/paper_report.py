"""Tables and figures of ``benchmarks/paper.py``, from its records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper_sets import EXPERIMENTAL, SYNTHETIC

from napari_polarmap.core.directions import LABELS
from napari_polarmap.io.figure_file import write_figure

Record = dict[str, Any]
CHANCE = 1 / 8
FILTERS = (("bound", "ideal filter that knows the specimen"), ("scatter", "one that knows how they vary"))
OFFSETS_PX = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0)
DOSES = (300.0, 1e3, 3e3, 1e4, 1e5, 1e6)
POOLED_DOSES = (3e4, 1e5, 3e5, 1e6, 1e7)
WIDE = 3
"""Unit cells along an edge of the window that the goals speak of."""
POSITIONS = 64
"""Probe positions that one average of the held-out specimens holds."""


def write_report(records: Path, folder: Path, *, command: str, table: str = "benchmark-table") -> None:
    """Write a table, and a figure for each finding where there are published and packaged models."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [json.loads(path.read_text()) for path in sorted(records.glob("[!.]*.json"))]
    published, packaged, ideal = ([r for r in found if key in r] for key in ("network", "title", "ideal"))
    parts = [_summary(published), _every_set(published), _packaged(packaged), _goals(published, packaged, ideal)]
    head = f"<!-- written by {command} -->\n\n"
    (folder / f"{table}.md").write_text(head + "\n\n".join(part for part in parts if part) + "\n")
    best = _best(published)
    if not best or not packaged:
        return
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    figures: dict[str, Callable[[Axes], None]] = {
        "split": lambda axes: _split(axes, published),
        "thickness": lambda axes: _binned(axes, best, packaged, "thickness_nm", "thickness [nm]"),
        "tilt": lambda axes: _binned(axes, best, packaged, "tilt_mrad", "specimen tilt [mrad]"),
        "dose": lambda axes: _dose(axes, best, packaged),
        "offset": lambda axes: _offset(axes, best, packaged),
    }
    for name, draw in figures.items():
        write_figure(lambda draw=draw: _figure(draw), pictures / f"benchmark-{name}.png", dpi=160)


def _figure(draw: Callable[[Axes], None]) -> Figure:
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.axhline(CHANCE, color="0.5", lw=0.8, ls=":")
    axes.annotate("chance", (0.01, CHANCE), xycoords=("axes fraction", "data"), va="bottom", color="0.4", fontsize=7)
    axes.set(ylim=(0, 1.02), ylabel="share of right directions")
    axes.spines[["top", "right"]].set_visible(False)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return figure


def _key(record: Record) -> tuple[str, str, str]:
    return record["network"], record["objective"], record["treatment"]


def _groups(records: Iterable[Record]) -> list[tuple[tuple[str, str, str], list[Record]]]:
    return [(key, list(group)) for key, group in groupby(sorted(records, key=_key), _key)]


def _percent(values: Iterable[float]) -> str:
    numbers = 100 * np.asarray(list(values), float)
    spread = f" ± {numbers.std():.1f}" if len(numbers) > 1 else ""
    return f"{numbers.mean():.1f}{spread}"


def _mean(record: Record, names: Iterable[str]) -> float:
    return float(np.mean([record["sets"][name]["accuracy"] for name in names]))


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _summary(records: list[Record]) -> str:
    """Every model and treatment in a line."""
    head = ["network", "objective", "treatment", "random split", "other specimens", "difference", "S1-S7", "E1-E5"]
    head += ["majority right, S", "majority right, E", "E1-E5, published crop"]
    rows = []
    for key, group in _groups(records):
        majority = [np.mean([_majority_right(r, names) for r in group]) for names in (SYNTHETIC, EXPERIMENTAL)]
        rows.append(
            [
                *key,
                _percent(r["random_split"] for r in group),
                _percent(r["held_out"] for r in group),
                _percent(r["random_split"] - r["held_out"] for r in group),
                _percent(_mean(r, SYNTHETIC) for r in group),
                _percent(_mean(r, EXPERIMENTAL) for r in group),
                f"{majority[0]:.1f} of 7",
                f"{majority[1]:.1f} of 5",
                _percent(np.mean(list(r["published_crop"].values())) for r in group),
            ]
        )
    return "Published protocol, single patterns, right directions in per cent:\n\n" + _rows(head, rows) if rows else ""


def _majority_right(record: Record, names: Iterable[str]) -> int:
    truth = record["truth"]
    return sum(record["sets"][name]["majority"] == truth[name] for name in names)


def _every_set(records: list[Record]) -> str:
    """Accuracy and majority class on every set."""
    if not records:
        return ""
    truth = records[0]["truth"]
    names = SYNTHETIC + EXPERIMENTAL
    head = ["network", "objective", "treatment", *(f"{name} ({truth[name]})" for name in names)]
    rows = []
    for key, group in _groups(records):
        cells = []
        for name in names:
            said = [r["sets"][name]["majority"] for r in group]
            common = max(LABELS, key=said.count)
            cells.append(f"{_percent(r['sets'][name]['accuracy'] for r in group)} {common}")
        rows.append([*key, *cells])
    return "Accuracy in per cent and majority class on every set (the truth in brackets):\n\n" + _rows(head, rows)


def _window(record: Record, name: str) -> tuple[str, Record] | None:
    """Return the smallest window of at least `WIDE` cells, or the widest there is."""
    windows = record["sets"][name]["windows"]
    if not windows:
        return None
    sizes = sorted(windows, key=float)
    wide = next((size for size in sizes if float(size) >= WIDE), sizes[-1])
    return wide, windows[wide]


def _packaged(records: list[Record]) -> str:
    """Packaged classifiers: windows of one cell and of three."""
    if not records:
        return ""
    names = SYNTHETIC + EXPERIMENTAL
    rows = []
    for record in records:
        for what in ("single patterns", "one cell", "3 × 3 cells or more"):
            cells = []
            for name in names:
                entry = record["sets"][name]
                if what == "single patterns":
                    cells.append("-" if entry["single"] is None else f"{100 * entry['single']:.0f}")
                elif what == "one cell":
                    one = entry["windows"].get("1")
                    cells.append("-" if one is None else f"{100 * one['accuracy']:.0f}")
                else:
                    found = _window(record, name)
                    cells.append("-" if found is None else f"{100 * found[1]['accuracy']:.0f} ({found[0]})")
            rows.append([_title(record), what, *cells])
    text = (
        "The packaged classifiers on the same sets, right directions in per cent; for wide windows their edge in cells:"
    )
    return text + "\n\n" + _rows(["classifier", "from", *names], rows)


def _goals(published: list[Record], packaged: list[Record], ideal: list[Record]) -> str:
    """What was aimed at and what was reached."""
    if not (published and packaged and ideal):
        return ""
    split, held = (max(published, key=lambda r, name=name: r[name]) for name in ("random_split", "held_out"))
    theirs = max(published, key=lambda r: _mean(r, EXPERIMENTAL))
    still = POOLED_DOSES.index(1e5)
    rows = [
        (
            "published protocol, random split: best model, single patterns",
            "≥ 99.8 %",
            f"{split['random_split']:.1%} ({_name(split)})",
        ),
        ("the same, other specimens", "stated", f"{held['held_out']:.1%} ({_name(held)})"),
        (
            f"one cell, 5 to 60 nm, no tilt, 10⁵ electrons ({_averages(ideal[0])})",
            "≥ 99 %",
            _each(packaged, lambda r: f"{r['still'][still]:.1%}") + f"; {_ideal(ideal[0])}",
        ),
        (
            "E1 to E5, windows of 3 × 3 cells or more",
            "≥ 95 %",
            _each(packaged, _experiments) + f"; {_ideal_windows(ideal[0])}",
        ),
        ("opposite direction, these windows, worst set", "< 0.5 %", _each(packaged, _worst_opposite)),
        (
            "E1 to E5, single patterns, ours against the best published one",
            "≥ 10 points more",
            f"{_each(packaged, _single)}; {_name(theirs)} {_mean(theirs, EXPERIMENTAL):.1%}",
        ),
    ]
    return "Goals:\n\n" + _rows(["what", "goal", "reached"], [list(row) for row in rows])


def _ideal_windows(record: Record) -> str:
    told = (f"{title} {', '.join(f'{w[name]:.0%}' for w in record['windows'].values())}" for name, title in FILTERS)
    return "; ".join(told)


def _averages(record: Record) -> str:
    return f"{record['averages']} averages of {record['specimens']} specimens, {record['draws']} recordings each"


def _ideal(record: Record) -> str:
    """Say what filters do that know thickness, convergence and amplitude and only choose the direction."""
    parts = []
    for name, title in FILTERS:
        enough = record[name]["electrons_for_99"]
        dose = "no dose up to 10⁷" if enough is None else f"{enough:.1e} electrons"
        parts.append(f"{title} {record[name]['at_1e5']:.1%}, 99 % with {dose}")
    return "; ".join(parts)


def _each(packaged: list[Record], tell: Callable[[Record], str]) -> str:
    return "; ".join(f"{_title(record)} {tell(record)}" for record in packaged)


def _title(record: Record) -> str:
    return str(record["title"]).split(",")[0]


def _experiments(record: Record) -> str:
    windows = [_window(record, name) for name in EXPERIMENTAL]
    return ", ".join("-" if window is None else f"{window[1]['accuracy']:.0%}" for window in windows)


def _worst_opposite(record: Record) -> str:
    shares = [(w[1]["opposite"], name) for name in SYNTHETIC + EXPERIMENTAL if (w := _window(record, name))]
    share, name = max(shares)
    return f"{share:.1%} ({name})" if share else "0.0%"


def _single(record: Record) -> str:
    single = [record["sets"][name]["single"] for name in EXPERIMENTAL]
    return "says nothing" if None in single else f"{np.mean(single):.1%}"


def _name(record: Record) -> str:
    return f"{record['network']}, {record['objective']}, {record['treatment']}"


def _best(published: list[Record]) -> list[Record]:
    """Return, of each network, the plain record that is best on the random split."""
    plain = [r for r in published if r["treatment"] == "plain"]
    networks = sorted({r["network"] for r in plain})
    return [max((r for r in plain if r["network"] == n), key=lambda r: r["random_split"]) for n in networks]


def _split(axes: Axes, published: list[Record]) -> None:
    """Random split against other specimens, all models."""
    groups = _groups(r for r in published if r["treatment"] == "plain")
    place = np.arange(len(groups))
    for shift, name, label in ((-0.2, "random_split", "other positions"), (0.2, "held_out", "other specimens")):
        values = [np.mean([r[name] for r in group]) for _, group in groups]
        axes.bar(place + shift, values, 0.38, label=label)
    names = [f"{key[0]}\n{key[1]}" for key, _ in groups]
    axes.set_xticks(place, names, rotation=60, ha="right", fontsize=6)
    axes.set_title("Single patterns, one thickness: random split of one specimen, and new ones", fontsize=8)


EDGES = {"thickness_nm": (5, 15, 25, 35, 45, 60.1), "tilt_mrad": (0, 0.8, 1.6, 2.4, 3.2, 4.1)}


def _binned(axes: Axes, best: list[Record], packaged: list[Record], name: str, label: str) -> None:
    edges = EDGES[name]
    middle = (np.asarray(edges[1:]) + edges[:-1]) / 2
    for record, style in [*((r, "--") for r in best), *((r, "-") for r in packaged)]:
        values, right = (np.asarray(record["specimens"][key], float) for key in (name, "right"))
        which = np.digitize(values, edges) - 1
        held = np.unique(which)  # lines go past what holds no specimen
        shares = [right[which == index].mean() for index in held]
        axes.plot(middle[held], shares, style, marker="o", ms=3, label=_label(record))
    axes.set_xlabel(label)
    axes.set_title("Held-out specimens, exact intensities", fontsize=8)


def _label(record: Record) -> str:
    if "title" in record:
        return f"{_title(record)}, cell average"
    return f"{record['network']}, single patterns"


def _dose(axes: Axes, best: list[Record], packaged: list[Record]) -> None:
    for record in best:
        axes.semilogx(DOSES, record["dose"], "--", marker="o", ms=3, label=_label(record))
    for record in packaged:
        axes.semilogx(np.asarray(POOLED_DOSES) / POSITIONS, record["dose"], marker="o", ms=3, label=_label(record))
    axes.set_xlabel("electrons per pattern")
    axes.set_title("Single patterns: positions of the training specimen; averages: held-out specimens", fontsize=8)


def _offset(axes: Axes, best: list[Record], packaged: list[Record]) -> None:
    for record, style in [*((r, "--") for r in best), *((r, "-") for r in packaged)]:
        axes.plot(OFFSETS_PX, record["offset"], style, marker="o", ms=3, label=_label(record))
    axes.set_xlabel("disk beside the middle [px of 1.05 mrad]")
    axes.set_title("Single patterns: positions of the training specimen; averages: held-out specimens", fontsize=8)
