# SPDX-License-Identifier: Apache-2.0
"""``demo``: a small cloud's day, metered in this process by the real listeners, ledger and file publisher.

Only the broker is not real: messages travel by oslo.messaging's in-memory transport.
"""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cliff import lister

from ceilometer_paas import serve, simulate, transport
from ceilometer_paas.cli import published
from ceilometer_paas.cli.common import Columns, open_ledger, open_lives
from ceilometer_paas.cli.simulate import add_day, send
from ceilometer_paas.config import reader
from ceilometer_paas.config.load import Configuration, load
from ceilometer_paas.errors import Unavailable
from ceilometer_paas.ledger.usage import Scope

BEGIN = datetime(2026, 3, 10, tzinfo=UTC)
"""A fixed day: the demonstration prints the same whenever it is run."""

END = BEGIN + timedelta(days=1)

_PATIENCE = 60.0
"""Seconds to wait for what takes one or two."""

_CONF = '''\
# The demonstration's configuration. Messages travel in memory: an agent that is started with this file hears nothing.
[DEFAULT]
transport_url = fake://

[paas]
state_path = {directory}
sources_file = {directory}/sources.yaml
meter_definitions_dirs = {shipped}/meters.d
lifecycle_definitions_dirs = {shipped}/lifecycles.d
pipeline_cfg_file = {directory}/paas_pipeline.yaml
begin = {begin}
'''
_LOOK = '''
{received} messages: {outcomes}.

  samples   {directory}/samples.jsonl
  ledger    {directory}/ledger.sqlite
  config    {directory}/ceilometer.conf, sources.yaml, paas_pipeline.yaml
  meters    {shipped}/meters.d
  lives     {shipped}/lifecycles.d

Look further:

  {program} --config-file {directory}/ceilometer.conf resource list
  {program} --config-file {directory}/ceilometer.conf resource show {resource}
  {program} --config-file {directory}/ceilometer.conf interval list --resource-type instance --begin {noon}
  {program} --config-file {directory}/ceilometer.conf usage list --begin {begin} --end {end} --project {project}
  {program} --config-file {directory}/ceilometer.conf statement list --resource {resource}
  {program} --config-file {directory}/ceilometer.conf source list
  {program} --config-file {directory}/ceilometer.conf meter list
  {program} --config-file {directory}/ceilometer.conf quarantine list
  {program} demo --dir {directory}      (again: nothing is metered twice)'''


class Demo(lister.Lister):  # type: ignore[misc]
    """Meter a small cloud's day: what was published of messages and of lives, and for how long states lasted.

    For a program (-f json and the like) all that was published, by project and meter, is all that goes to stdout.
    """

    _done = ''
    _besides: Mapping[str, Columns] = {}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--dir', help='where to write everything (default: a new temporary directory)')
        add_day(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Meter the day, and give a row for each project and meter.

        :raises Unavailable: it takes far too long
        """
        directory = Path(parsed_args.dir or tempfile.mkdtemp(prefix='ceilometer-paas-demo-')).absolute()
        shipped = _shipped()
        write_files(directory, shipped)
        config = load(self.app.read_conf([f'--config-file={directory}/ceilometer.conf']))
        counts = meter(config, simulate.cloud_day(parsed_args.seed, BEGIN, servers=parsed_args.vms))
        tenants = simulate.tenants(parsed_args.seed)
        names = {tenant.project_id: tenant.name for tenant in tenants}
        with open_lives(config.conf, BEGIN) as (ledger, beginning):
            scope = Scope(beginning)
            used = published.lived(ledger.usage(BEGIN, END, scope, ('project_id', 'resource_type', 'state')), names)
            changes = Counter(interval.resource_id for interval in ledger.intervals(scope, BEGIN, END))
        self._done = _LOOK.format(
            program=_program(), directory=directory, shipped=shipped, received=counts.total(),
            outcomes=', '.join(f'{number} {outcome}' for outcome, number in sorted(counts.items())),
            resource=max(changes, key=changes.__getitem__), project=tenants[0].project_id,
            noon=f'{BEGIN:%Y-%m-%d}T12:00', begin=BEGIN.date(), end=END.date())
        with open(directory / 'samples.jsonl', encoding='utf-8') as lines:
            samples = published.newest(map(json.loads, lines))
        of_lives = list(filter(published.is_of_lives, samples))
        self._besides = {
            'For how long resources were up, as it was published hour by hour:': published.uptime(of_lives, names),
            'How many there were when the day was over, and at most and at least in it:':
                published.quantities(of_lives, names, (BEGIN, END)),
            'In which state resources were that day, in seconds of all together:': used}
        if parsed_args.formatter == 'table':
            samples = list(itertools.filterfalse(published.is_of_lives, samples))
        return published.summary(samples, names)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run, and say where everything lies; not among the data if those are for a program."""
        status: int = super().run(parsed_args)
        if parsed_args.formatter == 'table':
            for title, table in self._besides.items():
                print(f'\n{title}\n', file=self.app.stdout)
                self.formatter.emit_list(*table, self.app.stdout, parsed_args)
        print(self._done, file=self.app.stdout if parsed_args.formatter == 'table' else self.app.stderr)
        return status


def write_files(directory: Path, shipped: Path) -> None:
    """Write a configuration: the shipped source map, over an in-memory transport and with one more service."""
    directory.mkdir(parents=True, exist_ok=True)
    sources = yaml.safe_load((shipped / 'sources.yaml').read_text(encoding='utf-8'))
    sources['endpoints'] = {name: {'url': 'fake://'} for name in (*sources['endpoints'], 'acme')}
    sources['queues']['acme.usage'] = {'endpoint': 'acme', 'exchange': 'acme', 'topic': 'metering',
                                       'priorities': ['info'], 'format': 'paas-event', 'own_topic': True}
    sources['metric_types']['acme-queue.*'] = 'acme.usage'
    pipeline = {'sources': [{'name': 'all', 'meters': ['*'], 'sinks': ['samples']}],
                'sinks': [{'name': 'samples', 'publishers': [f'file://{directory}/samples.jsonl?json']}]}
    conf = _CONF.format(directory=directory, shipped=shipped, begin=BEGIN.isoformat())
    for name, text in (('ceilometer.conf', conf),
                       ('paas_pipeline.yaml', yaml.safe_dump(pipeline, sort_keys=False)),
                       ('sources.yaml', yaml.safe_dump(sources, sort_keys=False))):
        (directory / name).write_text(text, encoding='utf-8')


def _program() -> str:
    """Say how to call this program: by its path, unless the shell finds it."""
    return 'ceilometer-paas' if shutil.which('ceilometer-paas') else sys.argv[0]


def _shipped() -> Path:
    """Name the directory of the files that the package installed."""
    return next(path for path in map(Path, reader.prefixes()) if (path / 'sources.yaml').exists())


def meter(config: Configuration, messages: Iterable[simulate.Message]) -> Counter[str]:
    """Send messages, wait until all are collected, settle the day, and publish; the number of messages by outcome.

    :raises Unavailable: it takes far too long
    """
    collecting, delivering = serve.Collecting(config), serve.Delivering(config)
    opened = transport.open_transport(config.conf, 'fake://')
    try:
        collecting.start()
        for listener in collecting.listeners:
            listener.listening.wait(_PATIENCE)
        sent = 0
        for sent, message in enumerate(messages, 1):  # noqa: B007
            send(opened, message)
        deadline = time.monotonic() + _PATIENCE
        while collecting.counts().total() < sent:
            if time.monotonic() > deadline:
                raise Unavailable(f'only {collecting.counts().total()} of {sent} messages arrived')
            time.sleep(0.05)
        with open_ledger(config.settings) as ledger:
            ledger.follow(target.name for target in config.targets)
            serve.settler(config, ledger).until(END)
        delivering.drain()
    finally:
        collecting.stop()
        delivering.stop()
        opened.cleanup()
    return collecting.counts()
