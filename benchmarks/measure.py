"""Interleaved timing, peak memory in a process of its own, operations, the machine."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from causalseg.encoders.packed import can_pack

SETTLE = 0.05
"""Seconds of rest before a call: threads of ONNX Runtime spin for a while after their own, and took
half of the time of the call that came next."""


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, seconds: float = float("inf")
) -> dict[str, Any]:
    """Time every call once a round, in turn, so that the machine's other load meets all alike.

    The first call is the reference of the ratios, which are taken within a round. CPU seconds of
    the process (all threads) are kept beside wall time: they depend less on what else is running.
    No round starts once `seconds` have passed, but for the first.

    Returns:
        name -> median and range of wall and CPU seconds, and of both ratios.

    """
    begun = time.monotonic()
    for call in calls.values():
        call()
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for done in range(rounds):
        if done and time.monotonic() - begun > seconds:
            break
        for name, call in calls.items():
            time.sleep(SETTLE)
            start, used = time.perf_counter(), time.process_time()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - used)
    first = next(iter(calls))
    return {
        name: {
            "seconds": _spread(wall[name]),
            "cpu_seconds": _spread(cpu[name]),
            "ratio": _spread([a / b for a, b in zip(wall[first], wall[name], strict=True)]),
            "rounds": len(wall[name]),
            "cpu_ratio": _spread([a / b for a, b in zip(cpu[first], cpu[name], strict=True)]),
        }
        for name in calls
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _packed_flops(*arguments: Any, out_val: torch.Tensor, **_: Any) -> int:
    """Of a packed convolution, with or without a shortcut before its weight (O, C, k, k)."""
    weight = next(a for a in arguments[2:0:-1] if isinstance(a, torch.Tensor) and a.dim() == 4)
    return 2 * out_val.numel() * math.prod(weight.shape[1:])


_packed_flops._get_raw = True  # type: ignore[attr-defined]  # tensors, not shapes


def flops(call: Callable[[], object]) -> float:
    """Operations (a multiply-add is two) of convolutions and matrix products, in GFLOP."""
    more = {torch.ops.mkldnn._convolution_pointwise: _packed_flops} if can_pack() else {}
    with FlopCounterMode(display=False, custom_mapping=more) as counter:
        call()
    return counter.get_total_flops() / 1e9


def peak_memory(*arguments: str, seconds: float) -> float:
    """Peak resident GiB of `python -m benchmarks.once ARGUMENTS`, a process of its own.

    NaN where it fails, as for lack of memory, or takes longer than `seconds`.
    """
    command = [sys.executable, "-m", "benchmarks.once", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"no peak memory of {' '.join(arguments)}: {error}", file=sys.stderr)
        return float("nan")
    return float(json.loads(done.stdout.splitlines()[-1])["peak_gib"])


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "matmul_gflops": _rate(),
        "time": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def _rate() -> dict[str, float]:
    """GFLOP a CPU second and thread of a large 3x3 convolution, the floor's measure."""
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        conv = torch.nn.Conv2d(256, 256, 3, padding=1).to(dtype)
        x = torch.randn(1, 256, 56, 56, dtype=dtype)
        with torch.inference_mode():
            result = interleaved({"conv": lambda conv=conv, x=x: conv(x)}, 15)
        work = 2 * 256 * 256 * 9 * 56 * 56 / 1e9
        rates[str(dtype)] = work / result["conv"]["cpu_seconds"]["min"]
    return rates
