"""Step 5: take the map home."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.display import display_of
from napari_polarmap.io.export import export_map
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.plugin import sample_path
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.section import Form, note

FORMATS = {
    "h5": (
        "Result",
        True,
        "All maps with their provenance, as one HDF5 file; drag it into napari to see every layer again as it is now",
    ),
    "tiff": ("OME-TIFF", True, "Each map as an OME-TIFF image with the size of a scan position [nm]"),
    "zarr": ("OME-Zarr", False, "All maps in one OME-Zarr store, with the size of a scan position [nm]"),
    "csv": ("CSV", True, "Tables: one line per scan position, per domain, and per irregular region"),
    "png": ("PNG", True, "Figure for a paper in the colours of the window: map, arrows, wheel, scale bar, parameters"),
    "svg": ("SVG", False, "The same figure as vectors"),
    "pdf": ("PDF", False, "The same figure as vectors"),
    "py": ("Script", False, "A Python script that repeats the run and compares"),
    "ipynb": ("Notebook", False, "The same as a Jupyter notebook"),
}
"""Format: caption, chosen at first, tooltip."""
UNNAMED = "polarization"


def export(
    result: PolarizationMap, folder: Path, formats: list[str], stem: str
) -> Generator[Progress, None, list[Path]]:
    """Write a map in the formats asked for, one by one, and return the files written."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: a file; name a folder to export to")
    if Path(stem).name != stem:
        raise ValueError(f"{stem!r}: file names begin with a plain name, without folders")
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for done, name in enumerate(formats):
        yield Progress(f"writing {FORMATS[name][0]}", done, len(formats))
        if name == "h5":
            files.append(result.save(folder / f"{stem}.h5"))
        else:
            files += export_map(result, folder, [name], stem=stem, display=display_of(result))
    return files


def folder_of(scan: Scan4D) -> Path:
    """Return the folder in which a scan lies, or the current one for samples and where one cannot write."""
    folder = Path.cwd() if scan.path is None else scan.path.resolve().parent
    return Path.cwd() if folder == sample_path("").parent.resolve() or not os.access(folder, os.W_OK) else folder


class ExportPanel(QWidget):
    """Folder, name and formats.

    Signals
    -------
    export_clicked()
    """

    export_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("choose a folder")
        self.folder.setToolTip("Folder for the files; it is made where it does not exist")
        self.folder.textChanged.connect(self._on_edit)
        self.browse_button = QPushButton("…")
        self.browse_button.setToolTip("Choose a folder")
        self.browse_button.setMaximumWidth(32)
        self.browse_button.clicked.connect(self._ask_folder)
        self.stem = QLineEdit(UNNAMED)
        self.stem.setToolTip("Beginning of every file name")
        self.stem.textChanged.connect(self._on_edit)
        self.formats = {}
        boxes = QGridLayout()
        boxes.setContentsMargins(0, 0, 0, 0)
        boxes.setSpacing(4)
        for index, (key, (caption, on, tooltip)) in enumerate(FORMATS.items()):
            box = QCheckBox(caption)
            box.setChecked(on)
            box.setToolTip(tooltip)
            box.toggled.connect(self._on_edit)
            boxes.addWidget(box, index // 3, index % 3)
            self.formats[key] = box
        self.button = QPushButton("Export")
        self.button.clicked.connect(self.export_clicked)
        self.progress = ProgressRow("the export; files that are whole stay")
        self.written = note()
        self._busy = self._has_map = False
        form = Form()
        form.add("Folder", self.folder, self.browse_button)
        form.add("Name", self.stem)
        row = QHBoxLayout()
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addLayout(boxes)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.written)
        self._on_edit()

    @property
    def chosen(self) -> list[str]:
        """Formats that are ticked."""
        return [key for key, box in self.formats.items() if box.isChecked()]

    def suggest(self, scan: Scan4D) -> None:
        """Name the files after a scan, and take its folder where none was chosen."""
        if not self.folder.text():
            self.folder.setText(str(folder_of(scan)))
        self.stem.setText(f"{scan.name}_polarization")

    def suggest_again(self, result: PolarizationMap) -> None:
        """Name the files of a result that was opened after its scan; the folder is to be chosen."""
        source = (result.provenance.get("input") or {}).get("path")
        if source and self.stem.text() == UNNAMED:
            self.stem.setText(f"{Path(str(source)).stem}_polarization")

    def show_map(self, available: bool) -> None:
        """Enable the export where there is a map."""
        self._has_map = available
        self._on_edit()

    def show_busy(self, busy: bool) -> None:
        """Say that files are being written."""
        self._busy = busy
        self._on_edit()
        if busy:
            self.written.setText("writing …")
            self.progress.start("writing")
        else:
            self.progress.finish()

    def show_written(self, files: list[Path]) -> None:
        """List the files that were written."""
        kinds = Counter(path.suffix.lstrip(".") for path in files)
        counted = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        self.written.setText(f"Wrote {counted} to {files[0].parent}")
        self.written.setToolTip("\n".join(str(path) for path in files))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the export", self.folder.text())
        if path:
            self.folder.setText(path)

    def _on_edit(self) -> None:
        reasons = [
            "there is no map yet" if not self._has_map else "",
            "files are being written" if self._busy else "",
            "choose a folder" if not self.folder.text().strip() else "",
            "give the files a name" if not self.stem.text().strip() else "",
            "tick a format" if not self.chosen else "",
        ]
        reason = next((text for text in reasons if text), "")
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason or "Write the files")
