"""Load on `causalseg serve` over loopback: throughput, latency, memory, and a kill in between.

    python benchmarks/serve_load.py --model CHECKPOINT --seconds 20 --json load.json
    python benchmarks/serve_load.py --against OTHER_CHECKOUT/src --rounds 3 --soak 0

Clients and server share this machine's cores, so the figures are a lower bound. Every client
sends its next request when the last is answered, also where it is refused. With `--against` the
server of another source tree runs beside this one's and both are loaded in turn, so that what else
the machine does meets both; their ratio is what to read. The soak sends as many requests as
`--soak` says and compares the server's resident memory of its two halves. In the last part the
server is killed (SIGKILL) and started again while 8 clients repeat each request until it is
answered: one answer for each, and the same for the same image.
"""

import argparse
import asyncio
import io
import json
import math
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

    server: str
    """"this" source tree's or the "other" one's."""
    clients: int
    answers: int
    errors: int
    per_second: float
    cpu_ms: float
    """Of the server's processor time for each answer."""
    p50_ms: float
    p99_ms: float
    mean_batch: float
    memory_mb: float


class Server:
    """`causalseg serve` as a process of its own."""

    def __init__(self, model: str, port: int = 0, source: Path | None = None) -> None:
        command = [sys.executable, "-m", "causalseg.cli.main", "serve", "--model", model]
        environment = dict(os.environ) | ({"PYTHONPATH": str(source)} if source else {})
        self.name = "other" if source else "this"
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True, env=environment
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


async def ask(client: httpx.AsyncClient, png: bytes) -> str | None:
    """The answer to one request; None where it is refused or the connection ends."""
    try:
        answer = await client.post("/segment", files={"image": ("x.png", png)}, data={"text": TEXT})
    except httpx.TransportError:
        return None
    return answer.text if answer.status_code == 200 else None


async def measure(server: Server, images: list[bytes], clients: int, seconds: float) -> Load:
    """Keep `clients` requests under way for a while."""
    times: list[float] = []
    errors = 0
    limits = httpx.Limits(max_connections=clients)
    names = ("causalseg_batch_size_sum", "causalseg_batch_size_count", "process_cpu_seconds_total")
    before = [server.metric(name) for name in names]

    async def one(client: httpx.AsyncClient, number: int, end: float) -> None:
        nonlocal errors
        while time.perf_counter() < end:
            start = time.perf_counter()
            if await ask(client, images[number % len(images)]) is not None:
                times.append(time.perf_counter() - start)
            else:
                errors += 1
            number += 1

    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        start = time.perf_counter()
        await asyncio.gather(*(one(client, n, start + seconds) for n in range(clients)))
        wall = time.perf_counter() - start
    after = [server.metric(name) for name in names]
    answers = len(times)
    p50, p99 = np.quantile(times or [math.nan], [0.5, 0.99]) * 1000
    return Load(
        server=server.name,
        clients=clients,
        answers=answers,
        errors=errors,
        per_second=round(answers / wall, 2),
        cpu_ms=round(1000 * (after[2] - before[2]) / max(1, answers), 1),
        p50_ms=round(float(p50), 1),
        p99_ms=round(float(p99), 1),
        mean_batch=round((after[0] - before[0]) / max(1.0, after[1] - before[1]), 2),
        memory_mb=round(server.memory_mb(), 1),
    )


async def soak(
    server: Server, images: list[bytes], requests: int, clients: int
) -> dict[str, float]:
    """Memory over many requests, in 40 samples.

    What a sample shows depends on the last batch's size, so the halves' peaks are compared.
    """
    samples: list[float] = []
    step, refused, start = max(1, requests // 40), 0, time.perf_counter()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        for first in range(0, requests, step):
            left = iter(range(first, min(first + step, requests)))

            async def drain(left=left) -> None:
                nonlocal refused
                for number in left:
                    while await ask(client, images[number % len(images)]) is None:
                        refused += 1

            await asyncio.gather(*(drain() for _ in range(clients)))
            samples.append(server.memory_mb())
    half = len(samples) // 2
    return {
        "requests": requests,
        "clients": clients,
        "refused": refused,
        "minutes": round((time.perf_counter() - start) / 60, 1),
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
                    answer = await ask(client, images[number % len(images)])
                    if answer is None:
                        repeats += 1
                        await asyncio.sleep(0.25)
                    else:
                        answers[number] = answer

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
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32, 64, 128])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each number of clients")
    parser.add_argument("--rounds", type=int, default=1, help="of each number of clients")
    parser.add_argument("--against", type=Path, help="folder with another version's `causalseg`")
    parser.add_argument("--soak", type=int, default=2000, help="requests; 0 leaves soak and kill")
    parser.add_argument("--soak-clients", type=int, default=8, help="clients of the soak")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = uploads(8, options.size)
    servers = [Server(options.model)]
    if options.against:
        servers.append(Server(options.model, source=options.against))
    for server in servers:
        asyncio.run(measure(server, images, 2, 2.0))  # Warm up.
    loads = []
    for clients in options.clients:
        for server in servers * options.rounds:
            loads.append(asyncio.run(measure(server, images, clients, options.seconds)))
            print(loads[-1], flush=True)
    last = {}
    if options.soak:
        last["soak"] = asyncio.run(soak(servers[0], images, options.soak, options.soak_clients))
        last["kill"] = asyncio.run(kill_and_restart(servers[0], images, 120))
    for server in servers:
        server.end(signal.SIGTERM)
    table = Table(*Load.__dataclass_fields__)
    for load in loads:
        table.add_row(*(str(value) for value in asdict(load).values()))
    console = Console()
    console.print(table, last, ratios(loads))
    console.print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end")
    if options.json:
        record = {
            "model": Path(options.model).name,
            "machine": platform.platform(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "loads": [asdict(load) for load in loads],
            "ratios": ratios(loads),
            **last,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def ratios(loads: list[Load]) -> dict[int, float]:
    """Answers a second of this server to the other's, by clients: the median of the rounds."""
    found: dict[int, float] = {}
    for clients in dict.fromkeys(load.clients for load in loads):
        rates = {
            name: [x.per_second for x in loads if (x.server, x.clients) == (name, clients)]
            for name in ("this", "other")
        }
        pairs = list(zip(rates["this"], rates["other"], strict=False))
        if pairs and all(other for _, other in pairs):
            found[clients] = round(float(np.median([this / other for this, other in pairs])), 2)
    return found


if __name__ == "__main__":
    main()
