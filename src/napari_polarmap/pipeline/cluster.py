"""Work on the processes of a dask.distributed cluster, which may be other machines."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, cast
from uuid import uuid4

import numpy as np
from distributed import Client, KilledWorker, get_worker
from distributed.comm.core import CommClosedError
from distributed.diagnostics.plugin import WorkerPlugin
from threadpoolctl import threadpool_limits

from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.data import Calibration
from napari_polarmap.core.ordered import in_order
from napari_polarmap.core.own_modes import OwnModes
from napari_polarmap.io import RawLayout, open_scan
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import Inspection
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import WindowPlan
from napari_polarmap.pipeline.workplace import Item, Result, Setting, alone

_TIMEOUT_S: Final = 10
_RETRIES: Final = 3
_LOOK_AHEAD: Final = 2
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_KEPT: Final = 32 * 2**20
"""Most that glibc allows."""
_MOST_KEPT: Final = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a process needs to have the same `Setting`; the patterns it reads from the file itself."""

    path: Path
    dataset: str | None
    shape: tuple[int, int, int, int]
    axes: AxisOrder | None
    raw: RawLayout | None
    calibration: Calibration
    model: bytes
    inspection: Inspection
    params: MapParams
    plan: WindowPlan | None
    singles: bool
    modes: OwnModes | None

    @classmethod
    def of(cls, setting: Setting, raw: RawLayout | None) -> Recipe:
        """Write a recipe.

        Raises
        ------
        ValueError
            If the scan or the model does not come from a file.
        """
        scan, model = setting.frame.scan, setting.frame.classifier.info.path
        if scan.path is None or model is None:
            raise ValueError(f"{scan.name}: other processes can only work on scans and with models that lie in files")
        inspection = setting.frame.inspection
        statistics = replace(inspection.statistics, mean_pattern=np.zeros(0), tile_patterns=np.zeros(0))
        return cls(
            path=scan.path.resolve(),
            dataset=scan.dataset,
            shape=scan.shape,
            axes=scan.axes,
            raw=raw,
            calibration=scan.calibration,
            model=model.read_bytes(),
            inspection=replace(inspection, statistics=statistics),
            params=setting.frame.params,
            plan=setting.plan,
            singles=setting.singles,
            modes=setting.modes,
        )

    def setting(self) -> Setting:
        """Follow the recipe; allowing other files again, as whoever opened the scan has done."""
        scan = open_scan(
            self.path,
            scan_shape=self.shape[:2],
            dataset=self.dataset,
            axes=self.axes,
            raw=self.raw,
            allow_external=True,
        )
        if scan.shape != self.shape:
            raise ValueError(f"{self.path}: has shape {scan.shape} for a worker, {self.shape} for who asked it to work")
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.safetensors"
            model.write_bytes(self.model)
            classifier = load_classifier(model)
        scan = replace(scan, calibration=self.calibration)
        return Setting(Frame(scan, classifier, self.inspection, self.params), self.plan, self.singles, self.modes)


class Kept(WorkerPlugin):
    """A recipe sent to every worker once, also to those that join later."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name, self.recipe = name, recipe

    def setup(self, worker: Any) -> None:
        """Begin without a setting; the first work makes it."""
        del worker
        self._lock = Lock()
        threadpool_limits(1)
        _keep_memory()

    def teardown(self, worker: Any) -> None:
        """Close the scan."""
        del worker
        if "setting" in self.__dict__:
            self.setting.frame.scan.close()

    @cached_property
    def setting(self) -> Setting:
        """Made from the recipe."""
        return self.recipe.setting()

    def do(self, work: Callable[[Setting, Item], Result], item: Item) -> Result:
        """Do one piece of work."""
        alone()
        with self._lock:
            setting = self.setting
        return work(setting, item)


def _keep_memory() -> None:
    """Have glibc keep the memory of large arrays for the next ones.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``, by which all of it is given back at once and
    asked for again, at half of the time of a map by a small network. ``mallopt(3)`` has the constants.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


def _at_worker(name: str, work: Callable[[Setting, Item], Result], item: Item) -> Result:
    kept = cast(Kept, get_worker().plugins[name])
    return kept.do(work, item)


class Cluster:
    """The workers of a scheduler, as a `Workplace`.

    They must see the scan under the same path and have the same version of this package. What a
    worker had not finished when it was lost, another does.

    Parameters
    ----------
    address : str
        For example ``tcp://host:8786``.
    raw : RawLayout, optional
        As given to `open_scan`, which the scan does not know.

    Raises
    ------
    ValueError
        If no scheduler answers there, or it has no workers.
    """

    def __init__(self, address: str, *, raw: RawLayout | None = None) -> None:
        self.address, self._raw = address, raw
        try:
            self.client = Client(address, timeout=_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"--scheduler {address}: no scheduler answers ({error})") from None
        self._prepared: tuple[Setting, str] | None = None
        if not self.client.nthreads():
            self.close()
            raise ValueError(f"--scheduler {address}: this scheduler has no workers")

    def each(
        self, work: Callable[[Setting, Item], Result], setting: Setting, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """See `Workplace.each`."""
        if self._prepared is None or self._prepared[0] is not setting:
            self._forget()
            kept = Kept(f"polarmap-{uuid4().hex}", Recipe.of(setting, self._raw))
            self._send(kept)
            self._prepared = setting, kept.name
        ahead = _LOOK_AHEAD * sum(self.client.nthreads().values())
        executor: Executor = self.client.get_executor(pure=False, retries=_RETRIES)
        try:
            with executor:
                yield from in_order(executor, partial(_at_worker, self._prepared[1], work), items, ahead=ahead)
        except (KilledWorker, CancelledError, CommClosedError) as error:
            raise self._lost(error) from None

    def _send(self, kept: Kept) -> None:
        """Send a recipe, again when a worker is lost meanwhile; those that are left may have it twice."""
        for left in reversed(range(_RETRIES)):
            try:
                self.client.register_plugin(kept)
            except OSError as error:
                if not left:
                    raise self._lost(error) from None
            else:
                return

    def _lost(self, error: Exception) -> OSError:
        return OSError(f"--scheduler {self.address}: the work was lost ({type(error).__name__}: {error})")

    def _forget(self) -> None:
        if self._prepared is not None:
            name, self._prepared = self._prepared[1], None
            with suppress(OSError):  # of a worker that is lost meanwhile; the others are told
                self.client.unregister_worker_plugin(name)

    def close(self) -> None:
        """Leave the cluster as it was found."""
        self._forget()
        self.client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
