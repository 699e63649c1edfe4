"""NIfTI in and out: the anatomy against nibabel's own canonical form, the geometry bit for bit."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

nibabel = pytest.importorskip("nibabel")

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import read_study  # noqa: E402
from causalseg.inference.formats.nifti import to_volume, write_nifti  # noqa: E402

SHAPE = (9, 10, 12)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None, **codes: int) -> Path:
    """Write a volume, by default in RAS with 2 x 3 x 4 mm."""
    image = nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1]) if affine is None else affine)
    image.set_sform(image.affine, code=codes.get("sform", 1))
    image.set_qform(image.affine, code=codes.get("qform", 1))
    image.to_filename(path)
    return path


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """Rotation matrix about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


affines = st.builds(
    lambda angles, order, signs, sizes: (rotation(angles) @ np.eye(3)[:, order]) * signs * sizes,
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(*[st.sampled_from([0.5, 1.0, 3.3])] * 3),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(matrix=affines, axis=st.sampled_from(["axial", "coronal", "sagittal"]))
def test_oblique_volumes_round_trip(tmp_path, matrix, axis):
    """Slices that are thresholded and written back lie on the voxels they came from."""
    values = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    values[0, 0, :2] = 0, 255
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, (10, -20, 30)
    path = save(tmp_path / "volume.nii.gz", values, affine)
    study = read_study(path, axis=axis)
    slices = np.stack(study.frames)
    assert np.array_equal(to_volume(study, slices), values)
    # Slice k is the file's own k-th plane.
    assert np.array_equal(np.sort(slices[3].ravel()), np.sort(values.take(3, study.axis).ravel()))

    write_nifti(study, (slices > 99).astype(np.uint8), tmp_path / "mask.nii.gz")
    source, mask = nibabel.load(path), nibabel.load(tmp_path / "mask.nii.gz")
    assert mask.shape == source.shape
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(mask.affine, source.affine)
    assert np.array_equal(np.asarray(mask.dataobj), values > 99)
    for form in ("sform", "qform"):
        ours, code = getattr(mask, f"get_{form}")(coded=True)
        theirs, expected = getattr(source, f"get_{form}")(coded=True)
        assert code == expected
        assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "AIL", "SPR", "PIR"])
def test_slices_are_in_the_standard_display(tmp_path, codes):
    """Against nibabel's closest canonical form (R, A, S), turned by hand."""
    values = np.random.default_rng(2).integers(0, 256, SHAPE, dtype=np.uint8)
    values[0, 0, :2] = 0, 255
    ornt = nibabel.orientations.axcodes2ornt(codes)
    affine = nibabel.orientations.inv_ornt_aff(ornt, SHAPE)
    path = save(tmp_path / "volume.nii", values, affine)
    canonical = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    lpi = canonical[::-1, ::-1, ::-1]
    expected = {
        "axial": [lpi[:, :, k].T for k in range(lpi.shape[2])],
        "coronal": [lpi[:, k, :].T for k in range(lpi.shape[1])],
        "sagittal": [lpi[k, :, :].T for k in range(lpi.shape[0])],
    }
    for axis, slices in expected.items():
        frames = np.stack(read_study(path, axis=axis).frames)
        # The file may number its slices the other way round.
        assert np.array_equal(frames, slices) or np.array_equal(frames, slices[::-1])


def test_sizes_in_millimetres(tmp_path):
    path = save(tmp_path / "volume.nii", np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16))
    found = {axis: read_study(path, axis=axis) for axis in ("axial", "coronal", "sagittal")}
    assert (found["axial"].spacing, found["axial"].thickness) == ((3.0, 2.0), 4.0)
    assert (found["coronal"].spacing, found["coronal"].thickness) == ((4.0, 2.0), 3.0)
    assert (found["sagittal"].spacing, found["sagittal"].thickness) == ((4.0, 3.0), 2.0)
    assert [len(found[axis].frames) for axis in found] == [12, 10, 9]


def test_probability_keeps_16_bits(tmp_path):
    study = read_study(save(tmp_path / "volume.nii", np.ones(SHAPE, np.float32)))
    probability = np.random.default_rng(3).random((12, 10, 9)).astype(np.float32)
    write_nifti(study, probability, tmp_path / "p.nii.gz")
    stored = nibabel.load(tmp_path / "p.nii.gz").get_fdata()
    assert np.abs(stored - to_volume(study, probability)).max() <= 0.51 / 65535


def test_free_text_of_the_header_is_not_copied(tmp_path):
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), np.eye(4))
    image.header["descrip"] = b"Zzyzx^Patient"
    image.header["db_name"] = b"Zzyzx"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Zzyzx was here"))
    image.to_filename(tmp_path / "a.nii")
    study = read_study(tmp_path / "a.nii")
    write_nifti(study, np.stack(study.frames), tmp_path / "mask.nii.gz")
    assert b"Zzyzx" in (tmp_path / "a.nii").read_bytes()
    assert b"Zzyzx" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())


def test_window_two_dimensions_and_nifti2(tmp_path):
    values = np.linspace(-1000, 1000, 120).reshape(10, 12).astype(np.float32)
    nibabel.Nifti2Image(values, np.eye(4)).to_filename(tmp_path / "flat.nii.gz")
    study = read_study(tmp_path / "flat.nii.gz", window=(0.0, 101.0))
    back = to_volume(study, np.stack(study.frames))
    assert back.shape == (10, 12)
    assert (back[values < -51] == 0).all()
    assert (back[values > 51] == 255).all()
    write_nifti(study, np.stack(study.frames), tmp_path / "mask.nii.gz")
    assert isinstance(nibabel.load(tmp_path / "mask.nii.gz"), nibabel.Nifti2Image)


def test_unknown_orientation_is_said(tmp_path):
    path = save(tmp_path / "v.nii", np.ones(SHAPE, np.uint8), sform=0, qform=0)
    assert any("unconfirmed" in note for note in read_study(path).warnings)


def test_unusable_volumes(tmp_path):
    good = save(tmp_path / "good.nii.gz", np.ones(SHAPE, np.float32))
    nan = np.ones(SHAPE, np.float32)
    nan[1, 2, 3] = np.nan
    save(tmp_path / "nan.nii", nan)
    save(tmp_path / "series.nii", np.ones((*SHAPE, 2), np.float32))
    save(tmp_path / "thin.nii", np.ones((2, 9, 9), np.float32))
    raw = gzip.decompress(good.read_bytes())
    (tmp_path / "cut.nii.gz").write_bytes(good.read_bytes()[:-60])
    (tmp_path / "cut.nii").write_bytes(raw[:500])
    huge = bytearray(raw)
    huge[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
    (tmp_path / "huge.nii").write_bytes(bytes(huge))
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(bytes(huge)))
    # A small file that inflates to far more than its header says.
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(raw + bytes(50_000_000)))
    for name, message in (
        ("nan.nii", "NaN"),
        ("series.nii", "one volume"),
        ("thin.nii", "at least 8"),
        ("cut.nii.gz", "damaged or truncated"),
        ("cut.nii", "damaged or truncated"),
        ("huge.nii", "claims"),
        ("huge.nii.gz", "claims"),
    ):
        with pytest.raises(InputError, match=message):
            read_study(tmp_path / name)
    with pytest.raises(InputError, match="--axis"):
        read_study(good, axis="oblique")
    assert len(read_study(tmp_path / "bomb.nii.gz").frames) == 12


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), max_size=5),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    packed=st.booleans(),
)
def test_damaged_headers_end_in_one_sentence(tmp_path, changes, kept, packed):
    path = save(tmp_path / "volume.nii", np.ones((9, 9, 3), np.uint8))
    content = bytearray(path.read_bytes())
    for place, byte in changes:
        content[place] = byte
    raw = bytes(content[: int(kept * len(content))])
    damaged = tmp_path / ("damaged.nii.gz" if packed else "damaged.nii")
    damaged.write_bytes(gzip.compress(raw) if packed else raw)
    try:
        study = read_study(damaged)
    except InputError:
        return
    assert study.frames[0].dtype == np.uint8


def test_the_checksum_of_a_packed_volume_is_compared(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.uint8))
    packed = path.read_bytes()
    for cut in (packed[:-8] + bytes(8), packed[:-8]):
        path.write_bytes(cut)
        with pytest.raises(InputError, match="damaged or truncated"):
            read_study(path)


def test_a_volume_that_lies_aslant_is_said(tmp_path):
    turned = np.eye(4)
    turned[:3, :3] = rotation((0.0, 0.0, 0.5))
    study = read_study(save(tmp_path / "a.nii", np.zeros(SHAPE, np.uint8), turned))
    assert any("aslant by 29 degrees" in note for note in study.warnings)


@pytest.mark.parametrize(("unit", "millimetres"), [("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_units_of_length(tmp_path, unit, millimetres):
    image = nibabel.Nifti1Image(np.zeros((9, 10, 12), np.uint8), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "a.nii")
    study = read_study(tmp_path / "a.nii")
    assert any("unit of length" in note for note in study.warnings) == (unit != "mm")
    assert study.spacing == pytest.approx((3 * millimetres, 2 * millimetres))
    assert study.thickness == pytest.approx(4 * millimetres)


def test_forms_that_disagree_about_left_are_said(tmp_path):
    values = np.zeros(SHAPE, np.uint8)
    image = nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1]))
    image.set_sform(image.affine, 1)
    image.set_qform(np.diag([-2.0, 3, 4, 1]), 1)
    image.to_filename(tmp_path / "a.nii")
    assert any("qform and sform" in note for note in read_study(tmp_path / "a.nii").warnings)
    image.set_qform(np.diag([1.0, 1, 1, 1]), 1)
    image.to_filename(tmp_path / "c.nii")
    assert any("size of a voxel" in note for note in read_study(tmp_path / "c.nii").warnings)
    agreed = read_study(save(tmp_path / "b.nii", values)).warnings
    assert not any("form" in note for note in agreed)


@pytest.mark.parametrize("ending", [".img", ".img.gz"])
def test_a_pair_is_read_by_either_name_and_listed_once(tmp_path, predict, ending):
    values = np.random.default_rng(2).integers(-500, 500, SHAPE).astype(np.int16)
    single = read_study(save(tmp_path / "one.nii", values))
    folder = tmp_path / "pair"
    folder.mkdir()
    pair = nibabel.Nifti1Pair(values, np.diag([2.0, 3, 4, 1]))
    pair.to_filename(folder / "a.hdr")
    if ending == ".img.gz":
        (folder / "a.img.gz").write_bytes(gzip.compress((folder / "a.img").read_bytes()))
        (folder / "a.img").unlink()
    for name in ("a.hdr", f"a{ending}"):
        study = read_study(folder / name)
        assert all(map(np.array_equal, study.frames, single.frames))
    write_nifti(
        study,
        np.stack([frame > 100 for frame in study.frames]).astype(np.uint8),
        tmp_path / "mask.nii.gz",
    )
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    low, high = values.min(), values.max()
    assert np.array_equal(mask.get_fdata() > 0, np.rint((values - low) / (high - low) * 255) > 100)
    assert predict(folder, "--text", "x") == 0
    assert len([p for p in (tmp_path / "out").iterdir() if p.is_dir()]) == 1
    (folder / f"a{ending}").unlink()
    with pytest.raises(InputError, match=r"\.img"):
        read_study(folder / "a.hdr")


def test_a_small_file_cannot_claim_a_large_volume(tmp_path):
    """928 bytes once cost 1.9 GB."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((512, 512, 900))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    content = header.binaryblock + bytes(580)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content))
    for name, words in (("a.nii", "claims"), ("b.nii.gz", "more than its")):
        with pytest.raises(InputError, match=words):
            read_study(tmp_path / name)


def test_analyze_is_refused_by_name(tmp_path):
    nibabel.AnalyzeImage(np.zeros(SHAPE, np.int16), np.eye(4)).to_filename(tmp_path / "a.img")
    with pytest.raises(InputError, match="ANALYZE"):
        read_study(tmp_path / "a.hdr")
