"""Structured logs on stderr: one line per event, JSON for machines, key=value for people."""

import sys

import structlog


def configure_logs(style: str) -> None:
    """style: json, text, or auto (text on a terminal, JSON elsewhere)."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"])
        if text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
