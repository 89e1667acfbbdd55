# SPDX-License-Identifier: Apache-2.0
"""The DevStack plug-in under bash, phase by phase, with stand-ins for DevStack's functions (``devstack/``) and for the
plug-ins of other services. What it writes is read, and what it starts runs, with a real broker and real databases.
"""

import configparser
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml
from oslo_config import cfg

from ceilometer_paas.config import options
from ceilometer_paas.config.load import load
from ceilometer_paas.ledger.store import Ledger
from tests import messages
from tests.functional import databases, rabbit
from tests.functional.deployment import send, wait_for

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).with_name('devstack')
ALL = 'trove', 'designate', 'octavia', 'manila', 'magnum'
SERVICES = {'trove': 'trove,tr-api,tr-tmgr', 'designate': 'designate,designate-central', 'octavia': 'octavia,o-api',
            'manila': 'manila,m-api,m-shr', 'magnum': 'magnum-api,magnum-cond'}
NOVA = '''
[oslo_messaging_notifications]
driver = messagingv2
transport_url = {bus}

[notifications]
notification_format = {format}

[DEFAULT]
notify_on_state_change = vm_and_task_state
'''


def read(path, section, option, opt=cfg.StrOpt, **more):
    """Read an option as the service would."""
    conf = cfg.ConfigOpts()
    conf.register_opt(opt(option, **more), group=section)
    conf(['--config-file', str(path)])
    return conf[section][option]


class DevStack(unittest.TestCase):
    """A host on which stack.sh is to run.

    :ivar bus: what the services and we have as transport_url
    """

    bus = 'rabbit://stackrabbit:secret@127.0.0.1:1/'

    def setUp(self):
        self.top = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        for name in ('bin', 'dest', 'data', 'etc', 'units'):
            (self.top / name).mkdir()
        self.program('sudo', '#!/bin/sh\nexec "$@"\n')
        self.ceilometer_conf = self.top / 'etc/ceilometer/ceilometer.conf'
        self.state = self.top / 'data/ceilometer-paas'
        self.plugin('ceilometer', STAND_INS / 'ceilometer-plugin.sh')
        (self.top / 'dest/ceilometer-paas').symlink_to(ROOT)
        self.addCleanup(self.kill_processes)

    def program(self, name, text):
        """Make a program that is found before those of this machine."""
        path = self.top / 'bin' / name
        path.write_text(text)
        path.chmod(0o755)

    def plugin(self, name, script):
        """Put a plug-in where DevStack would have cloned it."""
        (self.top / 'dest' / name / 'devstack').mkdir(parents=True)
        (self.top / 'dest' / name / 'devstack/plugin.sh').symlink_to(script)

    def conf(self, service):
        return self.top / f'etc/{service}/{service}.conf'

    def localrc(self, services='', plugins=(), **variables):
        """Write what local.conf would have, for these services and other services' plug-ins, in order."""
        names = [name for name in plugins if name in SERVICES]
        for name in names:
            self.plugin(name, STAND_INS / 'service-plugin.sh')
            variables[f'{name.upper()}_CONF'] = self.conf(name)
        values = {
            'DEST': self.top / 'dest', 'DATA_DIR': self.top / 'data', 'UNITS': self.top / 'units', 'BUS': self.bus,
            'CALLS': self.top / 'calls', 'PYTHON': sys.executable, 'STACK_USER': os.geteuid(),
            'CEILOMETER_PAAS_CONF_DIR': self.top / 'etc/ceilometer_paas', 'CEILOMETER_CONF': self.ceilometer_conf,
            'ENABLED_SERVICES': ','.join(filter(None, [services, *map(SERVICES.get, names)])),
            'DEVSTACK_PLUGINS': ','.join(plugins or ['ceilometer', 'ceilometer-paas']), **variables}
        (self.top / 'localrc').write_text(''.join(f"{key}='{value}'\n" for key, value in values.items()))

    def nova(self, notification_format='unversioned'):
        """Write Nova's files as DevStack has written them when the phase post-config begins; its variables."""
        self.conf('nova').parent.mkdir()
        self.conf('nova').write_text(NOVA.format(bus=self.bus, format=notification_format))
        self.conf('nova').with_name('nova_cell1.conf').write_text(
            '[DEFAULT]\ntransport_url = rabbit://127.0.0.1/nova_cell1\n')
        return {'NOVA_CONF': self.conf('nova'), 'NOVA_NOTIFICATION_FORMAT': notification_format}

    def bash(self, *words, status=0, **environment):
        """Run a script to its end, which must have this status; what it printed."""
        path = os.pathsep.join([str(self.top / 'bin'), os.environ.get('PATH', os.defpath)])
        done = subprocess.run(['bash', *map(str, words)], check=False, capture_output=True, text=True, timeout=120,
                              env={**os.environ, 'PATH': path, 'DEST': str(self.top / 'dest'),
                                   'LOCALRC': str(self.top / 'localrc'), **environment})
        self.assertEqual(status, done.returncode, f'{done.stdout}\n{done.stderr}\n{self.logs()}')
        return done.stdout + done.stderr

    def run_script(self, *words, **more):
        return self.bash(STAND_INS / 'run.sh', *words, **more)

    def exercise(self, **more):
        return self.bash(ROOT / 'devstack/exercise.sh', DEVSTACK_DIR=str(STAND_INS), **more)

    def pids(self):
        return {path.stem: int(path.read_text()) for path in (self.top / 'units').glob('*.pid')}

    def logs(self):
        return '\n'.join(path.read_text(errors='replace') for path in (self.top / 'units').glob('*.log'))

    def kill_processes(self):
        for pid in self.pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def loaded(self):
        """Load what the plug-in wrote as the agent does."""
        return load(options.prepare(['test', '--config-file', str(self.ceilometer_conf)]))


class ServicesTest(DevStack):
    """Each enabled service is told to send notifications, before it starts."""

    def check(self, service, section, option, value):
        path = self.conf(service).with_name(f'{service}.conf.started')
        self.assertEqual(value, read(path, section, option), service)

    def check_all(self):
        for service in ALL:
            self.check(service, 'oslo_messaging_notifications', 'driver', 'messagingv2')
        self.check('trove', 'DEFAULT', 'exists_notification_transformer',
                   'trove.extensions.mgmt.instances.models.NovaNotificationTransformer')
        self.check('trove', 'DEFAULT', 'control_exchange', 'trove')
        self.check('designate', 'DEFAULT', 'notification_plugin', 'default')
        self.check('octavia', 'controller_worker', 'event_notifications', 'True')
        self.check('manila', 'DEFAULT', 'enable_gathering_share_usage_size', 'True')

    def test_services_whose_plugins_come_before_ours(self):
        self.localrc(plugins=['ceilometer', *ALL, 'ceilometer-paas'], DISABLED_SERVICES='ceilometer-apaas')
        self.run_script('stack')
        self.check_all()

    def test_services_whose_plugins_come_after_ours(self):
        self.localrc(plugins=['ceilometer', 'ceilometer-paas', *ALL], DISABLED_SERVICES='ceilometer-apaas')
        self.run_script('stack')
        self.check_all()

    def test_nova_and_the_conductors_of_its_cells(self):
        self.localrc('n-api,n-cpu', DISABLED_SERVICES='ceilometer-apaas', **self.nova())
        self.run_script('stack')
        for name in ('nova.conf.started', 'nova_cell1.conf.started'):
            path = self.conf('nova').with_name(name)
            for section, option, value in [
                ('DEFAULT', 'instance_usage_audit', 'True'), ('DEFAULT', 'instance_usage_audit_period', 'hour'),
                ('notifications', 'notification_format', 'unversioned'),
                ('oslo_messaging_notifications', 'driver', 'messagingv2'),
                ('oslo_messaging_notifications', 'transport_url', self.bus),
            ]:
                self.assertEqual(value, read(path, section, option), (name, option))
            self.assertEqual('vm_state', read(path, 'notifications', 'notify_on_state_change',
                                              deprecated_group='DEFAULT'), name)

    def test_what_is_set_already_stays(self):
        self.localrc('n-api', DISABLED_SERVICES='ceilometer-apaas', **self.nova())
        self.conf('nova').write_text('[notifications]\nnotification_format = both\n')
        self.run_script('stack')
        self.assertEqual('both', read(self.conf('nova'), 'notifications', 'notification_format'))
        before = self.conf('nova').read_text()
        self.run_script('stack')
        self.assertEqual(before, self.conf('nova').read_text())

    def test_a_service_that_is_not_enabled_is_left_alone(self):
        variables = self.nova()
        before = self.conf('nova').read_text()
        self.localrc(DISABLED_SERVICES='ceilometer-apaas', **variables)
        self.run_script('stack')
        self.assertEqual(before, self.conf('nova').read_text())


class FilesTest(DevStack):
    """The files of the agent that come out are those that it takes."""

    def test_only_enabled_services_are_in_the_source_map(self):
        self.localrc('n-cpu', plugins=['ceilometer', 'manila', 'ceilometer-paas'], **self.nova())
        self.run_script('stack', 'post-config')
        sources = self.loaded().sources
        self.assertEqual({'ceilometer-paas.nova', 'ceilometer-paas.openstack', 'ceilometer-paas.exercise'},
                         set(sources.queues))
        self.assertEqual({'ceilometer-paas.openstack'}, sources.queues_of('manila.share.size'))
        self.assertFalse(sources.queues_of('trove.instance'))
        self.assertEqual(self.bus, read(self.ceilometer_conf, 'DEFAULT', 'transport_url'))

    def test_all_services_are_as_the_package_ships_them(self):
        self.localrc('n-cpu', plugins=['ceilometer', *ALL, 'ceilometer-paas'], **self.nova())
        self.run_script('stack', 'post-config')
        shipped = yaml.safe_load((ROOT / 'etc/ceilometer_paas/sources.yaml').read_text())
        written = yaml.safe_load((self.top / 'etc/ceilometer_paas/sources.yaml').read_text())
        del written['queues']['ceilometer-paas.exercise'], written['metric_types']['exercise.*']
        self.assertEqual(shipped, written)
        self.assertEqual([], [one.name for one in self.loaded().meters
                              if not self.loaded().sources.queues_of(one.name)])

    def test_a_devstack_without_any_such_service(self):
        self.localrc()
        self.run_script('stack', 'post-config')
        self.assertEqual(['ceilometer-paas.exercise'], list(self.loaded().sources.queues))

    def test_versioned_notifications_are_taken_from_their_topic(self):
        self.localrc('n-cpu', **self.nova('versioned'))
        self.run_script('stack', 'post-config')
        self.assertEqual('versioned_notifications', self.loaded().sources.queues['ceilometer-paas.nova'].topic)

    def test_samples_go_to_a_file_and_where_there_is_gnocchi_to_gnocchi(self):
        self.localrc()
        self.run_script('stack', 'post-config')
        file = f'file://{self.state}/samples?json&max_bytes=100000000&backup_count=3'
        self.assertEqual([file], self.publishers())
        self.localrc('gnocchi-api')
        self.run_script('stack', 'post-config')
        resources = self.top / 'etc/ceilometer_paas/gnocchi_resources.yaml'
        self.assertEqual([file, f'gnocchi://?resources_definition_file={resources}'], self.publishers())
        self.assertTrue(resources.exists())

    def publishers(self):
        sinks = yaml.safe_load((self.top / 'etc/ceilometer_paas/paas_pipeline.yaml').read_text())['sinks']
        return [publisher for sink in sinks for publisher in sink['publishers']]

    def test_the_package_is_installed_from_its_directory(self):
        self.localrc()
        self.run_script('stack', 'install')
        self.assertEqual(f'setup_develop -bindep {self.top}/dest/ceilometer-paas\n', (self.top / 'calls').read_text())

    def test_the_door_pipeline_names_each_pipeline_in_a_line_and_the_door_agent_none(self):
        self.localrc('ceilometer-anotification', CEILOMETER_PAAS_DOOR='pipeline')
        self.run_script('stack', 'post-config')
        self.assertEqual(['meter', 'event', 'paas'], self.pipelines())
        self.localrc('ceilometer-anotification')
        self.run_script('stack', 'post-config')
        self.assertEqual(['default'], self.pipelines())

    def pipelines(self):
        return read(self.ceilometer_conf, 'notification', 'pipelines', cfg.MultiStrOpt, default=['default'])

    def test_another_door_stops_stack_sh(self):
        self.localrc(CEILOMETER_PAAS_DOOR='window')
        self.assertIn("CEILOMETER_PAAS_DOOR is 'window'; set it to agent or to pipeline",
                      self.run_script('stack', status=1))

    def test_a_ledger_of_an_earlier_stack_sh_is_gone(self):
        self.localrc()
        self.state.mkdir()
        (self.state / 'ledger.sqlite').write_text('of yore')
        self.run_script('stack', 'post-config')
        self.assertEqual([], list(self.state.iterdir()))


class LedgerTest(DevStack):
    """The ledger is on DevStack's database, where it can be."""

    def ledger(self, server, services, **variables):
        """Make the ledger; its driver and, as a proof that it works, how many messages wait."""
        if server is not None:
            self.addCleanup(server.execute, server.drop.format('ceilometer_paas'))
            server.execute('SELECT 1') if server.port else server.database(self)
            variables['BASE_SQL_CONN'] = server.url('')[:-1]
        self.localrc(services, **variables)
        self.run_script('stack', 'post-config')
        connection = read(self.ceilometer_conf, 'paas', 'ledger_connection')
        ledger = Ledger(connection)
        self.addCleanup(ledger.close)
        ledger.upgrade()
        return connection.partition('://')[0], ledger.backlog()

    def test_postgresql(self):
        self.assertEqual(('postgresql+psycopg2', {}), self.ledger(databases.POSTGRESQL, 'postgresql'))
        self.assertIn('recreate_database ceilometer_paas', (self.top / 'calls').read_text())

    def test_mariadb(self):
        self.assertEqual(('mysql+pymysql', {}), self.ledger(databases.MARIADB, 'mysql', MYSQL_SERVICE_NAME='mariadb'))

    def test_mysql_does_not_do(self):
        self.assertEqual(('sqlite', {}), self.ledger(None, 'mysql', MYSQL_SERVICE_NAME='mysql'))


class LintTest(unittest.TestCase):
    """What no test here can run holds together."""

    def test_the_zuul_jobs_name_what_there_is(self):
        entries = yaml.safe_load((ROOT / '.zuul.yaml').read_text())
        jobs = {entry['job']['name']: entry['job'] for entry in entries if 'job' in entry}
        project = entries[-1]['project']
        self.assertEqual({'check': list(jobs), 'gate': list(jobs)},
                         {pipeline: project[pipeline]['jobs'] for pipeline in ('check', 'gate')})
        job = jobs['ceilometer-paas-devstack']
        self.assertEqual({'ceilometer', 'ceilometer-paas', 'designate', 'gnocchi'},
                         {(one if isinstance(one, str) else one['name']).partition('/')[2]
                          for one in job['required-projects']})
        plays = yaml.safe_load((ROOT / job['run']).read_text())
        script = Path(plays[1]['tasks'][0]['command']).relative_to('/opt/stack/ceilometer-paas')
        self.assertTrue(os.access(ROOT / script, os.X_OK))
        settings = (ROOT / 'devstack/settings').read_text()
        for name in jobs['ceilometer-paas-devstack-pipeline']['vars']['devstack_localrc']:
            self.assertIn(f'${{{name}:=', settings)

    def test_the_systemd_unit_starts_the_agent_and_makes_its_state_path(self):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str
        unit.read(ROOT / 'etc/ceilometer_paas/ceilometer-agent-paas.service')
        program = Path(unit['Service']['ExecStart'])
        self.assertTrue(program.is_absolute())
        self.assertTrue(Path(sys.executable).with_name(program.name).exists())
        state_path = next(option.default for option in options.OPTS if option.name == 'state_path')
        self.assertEqual(state_path, f'/var/lib/{unit["Service"]["StateDirectory"]}')


class RunningTest(DevStack):
    """What stack.sh starts meters, and what unstack.sh and clean.sh are to remove is gone."""

    def setUp(self):
        super().setUp()
        self.vhost = rabbit.vhost(self)
        self.bus = rabbit.url(self.vhost)
        self.program('rabbitmqctl', rabbit.script(self.vhost))

    def ours(self):
        return [name for name in rabbit.queues(self.vhost) if name.startswith('ceilometer-paas')]

    def samples(self):
        path = self.state / 'samples'
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def check_metered(self):
        def metered():
            send(self.bus, 'nova', [messages.vm_exists('vm-1')])  # again, until our queue is there to get it
            return {'memory', 'vcpus'} <= {sample['name'] for sample in self.samples()}
        wait_for(metered, 'Nova is metered')

    def test_from_stack_to_clean(self):
        self.localrc('rabbit,n-api,n-cpu', **self.nova())
        before = set((self.top / 'etc').rglob('*'))
        self.exercise(status=55)
        self.run_script('stack')
        self.assertEqual({'ceilometer-apaas'}, set(self.pids()))
        self.check_metered()
        self.exercise()
        self.assertEqual({'ceilometer-paas', 'ceilometer-paas-unread'}, self.policies())

        pid = self.pids()['ceilometer-apaas']
        self.run_script('unstack')
        with self.assertRaises(ProcessLookupError):
            os.killpg(pid, 0)
        self.assertEqual(([], set()), (self.ours(), self.policies()))
        self.assertIn('FAILED, not within 1 s: the usage record is a published sample',
                      self.exercise(status=1, CEILOMETER_PAAS_EXERCISE_TIMEOUT='1'))
        self.run_script('clean')
        self.assertEqual([], [path for path in (self.top / 'etc').rglob('*')
                              if path not in before and path.suffix != '.started'])
        self.assertEqual([], list((self.top / 'data').iterdir()))

    def test_in_the_unmodified_agent_of_ceilometer(self):
        self.localrc('rabbit,n-cpu,ceilometer-anotification', CEILOMETER_PAAS_DOOR='pipeline', **self.nova())
        self.run_script('stack')
        self.assertEqual({'ceilometer-anotification'}, set(self.pids()))
        self.assertEqual({'ceilometer-paas'}, self.policies())
        self.check_metered()

    def policies(self):
        table = rabbit.rabbitmqctl('list_policies', '-p', self.vhost, '--no-table-headers')
        return {line.split('\t')[1] for line in table.splitlines() if '\t' in line}
