# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Drive a Dask cluster
#
# Needs `napari-polarmap[distributed]`. The cluster here is made of two threads, so that the example runs anywhere. On
# a real one put the address of its scheduler (`tcp://HOST:8786`) in place of `cluster.scheduler_address`; its workers
# must see the file under the same path.

# %%
from importlib.resources import files
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.pipeline.cluster import Cluster

sample = Path(str(files("napari_polarmap") / "sample_data" / "defect.h5"))
classifier = load_classifier("template-niobate")

# %%
with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
    with open_scan(sample) as scan:
        there = map_polarization(scan, classifier, workplace=Cluster(cluster.scheduler_address))

# %% [markdown]
# The map is the one that this process makes by itself.

# %%
with open_scan(sample) as scan:
    here = map_polarization(scan, classifier)
np.testing.assert_array_equal(there.domain, here.domain)
np.testing.assert_allclose(there.probability, here.probability, atol=1e-5)
print("the same map, from the cluster and from here")
