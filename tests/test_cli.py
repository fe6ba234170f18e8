"""What the command line says and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_polarmap.cli import build_parser, main
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import list_models
from napari_polarmap.pipeline.training import TrainProgress
from napari_polarmap.plugin import sample_path
from napari_polarmap.terminal import ProgressLine

COMMANDS = (
    "demo",
    "samples",
    "info",
    "map",
    "batch",
    "measure",
    "information",
    "models",
    "simulate",
    "train",
    "calibrate",
    "evaluate",
    "repeat",
    "export",
)
SHAPE = (6, 8)


def disks(scan_shape: tuple[int, int] = SHAPE, *, radius_px: float = 20, size_px: int = 64) -> np.ndarray:
    """Patterns of one bright disk with counting noise."""
    y, x = np.indices((size_px, size_px)) - (size_px - 1) / 2
    disk = 40.0 * (y**2 + x**2 < radius_px**2)
    return np.random.default_rng(1).poisson(np.broadcast_to(disk, (*scan_shape, size_px, size_px))).astype(np.uint16)


def result_of(scan_shape: tuple[int, int] = SHAPE, **provenance: Any) -> PolarizationMap:
    domain = np.zeros(scan_shape, dtype=np.uint8)
    domain[:, 4:] = 2
    probability = np.full((*scan_shape, 8), 0.125, dtype=np.float32)
    return PolarizationMap(
        direction=domain,
        probability=probability,
        angle_deg=45.0 * domain.astype(np.float32),
        confidence=np.full(scan_shape, 0.9, dtype=np.float32),
        irregularity=np.zeros(scan_shape, dtype=np.float32),
        irregular=np.zeros(scan_shape, dtype=bool),
        com_px=np.zeros((*scan_shape, 2), dtype=np.float32),
        domain=domain,
        provenance={"model": {"name": "m", "title": "Model"}, **provenance},
    )


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    attrs = {"voltage_kV": 200.0, "convergence_mrad": 24.0, "mrad_per_px": 1.2, "scan_step_A": 0.5}
    return write_scan(tmp_path / "scan.h5", disks(), attrs=attrs, label=result_of().domain)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the classifier and the pipeline; return the list of calls."""
    calls: list[dict[str, Any]] = []

    def stand_in(scan: Any, classifier: Any, params: Any, *, reference: Any, **how: Any) -> PolarizationMap:
        calls.append({"scan": scan, "classifier": classifier, "params": params, "reference": reference, **how})
        return result_of(scan.scan_shape)

    monkeypatch.setattr("napari_polarmap.models.registry.default_model", lambda: "usual")
    monkeypatch.setattr("napari_polarmap.models.registry.load_classifier", lambda name: f"classifier {name}")
    monkeypatch.setattr("napari_polarmap.pipeline.mapping.map_polarization", stand_in)
    return calls


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line, which must succeed; return what it printed."""

    def call(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    return call


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line, which must end with 2 and one line; return that line."""

    def call(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert err.startswith("polarmap: error: ")
        assert err.count("\n") == 1
        return err

    return call


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_every_command_explains_itself(run, command):
    text = run(*command, "--help")
    assert "usage: polarmap" in text
    assert all(name in text for name in COMMANDS) or command


def test_the_parser_knows_the_commands_and_no_others():
    (choices,) = (action.choices for action in build_parser()._actions if action.dest == "command")
    assert tuple(choices) == COMMANDS


def test_help_and_version_load_neither_torch_nor_h5py():
    program = "import sys; from napari_polarmap.cli import main; main(['--version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("polarmap ")
    assert not {"torch", "h5py", "numpy", "matplotlib", "napari"} & set(done.stdout.split())


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "napari_polarmap", "frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("polarmap: error: argument command: invalid choice: 'frobnicate'")
    assert "Traceback" not in done.stderr


def test_info_tells_shape_type_and_calibration(run, scan_file):
    text = run("info", scan_file)
    for part in ("6 x 8 positions", "64 x 64 px", "uint16", "scan_step_A = 0.5", "missing    thickness_nm"):
        assert part in text
    record = json.loads(run("info", scan_file, "--json"))
    assert record["shape"] == [6, 8, 64, 64]
    assert record["calibration"]["mrad_per_px"] == 1.2
    assert "label" not in json.dumps(record)


def test_info_reads_no_patterns(run, scan_file, monkeypatch):
    def forbidden(*_: object) -> None:
        raise AssertionError("patterns were read")

    monkeypatch.setattr("h5py.Dataset.__getitem__", forbidden)
    assert "6 x 8" in run("info", scan_file)


def test_info_sums_up_a_result(run, tmp_path):
    path = result_of(parameters={"fdr": 0.05}).save(tmp_path / "r.h5")
    assert "RM 50%, MU 50%" in run("info", path)
    assert json.loads(run("info", path, "--json"))["parameters"] == {"fdr": 0.05}


def test_map_writes_result_and_figure(run, scan_file, mapped, tmp_path):
    text = run("map", scan_file, "--out", tmp_path / "r.h5", "--png", tmp_path / "r.png")
    assert f"wrote {tmp_path / 'r.h5'}" in text
    assert PolarizationMap.load(tmp_path / "r.h5").scan_shape == SHAPE
    assert (tmp_path / "r.png").stat().st_size > 10_000
    assert mapped[0]["classifier"] == "classifier usual"


def test_map_options_reach_the_pipeline(run, scan_file, mapped, tmp_path):
    calibration = ["--mrad-per-px", 1.1, "--convergence-mrad", 23, "--voltage-kV", 300, "--scan-step-A", 0.4]
    run(
        *("map", scan_file, "--out", tmp_path / "r.h5", "--model", "other", "--pool", "cell", "--center", "global"),
        *("--crop-px", 32, "--fdr", 0.1, "--rotation-deg", -12.5, "--crystal-angle-deg", 3, "--flip"),
        *("--thickness-nm", 30, *calibration, "--reference", "mu"),
    )
    call = mapped[0]
    known = call["scan"].calibration
    assert (known.mrad_per_px, known.convergence_mrad, known.voltage_kV, known.scan_step_A) == (1.1, 23, 300, 0.4)
    assert (known.rotation_deg, known.crystal_angle_deg, known.flip, known.thickness_nm) == (-12.5, 3, True, 30)
    params = call["params"]
    assert (params.pool, params.center, params.crop_px, params.fdr) == ("cell", "global", 32, 0.1)
    assert (call["classifier"], call["reference"]) == ("classifier other", 2)


@pytest.mark.parametrize(
    ("given", "expected"), [((0, 8, -8.5, 1), (0, 8, -8.5, 1)), ((8, 0), (0, 8, 8, 0)), ((8, 90), (-8, 0, 0, 8))]
)
def test_a_lattice_is_given_as_two_vectors_or_as_period_and_angle(run, scan_file, mapped, tmp_path, given, expected):
    run("map", scan_file, "--out", tmp_path / "r.h5", "--lattice", *given, "--radius-px", 7)
    assert mapped[0]["params"].lattice_px == pytest.approx(expected, abs=1e-9)
    assert mapped[0]["params"].radius_px == 7


def test_information_needs_a_lattice_and_answers_to_single_patterns(refuse, run, tmp_path):
    bare = result_of().save(tmp_path / "bare.h5")
    assert "holds no lattice" in refuse("information", bare, "--out", tmp_path / "i.png")
    measured = {"lattice_vectors_px": [[0.0, 3.0], [2.0, 0.0]]}
    old = result_of(measured=measured).save(tmp_path / "old.h5")
    assert "no answers to single patterns" in refuse("information", old, "--out", tmp_path / "i.png")
    flat = np.ones(SHAPE, np.float32)
    new = replace(
        result_of(measured=measured),
        virtual_image=flat,
        single_confidence=flat / 8,
        single_entropy_bits=3 * flat,
        single_direction=result_of().domain,
    ).save(tmp_path / "new.h5")
    assert "right at 100.0% of the positions" in run("information", new, "--out", tmp_path / "i.png")
    assert (tmp_path / "i.png").stat().st_size > 10_000


def test_a_reference_may_be_labels_or_a_result(run, scan_file, mapped, tmp_path):
    result = result_of().save(tmp_path / "before.h5")
    for reference in (scan_file, result):
        run("map", scan_file, "--out", tmp_path / "r.h5", "--reference", reference)
        np.testing.assert_array_equal(mapped[-1]["reference"], result_of().domain)


def test_references_that_do_not_fit_are_refused(refuse, scan_file, mapped, tmp_path):
    out = ("--out", tmp_path / "r.h5")
    assert "neither a class (RM, RU" in refuse("map", scan_file, *out, "--reference", "north")
    bare = write_scan(tmp_path / "bare.h5", disks())
    assert "holds no /label" in refuse("map", scan_file, *out, "--reference", bare)
    other = result_of((3, 9)).save(tmp_path / "other.h5")
    assert "(3, 9) positions; the scan has (6, 8)" in refuse("map", scan_file, *out, "--reference", other)
    assert not (tmp_path / "r.h5").exists()


def test_targets_that_would_destroy_something_are_refused(refuse, scan_file, mapped, tmp_path):
    before = scan_file.read_bytes()
    assert "the scan itself" in refuse("map", scan_file, "--out", scan_file)
    other = write_scan(tmp_path / "other.h5", disks())
    assert "is no result of polarmap" in refuse("map", scan_file, "--out", other)
    assert "no such folder" in refuse("map", scan_file, "--out", tmp_path / "absent" / "r.h5")
    assert "must end in .h5" in refuse("map", scan_file, "--out", tmp_path / "r.txt")
    assert "must end in .png or .svg or .pdf" in refuse("map", scan_file, "--out", tmp_path / "r.h5", "--png", "p.jpg")
    (tmp_path / "folder.h5").mkdir()
    assert "a folder" in refuse("map", scan_file, "--out", tmp_path / "folder.h5")
    assert mapped == []
    assert scan_file.read_bytes() == before


def test_an_earlier_result_survives_a_run_that_fails(scan_file, mapped, tmp_path, monkeypatch, capsys):
    out = result_of().save(tmp_path / "r.h5")
    before = out.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise ValueError("scan: no disk was found")

    monkeypatch.setattr("napari_polarmap.pipeline.mapping.map_polarization", broken)
    assert main(["map", str(scan_file), "--out", str(out)]) == 2
    assert "no disk was found" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_scheduler_that_is_not_there_is_named(refuse, scan_file, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("napari_polarmap.pipeline.cluster._TIMEOUT_S", 1)
    line = refuse("map", scan_file, "--out", tmp_path / "r.h5", "--scheduler", "tcp://127.0.0.1:1")
    assert "--scheduler tcp://127.0.0.1:1: no scheduler answers" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--crop-px", "0"), "argument --crop-px: invalid positive whole number value: '0'"),
        (("--pool", "lots"), "argument --pool: invalid choice: 'lots'"),
        (("--fdr", "2"), "fdr is 2.0; a false-discovery rate lies between 0 and 1"),
        (("--mrad-per-px", "-1"), "mrad_per_px is -1.0; it must be a positive number"),
        (("--mrad-per-px", "wide"), "argument --mrad-per-px: invalid float value: 'wide'"),
        (("--lattice", "8", "8", "8"), "--lattice: 3 numbers; period and angle, or y1 x1 y2 x2"),
        (("--lattice", "0", "8", "0", "4"), "lattice_px is 0 8 0 4; these vectors span 0 scan positions"),
        (("--radius-px", "0.2"), "radius_px is 0.2; a neighbourhood reaches at least 1 scan position"),
        (("--scan-shape", "5", "5"), "holds 48 patterns, but --scan-shape 5 5 asks for 25"),
        (("--dataset", "/absent"), "no dataset /absent"),
    ],
)
def test_options_that_do_not_fit_are_named(refuse, scan_file, mapped, tmp_path, arguments, message):
    assert message in refuse("map", scan_file, "--out", tmp_path / "r.h5", *arguments)


@pytest.mark.parametrize("command", [("info",), ("map", "--out", "r.h5"), ("evaluate",), ("export", "--to", "d")])
def test_missing_files_are_named(refuse, mapped, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert "absent.h5: no such file" in refuse(command[0], "absent.h5", *command[1:])
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_scan_are_refused(refuse, tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((5, 5)))
    assert "has shape (5, 5); a 4D scan" in refuse("info", tmp_path / "image.npy")


def test_debug_shows_the_traceback(capsys, tmp_path):
    assert main(["info", str(tmp_path / "absent.h5"), "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("polarmap: error: ")


def test_ctrl_c_returns_130(scan_file, mapped, tmp_path, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_polarmap.pipeline.mapping.map_polarization", interrupted)
    assert main(["map", str(scan_file), "--out", str(tmp_path / "r.h5")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_errors_no_one_thought_of_are_one_line_too(scan_file, mapped, tmp_path, monkeypatch, capsys):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("napari_polarmap.pipeline.mapping.map_polarization", broken)
    assert main(["map", str(scan_file), "--out", str(tmp_path / "r.h5")]) == 1
    err = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: division by zero" in err
    assert err.count("\n") == 1


def test_models_are_listed(run):
    text = run("models")
    for info in list_models():
        assert info.name in text
        assert info.sha256 in text
    assert len(json.loads(run("models", "--json"))) == len(list_models())


def test_simulate_and_train_hand_over_their_arguments(run, tmp_path, monkeypatch):
    calls: list[Any] = []

    def simulate(config: Path, out: Path, *, progress: Callable[[int, int], None], **options: Any) -> Path:
        progress(1, 2)
        calls.append((config.name, out.name, options))
        return out

    monkeypatch.setattr("napari_polarmap.pipeline.simulating.simulate", simulate)
    text = run("simulate", "c.toml", "--out", tmp_path / "s.h5", "--resume", "--workers", 2, "--variant", "full")
    assert calls == [("c.toml", "s.h5", {"resume": True, "workers": 2, "variant": "full"})]
    assert "wrote" in text


def test_training_reports_the_held_out_scores(run, tmp_path, monkeypatch):
    class Info:
        name = "mine"
        scores = {"accuracy_pooled": 0.9}  # noqa: RUF012

    def train(config: Path, data: list[Path], out: Path, *, resume: bool, progress: Callable[..., None]) -> Info:
        assert resume
        progress(TrainProgress("fitting", 1, 2, {"loss": [0.5]}))
        return Info()

    monkeypatch.setattr("napari_polarmap.pipeline.training.train", train)
    text = run("train", "c.toml", "--data", "a.h5", "b.h5", "--out", tmp_path / "m.safetensors", "--resume")
    assert "accuracy pooled 0.9" in text


@pytest.mark.parametrize("command", ["simulate", "train"])
def test_configurations_that_are_missing_are_named(refuse, tmp_path, command):
    more = (
        ("--data", "a.h5", "--out", tmp_path / "m.safetensors") if command == "train" else ("--out", tmp_path / "s.h5")
    )
    assert "absent.toml: no such file" in refuse(command, tmp_path / "absent.toml", *more)


def test_training_data_are_never_overwritten(refuse, scan_file, tmp_path):
    assert "one of the input files" in refuse("train", "c.toml", "--data", scan_file, "--out", scan_file)


def test_evaluate_prints_a_record_per_file(run, refuse, scan_file, mapped, monkeypatch, tmp_path):
    asked: list[Path | None] = []

    def evaluate(classifier: str, paths: list[Path], *, figures: Path | None) -> list[dict[str, Any]]:
        asked.append(figures)
        return [
            {"file": str(path), "model": classifier, "accuracy_domain": 0.97, "irregularity_auc": None}
            for path in paths
        ]

    monkeypatch.setattr("napari_polarmap.pipeline.evaluation.evaluate_files", evaluate)
    assert json.loads(run("evaluate", "--model", "m", scan_file, "--json"))[0]["accuracy_domain"] == 0.97
    text = run("evaluate", scan_file, "--figures", tmp_path / "new")
    assert "accuracy domain" in text
    assert "0.97" in text
    assert asked == [None, tmp_path / "new"]
    assert "a file; name a folder" in refuse("evaluate", scan_file, "--figures", scan_file)


def test_export_writes_the_formats_asked_for(run, refuse, tmp_path):
    path = result_of().save(tmp_path / "r.h5")
    run("export", path, "--to", tmp_path / "out", "--formats", "csv, svg")
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["r.csv", "r.svg", "r_domains.csv"]
    assert "formats to export are" in refuse("export", path, "--to", tmp_path / "out", "--formats", "gif")


def test_export_refuses_what_is_no_result(refuse, scan_file, tmp_path):
    assert "not a napari-polarmap result file" in refuse("export", scan_file, "--to", tmp_path / "out")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file.attrs.update({"format": "napari-polarmap result", "format_version": 1, "complete": False})
    assert "has not finished" in refuse("export", tmp_path / "half.h5", "--to", tmp_path / "out")


def test_samples_are_named_or_copied_and_nothing_is_overwritten(run, capsys, tmp_path):
    named = [Path(line) for line in run("samples").splitlines()]
    assert all(path.is_file() for path in named)
    assert [path.name for path in named] == ["two_domains.h5", "defect.h5"]
    run("samples", "--to", tmp_path / "mine")
    assert (tmp_path / "mine" / "defect.h5").read_bytes() == named[1].read_bytes()
    assert main(["samples", "--to", str(tmp_path / "mine")]) == 2
    assert "two_domains.h5: exists already" in capsys.readouterr().err


def test_demo_maps_every_packaged_sample(run, mapped, tmp_path, monkeypatch, scan_file):
    (tmp_path / "sample_data").mkdir()
    scan_file.rename(tmp_path / "sample_data" / "two_domains.h5")
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    text = run("demo", "--out", tmp_path / "demo")
    assert sorted(entry.name for entry in (tmp_path / "demo").iterdir()) == ["two_domains.h5", "two_domains.png"]
    assert text.startswith("two_domains\n")


def test_progress_is_shown_where_someone_watches(monkeypatch, capsys):
    with ProgressLine() as line:
        line("reading", 1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with ProgressLine() as line:
        line("reading", 1, 2)
    assert "reading" in (shown := capsys.readouterr().err)
    assert " 50%" in shown
    assert shown.endswith("\r\033[K")


@pytest.mark.skipif(not list_models(), reason="no model is installed")
def test_a_scan_goes_from_file_to_figure(run, scan_file, tmp_path):
    run("map", scan_file, "--out", tmp_path / "r.h5", "--png", tmp_path / "r.png")
    result = PolarizationMap.load(tmp_path / "r.h5")
    assert result.scan_shape == SHAPE
    assert result.provenance["calibration"]["mrad_per_px"] == 1.2


@pytest.mark.skipif(not list_models(), reason="no model is installed")
def test_a_scan_of_zeros_is_refused_in_words(refuse, tmp_path):
    path = write_scan(tmp_path / "zeros.h5", np.zeros((4, 4, 32, 32), dtype=np.uint16))
    assert "zeros" in refuse("map", path, "--out", tmp_path / "r.h5")
    assert not (tmp_path / "r.h5").exists()


def test_a_measured_calibration_is_used_by_map_and_stored_with_the_result(tmp_path, capsys):
    sample, calibration = sample_path("defect"), tmp_path / "cal.json"
    assert main(["measure", str(sample), "--out", str(calibration)]) == 0
    assert "rotation" in capsys.readouterr().out
    record = json.loads(calibration.read_text())
    assert record["calibration"]["origin"]["rotation_deg"].startswith("automatic")
    record["calibration"] |= {"rotation_deg": 45.0, "center_px": [27.0, 26.0]}
    calibration.write_text(json.dumps(record))
    command = ["map", str(sample), "--out", str(tmp_path / "r.h5"), "--calibration", str(calibration), "--pool", "cell"]
    assert main([*command, "--scan-step-A", "0.51"]) == 0
    kept = PolarizationMap.load(tmp_path / "r.h5").provenance
    assert kept["calibration"]["rotation_deg"] == 45
    assert kept["calibration"]["scan_step_A"] == 0.51
    assert kept["measured"]["disk_center_px"] == [27.0, 26.0]
    calibration.write_text("{}")
    assert main(command) == 2
    assert "cal.json: no calibration" in capsys.readouterr().err
