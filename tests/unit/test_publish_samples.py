# SPDX-License-Identifier: Apache-2.0

import json
import unittest

from ceilometer.publisher import utils
from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas import model, times
from ceilometer_paas.publish import samples
from tests import publishing

_TEXT = st.text(max_size=8)
_VOLUME = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_AMOUNTS = st.builds(model.Amount, _TEXT, st.sampled_from(['gauge', 'delta', 'cumulative']), _TEXT, _VOLUME)
_READINGS = st.builds(model.Reading, _TEXT, st.none() | _TEXT, st.none() | _TEXT, _TEXT,
                      st.dictionaries(_TEXT, _TEXT | _VOLUME | st.none(), max_size=3),
                      st.lists(_AMOUNTS, min_size=1, max_size=4).map(tuple))


def reading(resource_id='vm-1', amounts=(('memory', 'gauge', 'MiB', 512),), metadata=None):
    return model.Reading(resource_id, 'p-1', 'u-1', '2026-11-22T09:00:00+00:00', metadata or {},
                         tuple(model.Amount(*amount) for amount in amounts))


_NINE = 1_795_338_000_000_000  # 2026-11-22 09:00 in UTC
_STATED = {'resource_type': 'instance', 'state': 'active', 'size': {'flavor': 'std.2', 'vcpus': 2}, 'revision': 1,
           'period': {'begin': '2026-11-22T09:00:00+00:00', 'end': '2026-11-22T10:00:00+00:00'}}


def statement(meter='compute.instance.uptime', resource_id='vm-1', timestamp=_NINE, volume=3600, revision=1):
    return model.Statement(meter, 'delta', 's', volume, resource_id, 'p-1', 'u-1', timestamp,
                           {**_STATED, 'revision': revision})


class TestBuild(unittest.TestCase):
    def test_every_field_arrives(self):
        """A sample says what its reading and its amount say."""
        sample, = samples.from_readings('cloud/nova', 'm-1', [reading(metadata={'host': 'a'})])
        self.assertEqual({'name': 'memory', 'type': 'gauge', 'unit': 'MiB', 'volume': 512, 'resource_id': 'vm-1',
                          'project_id': 'p-1', 'user_id': 'u-1', 'timestamp': '2026-11-22T09:00:00+00:00',
                          'resource_metadata': {'host': 'a'}, 'source': 'openstack', 'monotonic_time': None,
                          'project_name': None, 'user_name': None,
                          'id': model.sample_id('cloud/nova', 'm-1', 'memory', 'vm-1', 0)}, sample.as_dict())

    def test_ordinal_counts_through_the_message(self):
        """The ordinal in an id goes on from reading to reading, and begins anew with each message."""
        amounts = [('a', 'gauge', '', 1), ('a', 'gauge', '', 1)]
        made = samples.from_readings('s', 'm', [reading(amounts=amounts), reading(amounts=amounts)])
        self.assertEqual([model.sample_id('s', 'm', 'a', 'vm-1', ordinal) for ordinal in range(4)],
                         [sample.id for sample in made])
        text = model.dump_readings((reading(amounts=amounts),))
        parcel = model.Parcel(1, 's', f'[["m",{text}],["n",{text}]]')
        self.assertEqual([model.sample_id('s', message, 'a', 'vm-1', ordinal)
                          for message in 'mn' for ordinal in range(2)],
                         [sample.id for sample in samples.build(parcel)])

    @given(st.lists(_READINGS, max_size=3))
    def test_json_changes_nothing(self, readings):
        """Samples of a parcel equal those of the readings that were recorded."""
        body = f'[["m-1",{model.dump_readings(tuple(readings))}]]'
        self.assertEqual(samples.from_readings('cloud/nova', 'm-1', readings),
                         samples.build(model.Parcel(1, 'cloud/nova', body)))


class TestStatements(unittest.TestCase):
    def test_every_field_arrives(self):
        """A sample says what its statement says; its time is written as those of other samples are."""
        sample, = samples.from_statements([statement()])
        self.assertEqual({'name': 'compute.instance.uptime', 'type': 'delta', 'unit': 's', 'volume': 3600,
                          'resource_id': 'vm-1', 'project_id': 'p-1', 'user_id': 'u-1',
                          'timestamp': '2026-11-22T09:00:00+00:00', 'resource_metadata': _STATED,
                          'source': 'openstack', 'monotonic_time': None, 'project_name': None, 'user_name': None,
                          'id': model.statement_id('compute.instance.uptime', 'vm-1', _NINE)}, sample.as_dict())

    def test_microseconds(self):
        """A time is exact to the microsecond."""
        sample, = samples.from_statements([statement(timestamp=_NINE + 1)])
        self.assertEqual('2026-11-22T09:00:00.000001+00:00', sample.timestamp)

    def test_id_stays(self):
        """A restatement has the id that was stated before, whatever is stated now."""
        was, now = samples.from_statements([statement(), statement(volume=0, revision=2)._replace(project_id='p-2')])
        self.assertEqual((was.id, was.timestamp), (now.id, now.timestamp))
        self.assertNotEqual(was, now)

    def test_ids_differ(self):
        """Another meter, resource or time has another id."""
        made = samples.from_statements([statement(), statement(meter='memory'), statement(resource_id='vm-2'),
                                        statement(timestamp=_NINE + 1)])
        self.assertEqual(4, len({sample.id for sample in made}))

    def test_shared_metadata(self):
        """Samples share the metadata that their statements share."""
        shared = {'resource_type': 'instance'}
        made = samples.from_statements([statement()._replace(metadata=shared),
                                        statement(meter='memory')._replace(metadata=shared)])
        self.assertEqual([True, True], [sample.resource_metadata is shared for sample in made])

    def test_signed(self):
        """A statement can be signed as Ceilometer's notifier does, and its signature holds after JSON."""
        sample, = samples.from_statements([statement()])
        message = utils.meter_message_from_counter(sample, 'secret')
        self.assertTrue(utils.verify_signature(json.loads(json.dumps(message)), 'secret'))


class TestKnown(unittest.TestCase):
    def test_a_sample_that_existed_before_keeps_its_id_source_and_names(self):
        """Whatever message it comes in; one that was refused by an earlier release kept its id alone."""
        old = ['r', 'p', 'u', 't', {}, [['a', 'gauge', '', 1, 'i-1']]]
        new = ['r', 'p', 'u', 't', {}, [['a', 'gauge', '', 1, 'i-2', 'elsewhere', 'Ada', 'shop']]]
        self.assertEqual([('i-1', 'openstack', None, None), ('i-2', 'elsewhere', 'Ada', 'shop')],
                         [(sample.id, sample.source, sample.user_name, sample.project_name)
                          for sample in samples.from_readings('cloud/nova', 'm', [old, new])])

    def test_it_is_made_again_from_its_refused_text(self):
        sample, = publishing.samples(1, source='elsewhere', user_name='Ada', project_name='shop')
        message_id, readings = json.loads(samples.refused_body(sample))
        self.assertEqual([sample], samples.from_readings('cloud/nova', message_id, readings))


class TestRefusedBody(unittest.TestCase):
    @given(_READINGS)
    def test_release_makes_the_same_sample(self, one):
        """A refused sample can be made again from its text, with the same id, whatever its source and message."""
        for sample in samples.from_readings('cloud/nova', 'm-1', [one]):
            message_id, readings = json.loads(samples.refused_body(sample))
            self.assertEqual([sample], samples.from_readings('elsewhere', message_id, readings))
            self.assertEqual(sample.id, message_id)

    def test_statement(self):
        """A refused statement's text names its type and resource, its project and its time, and makes it again."""
        sample, = samples.from_statements([statement(timestamp=_NINE + 1)])
        message_id, readings = json.loads(samples.refused_body(sample))
        self.assertEqual([sample], samples.from_readings('elsewhere', message_id, readings))
        (resource_id, project_id, _, timestamp, metadata, _), = readings
        self.assertEqual(('instance', 'vm-1', 'p-1', _NINE + 1), (
            metadata['resource_type'], resource_id, project_id, times.to_micros(times.parse_utc(timestamp))))
