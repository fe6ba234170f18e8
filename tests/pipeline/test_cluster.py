"""The same map from the processes of a cluster, also when one of them is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_polarmap
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.models.registry import default_model, load_classifier
from napari_polarmap.pipeline import evidence
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.mapping import map_polarization, map_steps

distributed = pytest.importorskip("distributed")
import dask  # noqa: E402
from distributed.comm.core import CommClosedError  # noqa: E402

from napari_polarmap.pipeline.cluster import Cluster  # noqa: E402

TWO_DOMAINS = Path(napari_polarmap.__file__).with_name("sample_data") / "two_domains.h5"
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as running:
        yield running


def cut(folder: Path, rows: slice, columns: slice) -> Path:
    """Write a part of the packaged scan into a file."""
    with open_scan(TWO_DOMAINS) as whole:
        known = {name: value for name, value in vars(whole.calibration).items() if isinstance(value, float | str)}
        return write_scan(folder / "scan.h5", whole.read(rows, columns), attrs=known)


def test_one_of_two_processes_is_killed_mid_run_and_the_map_is_the_same(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "BLOCK_BYTES", 2**20)
    path = cut(tmp_path, slice(0, 40), slice(20, 60))
    classifier = load_classifier(default_model())
    with open_scan(path) as scan, Cluster(cluster.scheduler_address) as workplace:
        inspection = inspect_scan(scan)
        here = map_polarization(scan, classifier, inspection=inspection)
        steps = map_steps(scan, classifier, inspection=inspection, workplace=workplace)
        there, killed = None, 0
        while there is None:
            try:
                step = next(steps)
            except StopIteration as done:
                there = done.value
            else:
                if not killed and step.stage == "classifying" and step.done > 0:
                    killed = next(iter(cluster.workers.values())).pid
                    os.kill(killed, signal.SIGKILL)
    assert killed
    for name, array in here.arrays().items():
        np.testing.assert_array_equal(there.arrays()[name], array, err_msg=name)


def test_what_lies_in_no_file_cannot_be_sent(cluster):
    with open_scan(TWO_DOMAINS) as scan, Cluster(cluster.scheduler_address) as workplace:
        loose = type(scan)(np.asarray(scan.read(slice(0, 24), slice(0, 24))), scan.calibration, name="loose")
        with pytest.raises(ValueError, match="loose: other processes can only work on scans"):
            map_polarization(loose, load_classifier(default_model()), workplace=workplace)


def test_a_scheduler_without_workers_is_refused_in_one_sentence():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(ValueError, match=r"--scheduler \S+: this scheduler has no workers"),
    ):
        Cluster(empty.scheduler_address)


def test_a_worker_lost_while_it_is_told_is_not_the_end(cluster, tmp_path, monkeypatch):
    path = cut(tmp_path, slice(0, 24), slice(0, 24))
    told = []

    def losing(method):
        def tell(what):
            told.append(method.__name__)
            if len(told) < 3:
                raise CommClosedError("Stream is closed")
            method(what)
            if method.__name__ == "unregister_worker_plugin":
                raise CommClosedError("Stream is closed")

        return tell

    with open_scan(path) as scan, Cluster(cluster.scheduler_address) as workplace:
        for method in workplace.client.register_plugin, workplace.client.unregister_worker_plugin:
            monkeypatch.setattr(workplace.client, method.__name__, losing(method))
        map_polarization(scan, load_classifier(default_model()), workplace=workplace)
    assert told[:3] == ["register_plugin"] * 3
    assert told[-1] == "unregister_worker_plugin"
    assert workplace.client.status == "closed"


FAULTS_OF_LARGE_ARRAYS = """
import resource, numpy as np
from napari_polarmap.pipeline.cluster import Kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
Kept("recipe", None).setup(None)
np.ones(2**20)
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told to keep memory")
def test_workers_keep_the_memory_of_large_arrays():
    started = dask.config.get("distributed.nanny.pre-spawn-environ")
    environment = os.environ | {name: str(value) for name, value in started.items()}
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"  # one fault for each page, also where pages can be huge
    seen = subprocess.run(
        [sys.executable, "-c", FAULTS_OF_LARGE_ARRAYS], env=environment, capture_output=True, text=True, check=True
    )
    before, after = map(int, seen.stdout.split())
    assert before > 1000
    assert after < 0.1 * before
