"""The profile along a line that is drawn over the scan."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from napari_polarmap.io.profile_figure import draw_profile
from napari_polarmap.pipeline.profiles import Profile
from napari_polarmap.widgets.section import Form, fit_width, note
from napari_polarmap.widgets.workers import tell_error

QUANTITIES = {
    "image": "uppermost image",
    "polarization": "polarization",
    "deflection": "deflection",
    "confidence": "confidence",
}


class ProfilePanel(QWidget):
    """Chooses a quantity and plots it along the line.

    Signals
    -------
    line_clicked(), changed()
    """

    line_clicked = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.profile: Profile | None = None
        self.line_button = QPushButton("Draw line")
        self.line_button.setToolTip("Draw a line over the scan, across a wall for instance; the profile follows it")
        self.line_button.clicked.connect(self.line_clicked)
        self.quantity = QComboBox()
        for key, text in QUANTITIES.items():
            self.quantity.addItem(text, key)
        fit_width(self.quantity)
        self.quantity.setToolTip(
            "What is plotted.\nUppermost image: the highest image layer that is shown.\nPolarization: components of a "
            "vector of length 1.\nDeflection: shift of the centre of mass [mrad].\nConfidence: probability, 0 to 1"
        )
        self.width = QSpinBox()
        self.width.setRange(1, 999)
        self.width.setValue(5)
        self.width.setSuffix(" positions")
        self.width.setKeyboardTracking(False)
        self.width.setToolTip("Average across the line over so many [scan positions]")
        self.save_button = QPushButton("Save…")
        self.save_button.setToolTip("Save the profile as a table of comma-separated values (CSV)")
        self.save_button.clicked.connect(self._ask_save)
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.canvas.setFixedHeight(190)
        self.canvas.setMinimumWidth(200)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.canvas.setToolTip("Profile: distance along the line [nm, or scan positions where the step is not known]")
        self.said = note()
        form = Form()
        form.add("Quantity", self.quantity, self.line_button)
        form.add("Width", self.width, self.save_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.said)
        layout.addWidget(self.canvas)
        self.quantity.currentIndexChanged.connect(self.changed)
        self.width.valueChanged.connect(self.changed)
        self.show_profile(None, "Draw a line over the scan first.")

    def show_profile(self, profile: Profile | None, reason: str = "") -> None:
        """Plot a profile, or say why there is none."""
        self.profile = profile
        self.said.setText(reason)
        self.said.setVisible(bool(reason))
        self.canvas.setVisible(profile is not None)
        self.save_button.setEnabled(profile is not None)
        if profile is None:
            return
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()
        paper = self.palette().color(QPalette.ColorRole.Window).name()
        names = ("xtick.color", "ytick.color", "text.color", "axes.labelcolor", "axes.edgecolor")
        with rc_context({**dict.fromkeys(names, ink), "axes.facecolor": paper, "font.size": 8}):
            self.figure.set_facecolor(paper)
            draw_profile(self.figure, profile.distance, profile.unit, profile.curves, profile.label)
        self.canvas.draw_idle()

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the profile", "profile.csv", "Table (*.csv)")
        if path:
            self.save(Path(path).with_suffix(".csv"))

    def save(self, path: Path) -> None:
        """Write the profile as a table."""
        try:
            path.write_text(self.profile.table(), encoding="utf-8")
        except OSError as error:
            tell_error(error)
