"""The words that job files have for the enums of messages, read in both directions."""

from collections.abc import Mapping
from typing import TypeVar

from aimass.v1 import job_pb2

Other = TypeVar("Other")

KINDS = {"TrainJob": job_pb2.JOB_KIND_TRAIN, "BatchJob": job_pb2.JOB_KIND_BATCH}
STRATEGIES = {"pack": job_pb2.STRATEGY_PACK, "spread": job_pb2.STRATEGY_SPREAD}
LABEL_OPS = {
    "in": job_pb2.LABEL_OP_IN,
    "notIn": job_pb2.LABEL_OP_NOT_IN,
    "exists": job_pb2.LABEL_OP_EXISTS,
    "absent": job_pb2.LABEL_OP_ABSENT,
}
CONDITIONS = {
    "success": job_pb2.DEPENDS_ON_SUCCESS,
    "any": job_pb2.DEPENDS_ON_ANY,
    "failure": job_pb2.DEPENDS_ON_FAILURE,
    "each": job_pb2.DEPENDS_ON_EACH,
}
MODES = {
    "requeue": job_pb2.PREEMPT_MODE_REQUEUE,
    "suspend": job_pb2.PREEMPT_MODE_SUSPEND,
    "cancel": job_pb2.PREEMPT_MODE_CANCEL,
    "shrink": job_pb2.PREEMPT_MODE_SHRINK,
}
ACTIONS = {
    "retry": job_pb2.RETRY_ACTION_RETRY,
    "fail": job_pb2.RETRY_ACTION_FAIL,
    "hold": job_pb2.RETRY_ACTION_HOLD,
}


def named(words: Mapping[str, int], value: int, otherwise: Other) -> str | Other:
    """Give the word for an enum's value; `otherwise` for one that is not given or not known."""
    return next((word for word, number in words.items() if number == value), otherwise)
