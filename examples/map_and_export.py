# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Load, map, export
#
# The packaged sample from file to figure. Put your own file in place of `sample`.

# %%
from importlib.resources import files
from pathlib import Path

import numpy as np

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.directions import LABELS
from napari_polarmap.io.export import export_map

sample = Path(str(files("napari_polarmap") / "sample_data" / "two_domains.h5"))

# %% [markdown]
# A scan is opened lazily. What its file does not tell is given by `calibrated`; here nothing is missing.

# %%
with open_scan(sample) as scan:
    print(scan.shape, scan.calibration)
    result = map_polarization(scan, load_classifier("template-niobate"))

# %% [markdown]
# `domain` is the direction to publish: 0 to 7, and 255 where nothing can be said.

# %%
for code, label in enumerate(LABELS):
    share = (result.domain == code).mean()
    if share:
        print(f"{label}: {share:.0%}, thickness {np.nanmedian(result.thickness_nm[result.domain == code]):.1f} nm")

# %% [markdown]
# The result file holds every map with its provenance; the rest is for other programs.

# %%
out = Path("example-map")
out.mkdir(exist_ok=True)
result.save(out / "two_domains.h5")
for path in export_map(result, out, ("png", "csv")):
    print("wrote", path)
