"""Run every command and code block of the documentation, as a reader would: ``python tools/check_docs.py``.

Each page has an empty folder, in which its blocks run from top to bottom. Commands ``polarmap`` and
blocks of Python run in this process, to be quick; with ``--python ENV/bin/python`` all run as
programs of that environment. Simulations and trainings are made smaller (`docs_given.smaller`).
A command ``make`` is only read (``make -n``). What is not run says why in its page, and is counted.
Times are of the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml
from docs_blocks import ROOT, Block, blocks, pages
from docs_given import Here, make, smaller

from napari_polarmap.cli import main as polarmap
from napari_polarmap.pipeline import simulating

QUICK = ("docs/extend.md",)
"""Pages that the default test run checks; the tutorial is followed with the wheel (`tests/test_wheel.py`)."""

MADE_SMALL = ("polarmap simulate", "polarmap train")


DATA = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}
"""Languages of which a block is read, and not run."""


class BlockFailedError(Exception):
    """A block did not run; the message says where and what it said."""


class Reader:
    """Someone who follows one page in an empty folder."""

    def __init__(self, folder: Path, store: Path, python: Path | None, *, hurried: bool, verbose: bool) -> None:
        self.folder, self.store, self.python = folder, store, python
        self.hurried, self.verbose = hurried, verbose
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.printed = ""  # by the last block of commands
        self.told: list[str] = []  # the Python blocks so far, for another interpreter
        self.left_running: list[subprocess.Popen[str]] = []
        (folder / "docs" / "images").mkdir(parents=True)
        bin_folder = (python or Path(sys.executable)).parent
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        if python is not None:
            self.environment.pop("PYTHONPATH", None)

    def follow(self, block: Block) -> str:
        """Do what a block says; return how it is counted."""
        for name in block.given:
            make(name, self.folder, self.store)
        if block.skip:
            return "not run"
        if block.slow and self.hurried:
            return "left out"
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(smaller(block.text) if block.language == "toml" else block.text, encoding="utf-8")
        if block.language in DATA:
            DATA[block.language](block.text)
            return "data"
        if block.language == "text":
            self._compare(block)
            return "output"
        if block.language == "python":
            return self._python(block)
        return self._commands(block)

    def _commands(self, block: Block) -> str:
        how = set()
        self.printed = ""
        for command in block.commands:
            begin = sum(os.times()[:4])
            how.add(self._command(block, command))
            if self.verbose:
                print(f"    {sum(os.times()[:4]) - begin:6.1f} s  {command}", flush=True)
        return "named" if how == {"named"} else "run smaller" if "run smaller" in how else "run"

    def _compare(self, block: Block) -> None:
        """See that the lines of the block were printed, whatever the numbers."""
        printed = {_without_numbers(line) for line in self.printed.splitlines()}
        for line in block.text.splitlines():
            if block.output and line.strip() not in ("", "...") and _without_numbers(line) not in printed:
                raise BlockFailedError(f"{block.place}: {line!r} is not what is printed:\n{self.printed}")

    def _python(self, block: Block) -> str:
        if block.title:
            compile(block.text, block.title, "exec")
            return "file"
        if self.python is not None:
            self.told.append(block.text)
            self._program(block, [str(self.python), "-c", "".join(self.told)])
            return "run"
        text = "\n" * block.line + block.text  # so that a traceback shows the line of the page
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, str(block.page), "exec"), self.names)  # noqa: S102 - our own pages
        except Exception:  # noqa: BLE001 - whatever a page does wrong
            raise BlockFailedError(f"{block.place}\n{traceback.format_exc(limit=-4)}") from None
        finally:
            sys.path.remove(str(self.folder))
        return "run"

    def _command(self, block: Block, command: str) -> str:
        if command.startswith("make "):
            self._program(block, ["make", "-n", *shlex.split(command)[1:]], ROOT)
            return "named"
        if block.background:
            program = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.environment, text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            self.left_running.append(program)
            _wait_for(command)
        elif command.startswith("polarmap ") and self.python is None and not set(command) & set("|<>&;$"):
            self._polarmap(block, command)
        else:
            self._program(block, ["sh", "-euc", command])
        return "run smaller" if command.startswith(MADE_SMALL) else "run"

    def _polarmap(self, block: Block, command: str) -> None:
        words = [found for word in shlex.split(command)[1:] for found in (self._globbed(word) or [word])]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = polarmap(words)
        self.printed += out.getvalue()
        if code:
            raise BlockFailedError(f"{block.place}: {command}\nends with {code}: {err.getvalue()}")

    def _globbed(self, word: str) -> list[str]:
        if Path(word).is_absolute() or not set(word) & set("*?["):
            return []
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.glob(word))

    def _program(self, block: Block, words: list[str], folder: Path | None = None) -> None:
        run = subprocess.run(
            words, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        self.printed += run.stdout
        if run.returncode:
            told = (run.stdout + run.stderr)[-3000:]
            raise BlockFailedError(f"{block.place}: {words[-1]}\nends with {run.returncode}: {told}")

    def leave(self) -> None:
        """End what still runs."""
        for program in reversed(self.left_running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)
            program.wait(20)


def _wait_for(command: str) -> None:
    """Wait until a program that goes on running can be used: its port answers, its worker has been seen."""
    from distributed import Client

    port = int(re.search(r"(?::|--port )(\d{4,5})", command)[1])
    end = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=5):
            break
        if time.monotonic() > end:
            raise BlockFailedError(f"{command}: nothing answers at port {port}")
        time.sleep(0.2)
    if command.startswith("dask worker"):
        with Client(f"tcp://localhost:{port}") as client:
            client.wait_for_workers(1, timeout=120)


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", line.strip())


@contextlib.contextmanager
def reader(store: Path, python: Path | None, **how: bool) -> Iterator[Reader]:
    """Give a reader an empty folder of its own."""
    with tempfile.TemporaryDirectory(prefix="polarmap-docs-") as name, contextlib.chdir(name):
        someone = Reader(Path(name), store, python, **how)
        try:
            yield someone
        finally:
            someone.leave()


def check(
    page: Path, store: Path, python: Path | None = None, *, hurried: bool = False, verbose: bool = False
) -> tuple[Counter[str], list[str]]:
    """Follow a page; return how many blocks were checked how, and why some were not.

    Raises
    ------
    BlockFailedError
        At the first block that does not run.
    """
    counts: Counter[str] = Counter()
    reasons = []
    with reader(store, python, hurried=hurried, verbose=verbose) as someone:
        for block in blocks(page):
            how = someone.follow(block)
            counts[how] += 1
            if how == "not run":
                reasons.append(f"{block.place}: {block.skip}")
    return counts, reasons


def main() -> int:
    """Check the pages named, or all; return 1 if a block does not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="*", help="pages to follow (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--python", type=Path, help="run everything as programs of this interpreter's environment")
    parser.add_argument("--no-slow", dest="hurried", action="store_true", help="leave out what is marked as slow")
    parser.add_argument("--verbose", action="store_true", help="every command with its time")
    options = parser.parse_args()
    chosen = [ROOT / name for name in QUICK] if options.quick else [path.resolve() for path in options.pages]
    python = options.python.absolute() if options.python else None  # not resolved: an environment is told by its link
    simulating.ProcessPoolExecutor = Here  # type: ignore[misc, assignment]
    total: Counter[str] = Counter()
    reasons: list[str] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="polarmap-docs-given-") as store:
        for page in chosen or pages():
            begin = sum(os.times()[:4])
            try:
                counts, why = check(page, Path(store), python, hurried=options.hurried, verbose=options.verbose)
            except BlockFailedError as failure:
                failures.append(str(failure))
                counts, why = Counter(failed=1), []
            total += counts
            reasons += why
            if counts:
                told = ", ".join(f"{n} {how}" for how, n in sorted(counts.items()))
                print(
                    f"{page.relative_to(ROOT).as_posix():<32}{sum(os.times()[:4]) - begin:6.1f} s  {told}", flush=True
                )
    print("\nNot run, and why:", *reasons, sep="\n  ")
    print(f"\n{total.total()} blocks: " + ", ".join(f"{n} {how}" for how, n in sorted(total.items())))
    print(*failures, sep="\n\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
