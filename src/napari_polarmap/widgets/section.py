"""A titled step of the dock: it folds, and its header says how the step stands."""

from __future__ import annotations

from enum import Enum

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


class State(Enum):
    """How a step stands: mark and colour, readable on dark and light."""

    WAITING = ("○", "#8a929c")
    BUSY = ("◔", "#4f8fd0")
    DONE = ("✓", "#2e9e5b")
    ATTENTION = ("▲", "#d98a00")
    STALE = ("↻", "#d98a00")


def fold_button(tooltip: str, *, bold: bool = False) -> QPushButton:
    """Return a button that looks like text; checked means unfolded."""
    button = QPushButton()
    button.setCheckable(True)
    button.setFlat(True)
    button.setToolTip(tooltip)
    button.setStyleSheet(
        "QPushButton, QPushButton:hover, QPushButton:checked, QPushButton:pressed"
        "{background: transparent; border: none; text-align: left; padding: 2px 0px;"
        f"font-weight: {'bold' if bold else 'normal'};}}"
    )
    return button


def undo_button(tooltip: str) -> QToolButton:
    """Return a small button with a turned arrow."""
    button = QToolButton()
    button.setText("↶")
    button.setToolTip(tooltip)
    return button


class Section(QFrame):
    """One step: a header with title and state, and a body that folds away."""

    def __init__(self, title: str, *, tooltip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.header = fold_button(tooltip, bold=True)
        self.header.setChecked(True)
        self.header.toggled.connect(self._fold)
        self.status = QLabel()
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.status.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.body = QWidget()
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.header)
        top.addWidget(self.status, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.body)
        line = QFrame()
        line.setFixedHeight(1)
        line.setStyleSheet("background: rgba(128, 128, 128, 90);")
        layout.addWidget(line)
        self._fold(True)
        self.set_state(State.WAITING)

    def set_content(self, content: QWidget) -> None:
        """Put the controls of the step into the body."""
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(14, 0, 0, 6)
        layout.addWidget(content)

    def set_state(self, state: State, text: str = "") -> None:
        """Show how the step stands, with a few words."""
        mark, color = state.value
        self.status.setText(f'{text} <span style="color:{color}; font-weight:bold">{mark}</span>')
        self.status.setToolTip(text)
        self.state = state

    def _fold(self, open_: bool) -> None:
        self.body.setVisible(open_)
        self.header.setText(f"{'▾' if open_ else '▸'} {self._title}")


class StepColumn(QScrollArea):
    """Steps one below the other, scrolled up and down only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QWidget()
        self._layout = QVBoxLayout(column)
        self._layout.setContentsMargins(6, 4, 10, 4)
        self._layout.setSpacing(4)
        self._layout.addStretch(1)
        self.setWidget(column)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def add(self, title: str, content: QWidget, tooltip: str) -> Section:
        """Append a step."""
        section = Section(title, tooltip=tooltip)
        section.set_content(content)
        self._layout.insertWidget(self._layout.count() - 1, section)
        return section


class Form(QGridLayout):
    """Rows of label and control, columns aligned over all rows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setContentsMargins(0, 0, 0, 0)
        self.setHorizontalSpacing(8)
        self.setVerticalSpacing(4)
        self.setColumnMinimumWidth(0, LABEL_WIDTH)
        self.setColumnStretch(1, 1)

    def add(self, label: str, *widgets: QWidget) -> QLabel:
        """Append a row; the first widget takes the free width. The label shares its tooltip."""
        row = self.rowCount()
        caption = QLabel(label)
        caption.setToolTip(widgets[0].toolTip())
        self.addWidget(caption, row, 0)
        if len(widgets) == 1:
            self.addWidget(widgets[0], row, 1)
        else:
            box = QHBoxLayout()
            box.setContentsMargins(0, 0, 0, 0)
            box.setSpacing(4)
            for index, widget in enumerate(widgets):
                box.addWidget(widget, 1 if index == 0 else 0)
            self.addLayout(box, row, 1)
        return caption

    def add_wide(self, widget: QWidget) -> None:
        """Append a row over both columns."""
        self.addWidget(widget, self.rowCount(), 0, 1, 2)


LABEL_WIDTH = 84


def note() -> QLabel:
    """Return an empty label for a sentence or two; it wraps."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def fit_width(box: QComboBox) -> None:
    """Let a list take the width there is, however long its entries are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
