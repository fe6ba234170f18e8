"""How fast the classifiers answer, and what a whole map costs beyond that."""

from __future__ import annotations

import contextlib
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from growth import ENLARGED, Repeated

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.models.registry import list_models
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.looking import Windows, tell
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.pipeline.windows import plan_windows
from napari_polarmap.pipeline.workplace import Setting, Threads
from napari_polarmap.plugin import sample_path

EDGE = 128
BATCH = 128


def clocks() -> tuple[float, float]:
    """Return wall and processor time [s]."""
    return time.perf_counter(), time.process_time()


def per_second(task: Callable[[], object], amount: int, rounds: int = 5) -> float:
    """Return the median rate against processor time."""
    task()
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        task()
        rates.append(amount / (time.process_time() - start))
    return float(np.median(rates))


def enlarged(edge: int) -> Scan4D:
    """Return a scan like that of `growth`, in memory."""
    with open_scan(sample_path("two_domains")) as sample:
        patterns, calibration = sample.read(slice(None), slice(None)), sample.calibration
    data = Repeated(patterns, (edge, edge))[slice(None), slice(None)]
    return Scan4D(data, calibration).calibrated(mrad_per_px=calibration.mrad_per_px / ENLARGED)  # type: ignore[operator]


def classifier_rows(runtimes: Path) -> list[str]:
    """Return answers per second of one processor, of every packaged classifier; one network by every runtime.

    Parameters
    ----------
    runtimes : Path
        Folder of packages that are used for the latter only.
    """
    import torch

    from napari_polarmap.models import network

    torch.set_num_threads(1)
    patterns = np.random.default_rng(0).random((BATCH, 64, 64), dtype=np.float32) + 1
    lines = ["| classifier | averages over cells per second of one processor |", "|---|---|"]
    for info in list_models():
        classifier = load_classifier(info.name)
        rate = per_second(lambda c=classifier: c.predict(patterns, pooled=True), BATCH)  # type: ignore[misc]
        lines.append(f"| {info.name} | {rate:,.0f} |")
    sys.path.append(str(runtimes))
    for title, answer in _ways(network, torch).items():
        rate = per_second(lambda answer=answer: answer(torch.from_numpy(patterns)), BATCH)  # type: ignore[misc]
        lines.append(f"| cnn-niobate, one look, {title} | {rate:,.0f} |")
    return lines


def _ways(network: Any, torch: Any) -> dict[str, Callable[[Any], Any]]:
    """Return the network behind cnn-niobate by every runtime that is installed."""
    kept, network.quickened = network.quickened, lambda net: net.eval()
    try:
        plain = load_classifier("cnn-niobate").predictor.networks[True]  # type: ignore[attr-defined]
    finally:
        network.quickened = kept

    def quietly(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(patterns: Any) -> Any:
            with torch.inference_mode():
                return answer(patterns)

        return run

    halved = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    halved.steps.bfloat16()
    ways = {"PyTorch as it comes": quietly(plain), "PyTorch bfloat16, channels last": quietly(halved)}
    with contextlib.suppress(ImportError):
        from napari_polarmap.models.openvino_network import OpenVINONetwork

        ways["OpenVINO"] = quietly(OpenVINONetwork(plain))
    with contextlib.suppress(ImportError):
        ways["ONNX Runtime"] = _onnx(plain, torch)
    return ways


def _onnx(plain: Any, torch: Any) -> Callable[[Any], Any]:
    import onnxruntime

    from napari_polarmap.models.openvino_network import _Layers

    example = plain.entrance(torch.ones(BATCH, plain.grid_px, plain.grid_px))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(_Layers(plain).eval(), (example,), str(path), dynamo=False, input_names=["seen"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path.read_bytes(), options)
    return lambda patterns: session.run(None, {"seen": plain.entrance(patterns).numpy()})


@dataclass
class Recording(Threads):
    """Threads that remember the windows they were asked about."""

    windows: list[Windows] = field(default_factory=list)

    def each(self, work: Any, setting: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workplace.each`."""
        for item, result in super().each(work, setting, items):
            if isinstance(item, Windows):
                self.windows.append(item)
            yield item, result


def map_row(model: str = "cnn-niobate", rounds: int = 1) -> list[str]:
    """Return a whole map, from the file, over the longer of reading the file and answering alone."""
    classifier = load_classifier(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npy"
        made = enlarged(EDGE)
        np.save(path, made.data)
        with open_scan(path) as opened:
            scan = replace(opened, calibration=made.calibration)
            inspection, seen = inspect_scan(scan), Recording()
            map_polarization(scan, classifier, inspection=inspection, workplace=seen)
            frame = Frame(scan, classifier, inspection, MapParams())
            setting = Setting(frame, plan_windows(scan, inspection, MapParams())[0])
            singles = [frame.patterns(slice(row, row + 4), slice(0, EDGE)) for row in range(0, EDGE, 4)]

            def answer(setting: Setting, part: Any) -> Any:
                return classifier.predict(part, pooled=False), classifier.embed(part)

            wall, processor = [], []
            for _ in range(rounds):
                start = clocks()
                for _ in Threads().each(answer, setting, singles):
                    pass
                for _ in Threads().each(tell, setting, seen.windows):
                    pass
                alone = np.subtract(clocks(), start)
                start = clocks()
                path.read_bytes()
                reading = np.subtract(clocks(), start)
                start = clocks()
                map_polarization(scan, classifier)
                whole = np.subtract(clocks(), start)
                wall.append(whole[0] / max(alone[0], reading[0]))
                processor.append(whole[1] / max(alone[1], reading[1]))
    return [
        "| whole map over the longer of reading and answering alone | goal | wall time | processor time |",
        "|---|---|---|---|",
        f"| {model}, {EDGE} x {EDGE} positions | at most 1.3 | {np.median(wall):.2f} | {np.median(processor):.2f} |",
    ]


def cluster_rows() -> list[str]:
    """Return how much sooner two workers are done than one, with the heaviest network and a light one."""
    return [
        "| one worker over two, each with one thread | goal | wall time | by processor time |",
        "|---|---|---|---|",
        cluster_row("resnet18-niobate", "at least 1.6", rounds=3),
        cluster_row("cnn-niobate", ""),
    ]


def cluster_row(model: str, goal: str, edge: int = 64, rounds: int = 1) -> str:
    """Return how much sooner two workers are done than one."""
    from distributed import LocalCluster

    from napari_polarmap.pipeline.cluster import Cluster

    classifier = load_classifier(model)
    options = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder:
        made = enlarged(edge)
        known = {name: value for name, value in vars(made.calibration).items() if isinstance(value, float | str)}
        path = write_scan(Path(folder) / "scan.h5", np.asarray(made.data), attrs=known)
        ratios, expected = [], []
        with (
            open_scan(path) as scan,
            LocalCluster(n_workers=1, **options) as one,
            LocalCluster(n_workers=2, **options) as two,
        ):
            inspection = inspect_scan(scan)

            def spent(cluster: Any) -> tuple[float, float, float]:
                """Return wall time, and processor time here and of all workers together."""
                with Cluster(cluster.scheduler_address) as workplace:

                    def times() -> tuple[float, float, float]:
                        return *clocks(), sum(workplace.client.run(time.process_time).values())

                    start = times()
                    map_polarization(scan, classifier, inspection=inspection, workplace=workplace)
                    wall, here, there = np.subtract(times(), start)
                    return float(wall), float(here), float(there)

            for _ in range(rounds):
                alone, both = spent(one), spent(two)
                ratios.append(alone[0] / both[0])
                expected.append((alone[1] + alone[2]) / (both[1] + both[2] / 2))
    wall, processor = np.median(ratios), np.median(expected)
    return f"| {model}, {edge} x {edge} positions | {goal} | {wall:.2f} | {processor:.2f} |"
