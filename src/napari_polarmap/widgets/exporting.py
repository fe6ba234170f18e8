"""Step 5 at work: files of the map as it is shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.widgets.export_panel import ExportPanel, export
from napari_polarmap.widgets.judging import Judging
from napari_polarmap.widgets.workers import Jobs, tell_error


class Exporting(QObject):
    """Writes what the panel asks for, in the background.

    Signals
    -------
    written(object)
        The map that is in the files now.
    """

    written = Signal(object)

    def __init__(self, panel: ExportPanel, judging: Judging, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._panel, self._judging, self._jobs = panel, judging, Jobs(self)
        panel.export_clicked.connect(self._export)
        panel.progress.cancelled.connect(self._jobs.cancel)
        judging.changed.connect(self._on_judged)

    @property
    def busy(self) -> bool:
        """Whether files are being written."""
        return self._jobs.busy

    def stop(self) -> None:
        """Stop and hear no more of it; files that are whole stay."""
        self._jobs.stop()

    def _on_judged(self) -> None:
        result = self._judging.result
        self._panel.show_map(result is not None)
        if result is not None:
            self._panel.suggest_again(result)

    def _export(self) -> None:
        self._panel.show_busy(True)
        self._jobs.start(
            export,
            self._judging.to_save(),
            Path(self._panel.folder.text().strip()).expanduser(),
            self._panel.chosen,
            self._panel.stem.text().strip(),
            yielded=self._panel.progress.show_progress,
            returned=partial(self._on_written, self._judging.result),
            aborted=lambda: self._panel.written.setText("The export was cancelled; files that are whole stay."),
            errored=self._on_error,
            finished=lambda: self._panel.show_busy(False),
        )

    def _on_written(self, result: PolarizationMap, files: list[Path]) -> None:
        self._panel.show_written(files)
        self.written.emit(result)

    def _on_error(self, error: Exception) -> None:
        self._panel.written.setText(str(error))
        tell_error(error)
