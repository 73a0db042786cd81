"""`make demo`: one real training job through daemon, agents and crashes; every claim is checked.

Starts massd and two node agents on this machine, trains on real handwritten digits over both of
them, kills whatever can be killed, and looks afterwards at what is left. Exit 0 only when every
line with a tick was seen to be true; Ctrl-C at any point cleans up as well.
"""

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from demo_checks import (
    StepLog,
    final_accuracy,
    processes_of,
    shard_folders,
    shards_of,
    sockets_of,
    start_ticks,
)
from demo_cluster import NODES, SIMULATED, Cluster
from demo_story import DemoFailed, Story, tail, wait_for

EXAMPLES = Path(__file__).resolve().parent
RANKS = 2
STEPS = 176  # 8 epochs of 22: what digits_ddp.py does by default
STEP_MS = 70  # stretched, so that the training has a middle
ACCURACY_MIN = 0.95
GRACE_S = 1
ENDING = (signal.SIGINT, signal.SIGTERM)

COUNTS = re.compile(r"\d+ of \d+ GPUs free, a shard needs \d+")

STUBBORN = """
trap 'echo "SIGTERM came; going on"' TERM
echo "started, and will not stop when asked"
while :; do sleep 0.2; done
"""


class Demo:
    """The story in five chapters; each reads what the ones before it left here."""

    def __init__(self, cluster: Cluster, story: Story) -> None:
        """Take the cluster, on which nothing runs yet."""
        self.cluster = cluster
        self.story = story
        self.digits = self.stubborn = ""  # job ids
        self.pids: list[int] = []
        self.births: list[int] = []
        self.follow: subprocess.Popen[bytes] | None = None
        self.checkpoints = cluster.folder / "checkpoints"

    def steps(self) -> StepLog:
        """Read what the training has done so far."""
        return StepLog(self.checkpoints / "steps.log")

    def submit(self, name: str, spec: dict[str, Any]) -> str:
        """Write a job file, submit it, give the job's id."""
        path = self.cluster.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        job_id = self.cluster.massctl("submit", str(path), "-o", "name").strip()
        self.story.show(f"massctl submit {name}.yaml", job_id)
        return job_id

    def start(self) -> None:
        """Chapter 1: a scheduler and two nodes."""
        self.story.chapter("1  A cluster: one scheduler, two nodes")
        self.cluster.start_scheduler()
        self.story.tell(f"massd serves on {self.cluster.address}, journal: SQLite in a folder")
        for node in NODES:
            self.cluster.start_node(node)
        if self.cluster.gpus:
            self.story.tell(f"NVML answers: both agents offer the {self.cluster.gpus} real GPUs")
        else:
            self.story.tell(f"no NVML here: each agent offers simulated devices ({SIMULATED})")
        self.story.show("massctl nodes", self.cluster.massctl("nodes"))

    def train(self) -> None:
        """Chapter 2: a real training job over both nodes, its output followed."""
        self.story.chapter("2  A real training job: digits, 2 shards, DistributedDataParallel")
        spec = yaml.safe_load((EXAMPLES / "digits.yaml").read_text())
        script = [sys.executable, str(EXAMPLES / "digits_ddp.py")]
        options = ["--checkpoint-dir", str(self.checkpoints), "--min-step-ms", str(STEP_MS)]
        spec |= {"command": script + options, "workdir": str(self.cluster.folder)}
        spec["env"] = {"TORCHINDUCTOR_CACHE_DIR": str(self.checkpoints)}  # torch keeps it otherwise
        self.digits = self.submit("digits", spec)
        self.cluster.in_state(self.digits, "RUNNING")
        self.follow = self.cluster.start("logs", "massctl", "logs", "-f", self.digits)
        self.story.tell(f"massctl logs -f {self.digits} follows; torch takes its time to load …")

    def wait_in_line(self) -> None:
        """Chapter 3: a second job has to wait, and is told why."""
        self.story.chapter("3  A second job that must wait, and why")
        whole_node = self.cluster.gpus or int(SIMULATED.partition("x")[0])
        spec = {
            "apiVersion": "aimass/v1",
            "kind": "BatchJob",
            "name": "stubborn",
            "workdir": str(self.cluster.folder),
            "command": ["bash", "-c", STUBBORN],
            "resources": {"gpus": whole_node, "cpus": 0.1},
            "gracePeriod": f"{GRACE_S}s",
        }
        self.stubborn = self.submit("stubborn", spec)
        why = json.loads(self.cluster.massctl("why", self.stubborn, "-o", "json"))
        self.story.show(f"massctl why {self.stubborn}", self.cluster.massctl("why", self.stubborn))
        self.story.claim(
            "why names the reason, the counts, who holds the GPUs and what would start it",
            why["state"] == "QUEUED"
            and any(b["nodes"] == len(NODES) and COUNTS.search(b["text"]) for b in why["blockers"])
            and self.digits in why["holders"]
            and bool(why["changes"]),
            why,
        )

    def survive(self) -> None:
        """Chapter 4: SIGKILL for an agent, then for the scheduler, in the middle of training."""
        self.story.chapter("4  Crashes in mid-training")
        wait_for("the training to be under way", lambda: self.steps().done() >= 10, 60)
        shards = shards_of(self.cluster.job(self.digits))
        self.pids = [shard["pid"] for shard in shards]
        self.births = [start_ticks(pid) for pid in self.pids]
        where = ", ".join(f"rank {s['rank']} on {s['node']} pid {s['pid']}" for s in shards)
        self.story.claim(
            f"two shards on two nodes: {where}",
            len({shard["node"] for shard in shards}) == RANKS and all(self.births),
            shards,
        )
        self.crash(shards[1]["node"], lambda: self.cluster.start_node(shards[1]["node"]))
        self.crash("massd", self.cluster.start_scheduler)
        listed = json.loads(self.cluster.massctl("ls", "-o", "json"))
        self.story.claim(
            "the scheduler knows both jobs again, and holds the training for running",
            {job["id"]: job["state"] for job in listed["items"]}
            == {self.digits: "RUNNING", self.stubborn: "QUEUED"},
            listed,
        )

    def crash(self, name: str, start_again: Any) -> None:
        """Kill a daemon, see the training go on without it, start it again."""
        before = self.steps().done()
        self.cluster.kill(name)
        self.story.tell(f"kill -9 {name} at step {before} of {STEPS}")
        wait_for("steps without it", lambda: self.steps().done() >= before + 8)
        alone = self.steps().done()
        start_again()
        self.story.tell(f"{name} is back at step {self.steps().done()}")
        for daemon in ("massd", *NODES):
            self.cluster.must_run(daemon)
        pids = [shard["pid"] for shard in shards_of(self.cluster.job(self.digits))]
        births = [start_ticks(pid) for pid in pids]
        self.story.claim(
            f"without {name} the training went on ({before} → {alone}); same processes after it",
            alone < STEPS and pids == self.pids and births == self.births,
            f"pids {self.pids} → {pids}, started {self.births} → {births}",
        )

    def succeed(self) -> None:
        """Still chapter 4: the training ends as if nothing had happened."""
        assert self.follow is not None
        job = self.cluster.in_state(self.digits, "SUCCEEDED", "FAILED", "CANCELLED")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.follow.wait(timeout=10)
        log = self.cluster.log("logs").read_text()
        self.story.show(f"massctl logs -f {self.digits}   (its last lines)", tail(log, 3))
        notes = self.cluster.log("logs-notes").read_text().splitlines()
        self.story.tell(f"it noted on stderr: {'; '.join(notes) or 'nothing'}")
        self.story.claim(
            "the training succeeded, in its first attempt",
            job["state"] == "SUCCEEDED" and len(job["attempts"]) == 1,
            job,
        )
        accuracy = final_accuracy(log)
        self.story.claim(
            f"accuracy {accuracy:.1%} on 360 digits it never saw (at least {ACCURACY_MIN:.0%})",
            accuracy >= ACCURACY_MIN,
        )
        whole = self.cluster.massctl("logs", self.digits)
        self.story.claim(
            "logs -f showed both ranks through both crashes, no line lost or twice",
            self.follow.returncode == 0
            and all(f"rank {rank}/{RANKS}: step 170" in log for rank in range(RANKS))
            and sorted(log.splitlines()) == sorted(whole.splitlines()),
            f"exit {self.follow.returncode}\n{log}\n-- all of it:\n{whole}",
        )
        self.story.claim(
            f"each of {STEPS} steps was done once on each rank, none again, none lost",
            self.steps().is_each_once(RANKS, STEPS),
            self.steps().lines,
        )
        folders = [self.cluster.node_folder(node) for node in NODES]
        launched = shard_folders(folders, self.digits)
        self.story.claim(
            "nothing was launched twice: one shard folder per rank",
            len(launched) == RANKS and len({name.split(".")[2] for name in launched}) == RANKS,
            launched,
        )

    def cancel(self) -> None:
        """Chapter 5: cancel a running job that does not listen."""
        self.story.chapter("5  Cancel a running job that ignores SIGTERM")
        (shard,) = shards_of(self.cluster.in_state(self.stubborn, "RUNNING"))
        self.story.tell(f"{self.stubborn} got the GPUs and runs as pid {shard['pid']}")
        wait_for(
            "its first line",
            lambda: "will not stop" in self.cluster.massctl("logs", self.stubborn),
        )
        asked = time.monotonic()
        output = self.cluster.massctl("cancel", self.stubborn)
        self.story.show(f"massctl cancel {self.stubborn}", output)
        job = self.cluster.in_state(self.stubborn, "CANCELLED", "FAILED", "SUCCEEDED")
        took_s = time.monotonic() - asked
        (shard,) = shards_of(job)
        self.story.claim(
            f"SIGTERM, {GRACE_S} s of grace, SIGKILL: {job['state']} after {took_s:.1f} s",
            job["state"] == "CANCELLED" and shard["exit"]["signal"] == signal.SIGKILL,
            job,
        )
        self.story.claim(
            "it had heard SIGTERM first, and its process is gone",
            "SIGTERM came" in self.cluster.massctl("logs", self.stubborn)
            and not start_ticks(shard["pid"]),
        )
        self.story.show("massctl ls --all", self.cluster.massctl("ls", "--all"))

    def end(self) -> None:
        """The end: stop the daemons and look for anything left of them."""
        self.story.chapter("6  Stop, and leave nothing behind")
        self.cluster.stop()
        left = processes_of(self.cluster.folder)
        self.story.claim("no process is left", not left, left)
        addresses = [self.cluster.address, self.cluster.http_address]
        sockets = sockets_of(self.cluster.folder, addresses)
        self.story.claim("no socket is left", not sockets, sockets)
        temporary = sorted((self.cluster.folder / "tmp").iterdir())
        self.story.claim("no temporary file is left", not temporary, temporary)


def run(cluster: Cluster, story: Story) -> None:
    """Tell the whole story."""
    demo = Demo(cluster, story)
    for chapter in (demo.start, demo.train, demo.wait_in_line, demo.survive, demo.succeed):
        chapter()
    demo.cancel()
    demo.end()


def interrupted(number: int, frame: object) -> None:
    """Let SIGTERM end the demo as Ctrl-C does, through its clean-up."""
    raise KeyboardInterrupt


def main() -> int:
    """Run, clean up from whatever point, sum up; give the exit code."""
    for number in ENDING:
        signal.signal(number, interrupted)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # not between making the folder and `try`
    folder = Path(tempfile.mkdtemp(prefix="aimass-demo-"))
    story, cluster, code = Story(), Cluster(folder), 0
    print(f"AI Mass demo. Everything is in {folder}, and that is gone at the end.", flush=True)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        run(cluster, story)
    except KeyboardInterrupt:
        print("\ninterrupted; cleaning up", flush=True)
        code = 130
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        print(f"\nerror: {error}", flush=True)
        for name in ("massd", *NODES):
            print(f"\n-- the last words of {name}:\n{cluster.last_words(name)}", flush=True)
        code = 1
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        cluster.sweep()
    if left := processes_of(folder) or folder.exists():
        print(f"error: left behind: {left} {shlex.quote(str(folder))}", flush=True)
        return code or 1
    if code == 0:
        print(f"\nSeen to be true in {story.elapsed_s():.0f} s:")
        print("\n".join(f"  ✓ {text}" for text in [*story.proved, f"{folder} is gone"]))
    return code


if __name__ == "__main__":
    sys.exit(main())
