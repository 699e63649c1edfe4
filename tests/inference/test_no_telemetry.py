"""OpenVINO reports its use to an outside host; here it does not."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino")

# In a process of its own, since openvino reports when it is imported. Looking up a host's name and
# opening a socket to anything but this machine end the process.
SCRIPT = """
import os, sys

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "socket.sendto"):
        sys.stderr.write(f"{event} {arguments}")
        os._exit(9)

sys.addaudithook(watch)
from causalseg.inference.backends import load_runtime

ov = load_runtime("openvino")
import numpy as np
from openvino import opset13 as ops

x = ops.parameter([1, 4], np.float32)
model = ov.Model([ops.relu(x)], [x])
ov.save_model(model, sys.argv[1])
from openvino.tools.ovc import telemetry_utils

telemetry = telemetry_utils.init_ovc_telemetry()
telemetry.start_session("ovc")
telemetry.send_event("ovc", "a", "b")
telemetry.end_session("ovc")
telemetry.force_shutdown(2)
assert "openvino_telemetry.main" not in sys.modules
core = ov.Core()
print(core.compile_model(core.read_model(sys.argv[1]), "CPU")(np.ones((1, 4), np.float32))[0].sum())
"""


def test_openvino_opens_no_connection(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model.xml")],
        capture_output=True,
        text=True,
        check=False,
        # No earlier consent or refusal of whoever runs the tests, and no CI, where it is silent.
        env={k: v for k, v in os.environ.items() if k != "CI"} | {"HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "4.0"
