# SPDX-License-Identifier: Apache-2.0
"""``ceilometer-paas-status upgrade check``: is everything as this version needs it?

ceilometer.conf, and what it names, in; a table of checks out, each with what is to be done. Nothing is changed: no
ledger is made, no queue declared, nothing created in Gnocchi.
"""

import logging
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from importlib import metadata
from typing import Any

from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from ceilometer_paas import transport
from ceilometer_paas.cli.gnocchi import definitions_of
from ceilometer_paas.cli.main import NO_LOG, print_anything
from ceilometer_paas.cli.services import advice
from ceilometer_paas.config import broker, doors, options
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.config.sources import Endpoint
from ceilometer_paas.errors import ConfigError, Problem, Unavailable
from ceilometer_paas.ledger.store import Ledger
from ceilometer_paas.publish import gnocchi_types
from ceilometer_paas.publish.load import load_publishers

NAME = 'ceilometer-paas-status'

_WIDTH = 76
_STATES = {
    'absent': (Code.SUCCESS, 'there is no ledger yet: the first program that opens it makes it'),
    'behind': (Code.WARNING, 'the first program of this version that opens it brings its tables up to date; stop all '
                             'agents that share it before: an earlier version cannot use it afterwards'),
    'current': (Code.SUCCESS, 'its tables are those of this version'),
}


class Checks(upgradecheck.UpgradeCommands):
    """The checks, of one configuration.

    :ivar conf: as :func:`~ceilometer_paas.config.options.prepare` gives it
    """

    conf: Any

    def check(self) -> Code:
        """Read the configuration, and run the checks."""
        self._config: Configuration | None = None
        self._problems: Sequence[Problem] = ()
        try:
            self._config = load(self.conf, load_publishers)
        except ConfigError as error:
            self._problems = error.problems
        code: Code = super().check()
        return code

    def _ceilometer(self) -> Result:
        return _judged(doors.old_ceilometer(), (), f'version {metadata.version("ceilometer")}')

    def _configuration(self) -> Result:
        return _judged([*self._problems, *doors.mistakes(self.conf)], (), 'all files can be used')

    def _ledger(self) -> Result:
        try:
            with closing(Ledger(options.settings(self.conf).ledger_connection)) as ledger:
                return Result(*_STATES[ledger.check()])
        except (AttributeError, ValueError):  # an option is wrong
            return _passed_over('Configuration')
        except ConfigError as error:
            return _judged(error.problems, (), '')
        except Unavailable as error:
            return _judged((), [f'{error}; until it can be reached, the agents hold what the brokers give them'], '')

    def _queues(self) -> Result:
        if self._config is None:
            return _passed_over('Configuration')
        warnings: list[str] = []
        others: list[str] = []
        for endpoint in self._config.sources.endpoints.values():
            if broker.parse(self.conf, endpoint.url).is_rabbit:
                warnings += _look_at_queues(self._config, endpoint)
            else:
                others.append(f'endpoint {endpoint.name}: only queues of RabbitMQ can be looked at')
        return _judged((), warnings, 'every queue has a consumer' if not others else '', others)

    def _publishers(self) -> Result:
        if self._config is None:
            return _passed_over('Configuration')
        fine = 'nothing is missing'
        definitions = definitions_of(self._config.targets, self.conf)
        if not definitions:
            return Result(Code.SUCCESS, fine)
        logging.getLogger('keystoneauth').setLevel(logging.ERROR)  # its warnings say first what the error says
        try:
            missing, notes = gnocchi_types.lacking(self.conf, definitions)
        except Unavailable as error:
            return _judged((), [f'Gnocchi cannot be looked at, and samples for it wait in the ledger: {error}'], '')
        if missing:
            notes = [f'Gnocchi lacks {"; ".join(missing)}; run: {gnocchi_types.COMMAND}', *notes]
        return _judged((), notes, fine)

    def _services(self) -> Result:
        if self._config is None:
            return _passed_over('Configuration')
        try:
            with closing(Ledger(self._config.settings.ledger_connection)) as ledger:
                heard = [] if ledger.check() == 'absent' else ledger.sources()
        except (ConfigError, Unavailable):
            return _passed_over('Ledger')
        silent = [f'queue {queue.name}: nothing that is metered has ever come from {queue.exchange}: {advice(queue)}'
                  for queue in self._config.sources.queues.values() if queue.source not in heard]
        return _judged((), silent, 'something has come from each')

    _upgrade_checks = (('Ceilometer', _ceilometer), ('Configuration', _configuration), ('Ledger', _ledger),
                       ('Queues', _queues), ('Publishers', _publishers), ('Services', _services))

    def _get_details(self, upgrade_check_result: Result) -> str | None:
        """Wrap each line of details by itself; oslo.upgradecheck would run them together."""
        lines = (upgrade_check_result.details or '').splitlines()
        return '\n'.join('\n'.join(textwrap.wrap(line, _WIDTH, subsequent_indent='  ', break_on_hyphens=False))
                         for line in lines)


def _judged(failures: Iterable[object], warnings: Sequence[str], fine: str, others: Sequence[str] = ()) -> Result:
    """Make the result of what was found.

    :param fine: what to say if nothing was found
    :param others: what to say besides, whatever was found
    """
    failed = list(map(str, failures))
    code = Code.FAILURE if failed else Code.WARNING if warnings else Code.SUCCESS
    return Result(code, '\n'.join(filter(None, [*(failed or warnings or [fine]), *others])))


def _passed_over(check: str) -> Result:
    return Result(Code.WARNING, f'not looked at: see {check}')


def _look_at_queues(config: Configuration, endpoint: Endpoint) -> Iterator[str]:
    """Say which of an endpoint's queues nobody consumes."""
    names = {name: queue.name for queue in config.sources.queues.values() if queue.endpoint == endpoint
             for name in queue.amqp_names}
    opened = transport.open_transport(config.conf, endpoint.url)
    try:
        with transport.broker_connection(opened) as connection:
            depths = {name: transport.depth(connection, name) for name in names}
    except Unavailable as error:
        yield f'endpoint {endpoint.name} cannot be looked at: {error}'
        return
    finally:
        opened.cleanup()
    for name, depth in depths.items():
        what = f'queue {name}' if name == names[name] else f'queue {name} (of {names[name]})'
        if depth is None:
            yield f'{what} does not exist yet, and what is sent is not kept for us: start the agent, which declares it'
        elif not depth[1]:
            yield f'{what} has no consumer, and {depth[0]} messages wait in it: start the agent'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :param argv: the program's arguments; by default its own
    :return: the exit status: 0 all is well, 1 there are warnings, 2 something must be mended, 255 a failure of ours
    """
    print_anything()
    checks = Checks()
    try:
        conf = options.prepare([NAME, *NO_LOG, *(sys.argv[1:] if argv is None else argv)],
                               lambda conf: upgradecheck.register_cli_options(conf, checks))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return int(Code.FAILURE)
    logging.basicConfig(level=logging.DEBUG if conf.debug else logging.WARNING, format='%(message)s', force=True)
    checks.conf = conf
    upgradecheck.CONF = conf  # where its run() looks for --json
    return int(upgradecheck.run(conf))
