"""What `/metrics` tells Prometheus; never texts, names or patient data."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PATHS = frozenset({"/segment", "/health", "/ready", "/metrics", "/openapi.json", "/jobs"})


class Metrics:
    """Counters of one server; a registry of its own lets several live in one process."""

    def __init__(self, queue_limit: int) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Counter(
            "causalseg_requests", "Answers sent", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "causalseg_request_seconds",
            "Time from a request's first byte to the end of its answer",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "causalseg_batch_size",
            "Images that went through the model together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "causalseg_requests_in_work",
            "Requests admitted, not yet answered",
            registry=self.registry,
        )
        limit = Gauge("causalseg_queue_limit", "Most requests in progress", registry=self.registry)
        limit.set(queue_limit)

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count an answer. Unknown paths share one label, so that nobody can make labels up."""
        path = "/jobs/ID" if path.startswith("/jobs/") else path if path in _PATHS else "other"
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
