"""A program of somebody else: started without a shell, stopped in time, and what it complained of."""

import os
import signal
import subprocess
from collections.abc import Sequence

from privacy_exp.types import UserError

TOLD = 3
"""Last lines of a failed program's complaints that an error repeats."""


class ToolError(UserError):
    """A program that failed, or returned what it was not asked for."""


def run_tool(words: Sequence[str], timeout: float, key: str) -> str:
    r"""Runs a program to its end and returns what it printed.

    Args:
        words: the program and its arguments.
        timeout: seconds; then it is stopped, with all that it has started.
        key: of the configuration that names it, for errors.

    Raises:
        ToolError: it cannot be started, ends with another exit code than 0, or takes too long.

    Example:
        >>> run_tool(["echo", "1.5.0"], 10, "version")
        '1.5.0\n'
    """
    try:
        process = subprocess.Popen(  # noqa: S603  the user's own command, and never through a shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"`{key}` cannot be started: {words[0]} ({error.strerror})") from error
    with process:
        try:
            printed, complained = process.communicate(timeout=timeout)
        except BaseException as error:  # Ctrl-C, too, must leave no program behind
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise ToolError(
                f"`{key}` took more than {timeout:g} s and was stopped; raise `timeout`, or lower `batch_size`"
            ) from error
    if process.returncode:
        last = " | ".join((complained or printed).strip().splitlines()[-TOLD:]) or "it said nothing"
        raise ToolError(f"`{key}` ended with exit code {process.returncode}: {last}")
    return printed
