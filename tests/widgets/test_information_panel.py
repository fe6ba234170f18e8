"""The information panel shows one unit cell, or why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_polarmap.widgets.information_panel import EDGE_PX, InformationPanel, pixmap


def test_a_map_is_folded_into_its_cell(qtbot, make_map):
    shape = (24, 24)
    place = np.indices(shape)
    image = -np.cos(2 * np.pi * place / 6).sum(axis=0)
    measured = {"lattice_vectors_px": [[0.0, 6.0], [6.0, 0.0]]}
    result = make_map(shape, {"measured": measured})
    panel = InformationPanel()
    qtbot.addWidget(panel)
    panel.show_map(result)
    assert "no answers to single patterns" in panel.text.text()
    panel.show_map(
        replace(
            result,
            virtual_image=image.astype(np.float32),
            single_direction=result.domain,
            single_confidence=np.full(shape, 0.5, np.float32),
            single_entropy_bits=np.full(shape, 2, np.float32),
        )
    )
    assert panel.informed.information.image.shape == (6, 6)
    assert [label.text() for label in panel.captions] == ["bright field", "right", "confidence", "entropy"]
    assert "right at 100.0%" in panel.text.text()
    panel.show_map(None)
    assert panel.text.text() == "No map yet."


def test_a_place_without_patterns_is_grey(qtbot):
    picture = pixmap(np.array([[0.0, np.nan], [0.5, 1.0]]), "gray", 0, 1).toImage()
    quarter, three = EDGE_PX // 4, 3 * EDGE_PX // 4
    shades = [picture.pixelColor(x, y).getRgb()[:3] for y in (quarter, three) for x in (quarter, three)]
    assert shades[0] == (0, 0, 0)
    assert shades[1] == (128, 128, 128)
    assert shades[3] == (255, 255, 255)
