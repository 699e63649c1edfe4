"""Uploads: whatever the bytes, a study or one sentence, and no patient in it."""

import threading
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from causalseg.apps.limits import Limits, TooLargeError, read_upload
from causalseg.errors import InputError

edits = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", ["png", "dicom"])
def test_damaged_uploads_are_a_study_or_one_sentence(kind, png, pixels, make_dicom):
    original = png if kind == "png" else make_dicom(pixels)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(edits, st.floats(0.01, 1))
    def damaged(changes, kept):
        content = bytearray(original)
        for where, value in changes:
            content[int(where * len(content))] = value
        said = ""
        try:
            study = read_upload(bytes(content[: int(kept * len(content))]), Limits())
            assert study.frames[0].dtype == np.uint8
        except InputError as error:
            said = str(error)
        assert not said or said.endswith((".", "?"))
        assert "Doe" not in said
        assert "SECRET" not in said

    damaged()


def test_dicom_uploads_at_once_keep_the_parser_silent(make_dicom, pixels, caplog):
    header = {"PatientID": "SECRET-7" * 20, "PatientBirthDate": "no date, Doe"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, on writing what no standard allows.
        content = make_dicom(pixels, **header)
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        readers = [threading.Thread(target=read_upload, args=(content, Limits())) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert not [str(one.message) for one in warned if "pydicom" in one.filename]
    assert "SECRET" not in caplog.text
    assert "Doe" not in caplog.text


def test_the_page_s_files_are_bounded_too(tmp_path, png):
    from causalseg.apps.limits import read_file

    path = tmp_path / "x"
    path.write_bytes(png)
    assert read_file(path, Limits()).shape == (80, 96)
    with pytest.raises(TooLargeError, match="more than 1024 bytes"):
        read_file(path, Limits(max_bytes=1024))


@pytest.mark.parametrize("field", ["max_bytes", "max_pixels", "most", "batch_size", "timeout_s"])
def test_limits_that_would_let_nothing_in_are_refused(field):
    with pytest.raises(InputError, match=field):
        Limits(**{field: 0})
