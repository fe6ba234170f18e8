"""Broken files of every format load right, what cannot be read counted, or are refused in one sentence."""

from __future__ import annotations

import logging

import pytest

from broken_files import corpus, outcome
from scan_files import MAKERS


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.filterwarnings("ignore")  # other packages warn of what is refused afterwards
def test_broken_files_load_right_or_are_refused_in_one_sentence(name, tmp_path, tally, caplog):
    caplog.set_level(logging.CRITICAL)
    failed = []
    for broken in corpus(name, tmp_path):
        try:
            tally("broken files", outcome(broken))
        except Exception as error:  # noqa: BLE001 -- whatever comes is the finding
            tally("broken files", None)
            failed.append(f"{broken.what}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed[:20])
