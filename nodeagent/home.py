"""The agent's folder: who this node is, what it has last obeyed, and that nobody else uses it."""

import fcntl
import os
import re
import uuid
from pathlib import Path

from aimass.nodeagent import durable
from aimass.nodeagent.reconcile import Fence

_NODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


class NodeError(Exception):
    """The agent cannot run; what, why and what the user can do about it."""

    def __init__(self, what: str, why: str, fix: str, exit_code: int = 1) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why, self.fix, self.exit_code = what, why, fix, exit_code


class Home:
    """What the agent keeps on disk beside the shards' folders, held by a lock while it runs."""

    def __init__(self, path: Path, node_id: str, boot_id: str) -> None:
        """Open or create the folder and count this start.

        Errors: NodeError when it cannot be used, or is another agent's or another node's.
        """
        self.path = path
        self.shards = path / "shards"
        self.devices = path / "devices"
        self.lease_file = path / "lease"
        try:
            for folder in (path, self.shards, self.devices):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._start(node_id, boot_id)
        except OSError as error:
            raise NodeError(
                f"cannot use the data folder {path}",
                f"{error.strerror or error} ({error.filename or path})",
                "give a folder that you may write to with --data, or free some space",
            ) from error

    def _take_lock(self) -> int:
        fd = os.open(self.path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode().strip() or "unknown"
            raise NodeError(
                f"the data folder {self.path} is in use",
                f"another massnode (pid {holder}) runs on it",
                "stop that one first, or give this one its own --data and --node-id",
                exit_code=4,
            ) from None
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def _start(self, node_id: str, boot_id: str) -> None:
        node = self._read("node.json")
        owner = node.get("node_id", node_id)
        if owner != node_id:
            raise NodeError(
                f"the data folder {self.path} belongs to node {owner}",
                f"this agent was started as {node_id}",
                f"start it with --node-id {owner}, or give another --data",
                exit_code=4,
            )
        if not _NODE_ID.fullmatch(node_id):
            raise NodeError(
                f"{node_id!r} cannot name a node",
                "a name has 1-253 letters, digits, dots, dashes and underscores",
                "give another --node-id",
                exit_code=2,
            )
        if node.get("boot_id") != boot_id:  # its clock started again at the boot
            self.lease_file.unlink(missing_ok=True)
        self.node_id = node_id
        self.incarnation: int = node.get("incarnation", 0) + 1
        # The count starts again in a wiped folder, and a copied name says nothing: what tells this
        # agent from a stranger is drawn once, and never again while the folder lives.
        self.instance: str = node.get("instance") or uuid.uuid4().hex
        record = {
            "node_id": node_id,
            "incarnation": self.incarnation,
            "instance": self.instance,
            "boot_id": boot_id,
        }
        durable.write_json(f"{self.path}/node.json", record)
        obeyed = self._read("scheduler.json")
        self.cluster_id: str = obeyed.get("cluster_id", "")
        self.fence = Fence(obeyed.get("term", 0))

    def _read(self, name: str) -> durable.Record:
        try:
            return durable.read_json(f"{self.path}/{name}") or {}
        except ValueError as error:
            raise NodeError(
                f"cannot read {self.path}/{name}",
                str(error),
                "restore it from a backup, or give a new --data once no shard runs here",
            ) from error

    def obey(self, fence: Fence, cluster_id: str) -> None:
        """Obey this fence from now on; a new term or cluster is on disk before this returns.

        The generation is not kept: it orders the sets of one process's life, and the first set of
        a link is a whole one.
        """
        if (fence.term, cluster_id) != (self.fence.term, self.cluster_id):
            record = {"cluster_id": cluster_id, "term": fence.term}
            durable.write_json(f"{self.path}/scheduler.json", record)
        self.fence, self.cluster_id = fence, cluster_id

    def write_lease(self, deadline_ms: int, lease_ms: int) -> None:
        """Tell the shims until when they may run, by CLOCK_BOOTTIME. Unsynced: a boot ends it."""
        text = f"{deadline_ms:020} {lease_ms:020}\n"
        try:
            durable.write_file(str(self.lease_file), text, sync=False)
        except OSError:
            # A full disk must not stop every shard of the node: write over the old bytes.
            fd = os.open(self.lease_file, os.O_WRONLY | os.O_CLOEXEC)
            os.pwrite(fd, text.encode(), 0)
            os.close(fd)
