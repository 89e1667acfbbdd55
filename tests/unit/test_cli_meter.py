# SPDX-License-Identifier: Apache-2.0
"""The promises of ceilometer_paas.cli.meter."""

from tests.workspace import WorkspaceTestCase


class TestMeterList(WorkspaceTestCase):

    def test_rows(self):
        """Each definition is a row with its place and the queues that may speak of it."""
        self.assertEqual([
            {'name': 'database.size', 'type': 'gauge', 'unit': 'GiB', 'event_types': ['trove.instance.create'],
             'queues': ['usage.trove'], 'file': f'{self.directory}/meters.d/meters.yaml', 'line': 2},
            {'name': 'vcpus', 'type': 'gauge', 'unit': 'vcpu', 'event_types': ['compute.instance.exists'],
             'queues': ['usage.nova'], 'file': f'{self.directory}/meters.d/meters.yaml', 'line': 9},
        ], self.table('meter', 'list'))
