"""Logs exceptions that nothing handles, by type and frames. Python would print their messages."""

import logging
import sys
import threading
from types import TracebackType

_logger = logging.getLogger("orders_bff.uncaught")


def install() -> None:
    """Log what the interpreter would print to standard error, in this process from now on."""
    sys.excepthook = log_exception
    sys.unraisablehook = log_unraisable
    threading.excepthook = log_thread_exception


def log_exception(
    error_type: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log an exception that ends the program."""
    if issubclass(error_type, KeyboardInterrupt):
        return
    _log(error_type, error, traceback)


def log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Log an exception that cannot be raised, such as one of a finalizer."""
    _log(unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback)


def log_thread_exception(failure: threading.ExceptHookArgs) -> None:
    """Log an exception that ends a thread."""
    _log(failure.exc_type, failure.exc_value, failure.exc_traceback)


def _log(
    error_type: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    info = (error_type, error or error_type(), traceback)
    _logger.error("unhandled_exception", exc_info=info)
