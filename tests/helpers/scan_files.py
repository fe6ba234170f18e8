"""Tiny files of every format, with known patterns; `MAKERS` go by the names of `napari_polarmap.io.READERS`.

Every maker returns the path, the patterns and the options that `open_scan` needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from napari_polarmap.io import RawLayout

SCAN = (2, 3)


def patterns(*shape: int, dtype: str = "uint16") -> np.ndarray:
    """Numbers that tell every axis and its direction."""
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


def hdf5(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["some/place"] = data
    return folder / "scan.h5", data, {}


def npy(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5, dtype="float32")
    np.save(folder / "scan.npy", data)
    return folder / "scan.npy", data, {}


def npz(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    np.savez_compressed(folder / "scan.npz", data=data, truth=np.zeros(SCAN))
    return folder / "scan.npz", data, {}


def tiff_folder(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    (folder / "scan").mkdir()
    for index, pattern in enumerate(data.reshape(-1, 4, 5)):
        tifffile.imwrite(folder / "scan" / f"pattern_{index}.tif", pattern)
    return folder / "scan", data, {"scan_shape": SCAN}


def tiff(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    tifffile.imwrite(folder / "scan.tif", data.reshape(-1, 4, 5), compression="zlib", photometric="minisblack")
    return folder / "scan.tif", data, {"scan_shape": SCAN}


def mib(folder: Path, *, line_pause_ns: int = 0, depth: str = "U16") -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 256, 256)
    with (folder / "scan.mib").open("wb") as stream:
        for index, pattern in enumerate(data.reshape(-1, 256, 256)):
            time = 905_000_000 + 1_000_000 * index + line_pause_ns * (index // SCAN[1])
            head = (
                f"MQ1,{index:06},00384,01,0256,0256,{depth},   1x1,01,2021-05-07 18:51:10.905800,0.001,0,0,0,"
                f"MQ1A,2021-05-07T16:51:10.{time:09}Z,1000000ns,12,"
            )
            stream.write(head.ljust(384).encode() + pattern.astype(">u2").tobytes())
    return folder / "scan.mib", data, {"scan_shape": SCAN}


def empad(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    stored = patterns(*SCAN, 130, 128, dtype="float32")
    (folder / "scan_x3_y2.raw").write_bytes(stored.tobytes())
    (folder / "scan.xml").write_text(
        "<root name='a'><pix_x>3</pix_x><pix_y>2</pix_y><raw_file filename='scan_x3_y2.raw'/>"
        "<iom_measurements><source.get_voltage>200000.0</source.get_voltage>"
        "<optics.get_full_scan_field_of_view>[4e-09, 6e-09]</optics.get_full_scan_field_of_view>"
        "<calibrated_pixelsize>2e-10</calibrated_pixelsize></iom_measurements></root>"
    )
    return folder / "scan.xml", stored[..., :128, :], {}


def signal(data: np.ndarray, *steps: tuple[float, str]) -> dict[str, Any]:
    names = ("y", "x", "ky", "kx")
    axes = [
        {
            "name": name,
            "size": size,
            "index_in_array": i,
            "scale": step,
            "offset": 0.0,
            "units": unit,
            "navigate": i < 2,
        }
        for i, (name, size, (step, unit)) in enumerate(zip(names, data.shape, steps, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {}, "Signal": {}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
    }


def blockfile(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.blockfile import file_writer

    data = patterns(*SCAN, 4, 4, dtype="uint8")
    steps = ((0.5, "nm"), (0.5, "nm"), (1.0, "cm"), (1.0, "cm"))
    navigator = np.zeros(SCAN, dtype="uint8")
    file_writer(str(folder / "scan.blo"), signal(data, *steps), navigator=navigator, show_progressbar=False)
    return folder / "scan.blo", data, {}


def topspin(folder: Path, scan: tuple[int, int] = SCAN) -> tuple[Path, np.ndarray, dict[str, Any]]:
    """Written as Topspin does: a group per scan, a dataset per pattern, XML beside them, an image."""
    data = patterns(*scan, 4, 5, dtype="float32")
    axis = "<{0}><Offset>0</Offset><Scale>2E-05</Scale><Type><Index>2</Index><Text>Angle</Text></Type></{0}>"
    calibration = f"<Calibration>{axis.format('X')}{axis.format('Y')}</Calibration>"
    with h5py.File(folder / "scan.app5", "w") as file:
        file["39a4bbcd-2551-4912-9093-0eaed678dcff"] = np.zeros((8, 56))
        file["Metadata"] = np.bytes_("<Metadata><Title>scan</Title></Metadata>")
        for index, pattern in enumerate(data.reshape(-1, 4, 5)):
            y, x = 1e-7 + 2e-9 * (index // scan[1]), 3e-7 + 2e-9 * (index % scan[1])
            place = f"<Item><Name>RequestedBeamPosition</Name><Value><X>{x}</X><Y>{y}</Y></Value></Item>"
            group = file.create_group(f"a0dba950-15bf-4a74-a81c-9cea8560c2c8/{index}")
            group["Data"] = pattern
            head = '<?xml version="1.0" encoding="utf-16"?>'
            group["Metadata"] = np.bytes_(f"{head}<Metadata>{calibration}<Metadata>{place}</Metadata></Metadata>")
    return folder / "scan.app5", data, {}


def gatan(
    folder: Path,
    data: np.ndarray | None = None,
    units: tuple[str, ...] = ("mrad", "mrad", "nm", "nm"),
    version: int = 4,
) -> tuple[Path, np.ndarray, dict[str, Any]]:
    """Written tag by tag; the units of the axes with the fastest first, as DigitalMicrograph lists them."""
    data = patterns(*SCAN, 4, 5) if data is None else data
    number = {3: ">i", 4: ">q"}[version]

    def pack(*values: int) -> bytes:
        return b"".join(struct.pack(number, value) for value in values)

    def tag(name: str, content: Any) -> bytes:
        text = name.encode("latin-1")
        head = bytes([20 if isinstance(content, (dict, list)) else 21]) + struct.pack(">h", len(text)) + text
        if isinstance(content, (dict, list)):
            body = group(content)
            return head + body[:2] + (pack(len(body)) if version == 4 else b"") + body[2:]
        if isinstance(content, str):
            info, body = (20, 4, len(content)), content.encode("utf-16-le")
        elif isinstance(content, np.ndarray):
            info, body = (20, 4, content.size), content.astype("<u2").tobytes()
        else:
            kind, form = (7, "<d") if isinstance(content, float) else (5, "<I")
            info, body = (kind,), struct.pack(form, content)
        return head + bytes(8 if version == 4 else 0) + b"%%%%" + pack(len(info), *info) + body

    def group(content: dict[str, Any] | list[Any]) -> bytes:
        named = list(content.items()) if isinstance(content, dict) else [("", part) for part in content]
        return b"\x01\x00" + pack(len(named)) + b"".join(tag(name, part) for name, part in named)

    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": [{"Origin": 0.0, "Scale": 0.5, "Units": unit} for unit in units],
            },
            "Data": data,
            "DataType": 10,
            "Dimensions": [int(size) for size in reversed(data.shape)],
            "PixelDepth": 2,
        },
        "ImageTags": {"Microscope Info": {"Voltage": 200e3}},
        "Name": "scan",
    }
    path = folder / f"scan.dm{version}"
    path.write_bytes(struct.pack(">i", version) + pack(0) + struct.pack(">i", 1) + group({"ImageList": [image]}))
    return path, data, {}


def zarr(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    """Laid out as HyperSpy does: Zarr version 2, chunks in folders, a group per axis."""
    import zarr

    data = patterns(*SCAN, 4, 5)
    group = zarr.open_group(folder / "scan.zspy", mode="w", zarr_format=2).create_group("Experiments/scan")
    keys = {"name": "v2", "separator": "/"}
    group.create_array("data", data=data, chunks=(1, 2, 4, 5), chunk_key_encoding=keys)
    for index, (scale, units) in enumerate([(0.05, "nm"), (0.05, "nm"), (0.2, "nm^-1"), (0.2, "nm^-1")]):
        group.create_group(f"axis-{index}").attrs.update({"scale": scale, "units": units})
    group.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = 200.0
    return folder / "scan.zspy", data, {}


def raw(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5, dtype=">u2")
    rows = np.concatenate([data.reshape(6, -1).view("u1"), np.zeros((6, 3), "u1")], axis=1)
    (folder / "scan.raw").write_bytes(b"header." + rows.tobytes())
    return folder / "scan.raw", data, {"scan_shape": SCAN, "raw": RawLayout.parse(">u2,4,5,7,3")}


def tvips(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.tvips import file_writer

    data = patterns(*SCAN, 4, 5)
    written = signal(data, (1.0, "nm"), (1.0, "nm"), (0.1, "1/nm"), (0.1, "1/nm"))
    file_writer(str(folder / "scan_000.tvips"), written, show_progressbar=False)
    return folder / "scan_000.tvips", data, {"scan_shape": SCAN}


def mrc(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    head = struct.pack("<4I", 5, 4, 6, 6) + bytes(1008)
    (folder / "scan.mrc").write_bytes(head + data.tobytes())
    return folder / "scan.mrc", data, {"scan_shape": SCAN}


def pantarhei(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.pantarhei import file_writer

    data = patterns(*SCAN, 4, 5)
    written = signal(data, (0.5, "nm"), (0.5, "nm"), (0.1, "mrad"), (0.1, "mrad"))
    for axis, name in zip(written["axes"], ("ScanY", "ScanX", "CameraY", "CameraX"), strict=True):
        axis["name"] = name
    file_writer(str(folder / "scan.prz"), written)
    return folder / "scan.prz", data, {}


MAKERS: dict[str, Callable[[Path], tuple[Path, np.ndarray, dict[str, Any]]]] = {
    maker.__name__: maker
    for maker in (
        hdf5,
        npy,
        npz,
        zarr,
        tiff_folder,
        tiff,
        mib,
        empad,
        raw,
        blockfile,
        topspin,
        gatan,
        tvips,
        mrc,
        pantarhei,
    )
}
