"""Work in the background, and how its errors reach the user."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isgeneratorfunction
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject
from superqt.utils import create_worker  # napari's keeps every worker, and the scan it read, for the whole session

from napari_polarmap.core.ordered import WORTH_TELLING_S, waiting, waiting_text
from napari_polarmap.pipeline.inspection import Progress

_SIGNALS = ("yielded", "returned", "errored", "aborted", "finished")


class _Cancelled(Exception):
    """Work was cancelled while it waited."""


class _Job(QObject):
    """One worker and who hears of it.

    The worker's signals end in bound methods of this object, so they arrive in the
    window's thread, and not at all once the window is gone.
    """

    def __init__(self, jobs: Jobs, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        super().__init__(jobs)
        self._jobs = jobs
        self.handlers = {name: kwargs.pop(name) for name in _SIGNALS if name in kwargs}
        guarded = self._guarded_steps if isgeneratorfunction(function) else self._guarded
        self.worker = create_worker(guarded, function, *args, _start_thread=False, _ignore_errors=True, **kwargs)
        for name in _SIGNALS:
            if hasattr(self.worker, name):
                getattr(self.worker, name).connect(getattr(self, f"_on_{name}"))

    def _guarded(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with waiting(self._while_waiting):
            return function(*args, **kwargs)

    def _guarded_steps(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with waiting(self._while_waiting):
            return (yield from function(*args, **kwargs))

    def _while_waiting(self, seconds: float) -> None:
        """Give up if that was asked for; tell of a wait that looks like a disk that does not answer."""
        if self.worker.abort_requested:
            raise _Cancelled
        if seconds > WORTH_TELLING_S and "yielded" in self.handlers:
            self.worker.yielded.emit(Progress(waiting_text(seconds), 0, 0))

    def _tell(self, name: str, *args: Any) -> None:
        if name in self.handlers:
            self.handlers[name](*args)

    def _on_yielded(self, value: Any) -> None:
        self._tell("yielded", value)

    def _on_returned(self, value: Any) -> None:
        self._jobs.release(self)
        self._tell("returned", value)

    def _on_errored(self, error: Exception) -> None:
        self._jobs.release(self)
        self._tell(*(("aborted",) if isinstance(error, _Cancelled) else ("errored", error)))

    def _on_aborted(self) -> None:
        self._jobs.release(self)
        self._tell("aborted")

    def _on_finished(self) -> None:
        self._jobs.release(self)
        self._tell("finished")
        self.deleteLater()


class Jobs(QObject):
    """At most one piece of work at a time; a new one stops the old one and silences it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: _Job | None = None

    @property
    def busy(self) -> bool:
        """Whether work goes on."""
        return self._job is not None

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function, or generator function, with its arguments.

        The handlers `yielded`, `returned`, `errored`, `aborted` and `finished` are taken
        out of the keyword arguments.
        """
        self.stop()
        self._job = _Job(self, function, args, kwargs)
        self._job.worker.start()

    def cancel(self) -> None:
        """Ask the work to stop at its next step; `aborted` and `finished` follow."""
        if self._job is not None:
            self._job.worker.quit()

    def stop(self) -> None:
        """Stop the work and hear no more of it."""
        if self._job is not None:
            self._job.handlers.clear()
            self._job.worker.quit()
            self._job = None

    def release(self, job: _Job) -> None:
        """Forget work that has come to its end."""
        if self._job is job:
            self._job = None


class Latest(QObject):
    """Does the newest of the jobs that are asked for while one is at work; those in between are left out."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = Jobs(self)
        self._waiting: tuple[Any, ...] | None = None

    @property
    def busy(self) -> bool:
        """Whether work goes on."""
        return self._jobs.busy

    def ask(self, function: Callable[..., Any], *args: Any, **handlers: Any) -> None:
        """Do this now, or as soon as the work at hand is done."""
        if self._jobs.busy:
            self._waiting = (function, args, handlers)
        else:
            self._jobs.start(function, *args, **handlers, finished=self._on_finished)

    def stop(self) -> None:
        """Stop the work and hear no more of it."""
        self._waiting = None
        self._jobs.stop()

    def _on_finished(self) -> None:
        if self._waiting is not None:
            (function, args, handlers), self._waiting = self._waiting, None
            self.ask(function, *args, **handlers)


def tell_error(error: Exception) -> None:
    """Show an expected error as one sentence; raise one that nobody foresaw, with its trace."""
    if isinstance(error, (ValueError, OSError)):
        show_error(str(error))
    else:
        raise error
