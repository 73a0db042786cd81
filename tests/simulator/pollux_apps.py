"""An application as the Pollux artifact writes them, small enough to reckon with by hand."""

from pathlib import Path

SIZES = (4, 8, 16)
PLACEMENTS = ("1", "2", "3", "4", "11", "12", "22", "44")


def write_app(folder: Path) -> None:
    """Steps of 10 ms for each of the batch on a GPU, 50 ms more a second node and GPU each.

    Three epochs of 100 steps of a batch of 8; at 64 gradients are less noisy, and four steps more
    are needed in each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["placement,local_bsz,step_time,sync_time"]
    for digits in PLACEMENTS:
        sync_s = 0.05 * (len(digits) > 1) + 0.05 * (sum(map(int, digits)) > 1)
        rows += [f"{digits},{size},{size / 100 + sync_s:.2f},{sync_s}" for size in SIZES]
    (folder / "placements.csv").write_text("\n".join(rows) + "\n")
    rows = ["num_nodes,num_replicas,local_bsz,step_time,sync_time"]
    rows += [f"{n},{4 * n},{size},{size / 100 + 0.2},0.2" for n in (4, 16) for size in SIZES]
    (folder / "scalability.csv").write_text("\n".join(rows) + "\n")
    for batch, more, sqr in ((8, 0, 1.0), (64, 4, 2.0)):
        rows = ["progress,iteration,metric,grad_sqr,grad_var"]
        for epoch in (1, 2, 3):
            steps = (100 + more) * epoch
            rows.append(f"{steps},{epoch * (100 if batch == 8 else 20)},0,{sqr},8.0")
        (folder / f"validation-{batch}.csv").write_text("\n".join(rows) + "\n")
