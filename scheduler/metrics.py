"""Metrics from events, and the small HTTP server that shows them: /metrics and /healthz.

An observer of commits: what is counted is durable. Gauges are set from the cluster at most once a
second, because counting every job on every commit would cost more than deciding.
"""

import asyncio
import contextlib
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from aimass.core.cluster import Cluster
from aimass.core.events import Event, PlanCommitted
from aimass.core.model import JobState, NodeState, StopRule
from aimass.core.plan import Stop
from aimass.scheduler.engine import Engine
from aimass.scheduler.errors import Refused

GAUGES_EVERY_S = 1.0
HOUR_MS = 3_600_000


class Metrics:
    """The registry and its observer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._events = Counter("aimass_events", "Events journalled", ["type"], registry=r)
        self._batches = Counter("aimass_batches", "Durable appends", registry=r)
        self._jobs = Gauge("aimass_jobs", "Jobs in memory by state", ["state"], registry=r)
        self._nodes = Gauge("aimass_nodes", "Nodes by state", ["state"], registry=r)
        self._gpus = Gauge("aimass_gpus", "Devices of ready nodes", registry=r)
        self._gpus_used = Gauge("aimass_gpus_used", "Devices held, in shares", registry=r)
        self._revision = Gauge("aimass_revision", "Newest durable revision", registry=r)
        self._term = Gauge("aimass_term", "Leadership term", registry=r)
        self._stops = Counter(
            "aimass_stops", "Attempts stopped by plans, by rule", ["rule"], registry=r
        )
        self._move_gain = Counter(
            "aimass_move_gained_gpu_hours", "By which others start earlier, as planned", registry=r
        )
        self._move_loss = Counter(
            "aimass_move_lost_gpu_hours", "Work and restarts that moves cost", registry=r
        )
        self._claims = Gauge("aimass_claims", "Claims on what others are leaving", registry=r)
        self._promises = Gauge("aimass_promises", "Blocked jobs with a planned start", registry=r)
        self._rejected = Gauge(
            "aimass_decisions_rejected", "Parts of plans that the check refused", registry=r
        )
        self._fallbacks = Gauge(
            "aimass_policy_fallbacks", "Decisions that the built-in policy took over", registry=r
        )
        self._is_failing = Gauge(
            "aimass_policy_failing", "1 while the configured policy is left out", registry=r
        )
        self._queues = QueueMetrics(r)

    def observe(self, cluster: Cluster, events: list[Event]) -> None:
        """Count one committed batch."""
        self._batches.inc()
        for name, count in Tally(type(event).__name__ for event in events).items():
            self._events.labels(name).inc(count)
        for event in events:
            if isinstance(event, PlanCommitted):
                for stop in event.stops:
                    self._stops.labels(stop.rule.value).inc()
                self._observe_moves([s for s in event.stops if s.rule is StopRule.MOVE])
        self._revision.set(cluster.revision)

    def _observe_moves(self, stops: list[Stop]) -> None:
        """The gain is that of all who move for one job, and counts once."""
        gains = {stop.by: stop.gain_gpu_ms for stop in stops}
        self._move_gain.inc(sum(gains.values()) / HOUR_MS)
        self._move_loss.inc(sum(s.lost_gpu_ms + s.restart_gpu_ms for s in stops) / HOUR_MS)

    async def watch(self, engine: Engine) -> None:
        """Keep the gauges at most a second old, for ever."""
        measured = -1
        while True:
            if engine.revision != measured:
                measured = engine.revision
                with contextlib.suppress(Refused):  # only when the daemon is ending
                    await engine.ask(lambda context: self.measure(context.cluster))
                decisions = engine.decisions
                self._rejected.set(decisions.rejected)
                self._fallbacks.set(decisions.fallbacks)
                self._is_failing.set(bool(decisions.problem))
            await asyncio.sleep(GAUGES_EVERY_S)

    def measure(self, cluster: Cluster) -> None:
        """Set the gauges. O(jobs + devices)."""
        jobs = Tally(job.state for job in cluster.jobs.values())
        for job_state in JobState:
            self._jobs.labels(job_state.value).set(jobs[job_state])
        nodes = Tally(node.state for node in cluster.nodes.values())
        for node_state in NodeState:
            self._nodes.labels(node_state.value).set(nodes[node_state])
        ready = [n for n in cluster.nodes.values() if n.state is NodeState.READY]
        self._gpus.set(sum(len(n.devices) for n in ready))
        self._gpus_used.set(sum(d.used_milli for n in ready for d in n.devices) / 1000)
        self._term.set(cluster.term)
        self._claims.set(len(cluster.claims))
        self._promises.set(len(cluster.planned))
        self._queues.measure(cluster)


class QueueMetrics:
    """The accounts of every queue. Resources: gpu, gpu:MODEL and cpu as numbers, memory in MiB."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"aimass_queue_{name}", text, ("queue", *labels), registry=registry)

        self._used = gauge("used", "In use by the queue and those below it", "resource")
        self._quota = gauge("quota", "Guaranteed to the queue", "resource")
        self._queued = gauge("queued", "Jobs that wait or are held")
        self._active = gauge("active", "Jobs that hold or own capacity")

    def measure(self, cluster: Cluster) -> None:
        """Set the gauges; those of queues that are gone disappear. O(queues * resources)."""
        for gauge in (self._used, self._quota, self._queued, self._active):
            gauge.clear()
        for name, queue in cluster.queues.items():
            self._queued.labels(name).set(queue.queued)
            self._active.labels(name).set(queue.active)
            for gauge, amounts in ((self._used, queue.used), (self._quota, queue.spec.quota)):
                for resource, amount in amounts.items():
                    unit = 1 if resource == "memory" else 1000
                    gauge.labels(name, resource).set(amount / unit)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve_http(
    host: str, port: int, metrics: Metrics, health: Callable[[], str]
) -> tuple[WSGIServer, int]:
    """Serve on a thread of its own; returns the server (call shutdown) and the bound port.

    health: "" when healthy, else what is wrong (shown with status 503). Raises OSError.
    """
    show_metrics = make_wsgi_app(metrics.registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            shown: Iterable[bytes] = show_metrics(environ, start_response)
            return shown
        status, body = "404 Not Found", "see /metrics and /healthz\n"
        if path == "/healthz":
            problem = health()
            status, body = ("503 Service Unavailable", problem) if problem else ("200 OK", "ok")
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [body.encode()]

    server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server, server.server_address[1]
