"""The dock "Compare maps": two classifiers on the same scan, and where they differ."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtWidgets import QButtonGroup, QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_polarmap.core.comparison import Comparison, compare
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import list_models, load_classifier
from napari_polarmap.pipeline.compare_layers import (
    COMPARED,
    STEP_COLORS,
    STEP_NAMES,
    caption_places,
    compare_layers,
    in_words,
    offsets,
    role_of,
    title_of,
)
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.layers import ROLE_KEY, SCAN_KEY
from napari_polarmap.pipeline.mapping import map_steps
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.followed_maps import FollowedMaps
from napari_polarmap.widgets.model_news import NEWS
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.section import Form, fit_width, note
from napari_polarmap.widgets.workers import Jobs, tell_error

VIEWS = {"off": "Off", "first": "First", "second": "Second", "difference": "Difference", "beside": "Side by side"}
MOST_MAPS = 12


def map_again(scan: Scan4D, model: str, params: MapParams) -> Generator[Progress, None, PolarizationMap]:
    """Map a scan with another classifier."""
    yield Progress("loading the classifier", 0, 0)
    return (yield from map_steps(scan, load_classifier(model), params))


class CompareWidget(Dock):
    """Dock widget "Compare maps".

    It remembers every map that comes into the viewer while it is open, so that two runs, one after the other, can be
    compared although the second takes the layers of the first.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.maps: list[PolarizationMap] = []
        self.comparison: Comparison | None = None
        self._jobs = Jobs(self)
        self._followed = FollowedMaps(napari_viewer, self)
        self._hidden: list[Layer] = []
        self.first, self.second, self.model = QComboBox(), QComboBox(), QComboBox()
        self.file_button, self.run_button = QPushButton("File…"), QPushButton("Map with it")
        self.progress = ProgressRow("the run")
        self.said, self.key = note(), note()
        self.views = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        self._build()
        for signal in (self._followed.listed, self._followed.exchanged):
            signal.connect(self._remember)
        NEWS.models_changed.connect(self._list_models)
        self._list_models()
        self._remember()
        self.refresh()

    def _build(self) -> None:
        for box, tooltip in (
            (self.first, "One map: of this window, or of a file"),
            (self.second, "The other map of the same scan"),
            (self.model, "Classifier for the second map"),
        ):
            box.setToolTip(tooltip)
            fit_width(box)
        self.file_button.setToolTip("Add the map of a result file (.h5)")
        self.run_button.setToolTip("Map the open scan with this classifier and the options of the first map")
        form = Form()
        form.add("First", self.first, self.file_button)
        form.add("Second", self.second)
        form.add("Classifier", self.model, self.run_button)
        row = QHBoxLayout()
        row.setSpacing(2)
        for name, caption in VIEWS.items():
            button = QPushButton(caption)
            button.setCheckable(True)
            button.setToolTip(_VIEW_TIPS[name])
            self.buttons[name] = button
            self.views.addButton(button)
            row.addWidget(button)
        self.buttons["off"].setChecked(True)
        self.key.setText(
            " ".join(f'<span style="color:{color}">■</span> {STEP_NAMES[step]}' for step, color in STEP_COLORS.items())
        )
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addLayout(row)
        layout.addWidget(self.said)
        layout.addWidget(self.key)
        layout.addStretch(1)
        self.setMinimumWidth(350)
        self.first.currentIndexChanged.connect(self.refresh)
        self.second.currentIndexChanged.connect(self.refresh)
        self.file_button.clicked.connect(self._ask_file)
        self.run_button.clicked.connect(self.run)
        self.progress.cancelled.connect(self._jobs.cancel)
        self.views.buttonClicked.connect(lambda _: self._show())

    def detach(self) -> None:
        """Stop all work, take the layers away and let go of the viewer."""
        self._jobs.stop()
        self._followed.detach()
        NEWS.models_changed.disconnect(self._list_models)
        self._remove()

    @property
    def view(self) -> str:
        """What is shown: ``off``, ``first``, ``second``, ``difference`` or ``beside``."""
        return next(name for name, button in self.buttons.items() if button.isChecked())

    def show_view(self, name: str) -> None:
        """Show one of the views."""
        self.buttons[name].setChecked(True)
        self._show()

    def add(self, result: PolarizationMap) -> None:
        """Remember a map; one that was judged anew takes the place of the same map before."""
        names = [_identity(known) for known in self.maps]
        if _identity(result) in names:
            self.maps[names.index(_identity(result))] = result
            return
        self.maps = [*self.maps, result][-MOST_MAPS:]
        self._list_maps()

    def add_file(self, path: str | Path) -> None:
        """Add the map of a result file."""
        try:
            self.add(PolarizationMap.load(path))
        except (ValueError, OSError) as error:
            tell_error(error)

    def run(self) -> None:
        """Map the scan behind the first map with another classifier."""
        scan, first = self._scan(), self._chosen(self.first)
        if scan is None:
            self.said.setText("Open the scan in Plugins > Polarization mapping; its map is computed again here.")
            return
        stored = {} if first is None else first.provenance.get("parameters") or {}
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        self.run_button.setEnabled(False)
        self.progress.start("starting")
        self._jobs.start(
            map_again,
            scan,
            self.model.currentData(),
            MapParams(**options),
            yielded=self.progress.show_progress,
            returned=self._on_mapped,
            errored=tell_error,
            finished=self._on_finished,
        )

    def refresh(self, *_: Any) -> None:
        """Compare anew."""
        first, second = self._chosen(self.first), self._chosen(self.second)
        self.comparison = None
        if first is None or second is None or first is second:
            self.said.setText("Two maps of the same scan are needed: run two classifiers, or open a result file.")
        else:
            try:
                self.comparison = compare(first.domain, second.domain)
                self.said.setText(in_words(first, second, self.comparison))
            except ValueError as error:
                self.said.setText(str(error))
        for name, button in self.buttons.items():
            button.setEnabled(name == "off" or self.comparison is not None)
        self._remove()
        if self.comparison is None:
            self.buttons["off"].setChecked(True)
        self._show()

    def _on_mapped(self, result: PolarizationMap) -> None:
        self.add(result)
        self.second.setCurrentIndex(len(self.maps) - 1)

    def _on_finished(self) -> None:
        self.run_button.setEnabled(True)
        self.progress.finish()

    def _show(self) -> None:
        """Show the chosen view, and what was there before when it is off."""
        view = self.view
        if view == "off":
            self._remove()
            return
        if len(self._own()) <= len(COMPARED):  # none yet, or some were deleted
            self._remove()
            self._add()
        first, beside = self._chosen(self.first), view == "beside"
        height, width = self.viewer.canvas.size
        places = offsets(first, down=height > width) if beside else len(COMPARED) * [(0.0, 0.0)]
        own = self._own()
        for part, place in zip(COMPARED, places, strict=True):
            layer = own[role_of(part)]
            layer.visible = beside or view == part
            layer.translate = place
        captions = own[role_of("captions")]
        captions.data = caption_places(first, places)
        if captions.visible != beside:
            captions.visible = beside
            self.viewer.reset_view()

    def _add(self) -> None:
        """Add the layers of the comparison, and hide all others."""
        active = self.viewer.layers.selection.active
        self._hidden = [layer for layer in self.viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        first, second = self._chosen(self.first), self._chosen(self.second)
        for data, options, kind in compare_layers(first, second, self.comparison):
            self.viewer.add_layer(Layer.create(data, options, kind))
        self.viewer.layers.selection.active = active if active in self.viewer.layers else None

    def _remove(self) -> None:
        """Take the layers of the comparison away and show what they hid."""
        for layer in self._own().values():
            self.viewer.layers.remove(layer)
        for layer in self._hidden:
            if layer in self.viewer.layers:
                layer.visible = True
        self._hidden = []

    def _own(self) -> dict[str, Layer]:
        roles = [role_of(part) for part in (*COMPARED, "captions")]
        return {role: layer for layer in self.viewer.layers if (role := layer.metadata.get(ROLE_KEY)) in roles}

    def _chosen(self, box: QComboBox) -> PolarizationMap | None:
        index = box.currentIndex()
        return self.maps[index] if 0 <= index < len(self.maps) else None

    def _scan(self) -> Scan4D | None:
        """Return the scan in the viewer that the first map fits."""
        first = self._chosen(self.first)
        scans = [layer.metadata[SCAN_KEY] for layer in self.viewer.layers if SCAN_KEY in layer.metadata]
        return next((scan for scan in scans if first is None or scan.scan_shape == first.scan_shape), None)

    def _remember(self) -> None:
        for result in self._followed.maps:
            self.add(result)

    def _list_maps(self) -> None:
        for box in (self.first, self.second):
            index = box.currentIndex()
            box.blockSignals(True)
            box.clear()
            for result in self.maps:
                box.addItem(_title(result))
            box.setCurrentIndex(max(index, 0))
            box.blockSignals(False)
        if len(self.maps) == 2:
            self.second.setCurrentIndex(1)
        self.refresh()

    def _list_models(self) -> None:
        self.model.clear()
        for info in list_models():
            self.model.addItem(info.title, info.name)
        self.model.setCurrentIndex(min(1, self.model.count() - 1))

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a result", "", "Results (*.h5)")
        if path:
            self.add_file(path)


_VIEW_TIPS = {
    "off": "Show the window's own layers again",
    "first": "The first map; change between First and Second to see what moves",
    "second": "The second map",
    "difference": "Where the two differ, and by what angle [degrees]",
    "beside": "First map, second map and difference beside each other, moved and zoomed together",
}


def _identity(result: PolarizationMap) -> tuple[Any, ...]:
    """Return what stays when a map is judged anew: the run it comes from."""
    said = result.provenance
    run = (said.get("date"), (said.get("model") or {}).get("name"), str((said.get("input") or {}).get("path")))
    return (*run, result.scan_shape) if any(run[:2]) else (id(result.domain),)


def _title(result: PolarizationMap) -> str:
    source = Path(str((result.provenance.get("input") or {}).get("path") or "scan")).stem
    return f"{title_of(result)} — {source}"
