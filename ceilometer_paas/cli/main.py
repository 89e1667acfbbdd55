# SPDX-License-Identifier: Apache-2.0
"""Command line -> one of the ``ceilometer-paas`` commands; what they share: the configuration, the log, the errors."""

import argparse
import functools
import importlib.metadata
import io
import logging
import sys
from collections.abc import Sequence
from typing import Any

from cliff import app, commandmanager

from ceilometer_paas.config import options

NAMESPACE = 'ceilometer_paas.cli'

NO_LOG = ('--log-file=', '--log-dir=', '--log-config-append=', '--nouse-syslog', '--nouse-journal')
"""Where an agent logs is no place for whoever runs a command, and may not be writable to them."""

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class PaasApp(app.App):  # type: ignore[misc]
    """``ceilometer-paas``: results on stdout; what went wrong, a line each, and the log, on stderr."""

    NAME = 'ceilometer-paas'
    LOG = logging.getLogger('ceilometer_paas.cli')
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self, **streams: Any) -> None:
        super().__init__(
            description='Usage metering of OpenStack\'s platform services. All commands read ceilometer.conf, as '
                        'Ceilometer\'s own programs do.',
            version=importlib.metadata.version('ceilometer-paas'),
            command_manager=commandmanager.CommandManager(NAMESPACE), deferred_help=True, **streams)

    def build_option_parser(self, description: str, version: str,
                            argparse_kwargs: dict[str, Any] | None = None) -> argparse.ArgumentParser:
        """Add oslo.config's own options to cliff's."""
        parser: argparse.ArgumentParser = super().build_option_parser(description, version, argparse_kwargs)
        for option, metavar, what in (('--config-file', 'PATH', 'file'),
                                      ('--config-dir', 'DIR', 'directory whose *.conf files are read')):
            parser.add_argument(option, metavar=metavar, action='append', default=[],
                                help=f'Configuration {what}, instead of the usual ceilometer.conf. Can be repeated.')
        return parser

    @functools.cached_property
    def conf(self) -> Any:
        """Ceilometer's configuration, read when a command first asks for it.

        :raises ConfigError: a file cannot be read
        """
        return self.read_conf([f'--config-file={path}' for path in self.options.config_file] +
                              [f'--config-dir={path}' for path in self.options.config_dir])

    def read_conf(self, arguments: Sequence[str]) -> Any:
        """Read a configuration.

        :raises ConfigError: a file cannot be read
        """
        conf = options.prepare([self.NAME, *arguments, *NO_LOG])
        self.configure_logging()
        return conf

    def configure_logging(self) -> None:
        """Log to stderr, and to --log-file if it is given: warnings, and with -v or -vv more."""
        handlers: list[logging.Handler] = [logging.StreamHandler(self.stderr)]
        if self.options.log_file:
            handlers.append(logging.FileHandler(self.options.log_file, encoding='utf-8'))
        level = logging.DEBUG if self.options.debug else _LEVELS[min(self.options.verbose_level, 2)]
        formatter = logging.Formatter('%(message)s' if level == logging.WARNING
                                      else '%(levelname)s %(name)s: %(message)s')
        for handler in handlers:
            handler.setFormatter(formatter)
        root = logging.getLogger()
        root.handlers[:] = handlers
        root.setLevel(level)

    def interact(self) -> None:
        """Show the help: without a command there is nothing to do."""
        self.run_subcommand(['help'])


def print_anything() -> None:
    """Have characters that the terminal lacks escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: its arguments; by default the program's own
    :return: the exit status
    """
    print_anything()
    status: int = PaasApp().run(list(sys.argv[1:] if argv is None else argv))
    return status
