"""Turned: why a decision does not start a job now, and what might be done about it."""

from dataclasses import dataclass

from aimass.core.codes import Code, Refusal


@dataclass(frozen=True, slots=True)
class Turned:
    """Why a job cannot start now.

    is_physical: no node has room, whoever else waits. is_personal: others of its group may fare
    better. may_take: room made by others would help, and unless is_quota a promise of some.
    """

    refusal: Refusal
    is_physical: bool = False
    is_personal: bool = False
    may_take: bool = False
    is_quota: bool = False

    @property
    def may_be_promised(self) -> bool:
        """False when it waits for its own queue: by the time others end it may have room again."""
        return not self.is_quota or self.refusal.code is Code.QUOTA_LENT


# What a queue has borrowed or reached its limit with may be taken back by stopping somebody in it.
TAKEN_BACK = (Code.QUEUE_LIMIT, Code.QUOTA_BORROW, Code.QUOTA_LENT, Code.QUEUE_MAX_JOBS)
NO_ROOM = Turned(
    Refusal(Code.GPUS_BUSY, "no nodes have room for the whole gang now"),
    is_physical=True,
    may_take=True,
)
PROMISED = Turned(
    Refusal(
        Code.PROMISED,
        "what is free is promised to jobs before it, and it would run into their start",
    ),
    is_personal=True,
    may_take=True,
)
WINDOW_OR_ROOM = Turned(
    Refusal(Code.WINDOW, "the nodes with room are reserved for others too soon"),
    is_personal=True,
    may_take=True,
)
