"""Our own layout, other programs' HDF5, and links that lead out of a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_polarmap.io import DatasetNeededError, ScanFileError, ScanShapeNeededError, open_scan
from napari_polarmap.io.file_frames import FileFrames
from napari_polarmap.io.hdf5 import read_truth, write_scan

DATA = (np.arange(2 * 3 * 4 * 5) % 97).reshape(2, 3, 4, 5).astype("float32")


def test_a_written_scan_comes_back_with_its_calibration(tmp_path):
    attrs = {
        "voltage_kV": 200.0,
        "convergence_mrad": 24.0,
        "mrad_per_px": 1.05,
        "scan_step_A": 0.5,
        "thickness_nm": 20.0,
        "material": "(K,Na)NbO3",
        "zone_axis": "001",
        "dose": None,
    }
    write_scan(tmp_path / "scan.h5", DATA, attrs=attrs)
    with open_scan(tmp_path / "scan.h5") as scan:
        np.testing.assert_array_equal(scan.data[:], DATA)
        assert scan.dataset == "/data"
        assert scan.calibration.missing == ()
        assert scan.calibration.material == "(K,Na)NbO3"
        assert scan.data.chunks is not None
        assert "dose" not in scan.data.attrs


def test_blocks_of_rows_join_to_one_scan(tmp_path):
    write_scan(tmp_path / "scan.h5", iter([DATA[:1], DATA[1:]]))
    np.testing.assert_array_equal(open_scan(tmp_path / "scan.h5").data[:], DATA)


def test_truth_stays_out_of_the_scan(tmp_path):
    label = np.array([[0, 1, 255], [7, 7, 2]], dtype=np.uint8)
    path = write_scan(tmp_path / "scan.h5", DATA, label=label, defect=label == 1, extra={"config": "seed = 1"})
    scan = open_scan(path)
    assert scan.shape == DATA.shape
    assert not hasattr(scan, "label")
    found, defect = read_truth(path)
    np.testing.assert_array_equal(found, label)
    np.testing.assert_array_equal(defect, label == 1)
    with h5py.File(path) as file:
        assert file["config"].asstr()[()] == "seed = 1"


def test_a_scan_without_truth_has_none(tmp_path):
    assert read_truth(write_scan(tmp_path / "scan.h5", DATA)) == (None, None)
    with pytest.raises(FileNotFoundError, match=r"absent\.h5: no such file"):
        read_truth(tmp_path / "absent.h5")


def test_labels_that_are_no_classes_are_refused(tmp_path):
    path = write_scan(tmp_path / "scan.h5", DATA, label=np.full((2, 3), 9))
    with pytest.raises(ScanFileError, match="0 to 7, with 255"):
        read_truth(path)


@pytest.mark.parametrize("broken", ["label", "block", "none"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, broken):
    path = write_scan(tmp_path / "scan.h5", DATA)
    before = path.read_bytes()
    blocks = {"label": [DATA], "block": [DATA, DATA[:, :2]], "none": []}[broken]
    with pytest.raises(ValueError, match=r"shape|no patterns"):
        write_scan(path, iter(blocks), label=np.zeros((1, 1)) if broken == "label" else None)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_contiguous_data_are_read_without_hdf5_and_its_file_is_free(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w", userblock_size=512) as file:
        file["x"] = np.arange(7)
        file["entry/data"] = DATA.astype(">f4")
    scan = open_scan(tmp_path / "scan.h5")
    assert isinstance(scan.data, (np.memmap, FileFrames))  # local disk, or share
    np.testing.assert_array_equal(scan.data[:], DATA)


def test_several_datasets_are_listed_and_one_can_be_named(tmp_path):
    with h5py.File(tmp_path / "two.emd", "w") as file:
        file["a/one"], file["b/two"] = DATA, DATA + 1
        file["alias"] = h5py.SoftLink("/b")
    with pytest.raises(DatasetNeededError, match=r"/a/one .*/b/two .*choose one with --dataset") as error:
        open_scan(tmp_path / "two.emd")
    assert error.value.choices == ("/a/one", "/b/two")
    np.testing.assert_array_equal(open_scan(tmp_path / "two.emd", dataset="alias/two").data[:], DATA + 1)
    with pytest.raises(ScanFileError, match="no dataset /c"):
        open_scan(tmp_path / "two.emd", dataset="/c")
    with pytest.raises(ScanFileError, match="/a is no dataset"):
        open_scan(tmp_path / "two.emd", dataset="/a")


def test_a_stack_needs_its_scan_shape(tmp_path):
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file.create_dataset("frames", data=DATA.reshape(6, 4, 5), chunks=(4, 4, 5))
    with pytest.raises(ScanShapeNeededError) as error:
        open_scan(tmp_path / "stack.h5")
    assert error.value.n_patterns == 6
    scan = open_scan(tmp_path / "stack.h5", scan_shape=(2, 3))
    np.testing.assert_array_equal(scan.data[:], DATA)
    np.testing.assert_array_equal(scan.data[1, 1:, ::2], DATA[1, 1:, ::2])


def test_a_scan_can_be_given_another_shape(tmp_path):
    path = write_scan(tmp_path / "scan.h5", DATA)
    np.testing.assert_array_equal(open_scan(path, scan_shape=(3, 2)).data[:], DATA.reshape(3, 2, 4, 5))


@pytest.fixture
def linked(tmp_path: Path) -> dict[str, Path]:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = DATA
    DATA.tofile(tmp_path / "numbers.bin")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["scan"] = h5py.ExternalLink("other.h5", "/data")
    with h5py.File(tmp_path / "storage.h5", "w") as file:
        file.create_dataset("scan", DATA.shape, "f4", external=[(str(tmp_path / "numbers.bin"), 0, h5py.h5f.UNLIMITED)])
    layout = h5py.VirtualLayout(DATA.shape, "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", shape=DATA.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("scan", layout)
    with h5py.File(tmp_path / "hidden.h5", "w") as file:
        file["out"] = h5py.ExternalLink("other.h5", "/")
        file["scan"] = h5py.SoftLink("/out/data")
    return {name: tmp_path / f"{name}.h5" for name in ("link", "storage", "virtual", "hidden")}


@pytest.mark.parametrize("kind", ["link", "storage", "virtual", "hidden"])
@pytest.mark.parametrize("named", [False, True])
def test_data_in_other_files_are_refused_unless_allowed(linked, kind, named):
    dataset = "scan" if named else None
    with pytest.raises(ScanFileError, match="--allow-external"):
        open_scan(linked[kind], dataset=dataset)
    np.testing.assert_array_equal(open_scan(linked[kind], dataset=dataset, allow_external=True).data[:], DATA)


def test_groups_that_hold_each_other_do_not_hang(tmp_path):
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a/data"] = DATA
        file["a/b"] = file["/"]
        file["soft"] = h5py.SoftLink("/soft")
    assert open_scan(tmp_path / "loop.h5").dataset.endswith("data")
    with pytest.raises(ScanFileError):
        open_scan(tmp_path / "loop.h5", dataset="soft")


def test_dectris_pieces_join_without_wrapping_their_counts(tmp_path):
    counts = (DATA + 70_000).astype(np.uint32).reshape(6, 4, 5)
    for index, part in enumerate((counts[:4], counts[4:]), start=1):
        with h5py.File(tmp_path / f"s_data_{index:06}.h5", "w") as file:
            file.create_dataset("entry/data/data", data=part, chunks=(1, 4, 5), compression="gzip")
    with h5py.File(tmp_path / "s_master.h5", "w") as file:
        for index in (1, 2):
            file[f"entry/data/data_{index:06}"] = h5py.ExternalLink(f"s_data_{index:06}.h5", "entry/data/data")
        file["entry/instrument/detector/detectorSpecific/photon_energy"] = 300_000.0
    with h5py.File(tmp_path / "s.h5", "w") as file:
        attrs = {"NumPixelsX": 3, "NumPixelsY": 2, "Pixel Size": 0.05, "IsPixelSizeCalibrated": 1}
        file.create_group("STEM Metadata").attrs.update(attrs)
    scan = open_scan(tmp_path / "s_master.h5")
    np.testing.assert_array_equal(scan.data[:], counts.reshape(2, 3, 4, 5))
    assert scan.dtype == np.uint32
    assert (scan.calibration.voltage_kV, scan.calibration.scan_step_A) == (300, 0.5)
    (tmp_path / "s.h5").unlink()
    with pytest.raises(ScanShapeNeededError):
        open_scan(tmp_path / "s_master.h5")


@pytest.mark.parametrize("target", ["../s_data_000001.h5", "other_data_000001.h5", "s_data_000001.h5"])
def test_a_dectris_master_is_followed_to_its_own_data_files_only(tmp_path, target):
    folder = tmp_path / "scan"
    folder.mkdir()
    with h5py.File(folder / target, "w") as file:
        if target.startswith("s_data"):  # the data file itself leads elsewhere
            file["entry/data/data"] = h5py.ExternalLink("other.h5", "data")
        else:
            file["entry/data/data"] = DATA[0]
    with h5py.File(folder / "other.h5", "w") as file:
        file["data"] = DATA[0]
    with h5py.File(folder / "s_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink(target, "entry/data/data")
    for dataset in (None, "/entry/data/data_000001"):
        with pytest.raises(ScanFileError, match="--allow-external"):
            open_scan(folder / "s_master.h5", dataset=dataset, scan_shape=(1, 3))


AXES = (("y", 2, 0.05, "nm"), ("x", 3, 0.05, "nm"), ("qy", 4, 0.8, "mrad"), ("qx", 5, 0.8, "mrad"))


def test_a_nexus_file_names_its_signal_and_axes(tmp_path):
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/raw/frames"] = DATA + 1
        group = file.create_group("entry/scan")
        group["counts"] = DATA
        file.attrs["default"], file["entry"].attrs["default"] = "entry", "scan"
        group.attrs.update({"signal": "counts", "axes": [name for name, *_ in AXES]})
        for name, size, step, units in AXES:
            group[name] = step * np.arange(size)
            group[name].attrs["units"] = units
    scan = open_scan(tmp_path / "scan.nxs")
    assert scan.dataset == "/entry/scan/counts"
    assert scan.calibration.scan_step_A == pytest.approx(0.5)
    assert scan.calibration.mrad_per_px == pytest.approx(0.8)
    assert open_scan(tmp_path / "scan.nxs", dataset="/entry/raw/frames").pattern(0, 0)[0, 0] == 1


def test_fpd_files_open_with_their_calibration(tmp_path):
    with h5py.File(tmp_path / "fpd.hdf5", "w") as file:
        group = file.create_group("fpd_expt/fpd_data")
        group.create_dataset("data", data=DATA, chunks=(1, 3, 4, 5), compression="gzip")
        for index, (_, size, step, units) in enumerate(AXES, start=1):
            group[f"dim{index}"] = step * np.arange(size)
            group[f"dim{index}"].attrs["units"] = units
        file["fpd_expt/fpd_sum_im/data"] = DATA.sum(axis=(2, 3))
        file["fpd_expt/fpd_sum_dif/data"] = DATA.sum(axis=(0, 1))
        file["fpd_expt/DM0/tags"] = np.arange(5)
    scan = open_scan(tmp_path / "fpd.hdf5")
    np.testing.assert_array_equal(scan.data[:], DATA)
    assert scan.calibration.scan_step_A == pytest.approx(0.5)
    assert scan.calibration.mrad_per_px == pytest.approx(0.8)


def test_py4dstem_calibration_is_read(tmp_path):
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["root/cube/data"] = DATA
        sizes = {"Q_pixel_size": 0.02, "Q_pixel_units": "A^-1", "R_pixel_size": 0.05, "R_pixel_units": "nm"}
        for name, value in {**sizes, "accelerating_voltage": 200_000.0, "convergence_semiangle_mrad": 24.0}.items():
            file[f"root/metadatabundle/calibration/{name}"] = value
    calibration = open_scan(tmp_path / "cube.h5").calibration
    assert calibration.scan_step_A == pytest.approx(0.5)
    assert calibration.mrad_per_px == pytest.approx(0.5016, rel=1e-3)
    assert (calibration.voltage_kV, calibration.convergence_mrad) == (200, 24)


def test_older_py4dstem_calibration_is_read(tmp_path):
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["4DSTEM_experiment/data/datacubes/cube/data"] = DATA
        metadata = file.create_group("4DSTEM_experiment/metadata/metadata_0")
        metadata.create_group("microscope").attrs["accelerating_voltage"] = 300_000.0
        sizes = {"R_pix_size": 2.0, "R_pix_units": "A", "K_pix_size": 1.5, "K_pix_units": "mrad"}
        metadata.create_group("calibration").attrs.update(sizes)
    calibration = open_scan(tmp_path / "cube.h5").calibration
    assert (calibration.voltage_kV, calibration.scan_step_A, calibration.mrad_per_px) == (300, 2.0, 1.5)


def test_prismatic_axes_are_read_in_angstrom(tmp_path):
    with h5py.File(tmp_path / "sim.h5", "w") as file:
        cube = file.create_group("4DSTEM_simulation/data/datacubes/CBED")
        cube["datacube"] = DATA
        for index in range(1, 5):
            cube[f"dim{index}"] = np.arange(5) * (0.5 if index < 3 else 0.02)
            cube[f"dim{index}"].attrs["units"] = "[n_m]" if index < 3 else "[n_m^-1]"
        given = file.create_group("4DSTEM_simulation/metadata/metadata_0/original/simulation_parameters").attrs
        given.update({"E": 200.0, "A": 24.0, "px": 0.5, "py": 0.5})
    calibration = open_scan(tmp_path / "sim.h5").calibration
    assert (calibration.voltage_kV, calibration.convergence_mrad, calibration.scan_step_A) == (200, 24, 0.5)
    assert calibration.mrad_per_px == pytest.approx(0.5016, rel=1e-3)


def test_hyperspy_calibration_is_read(tmp_path):
    with h5py.File(tmp_path / "signal.hspy", "w") as file:
        group = file.create_group("Experiments/scan")
        group["data"] = DATA
        for index, (scale, units) in enumerate([(0.05, "nm"), (0.05, "nm"), (0.2, "$nm^{-1}$"), (0.2, "$nm^{-1}$")]):
            group.create_group(f"axis-{index}").attrs.update({"scale": scale, "units": units})
        group.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = 200.0
    calibration = open_scan(tmp_path / "signal.hspy").calibration
    assert calibration.voltage_kV == 200
    assert calibration.scan_step_A == pytest.approx(0.5)
    assert calibration.mrad_per_px == pytest.approx(0.5016, rel=1e-3)


def test_nonsense_in_the_calibration_leaves_it_unknown(tmp_path):
    attrs = {"voltage_kV": -1.0, "mrad_per_px": float("nan"), "scan_step_A": "wide", "material": "BaTiO3"}
    calibration = open_scan(write_scan(tmp_path / "scan.h5", DATA, attrs=attrs)).calibration
    assert calibration.missing == (
        "voltage_kV",
        "convergence_mrad",
        "mrad_per_px",
        "scan_step_A",
        "thickness_nm",
        "zone_axis",
    )
    assert calibration.material == "BaTiO3"
