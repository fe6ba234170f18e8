# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Compare classifiers
#
# Maps of one scan by several classifiers: where do they agree, and how sure are they where they do not? The sample is
# simulated, so the truth can be asked as well; with a scan of your own leave that out.

# %%
from importlib.resources import files
from pathlib import Path

import numpy as np

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.metrics import accuracy, wall_distance
from napari_polarmap.io.hdf5 import read_truth

sample = Path(str(files("napari_polarmap") / "sample_data" / "two_domains.h5"))
names = ("template-niobate", "pca-knn-niobate")

# %%
results = {}
with open_scan(sample) as scan:
    for name in names:
        results[name] = map_polarization(scan, load_classifier(name))

# %% [markdown]
# The truth counts farther than one unit cell, eight positions, from the wall.

# %%
truth, _ = read_truth(sample)
far = wall_distance(truth) > 8
for name, result in results.items():
    undefined = (result.domain == UNDEFINED).mean()
    right = accuracy(result.domain, truth, far)
    print(f"{name:<18} right {right:.1%}, undefined {undefined:.1%}, confidence {np.nanmedian(result.confidence):.2f}")

# %%
one, other = (results[name] for name in names)
told = (one.domain != UNDEFINED) & (other.domain != UNDEFINED)
differ = told & (one.domain != other.domain)
print(f"both say something at {told.mean():.1%}, and differ at {differ.mean():.1%} of the positions")
if differ.any():
    print("median confidence there:", *(f"{np.median(result.confidence[differ]):.2f}" for result in (one, other)))
