"""The command line: one file a command, each imported when it is called."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from ..errors import ConsumerError, MissingExtraError, OutputFailedError

if TYPE_CHECKING:
    from ._logging import LogFormat

_COMMANDS = {
    "run": "run",
    "list": "list",
    "show": "show",
    "history": "history",
    "explain": "explain",
    "tail": "tail",
    "audit": "audit",
    "topic": "topic",
    "schema": "schema",
    "dead-letters": "dead_letters",
    "store": "store",
    "verify": "verify",
    "rebuild": "rebuild",
    "snapshot": "snapshot",
    "diff": "diff",
    "spool": "spool",
    "doctor": "doctor",
    "dev": "dev",
}
"""Each command and the module of this package that has it, as ``command``."""

_EXTRAS = {
    "numpy": "consumer",
    "prometheus_client": "consumer",
    "rich": "consumer",
    "psycopg": "postgres",
}


class _Failure(click.ClickException):
    """An error of ours, as click shows it: one sentence on stderr, and its exit code."""

    def __init__(self, error: ConsumerError) -> None:
        super().__init__(str(error))
        setattr(self, "exit_code", error.exit_code)  # noqa: B010 - click declares it for the class

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print the sentence, as a log line where those are for programs."""
        from ._logging import is_json, ours

        if is_json():
            ours.error("%s", self.message, extra={"exit_code": self.exit_code})
            return
        click.echo(f"sessionfold: {self.message}", err=True)


class _Commands(click.Group):
    """Imports a command when it is asked for, and ends every error of ours in one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order of the help."""
        return [*_COMMANDS]  # `list` is a module here

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(f".{module}", __package__).command
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error of ours ends as a sentence, without a traceback."""
        try:
            return super().invoke(ctx)
        except ConsumerError as error:
            raise _Failure(error) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # click ends that in silence
                raise
            raise _Failure(OutputFailedError(error.strerror or str(error))) from error
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            name = f"sessionfold {ctx.invoked_subcommand}"
            raise _Failure(MissingExtraError(name, str(error.name), extra)) from error


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="sessionfold", message="sessionfold %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client's lines included.")
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    envvar="SESSIONFOLD_LOG_FORMAT",
    show_envvar=True,
    help="How log lines on stderr look: for people, or each a JSON object for programs.",
)
@click.pass_context
def main(ctx: click.Context, verbose: bool, log_format: LogFormat) -> None:
    """Fold the events of sessions from Kafka into their current state, and ask about it.

    Workers report with the SDK (import sessionfold); `run` folds what they report into a store;
    `list` and `show` read it. To try it without a broker: sessionfold dev.
    """
    from ._logging import set_up_logging

    ctx.obj = verbose
    # Of numpy's linear algebra nothing is used, but loading it starts a thread for each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows its number instead.
        sys.stdout.reconfigure(errors="backslashreplace")
    set_up_logging(verbose=verbose, log_format=log_format)
