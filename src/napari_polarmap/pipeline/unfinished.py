"""An unfinished map in a file beside its result, to go on with after anything."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.result import FORMAT, FORMAT_VERSION

_LEAST_SECONDS: Final = 1.0
_SHARE: Final = 20.0
"""Saving takes at most one part in so many of the time."""


class Place(NamedTuple):
    """How far a run has come: tiles done, and blocks and batches of windows done in the next one."""

    tiles: int = 0
    blocks: int = 0
    windows: int = 0


@dataclass
class Unfinished:
    """Keeps what a run has found so far, whole at any moment.

    Attributes
    ----------
    path : Path
        Result files say ``complete = False`` while a run goes on; this is one.
    resume : bool
        Go on with what is there.
    every_s : float
        Least time between two saves.
    """

    path: Path
    resume: bool = False
    every_s: float = _LEAST_SECONDS
    run: dict[str, Any] = field(default_factory=dict, init=False)
    _due: float = field(default=0.0, init=False)

    def begin(self, run: dict[str, Any]) -> tuple[Place, dict[str, NDArray[Any]]]:
        """Return how far an earlier run came, and its arrays; nothing where there is none.

        Parameters
        ----------
        run : dict
            What two runs must have in common to have the same result, as JSON values.

        Raises
        ------
        ValueError
            If the file belongs to another run, cannot be read, or is there and `resume` was not asked for.
        """
        self.run = json.loads(json.dumps(run, sort_keys=True))
        self._due = time.monotonic() + self.every_s
        if not self.path.exists():
            return Place(), {}
        if not self.resume:
            raise ValueError(f"{self.path}: an unfinished run; go on with --resume, or delete this file")
        for left in self.path.parent.glob(f".{self.path.name}.*.part"):
            left.unlink(missing_ok=True)
        try:
            with h5py.File(self.path, "r") as file:
                earlier = json.loads(file["run"].asstr()[()])
                place = Place(*(int(number) for number in file["place"][()]))
                arrays = {name: np.asarray(node[()]) for name, node in file["arrays"].items()}
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{self.path}: not an unfinished run that can be read ({error}); delete it") from None
        other = [name for name in sorted(self.run.keys() | earlier.keys()) if self.run.get(name) != earlier.get(name)]
        if other:
            raise ValueError(f"{self.path}: an unfinished run with other {', '.join(other)}; delete it to begin anew")
        return place, arrays

    def offer(self, place: Place, arrays: dict[str, NDArray[Any]]) -> None:
        """Save, where the last time is long enough ago."""
        start = time.monotonic()
        if start < self._due:
            return
        with whole_file(self.path) as partial, h5py.File(partial, "w") as file:
            file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "complete": False})
            file["run"], file["place"] = json.dumps(self.run), place
            for name, array in arrays.items():
                file[f"arrays/{name}"] = array
        now = time.monotonic()
        self._due = now + max(self.every_s, _SHARE * (now - start))

    def done(self) -> None:
        """Remove the file: the result is whole."""
        self.path.unlink(missing_ok=True)
