"""No command reaches for another machine unless a hub was asked for, in Python or native code.

Within the test process, `conftest.py` watches every test in the same way.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.network_watch import LOCAL

from causalseg.data.phantom import make_phantoms

ROOT = Path(__file__).parents[2]
# Who runs the tests may have told libraries to stay silent, as CI does. Users have not.
SILENT = ("CI", "GITHUB_ACTIONS", "HF_HUB_OFFLINE", "ORT_DISABLE_TELEMETRY")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in SILENT}


def offline(words: list[str], home: Path) -> str:
    """Run Python with its calls watched, and with strace those of native code; its output."""
    log = home / "connections"
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(log)]
    # It may be there without being allowed to look, as in some containers.
    usable = shutil.which("strace") and not subprocess.run([*strace, "true"]).returncode
    done = subprocess.run(
        [*(strace if usable else []), sys.executable, *words],
        cwd=ROOT,
        env=ENVIRONMENT | {"HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if log.exists():
        asked = re.findall(r'inet_(?:addr\("|pton\(AF_INET6, ")([^"]+)', log.read_text())
        assert not [address for address in asked if not address.startswith(LOCAL)]
    return done.stdout


def test_the_watch_sees_connections_and_look_ups(tmp_path: Path) -> None:
    for call in ("connect(('192.0.2.1', 9))", "sendto(b'', ('192.0.2.1', 9))"):
        script = (
            "import socket, sys; from tests.network_watch import end, watch; watch(end);"
            f"s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); s.{call}"
        )
        with pytest.raises(AssertionError, match=r"another machine is asked.*192\.0\.2\.1"):
            offline(["-c", script], tmp_path)


def test_commands_ask_no_other_machine(
    tiny_checkpoint: Path, tiny_onnx: Path, pictures: Path, tmp_path: Path
) -> None:
    make_phantoms(tmp_path / "phantoms", 12, seed=0, size=64)
    picture = str(pictures / "0.png")
    asked = [picture, "--text", "lower left lung", "--device", "cpu"]
    data = [
        "--data",
        str(tmp_path / "phantoms"),
        "--leaks",
        "keep",
        "--limit",
        "1",
        "--resamples",
        "10",
    ]
    commands = [
        ["models"],
        ["caption", "read", "opacity in the left lower lung"],
        ["predict", *asked, "--out", str(tmp_path / "p")],
        ["predict", *asked, "--out", str(tmp_path / "o"), "--model", str(tiny_onnx)],
        [
            "evaluate",
            "--model",
            str(tiny_checkpoint),
            *data,
            "--resamples",
            "10",
            "--out",
            str(tmp_path / "e"),
        ],
    ]
    said = offline(["-m", "tests.network_watch", json.dumps(commands)], tmp_path)
    assert said.count("1 segmented") == 2
    assert "macro dice" in said
    # ONNX Runtime would report some seconds later, and writes a number for the machine at once.
    assert not (tmp_path / ".cache" / "Microsoft").exists()


# OpenVINO reports its use to its makers when it is imported, and when it converts a model.
TELEMETRY = """
import sys

from tests.network_watch import end, watch

watch(end)
from causalseg.inference.backends import load_runtime

ov = load_runtime("openvino")
import numpy as np
from openvino import opset13 as ops
from openvino.tools.ovc import telemetry_utils

x = ops.parameter([1, 4], np.float32)
ov.save_model(ov.Model([ops.relu(x)], [x]), sys.argv[1])
telemetry = telemetry_utils.init_ovc_telemetry()
telemetry.start_session("ovc")
telemetry.send_event("ovc", "a", "b")
telemetry.end_session("ovc")
telemetry.force_shutdown(2)
assert "openvino_telemetry.main" not in sys.modules
core = ov.Core()
print(core.compile_model(core.read_model(sys.argv[1]), "CPU")(np.ones((1, 4), np.float32))[0].sum())
"""


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert offline(["-c", TELEMETRY, str(tmp_path / "model.xml")], tmp_path).split()[-1] == "4.0"
