"""The names of a job's fields as people write them: in a job file, and as a flag of massctl."""

FLAGS = {
    "name": "--name",
    "queue": "--queue",
    "priority": "--priority",
    "env": "--env",
    "workdir": "--workdir",
    "shards": "--shards",
    "elastic": "--elastic",
    "gpus": "--gpus",
    "gpuTypes": "--gpu-type",
    "gpuShare": "--gpu-share",
    "cpus": "--cpus",
    "memory": "--memory",
    "timeLimit": "--time",
    "expectedRuntime": "--expected",
    "startAfter": "--begin",
    "deadline": "--deadline",
    "gracePeriod": "--grace",
    "preemptible": "--preemptible",
    "preemption.minRuntime": "--min-runtime",
    "checkpoint.signal": "--checkpoint-signal",
    "checkpoint.gracePeriod": "--notice",
    "placement.excludeNodes": "--exclude",
    "placement.exclusiveNode": "--exclusive",
    "placement.tolerations": "--toleration",
    "placement.topology.required": "--topology",
    "placement.topology.preferred": "--prefer-topology",
    "placement.topology.wait": "--prefer-topology",
    "dependsOn": "--after",
    "array": "--array",
    "retry.limit": "--retries",
    "allowFuture": "--allow-future",
}
_WORDS = {  # of fields whose name in the core is another
    "grace_ms": "gracePeriod",
    "walltime_ms": "timeLimit",
    "expected_ms": "expectedRuntime",
    "start_after_ms": "startAfter",
    "deadline_ms": "deadline",
    "due_ms": "due",
}


def word(field: str) -> str:
    """A field of JobSpec, or of a message, as a job file has it: `startAfter`, `dependsOn`."""
    if field in _WORDS:
        return _WORDS[field]
    first, *more = field.split("_")
    return first + "".join(part.capitalize() for part in more)


def with_flag(path: str) -> str:
    """A path in a job file and the flag for the same: `startAfter (--begin)`."""
    flag = FLAGS.get(path)
    if flag is None and path.startswith("roles."):
        flag = FLAGS.get(path.rpartition(".")[2])
    return f"{path} ({flag})" if flag else path
