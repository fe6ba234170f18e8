"""The command line ``polarmap``.

Every command returns 0 on success, 2 with one line on standard error where the input
does not fit, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import atexit
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from napari_polarmap.commands import classifiers, files, mapping
from napari_polarmap.commands.arguments import CALIBRATION
from napari_polarmap.core.ordered import left_behind
from napari_polarmap.terminal import UsageError, complain

OK: Final = 0
BUG: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130

_NO_MEMORY: Final = "there is not enough memory for this; close other programs, or map a part of the scan"
_WORDS_OF_NO_MEMORY: Final = ("allocate memory", "can't start new thread", "Cannot allocate", "bad_alloc")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process when not given.
    """
    code = _main(argv)
    if left_behind():  # threads that hang in a read would hold the process at its end
        atexit.register(os._exit, code)
    return code


def _main(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may not know every letter
    for name in () if debug else ("tifffile", "RosettaSciIO", "rsciio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # one sentence is said of a bad file, by us
    try:
        args = build_parser().parse_args(arguments)
        args.run(args)
        sys.stdout.flush()
    except SystemExit as done:  # --help and --version
        return int(done.code or OK)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted; what had been written before is as it was", INTERRUPTED, debug=debug)
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        return _fail(f"error: {named}", BAD_INPUT, debug=debug)
    except (ValueError, ImportError) as error:
        return _fail(f"error: {error}", BAD_INPUT, debug=debug)
    except MemoryError:
        return _fail(f"error: {_NO_MEMORY}", BAD_INPUT, debug=debug)
    except Exception as error:  # noqa: BLE001 -- the last resort, so that nobody meets a bare traceback
        if any(words in str(error) for words in _WORDS_OF_NO_MEMORY):
            return _fail(f"error: {_NO_MEMORY}", BAD_INPUT, debug=debug)
        reason = f"{type(error).__name__}: {error}"
        return _fail(f"error: unexpected {reason}; --debug shows where, please report it", BUG, debug=debug)
    return OK


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    complain(message)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from napari_polarmap import __version__

    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = _Parser(prog="polarmap", description="Map the polarization of ferroelectrics from 4D-STEM data.")
    parser.add_argument("--version", action="version", version=f"polarmap {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    known = parser.add_subparsers(dest="command", metavar="command", required=True, parser_class=_Parser)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added = known.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(run=run)
        return added

    demo = command("demo", mapping.run_demo, "map the packaged sample scans")
    demo.add_argument("--out", type=Path, default=Path("polarmap-demo"), metavar="DIR", help="folder for results")

    samples = command("samples", files.run_samples, "tell where the packaged sample scans are, or copy them")
    samples.add_argument("--to", type=Path, metavar="DIR", help="copy them into this folder")

    info = command("info", files.run_info, "tell shape, type and calibration of a scan, or sum up a result")
    _add_scan_options(info)
    info.add_argument("--json", action="store_true", help="as JSON")

    _add_map_options(command("map", mapping.run_map, "map the polarization of a scan"))

    _add_batch_options(command("batch", mapping.run_batch, "map a folder of scans with one set of options"))

    measure = command("measure", files.run_measure, "measure the calibration of a scan, with residuals")
    _add_scan_options(measure)
    _add_calibration_options(measure)
    measure.add_argument("--out", type=Path, metavar="CAL.json", help="save it, for map --calibration")
    measure.add_argument("--reference", type=Path, metavar="FILE", help="descan from the same field without specimen")
    measure.add_argument("--all", action="store_true", help="save doubtful values too")

    information = command(
        "information", mapping.run_information, "draw which probe positions in the unit cell carry information"
    )
    _add_scan_options(information)
    information.add_argument("--out", type=Path, required=True, metavar="PIC.png", help=".svg and .pdf work as well")
    information.add_argument("--model", metavar="NAME", help="for a scan: name or .safetensors file")
    information.add_argument(
        "--reference", metavar="CLASS|LABELS.h5", help="the true directions (default: the domains found)"
    )
    information.add_argument("--bins", type=_positive, metavar="N", help="places along a side of the cell")

    models = command("models", classifiers.run_models, "list built-in and user models")
    models.add_argument("--json", action="store_true", help="as JSON, with everything that is known")

    simulate = command("simulate", classifiers.run_simulate, "simulate patterns with known polarization")
    simulate.add_argument("config", type=Path, metavar="CONFIG.toml")
    simulate.add_argument("--out", type=Path, required=True, metavar="FILE.h5")
    simulate.add_argument("--variant", default="", metavar="NAME", help="one of the file's [variants.NAME]")
    simulate.add_argument("--resume", action="store_true", help="go on with an unfinished run of the same file")
    simulate.add_argument("--workers", type=_positive, metavar="N", help="processes (default: one per processor)")

    train = command("train", classifiers.run_train, "train a classifier on simulated patterns")
    train.add_argument("config", type=Path, metavar="CONFIG.toml")
    train.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE.h5")
    train.add_argument("--out", type=Path, required=True, metavar="MODEL.safetensors")
    train.add_argument("--curve", type=Path, metavar="PIC.png", help="loss curve too; .svg and .pdf work as well")
    train.add_argument("--resume", action="store_true", help="go on with an unfinished run of the same file and data")

    calibrate = command("calibrate", classifiers.run_calibrate, "calibrate the probabilities of a classifier anew")
    calibrate.add_argument("model", type=Path, metavar="MODEL.safetensors")
    for option, text in (
        ("--data", "its training set"),
        ("--more", "specimens it has never seen"),
        ("--test", "still others, to score it on"),
    ):
        calibrate.add_argument(option, type=Path, nargs="+", default=[], metavar="FILE.h5", help=text)
    calibrate.add_argument("--out", type=Path, required=True, metavar="MODEL.safetensors")
    calibrate.add_argument("--seed", type=int, metavar="N", help="of the training run, where the file does not say")

    evaluate = command("evaluate", classifiers.run_evaluate, "score a classifier on files with known truth")
    evaluate.add_argument("files", type=Path, nargs="+", metavar="FILE")
    evaluate.add_argument("--model", metavar="NAME", help="name or .safetensors file (default: the recommended one)")
    evaluate.add_argument("--json", action="store_true", help="as JSON")
    evaluate.add_argument("--figures", type=Path, metavar="DIR", help="folder for figures of the errors in each scan")

    repeat = command("repeat", mapping.run_repeat, "make a result again from its provenance, and compare")
    repeat.add_argument("result", type=Path, metavar="RES.h5")
    repeat.add_argument("--file", type=Path, metavar="FILE", help="the scan, where it lies elsewhere now")
    repeat.add_argument("--model", metavar="NAME", help="name or .safetensors file, where it has another name now")
    repeat.add_argument("--out", type=Path, metavar="NEW.h5", help="keep the repeated map too")

    export = command("export", files.run_export, "write the maps of a result for other programs")
    export.add_argument("result", type=Path, metavar="RES.h5")
    export.add_argument("--to", type=Path, required=True, metavar="DIR")
    export.add_argument(
        "--formats", default="tiff,csv,png", metavar="LIST", help="of tiff,csv,png,svg,pdf,zarr,py,ipynb"
    )
    export.add_argument("--colors", choices=("class", "angle"), help="of the figure (default: as the result was saved)")
    export.add_argument("--lightness", choices=("magnitude", "confidence", "full"), help="with --colors angle")
    export.add_argument("--stem", help="beginning of the file names (default: that of the result)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "positive whole number"


def _add_scan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="scan: a file of any known format, or a folder of TIFFs"
    )
    _add_opening_options(parser)


def _add_opening_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scan-shape", type=_positive, nargs=2, metavar=("Y", "X"), help="for stacks of patterns")
    parser.add_argument("--dataset", metavar="PATH", help="place inside the file, where it holds several")
    parser.add_argument("--allow-external", action="store_true", help="follow links to other files")
    parser.add_argument(
        "--axes",
        metavar="LIST",
        help="what the stored axes are, where the file says it wrongly, as scan_x,scan_y,det_y,det_x; "
        "a minus mirrors one: scan_y,scan_x,-det_y,det_x",
    )
    parser.add_argument(
        "--raw",
        metavar="LAYOUT",
        help="a file without header: TYPE,DET_Y,DET_X[,OFFSET[,GAP]], bytes before the first and after every pattern, "
        "or empad",
    )


def _add_calibration_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="CAL.json",
        help="from measure or the window; single options go before it",
    )
    for name, text in CALIBRATION.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=float, metavar="V", help=text)
    parser.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, help="mirror the detector up-down before turning it, or not"
    )


def _add_map_options(parser: argparse.ArgumentParser) -> None:
    _add_scan_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RES.h5", help="result file")
    parser.add_argument("--png", type=Path, metavar="PIC.png", help="figure too; .svg and .pdf work as well")
    _add_run_options(parser)
    parser.add_argument("--reference", metavar="CLASS|LABELS.h5", help="what to compare the directions with")
    _add_calibration_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="compute on a dask.distributed cluster")


def _add_batch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", type=Path, nargs="+", metavar="FOLDER|FILE", help="folders of scans, or scans")
    _add_opening_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results and table")
    parser.add_argument("--formats", default="png", metavar="LIST", help="besides the results, as in export")
    _add_run_options(parser)
    _add_calibration_options(parser)
    parser.add_argument("--resume", action="store_true", help="keep results of the same scan, model and options")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", help="name or .safetensors file (default: the recommended one)")
    parser.add_argument("--pool", choices=("none", "cell", "auto"), help="what a direction rests on (default: auto)")
    parser.add_argument(
        "--lattice",
        type=float,
        nargs="+",
        metavar="V",
        help="lattice to pool over instead of the one found: two vectors y1 x1 y2 x2 in scan positions (y down), "
        "or period and angle of a square one (degrees, counter-clockwise from the columns)",
    )
    parser.add_argument(
        "--radius-px",
        type=float,
        metavar="R",
        help="neighbourhood to average over where no lattice is found, in scan positions (default: 6 Å)",
    )
    parser.add_argument(
        "--center", choices=("global", "plane", "position"), help="how to follow the disk (default: plane)"
    )
    parser.add_argument("--crop-px", type=_positive, metavar="N", help="edge of the detector region around the disk")
    parser.add_argument(
        "--fdr", type=float, metavar="Q", help="false-discovery rate of irregular positions (default: 0.05)"
    )
