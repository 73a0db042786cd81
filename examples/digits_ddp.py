"""Train an image classifier on 1,797 real handwritten digits with DistributedDataParallel.

An ordinary torch script; all it knows of AI Mass is a file to touch (`mark_complete`), and it does
without. These do the same:

    torchrun --nproc-per-node 2 examples/digits_ddp.py
    massctl submit examples/digits.yaml

Which samples a step sees depends on the seed and the step's number alone, so a run that goes on
from its checkpoint is the run that was stopped. SIGUSR1: all ranks finish the same step, rank 0
writes a checkpoint, and the run goes on. SIGTERM: the same, and the exit code is 143.
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

SAMPLES_PER_STEP = 64  # over all ranks
HELD_OUT = 360  # 20 % of the 1,797
EXIT_TERMINATED = 128 + signal.SIGTERM
REPORT_EVERY_STEPS = 10


@dataclass(frozen=True)
class Digits:
    """Images: (n, 1, 8, 8) float32 in 0..1; labels: (n,) int64. The split never changes."""

    train_images: Tensor
    train_labels: Tensor
    held_out_images: Tensor
    held_out_labels: Tensor

    @classmethod
    def load(cls, device: torch.device) -> "Digits":
        """Read the digits that scikit-learn ships and put them on the device."""
        raw = load_digits()
        images = torch.tensor(raw.images, dtype=torch.float32, device=device).unsqueeze(1) / 16
        labels = torch.tensor(raw.target, dtype=torch.int64, device=device)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).to(device)
        held_out, train = order[:HELD_OUT], order[HELD_OUT:]
        return cls(images[train], labels[train], images[held_out], labels[held_out])

    def steps_per_epoch(self) -> int:
        """Count the whole batches of one pass; the samples left over differ from pass to pass."""
        return len(self.train_labels) // SAMPLES_PER_STEP

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Give this rank's part of the global batch of one step."""
        epoch, place = divmod(step, self.steps_per_epoch())
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_labels), generator=generator)
        chosen = order[place * SAMPLES_PER_STEP : (place + 1) * SAMPLES_PER_STEP]
        mine = chosen[dist.get_rank() :: dist.get_world_size()].to(self.train_labels.device)
        return self.train_images[mine], self.train_labels[mine]


def join() -> tuple[torch.device, Any]:
    """Meet the other ranks; give this rank's device and the group that exchanges gradients.

    NCCL when every rank has a GPU of its own. It refuses two ranks on one GPU, so gloo then carries
    the gradients, as it does on machines without any.
    """
    dist.init_process_group("gloo")  # rank, world size and address come from the environment
    index = dist.get_node_local_rank(fallback_rank=0)
    has_gpu = torch.cuda.is_available() and index < torch.cuda.device_count()
    mine = str(torch.cuda.get_device_properties(index).uuid) if has_gpu else None
    everybody: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(everybody, mine)
    if None in everybody:
        return torch.device("cpu"), dist.group.WORLD
    torch.cuda.set_device(index)
    is_own = len(set(everybody)) == len(everybody)
    return torch.device("cuda", index), dist.new_group(backend="nccl" if is_own else "gloo")


def build(device: torch.device, seed: int) -> Any:
    """Make a small convolutional network, 9,930 weights, the same on every rank."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 10)),
    ).to(device)


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step: a crash leaves the old one or the new one, whole."""
    fresh = path.with_suffix(".new")
    with open(fresh, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def mark_complete() -> None:
    """Say that the checkpoint is complete; a scheduler that has given notice waits for no more.

    After the checkpoint is safe, never before: whoever waits may end the run at once.
    """
    if path := os.environ.get("AIMASS_CHECKPOINT_FILE"):
        Path(path).touch()


def restore(path: Path, model: Any, optimizer: Any, device: torch.device) -> int:
    """Load the checkpoint that rank 0 finds, on every rank; give the number of finished steps."""
    found = [None]
    if dist.get_rank() == 0 and path.exists():
        found = [torch.load(path, map_location="cpu", weights_only=True)]
    dist.broadcast_object_list(found, src=0)  # the ranks need not share a disk
    state: dict[str, Any] | None = found[0]
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    say(f"goes on from {path} at step {state['step']}")
    return int(state["step"])


def accuracy(model: Any, digits: Digits) -> float:
    """Measure the share of held-out digits that the model names correctly."""
    with torch.no_grad():
        guesses = model(digits.held_out_images).argmax(dim=1)
    return float((guesses == digits.held_out_labels).float().mean())


def say(text: str) -> None:
    """Print one line of this rank at once."""
    print(f"rank {dist.get_rank()}/{dist.get_world_size()}: {text}", flush=True)


class Requests:
    """Turns SIGUSR1 and SIGTERM into a checkpoint or a stop after the same step on every rank."""

    def __init__(self) -> None:
        """Start to listen; until now either signal just ended the process."""
        self.counts = {signal.SIGUSR1: 0, signal.SIGTERM: 0}
        self.answered = dict(self.counts)
        for number in self.counts:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.counts[signal.Signals(number)] += 1

    def seen_by_anybody(self) -> tuple[bool, bool]:
        """Ask all ranks for (checkpoint, stop); one alone would leave the others waiting for it."""
        counts = dict(self.counts)
        asked = torch.tensor([counts[number] - self.answered[number] for number in counts])
        self.answered = counts
        dist.all_reduce(asked)
        checkpoint, stop = asked.tolist()
        return checkpoint > 0, stop > 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train on the handwritten digits.")
    run = os.environ.get("TORCHELASTIC_RUN_ID", "none")  # the same in every attempt of a job
    parser.add_argument("--checkpoint-dir", type=Path, default=Path("digits-checkpoints") / run)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--checkpoint-every", type=int, default=10, metavar="STEPS")
    parser.add_argument("--min-step-ms", type=int, default=0, help="a step takes at least this")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def train(args: argparse.Namespace, device: torch.device, group: Any) -> int:
    """Train to the end or to SIGTERM; give the exit code."""
    rank, attempt = dist.get_rank(), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    digits = Digits.load(device)
    model = build(device, args.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    checkpoint = args.checkpoint_dir / "digits.pt"
    args.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    step = restore(checkpoint, model, optimizer, device)
    last = args.epochs * digits.steps_per_epoch()
    parallel = DistributedDataParallel(model, process_group=group)
    requests = Requests()

    say(f"{dist.get_backend(group)} on {device}, steps {step} to {last}, attempt {attempt}")
    with open(args.checkpoint_dir / "steps.log", "a", buffering=1) as steps_log:
        while step < last:
            earliest = time.monotonic() + args.min_step_ms / 1000
            images, labels = digits.batch(step, args.seed)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(parallel(images), labels)
            loss.backward()
            optimizer.step()
            time.sleep(max(0.0, earliest - time.monotonic()))

            steps_log.write(f"rank={rank} attempt={attempt} step={step}\n")
            step += 1
            is_asked, is_stopping = requests.seen_by_anybody()
            is_due = is_asked or is_stopping or step == last or step % args.checkpoint_every == 0
            if step % REPORT_EVERY_STEPS == 0:
                say(f"step {step}/{last} loss {loss.item():.4f}")
            if rank == 0 and is_due:
                states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                save(checkpoint, {"step": step, **states})
                mark_complete()
            if rank == 0 and step % digits.steps_per_epoch() == 0:
                epoch = step // digits.steps_per_epoch()
                say(f"epoch {epoch}/{args.epochs} accuracy {accuracy(model, digits):.4f}")
            if is_stopping:
                say(f"stopped after step {step}")
                return EXIT_TERMINATED
    if rank == 0:
        say(f"done: {last} steps, accuracy {accuracy(model, digits):.4f}")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    exit_code = train(parse(), *join())
    dist.barrier()  # whoever leaves while another still talks may be ended for it
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # gloo's threads, taken down in the ordinary way, now and then abort
