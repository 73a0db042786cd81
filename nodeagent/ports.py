"""Rendezvous ports: held by binding without listening, until the program itself takes them."""

import socket

import structlog

log = structlog.get_logger()


def hold_port(port: int) -> socket.socket:
    """Bind `port` (0: a free one) with SO_REUSEADDR, under which the program may listen on it.

    One that cannot be held (again, after a restart) is only logged: its program will say more.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("", port))
    except OSError as error:
        log.warning("rendezvous port not held", port=port, why=str(error))
    return held


def free_port() -> int:
    """Give a port that nobody uses at this moment."""
    with hold_port(0) as held:
        return int(held.getsockname()[1])
