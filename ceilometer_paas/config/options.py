# SPDX-License-Identifier: Apache-2.0
"""ceilometer.conf -> the ``[paas]`` options; the only import of oslo.config."""

import glob
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ceilometer import service
from oslo_config import cfg, types

from ceilometer_paas import times
from ceilometer_paas.errors import ConfigError, Problem

GROUP = 'paas'

_SECTION = re.compile(r'\[(.*?)\]')
_ASSIGNED = re.compile(r'([^\s#;:=][^:=]*?)\s*[:=]\s*(.*)')


class _Time(types.ConfigType):  # type: ignore[misc]
    """An ISO 8601 date and time, UTC where no zone is written; or a date, which is its midnight."""

    def __init__(self) -> None:
        super().__init__('date and time')

    def __call__(self, value: str) -> datetime:
        try:
            return times.parse_point(value)
        except ValueError:
            raise ValueError(f'{value!r} is not a date and time; write it as 2026-03-01T00:00:00Z or '
                             '2026-03-01') from None

    def _formatter(self, value: str) -> str:
        return value


OPTS = [
    cfg.StrOpt('state_path', default='/var/lib/ceilometer-paas',
               help='Directory of everything that this package keeps on disk: the default ledger is '
                    'ledger.sqlite in it. The user that runs ceilometer-agent-paas must be able to write there.'),
    cfg.StrOpt('ledger_connection', secret=True,
               help='SQLAlchemy URL of the ledger, the durable record of the messages that were seen, of what is '
                    'still to be published, and of what was quarantined. Default: the SQLite file ledger.sqlite in '
                    'state_path, which serves any number of processes on one host. Several hosts share a '
                    'PostgreSQL (postgresql+psycopg2://) or MariaDB (mysql+pymysql://) ledger.'),
    cfg.StrOpt('sources_file', default='sources.yaml',
               help='The source map: which endpoints there are, which queues we keep on them, and which queue may '
                    'speak of which metric types. A relative name is looked up beside ceilometer.conf, in '
                    '/etc/ceilometer and /etc/ceilometer_paas, then among the files that the package installed.'),
    cfg.MultiStrOpt('meter_definitions_dirs', default=['/etc/ceilometer/paas_meters.d', 'ceilometer_paas/meters.d'],
                    help='Directories of meter definitions (YAML files, in Ceilometer\'s format), one a line. A meter '
                         'that is defined in an earlier directory replaces all definitions of that name in later '
                         'ones. A relative name is looked up as sources_file is; a directory that does not exist '
                         'is an error unless it stands in the default. Setting the option replaces the default.'),
    cfg.MultiStrOpt('lifecycle_definitions_dirs',
                    default=['/etc/ceilometer/paas_lifecycles.d', 'ceilometer_paas/lifecycles.d'],
                    help='Directories of lifecycle definitions (YAML files), one a line: which events tell that a '
                         'resource began, changed its state, size or owner, or ended. A resource type that is defined '
                         'in an earlier directory replaces all its definitions in later ones. Directories are looked '
                         'up as those of meter_definitions_dirs are. Setting the option replaces the default.'),
    cfg.StrOpt('pipeline_cfg_file', default='paas_pipeline.yaml',
               help='What is published where, in the format of Ceilometer\'s pipeline.yaml. Looked up as '
                    'sources_file is.'),
    cfg.BoolOpt('publish_events', default=False,
                help='Whether each message that is recorded also becomes an event, by Ceilometer\'s own converter, and '
                     'is published to the sinks of Ceilometer\'s [DEFAULT] event_pipeline_cfg_file. Do not have '
                     'ceilometer-agent-notification publish events of the same messages: each would come twice.'),
    cfg.StrOpt('event_definitions_cfg_file', default='ceilometer_paas/event_definitions.yaml',
               help='With publish_events, which traits the events have, in the format of Ceilometer\'s '
                    'event_definitions.yaml. Looked up as sources_file is.'),
    cfg.BoolOpt('sample_endpoint', default=False,
                help='Whether ceilometer-agent-notification, by its meter pipeline, records what its own bus brings: '
                     'for those who keep only that pipeline on a bus which all services share, and no queues of ours. '
                     'A message is taken as if it came from the queue of the source map that would get a copy of it, '
                     'so that one which comes by both counts once. What is recorded is published from that agent\'s '
                     'process, too. Without it, the sample endpoint of this package, which that agent always loads, '
                     'does nothing.'),
    cfg.IntOpt('workers', default=1, min=1,
               help='How many processes collect. Delivery has a process of its own besides them.'),
    cfg.IntOpt('batch_size', default=200, min=1, max=10000,
               help='How many messages are recorded in one ledger transaction at most. The broker hands over twice as '
                    'many before the first is acknowledged (prefetch), so that a batch arrives while another is '
                    'recorded.'),
    cfg.FloatOpt('batch_timeout', default=0.2, min=0.01,
                 help='How many seconds a batch that is not full waits for more messages.'),
    cfg.IntOpt('max_message_size', default=1048576, min=1024,
               help='The largest message, in bytes, that is decoded; a larger one is quarantined as '
                    'decode.too_large.'),
    cfg.IntOpt('max_metrics', default=1000, min=1,
               help='How many metrics one message may carry at most; one with more is quarantined as '
                    'decode.too_many.'),
    cfg.FloatOpt('max_backoff', default=300.0, min=0.1,
                 help='Upper bound, in seconds, of the exponential backoff with which a ledger or a publisher that '
                      'cannot be reached is tried again. The first wait is half a second.'),
    cfg.IntOpt('seen_retention', default=35, min=1,
               help='For how many days the ledger remembers which messages it has seen. A message that is sent '
                    'again later than that is metered again.'),
    cfg.Opt('begin', type=_Time(),
            help='From when the ledger states in which state resources were: an ISO 8601 date and time, in UTC where '
                 'no zone is written (2026-03-01T00:00:00Z), or a date. Nothing earlier is stated, whatever messages '
                 'say of it; what was before is a matter of whatever metered until then. It can be moved: the ledger '
                 'knows what messages said of earlier times. Default: when the ledger was made, or, if it was made by '
                 'a replay, the time of the earliest message.'),
    cfg.FloatOpt('max_future', default=300.0, min=0,
                 help='How many seconds a time in a message may be ahead of this host\'s clock. A message that tells '
                      'of a resource\'s life at a later time is quarantined as observe.in_future: its sender\'s clock '
                      'is wrong, or this one.'),
    cfg.IntOpt('period', default=3600, min=60, max=31 * 86400,
               help='How many seconds a period has. Periods begin at multiples of it since 1970-01-01T00:00:00Z, so '
                    'that one of 3600 begins at each full hour of UTC, and one of 86400 at midnight. When a period and '
                    'grace are over, it is settled: what is known of each resource in it is stated and published, '
                    'seconds by meter, and how many resources each project had. A shorter period gives more samples, '
                    'and sooner. A new value takes effect at the end of what is settled: what was stated stays as it '
                    'is, and the first new period, which lasts until the next multiple, may be shorter.'),
    cfg.IntOpt('grace', default=300, min=0,
               help='How many seconds after its end a period is settled: the time that messages have to arrive. A '
                    'message that comes later is not lost: what it changes is stated again, with the same sample ids '
                    'and a new revision. A longer grace means fewer such restatements, and that everything is '
                    'published so much later; nothing else depends on it. A publisher that cannot be corrected (a '
                    'file, a broker) is the reason to choose a long one.'),
]


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``[paas]`` options as values, read once.

    :ivar ledger_connection: SQLAlchemy URL
    :ivar batch_timeout: seconds
    :ivar max_message_size: bytes
    :ivar max_backoff: seconds
    :ivar seen_retention: days
    :ivar begin: in UTC; None is when the ledger was made
    :ivar max_future: seconds
    :ivar period: seconds
    :ivar grace: seconds
    :ivar identity: names this agent where several share a ledger
    """

    state_path: str
    ledger_connection: str = field(repr=False)
    sources_file: str
    meter_definitions_dirs: tuple[str, ...]
    lifecycle_definitions_dirs: tuple[str, ...]
    pipeline_cfg_file: str
    publish_events: bool
    event_definitions_cfg_file: str
    sample_endpoint: bool
    workers: int
    batch_size: int
    batch_timeout: float
    max_message_size: int
    max_metrics: int
    max_backoff: float
    seen_retention: int
    begin: datetime | None
    max_future: float
    period: int
    grace: int
    identity: str


def list_opts() -> Iterable[tuple[str, list[cfg.Opt]]]:
    """Name the options for oslo-config-generator and oslo-config-validator."""
    return [(GROUP, OPTS)]


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known to a configuration; again is harmless."""
    conf.register_opts(OPTS, group=GROUP)


def has_sample_endpoint(conf: cfg.ConfigOpts) -> bool:
    """Tell whether the sample endpoint is to take messages; a value that is none is left to :func:`settings`."""
    register(conf)
    try:
        return bool(conf[GROUP].sample_endpoint)
    except ValueError:
        return True


def prepare(argv: Sequence[str], add_arguments: Callable[[cfg.ConfigOpts], object] | None = None) -> cfg.ConfigOpts:
    """Read ceilometer.conf as every program of Ceilometer does: the file that `argv` names, else the usual ones.

    :param argv: a program's name, and oslo.config's own arguments
    :param add_arguments: makes further arguments known, before any is read
    :raises ConfigError: a file cannot be read
    """
    conf = cfg.ConfigOpts()
    if add_arguments is not None:
        add_arguments(conf)
    try:
        conf = service.prepare_service(list(argv), conf=conf)
    except cfg.Error as error:
        raise ConfigError([Problem('ceilometer.conf', 0, ' '.join(str(error).split()))]) from None
    except OSError as error:
        raise ConfigError([Problem(str(error.filename), 0, f'cannot be read: {error.strerror}')]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem('ceilometer.conf', 0, f'it is not UTF-8: {error.reason} (the byte '
                                                         f'0x{error.object[error.start]:02x})')]) from None
    logging.getLogger('alembic').setLevel(logging.WARNING)
    return conf


def written(conf: cfg.ConfigOpts, section: str) -> Iterator[tuple[str, int, str, str]]:
    """Read what stands in a section of ceilometer.conf and of the files beside it: file, line, name and value.

    :param section: in small letters
    """
    files = list(conf.config_file or ())
    for directory in conf.config_dir or ():
        files += sorted(glob.glob(os.path.join(glob.escape(directory), '*.conf')))
    for file in files:
        here = ''
        with open(file, encoding='utf-8', errors='replace') as lines:
            for number, line in enumerate(lines, 1):
                if found := _SECTION.match(line):
                    here = found[1].lower()
                elif here == section and (found := _ASSIGNED.match(line)):
                    yield file, number, found[1], found[2].strip()


def unknown(conf: cfg.ConfigOpts) -> Iterator[tuple[str, int, str]]:
    """Find names in our section that are no options, which oslo.config passes over: file, line and name."""
    known = {name for option in OPTS for name in (option.name, option.dest)}
    return ((file, line, name) for file, line, name, _ in written(conf, GROUP) if name not in known)


def settings(conf: cfg.ConfigOpts) -> Settings:
    """Read the options.

    :raises oslo_config.cfg.ConfigFileValueError: a value is not of its option's type or out of its bounds
    """
    register(conf)
    values: dict[str, Any] = {opt.dest: conf.paas[opt.dest] for opt in OPTS}
    for option in ('meter_definitions_dirs', 'lifecycle_definitions_dirs'):
        values[option] = tuple(values[option])
    values['ledger_connection'] = (values['ledger_connection'] or
                                   'sqlite:///' + os.path.join(values['state_path'], 'ledger.sqlite'))
    return Settings(**values, identity=f'{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}')
