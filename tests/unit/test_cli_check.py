# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.check."""

from tests.workspace import LIFECYCLES, WorkspaceTestCase


class TestCheck(WorkspaceTestCase):

    def test_good(self):
        """A good configuration gives one summary line, and no ledger is made."""
        status, out, err = self.run_command('check')
        self.assertEqual((0, ''), (status, err))
        self.assertEqual('ok: 1 endpoints, 3 queues, 2 meter definitions, 1 lifecycle definitions, 1 publishers',
                         out.splitlines()[-1])
        self.assertFalse((self.directory / 'ledger.sqlite').exists())

    def test_published_twice(self):
        """A meter that Ceilometer's own agent publishes too is named."""
        _, out, _ = self.run_command('check')
        self.assertIn('note: Ceilometer\'s own notification agent, where it runs, publishes these too: vcpus\n', out)

    def test_pipelines_of_ceilometer(self):
        """Names that Ceilometer's agent does not know are mistakes, with their line, beside all others."""
        self.edit('ceilometer.conf', '[paas]', '[notification]\npipelines = meter,event,paas\n[paas]')
        status, out, err = self.run_command('check')
        self.assertEqual((1, 1), (status, len(err.splitlines())))
        self.assertTrue(err.startswith(f'{self.directory}/ceilometer.conf:4: [notification] pipelines: '), err)
        self.assertIn('publishes these too: vcpus\n', out)
        self.edit('sources.yaml', 'exchange: nova', 'exchnage: nova')
        _, _, err = self.run_command('check')
        self.assertIn('ceilometer.conf:4: ', err)
        self.assertIn('sources.yaml:5: ', err)

    def test_two_doors(self):
        """What comes in by two doors is noted, and what it comes to."""
        self.edit('ceilometer.conf', '[paas]', '[notification]\npipelines = meter\npipelines = paas\n'
                                               '[paas]\nsample_endpoint = true')
        self.write('pipeline.yaml', 'sinks: [{name: paas, publishers: ["paas://"]}]')
        status, out, err = self.run_command('check')
        self.assertEqual((0, ''), (status, err))
        notes = [line for line in out.splitlines() if line.startswith('note: ')]
        self.assertIn('what is sent to usage.trove, usage.nova counts once, but is carried twice', notes[2])
        self.assertIn(f'{self.directory}/pipeline.yaml:1 publishes to paas:// what', notes[3])

    def test_inactive_definition(self):
        """A definition that no queue may speak of is named with its place."""
        self.edit('sources.yaml', '  database.*: usage.trove', '  trove.*: usage.trove')
        status, out, _ = self.run_command('check')
        self.assertEqual(0, status)
        self.assertIn(f'note: {self.directory}/meters.d/meters.yaml:2: database.size is inactive', out)

    def test_inactive_lifecycle(self):
        """A resource type of which no queue may give a meter is named once, with its first place."""
        twice = LIFECYCLES + LIFECYCLES.partition('\n')[2].replace('trove.', 'other.')
        self.write('lifecycles.d/lifecycles.yaml', twice)
        self.assertNotIn('lifecycle of', self.run_command('check')[1])
        self.edit('sources.yaml', '  database.*: usage.trove', '  trove.*: usage.trove')
        status, out, _ = self.run_command('check')
        self.assertEqual(0, status)
        self.assertEqual([f'note: {self.directory}/lifecycles.d/lifecycles.yaml:2: the lifecycle of database is '
                          'inactive: no metric type of the source map covers database.size'],
                         [line for line in out.splitlines() if 'lifecycle of' in line])

    def test_lifecycle_of_which_some_meters_are_not_mapped(self):
        """Each meter of a lifecycle that is kept, and that no queue may give, is named in a line of its own, once."""
        more = ('    status: {meter: database.status, codes: {active: 1}}\n'
                '    quantity: databases\n')
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES + LIFECYCLES.partition('\n')[2])
        self.edit('lifecycles.d/lifecycles.yaml', '    meters: {database.size: [active]}\n',
                  '    meters: {database.size: [active], uptime: [active]}\n' + more)
        place = f'note: {self.directory}/lifecycles.d/lifecycles.yaml:2: the lifecycle of database '
        self.assertEqual([f'{place}does without {name}: no metric type of the source map covers it'
                          for name in ('uptime', 'databases')], self.notes_on_lifecycles())
        self.edit('sources.yaml', '  database.*: usage.trove', '  "*": usage.trove')
        self.assertEqual([], self.notes_on_lifecycles())

    def test_lifecycle_whose_meters_are_mapped_to_different_queues(self):
        """A queue to which some meters are mapped and others not is named; without any other, it is inactive."""
        self.edit('lifecycles.d/lifecycles.yaml', '[active]}\n', '[active]}\n    quantity: databases\n')
        self.edit('sources.yaml', '  database.*: usage.trove',
                  '  database.*: [usage.trove, usage.nova, usage.acme]\n  databases: usage.trove')
        place = f'note: {self.directory}/lifecycles.d/lifecycles.yaml:2: the lifecycle of database '
        self.assertEqual([f'{place}is refused from queue usage.nova: the source map gives it database.size, but not '
                          'databases'], self.notes_on_lifecycles())
        self.edit('sources.yaml', 'databases: usage.trove', 'databases: usage.acme')
        self.assertEqual([f'{place}is inactive: no queue of the format oslo is given each of database.size, databases '
                          'by the source map'], self.notes_on_lifecycles())

    def test_part_of_what_is_not_kept(self):
        """A lifecycle that is kept without that of what its resources are part of is named."""
        part = LIFECYCLES.partition('\n')[2].replace('type: database', 'type: backup').replace(
            'database.size', 'vcpus').replace('events:', 'parent: {resource_type: database, resource_id: $.payload.of}'
                                              '\n    events:')
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES + part)
        self.assertEqual([], self.notes_on_lifecycles())
        note = (f'note: {self.directory}/lifecycles.d/lifecycles.yaml:10: the lifecycle of backup is kept without that '
                'of database, with which it ends: map the meters of that, too')
        self.edit('sources.yaml', '  database.*: usage.trove', '  trove.*: usage.trove')
        self.assertEqual([note], self.notes_on_lifecycles()[1:])
        self.write('lifecycles.d/lifecycles.yaml', LIFECYCLES.partition('\n')[0] + '\n' + part)
        self.assertEqual([note.replace(':10:', ':2:')], self.notes_on_lifecycles(), 'there is none at all')
        self.edit('sources.yaml', '  vcpus: usage.nova', '  memory: usage.nova')
        self.assertIn('backup is inactive', *self.notes_on_lifecycles())

    def notes_on_lifecycles(self):
        """Run it; the notes on lifecycles."""
        status, out, _ = self.run_command('check')
        self.assertEqual(0, status)
        return [line for line in out.splitlines() if 'lifecycle of' in line]

    def test_lifecycle_without_meters(self):
        """A lifecycle that names no meter is inactive, too: nothing says which queue may speak of it."""
        self.edit('lifecycles.d/lifecycles.yaml', '    meters: {database.size: [active]}\n', '')
        _, out, _ = self.run_command('check')
        self.assertIn('lifecycles.yaml:2: the lifecycle of database is inactive: no definition of it names a meter\n',
                      out)

    def test_lifecycle_of_a_format_that_no_queue_has(self):
        """Where messages name the type, the lifecycle is inactive only if no queue has their format."""
        self.edit('lifecycles.d/lifecycles.yaml', 'resource_type: database\n',
                  'resource_type: $.payload.service_type\n    format: paas-event\n')
        self.edit('lifecycles.d/lifecycles.yaml', 'database.size', '"{resource_type}.time"')
        self.assertNotIn('lifecycle of', self.run_command('check')[1])
        self.edit('sources.yaml', ', format: paas-event', '')
        self.assertIn('lifecycles.yaml:2: the lifecycle of resources of any type is inactive: no queue of the source '
                      'map has the format paas-event\n', self.run_command('check')[1])

    def test_type_without_definition(self):
        """A metric type that no meter or lifecycle gives is named, unless its messages need no definition."""
        self.edit('sources.yaml', '  vcpus: usage.nova', '  vcpus: usage.nova\n  memory: usage.nova')
        _, out, _ = self.run_command('check')
        self.assertIn('note: no definition gives the metric type memory, which is mapped to usage.nova', out)
        self.assertNotIn('acme.*', out)
        self.edit('lifecycles.d/lifecycles.yaml', 'database.size:', 'memory:')
        self.assertNotIn('no definition gives', self.run_command('check')[1])

    def test_publisher_that_cannot_be_loaded(self):
        """A publisher and a ledger that cannot be are two lines, and the status is 1."""
        self.edit('paas_pipeline.yaml', 'file://', 'pile://')
        self.edit('ceilometer.conf', '[paas]', '[paas]\nledger_connection = oracle://scott:tiger@db/x')
        status, _, err = self.run_command('check')
        self.assertEqual(1, status)
        self.assertRegex(err, r'paas_pipeline\.yaml:2: publisher file: pile://.* cannot be loaded')
        self.assertIn('[paas] ledger_connection: ', err)
        self.assertNotIn('tiger', err)

    def test_damaged_ledger(self):
        """A ledger file that is no database is said so, and is left as it is."""
        self.write('ledger.sqlite', 'this is no database, but it is long enough to be looked at\n' * 20)
        status, _, err = self.run_command('check')
        self.assertEqual(1, status)
        self.assertIn('[paas] ledger_connection: the ledger cannot be set up: file is not a database', err)

    def test_connect(self):
        """--connect names the endpoints that answer and those that do not, without their passwords."""
        self.edit('sources.yaml', 'cloud: {url: "fake://"}',
                  'cloud: {url: "fake://"}\n  far: {url: "rabbit://me:secret@127.0.0.1:1/"}')
        status, out, err = self.run_command('check', '--connect')
        self.assertEqual((1, 1), (status, len(err.splitlines())))
        self.assertIn('endpoint cloud: reachable\n', out)
        self.assertRegex(err, 'endpoint far: cannot be reached: .*refused')
        self.assertNotIn('secret', out + err)

    def test_all_at_once(self):
        """Mistakes in a file, in a publisher and in the ledger are told together."""
        self.edit('sources.yaml', 'exchange: nova', 'exchnage: nova')
        self.edit('lifecycles.d/lifecycles.yaml', 'resource_id', 'resourceid')
        self.edit('paas_pipeline.yaml', 'file://', 'pile://')
        self.edit('ceilometer.conf', '[paas]', '[paas]\nledger_connection = oracle://scott:tiger@db/x')
        _, _, err = self.run_command('check')
        for said in ('sources.yaml:5: ', 'lifecycles.yaml:3: ', 'paas_pipeline.yaml:2: ', '[paas] ledger_connection: '):
            self.assertIn(said, err)
