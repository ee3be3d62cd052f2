"""A server's log: one line for each thing that happens, as JSON or as text, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time

LOGGER = logging.getLogger("anymask.server")

_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and what else the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields |= _extra(record)
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextLines(logging.Formatter):
    """The same for people: time, event, name=value."""

    def format(self, record: logging.LogRecord) -> str:
        rest = " ".join(f"{name}={_plain(value)}" for name, value in _extra(record).items())
        line = f"{_moment(record.created)} {record.getMessage()} {rest}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(form: str, level: str) -> None:
    """Send the server's and uvicorn's records to standard error; `form` is json or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    for name in ("anymask.server", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper() if name == "anymask.server" else "WARNING")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _PLAIN}


def _plain(value: object) -> str:
    """A value as it is, or in quotes where it could be taken for something else, such as a line of its own."""
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
