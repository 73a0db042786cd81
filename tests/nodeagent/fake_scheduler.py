"""A scripted scheduler for the agent's tests: speaks AgentLink, remembers, does what it is told.

It runs in its own thread, so tests stay plain functions that look at what it has seen.
"""

import queue
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field

import grpc

from aimass.v1 import agent_pb2, agent_pb2_grpc, job_pb2, node_pb2
from tests.waiting import wait_until

Key = tuple[str, int, int]
State = job_pb2.ShardState


@dataclass
class Seen:
    """All that agents have said, in order."""

    registers: list[agent_pb2.Register] = field(default_factory=list)
    reports: list[agent_pb2.ShardReport] = field(default_factory=list)
    checkpoints: list[agent_pb2.CheckpointReport] = field(default_factory=list)
    beats: list[agent_pb2.Heartbeat] = field(default_factory=list)
    inventories: list[node_pb2.Inventory] = field(default_factory=list)
    pushes: list[agent_pb2.LogPush] = field(default_factory=list)


class FakeScheduler(agent_pb2_grpc.AgentLinkServicer):
    """One listening fake. `want` and `stop` change its desired set; `seen` is what came back."""

    def __init__(self, port: int = 0, *, term: int = 1, lease_ms: int = 60_000) -> None:
        self.seen = Seen()
        self.term = term
        self.generation = 0
        self.lease_ms = lease_ms
        self.cluster_id = "test-cluster"
        self.heartbeat_ms = 100
        self.refuse: agent_pb2.Refused | None = None
        self.answers_beats = True
        self.assignments: dict[Key, agent_pb2.Assignment] = {}
        self._streams: list[queue.SimpleQueue[agent_pb2.SchedulerMessage | None]] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        agent_pb2_grpc.add_AgentLinkServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def close(self) -> None:
        """Stop listening and end all streams, as a crash would."""
        for stream in self._streams:
            stream.put(None)
        self._server.stop(0).wait()

    # -- what tests ask for

    def want(self, key: Key, argv: list[str], **launch: object) -> None:
        """Add a shard to the desired set and send that."""
        grace_ms = launch.pop("grace_ms", 2000)
        fields = {"workdir": "/", "world_size": 1, "local_world_size": 1, **launch}
        self.assignments[key] = agent_pb2.Assignment(
            job_id=key[0],
            attempt=key[1],
            rank=key[2],
            goal=agent_pb2.GOAL_RUN,
            grace_ms=grace_ms,
            launch=agent_pb2.Launch(argv=argv, **fields),
        )
        self.send_desired()

    def stop(
        self,
        key: Key,
        grace_ms: int = 2000,
        reason: str = "cancelled by ann",
        notice_ms: int = 0,
        notice_signal: str = "SIGUSR1",
    ) -> None:
        """Turn a shard's goal to STOP and send that."""
        self.assignments[key].notice_ms = notice_ms
        self.assignments[key].notice_signal = notice_signal if notice_ms else ""
        self.assignments[key].goal = agent_pb2.GOAL_STOP
        self.assignments[key].grace_ms = grace_ms
        self.assignments[key].stop_reason = reason
        self.send_desired()

    def drop(self, key: Key) -> None:
        """Take a shard out of the desired set and send that."""
        del self.assignments[key]
        self.send_desired()

    def send_desired(self) -> None:
        """Send the desired set under a new generation."""
        self.generation += 1
        self.send(agent_pb2.SchedulerMessage(desired=self.desired()))

    def desired(self) -> agent_pb2.DesiredSet:
        """Give the set as it is now."""
        return agent_pb2.DesiredSet(
            term=self.term, generation=self.generation, assignments=self.assignments.values()
        )

    def send(self, message: agent_pb2.SchedulerMessage) -> None:
        """Send any message on every open stream."""
        with self._lock:
            for stream in self._streams:
                stream.put(message)

    def break_links(self) -> None:
        """End every open stream, once there is one; agents come again."""
        wait_until(lambda: self._streams)
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    def ask_logs(self, key: Key, request_id: str = "r1", **options: object) -> None:
        """Ask for a shard's output; the answer goes to `seen.pushes`."""
        request = agent_pb2.LogRequest(
            request_id=request_id, job_id=key[0], attempt=key[1], rank=key[2], **options
        )
        self.send(agent_pb2.SchedulerMessage(logs=request))

    def states(self, key: Key) -> list[str]:
        """Name the states reported for a shard since the start, in order, Register's included."""
        return [
            State.Name(report.state).removeprefix("SHARD_STATE_")
            for report in self.seen.reports
            if (report.job_id, report.attempt, report.rank) == key
        ]

    def last(self, key: Key) -> agent_pb2.ShardReport | None:
        """Give the newest report of a shard."""
        matching = [r for r in self.seen.reports if (r.job_id, r.attempt, r.rank) == key]
        return matching[-1] if matching else None

    def exit_of(self, key: Key) -> job_pb2.Exit | None:
        """Give how a shard ended, once reported."""
        report = self.last(key)
        return report.exit if report and report.state == job_pb2.SHARD_STATE_EXITED else None

    def output(self, request_id: str = "r1") -> bytes | None:
        """Give the whole answer to a log request once it says eof."""
        pushes = [push for push in self.seen.pushes if push.request_id == request_id]
        return b"".join(push.data for push in pushes) if pushes and pushes[-1].eof else None

    # -- the service

    def Link(
        self, requests: Iterator[agent_pb2.AgentMessage], context: grpc.ServicerContext
    ) -> Iterator[agent_pb2.SchedulerMessage]:
        """Welcome, the desired set, then whatever tests send."""
        stream: queue.SimpleQueue[agent_pb2.SchedulerMessage | None] = queue.SimpleQueue()
        register = next(requests).register
        self.seen.registers.append(register)
        self.seen.reports += register.shards
        self.seen.checkpoints += register.checkpoints
        if self.refuse is not None:
            yield agent_pb2.SchedulerMessage(refused=self.refuse)
            return
        yield agent_pb2.SchedulerMessage(
            welcome=agent_pb2.Welcome(
                term=self.term,
                cluster_id=self.cluster_id,
                heartbeat_ms=self.heartbeat_ms,
                lease_ms=self.lease_ms,
            )
        )
        with self._lock:
            self._streams.append(stream)
            stream.put(agent_pb2.SchedulerMessage(desired=self.desired()))
        threading.Thread(target=self._read, args=(requests, stream), daemon=True).start()
        while (message := stream.get()) is not None:
            yield message

    def _read(
        self,
        requests: Iterator[agent_pb2.AgentMessage],
        stream: "queue.SimpleQueue[agent_pb2.SchedulerMessage | None]",
    ) -> None:
        try:
            for message in requests:
                match message.WhichOneof("kind"):
                    case "shard":
                        self.seen.reports.append(message.shard)
                    case "checkpoint":
                        self.seen.checkpoints.append(message.checkpoint)
                    case "inventory":
                        self.seen.inventories.append(message.inventory)
                    case "heartbeat":
                        self.seen.beats.append(message.heartbeat)
                        if self.answers_beats:
                            ack = agent_pb2.HeartbeatAck(
                                seq=message.heartbeat.seq, lease_ms=self.lease_ms
                            )
                            stream.put(agent_pb2.SchedulerMessage(heartbeat_ack=ack))
        except grpc.RpcError:
            pass  # the agent has gone
        finally:
            with self._lock:
                self._streams = [other for other in self._streams if other is not stream]
            stream.put(None)

    def PushLogs(
        self, requests: Iterator[agent_pb2.LogPush], context: grpc.ServicerContext
    ) -> agent_pb2.LogPushReply:
        """Keep what is pushed."""
        for push in requests:
            self.seen.pushes.append(push)
        return agent_pb2.LogPushReply()
