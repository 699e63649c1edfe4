"""Load on `causalseg serve` over loopback: throughput, latency, memory, and a kill in between.

    python benchmarks/serve_load.py --model CHECKPOINT --seconds 20 --json load.json

Clients and server share this machine's cores, so the figures are a lower bound. Every client
sends its next request when the last is answered. The soak sends as many requests as `--soak` says
and compares the server's resident memory of its two halves. In the last part the server is killed
(SIGKILL) and started again while 8 clients repeat each request until it is answered: one answer
for each, and the same for the same image.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

TEXT = "Unilateral pulmonary infection, one infected area, lower left lung."


@dataclass(frozen=True)
class Load:
    """What a number of clients saw."""

    clients: int
    answers: int
    errors: int
    per_second: float
    p50_ms: float
    p99_ms: float
    mean_batch: float
    memory_mb: float


class Server:
    """`causalseg serve` as a process of its own."""

    def __init__(self, model: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "causalseg.cli.main", "serve", "--model", model]
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        if found is None:
            raise SystemExit("the server did not start")
        self.model = model
        self.url = found[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def metric(self, name: str) -> float:
        """A value of /metrics without labels."""
        text = httpx.get(f"{self.url}/metrics").text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else float("nan")

    def memory_mb(self) -> float:
        """Resident memory."""
        return self.metric("process_resident_memory_bytes") / 2**20

    def end(self, number: int) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait()


def uploads(count: int, size: int) -> list[bytes]:
    """Phantoms as PNG."""
    from causalseg.data.phantom import draw_phantom

    found = []
    for seed in range(count):
        buffer = io.BytesIO()
        image = draw_phantom(np.random.default_rng(seed), size=size).image
        Image.fromarray(image).save(buffer, format="PNG")
        found.append(buffer.getvalue())
    return found


async def ask(client: httpx.AsyncClient, png: bytes) -> httpx.Response:
    """One request."""
    return await client.post("/segment", files={"image": ("x.png", png)}, data={"text": TEXT})


async def measure(server: Server, images: list[bytes], clients: int, seconds: float) -> Load:
    """Keep `clients` requests under way for a while."""
    times: list[float] = []
    errors = 0
    limits = httpx.Limits(max_connections=clients)
    before = [server.metric(f"causalseg_batch_size_{part}") for part in ("sum", "count")]

    async def one(client: httpx.AsyncClient, number: int, end: float) -> None:
        nonlocal errors
        while time.perf_counter() < end:
            start = time.perf_counter()
            answer = await ask(client, images[number % len(images)])
            times.append(time.perf_counter() - start)
            errors += answer.status_code != 200
            number += 1

    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        start = time.perf_counter()
        await asyncio.gather(*(one(client, n, start + seconds) for n in range(clients)))
        wall = time.perf_counter() - start
    after = [server.metric(f"causalseg_batch_size_{part}") for part in ("sum", "count")]
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000
    return Load(
        clients=clients,
        answers=len(times) - errors,
        errors=errors,
        per_second=round((len(times) - errors) / wall, 2),
        p50_ms=round(float(p50), 1),
        p99_ms=round(float(p99), 1),
        mean_batch=round((after[0] - before[0]) / max(1.0, after[1] - before[1]), 2),
        memory_mb=round(server.memory_mb(), 1),
    )


async def soak(server: Server, images: list[bytes], requests: int) -> dict[str, float]:
    """Memory over many requests, in 40 samples.

    What a sample shows depends on the last batch's size, so the halves' peaks are compared.
    """
    samples: list[float] = []
    step = max(1, requests // 40)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for first in range(0, requests, step):
            left = iter(range(first, min(first + step, requests)))

            async def drain(left=left) -> None:
                for number in left:
                    (await ask(client, images[number % len(images)])).raise_for_status()

            await asyncio.gather(*(drain() for _ in range(8)))
            samples.append(server.memory_mb())
    half = len(samples) // 2
    return {
        "requests": requests,
        "first_half_peak_mb": round(max(samples[:half]), 1),
        "second_half_peak_mb": round(max(samples[half:]), 1),
        "first_half_mean_mb": round(float(np.mean(samples[:half])), 1),
        "second_half_mean_mb": round(float(np.mean(samples[half:])), 1),
    }


async def kill_and_restart(server: Server, images: list[bytes], requests: int) -> dict[str, int]:
    """8 clients repeat each request until it is answered, while the server is killed."""
    answers: dict[int, str] = {}
    repeats = 0
    numbers = iter(range(requests))

    async def client_of(url: str) -> None:
        nonlocal repeats
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for number in numbers:
                while number not in answers:
                    try:
                        answer = await ask(client, images[number % len(images)])
                        answer.raise_for_status()
                        answers[number] = answer.text
                    except httpx.HTTPError:
                        repeats += 1
                        await asyncio.sleep(0.25)

    async def killer() -> None:
        while len(answers) < requests // 3:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(server.end, signal.SIGKILL)
        restarted = await asyncio.to_thread(Server, server.model, server.port)
        server.process = restarted.process

    await asyncio.gather(killer(), *(client_of(server.url) for _ in range(8)))
    different = sum(
        answers[number] != answers[number % len(images)] for number in range(len(images), requests)
    )
    return {"requests": requests, "answered": len(answers), "repeated": repeats,
            "different_answers": different}  # fmt: skip


def main() -> None:
    """Run all parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each number of clients")
    parser.add_argument("--soak", type=int, default=2000, help="requests")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = uploads(8, options.size)
    server = Server(options.model)
    asyncio.run(measure(server, images, 2, 2.0))  # Warm up.
    loads = [asyncio.run(measure(server, images, n, options.seconds)) for n in options.clients]
    soaked = asyncio.run(soak(server, images, options.soak))
    killed = asyncio.run(kill_and_restart(server, images, 120))
    server.end(signal.SIGTERM)
    table = Table(*Load.__dataclass_fields__)
    for load in loads:
        table.add_row(*(str(value) for value in asdict(load).values()))
    console = Console()
    console.print(table, soaked, killed)
    console.print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end")
    if options.json:
        record = {
            "model": Path(options.model).name,
            "machine": platform.platform(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "loads": [asdict(load) for load in loads],
            "soak": soaked,
            "kill": killed,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
