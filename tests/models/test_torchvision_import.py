"""torchvision imports here, whatever build of PyTorch it meets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_polarmap.models import torchvision_import
from napari_polarmap.models.torchvision_import import import_torchvision


def test_a_resnet_runs_after_the_import():
    torch = pytest.importorskip("torch")
    import_torchvision()
    from torchvision.models import resnet18

    with torch.no_grad():
        assert resnet18().eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_the_second_import_returns_the_same_module():
    assert import_torchvision() is import_torchvision()


def test_a_failure_for_another_reason_is_passed_on(monkeypatch):
    def fails(name):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(torchvision_import, "import_module", fails)
    with pytest.raises(RuntimeError, match="out of luck"):
        import_torchvision()


def test_the_operators_are_declared_only_when_the_plain_import_fails():
    program = (
        "from napari_polarmap.models import torchvision_import as t\n"
        "try:\n    import torchvision; plain = True\nexcept RuntimeError:\n    plain = False\n"
        "t.import_torchvision()\n"
        "assert plain == (not t._declared)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
