"""What can go wrong, as a user sees it: what, why, fix, id, and an exit code.

No gRPC here: `massctl` prints these without loading it. `aimass.wire` makes them from RPC errors.
"""

from typing import Any


class MassError(Exception):
    """Something that a person can act on. `str()` gives the four lines that `massctl` prints."""

    exit_code: int = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "", id: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.id = id

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.why:
            separator = "\n" if self.why.startswith(" ") else " "
            lines.append(f"why:{separator}{self.why}")
        lines += [f"fix: {self.fix}"] if self.fix else []
        lines += [f"id: {self.id}"] if self.id else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same for programs: what `massctl -o json` puts on stderr."""
        error: dict[str, Any] = {"what": self.what, "why": self.why, "fix": self.fix, "id": self.id}
        return {
            "apiVersion": "aimass/v1",
            "kind": "Error",
            "error": {**error, "exitCode": self.exit_code},
        }


class InvalidRequest(MassError):
    """The request can never succeed as it stands."""

    exit_code = 2


class NotFound(MassError):
    """No such job or node."""

    exit_code = 3


class Conflict(MassError):
    """The cluster's present state forbids it."""

    exit_code = 4


class Denied(MassError):
    """The caller may not do that."""

    exit_code = 5


class Unreachable(MassError):
    """No scheduler answers. Of a submit the outcome is unknown; the same key settles it."""

    exit_code = 6


class Infeasible(MassError):
    """No node of this cluster could ever hold it."""

    exit_code = 7


class TimedOut(MassError):
    """It did not happen in the time given."""

    exit_code = 124


# gRPC status name -> error; whatever is not named here is a plain MassError.
BY_STATUS: dict[str, type[MassError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": NotFound,
    "FAILED_PRECONDITION": Conflict,
    "ALREADY_EXISTS": Conflict,
    "ABORTED": Conflict,
    "PERMISSION_DENIED": Denied,
    "UNAUTHENTICATED": Denied,
    "UNAVAILABLE": Unreachable,
    "OUT_OF_RANGE": Infeasible,
    "DEADLINE_EXCEEDED": TimedOut,
}
