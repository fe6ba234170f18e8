"""torchvision, also where its compiled operators do not fit the installed PyTorch.

The networks here need none of those operators, but torchvision describes two of them to
PyTorch while it is imported and fails when they are unknown, for instance when its CUDA
build meets a CPU build of PyTorch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Final

import torch

_SCHEMAS: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Return the module torchvision; declare its missing operators only if the plain import fails.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    RuntimeError
        If the import fails for another reason than a missing operator.
    """
    try:
        return import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    _declared.append(library)  # the declarations last as long as the library object
    for schema in _SCHEMAS:
        library.define(schema)
    return import_module("torchvision")
