# SPDX-License-Identifier: Apache-2.0

import json
import unittest

from hypothesis import given
from hypothesis import strategies as st

from ceilometer_paas import model
from ceilometer_paas.publish import samples

_TEXT = st.text(max_size=8)
_VOLUME = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_AMOUNTS = st.builds(model.Amount, _TEXT, st.sampled_from(['gauge', 'delta', 'cumulative']), _TEXT, _VOLUME)
_READINGS = st.builds(model.Reading, _TEXT, st.none() | _TEXT, st.none() | _TEXT, _TEXT,
                      st.dictionaries(_TEXT, _TEXT | _VOLUME | st.none(), max_size=3),
                      st.lists(_AMOUNTS, min_size=1, max_size=4).map(tuple))


def reading(resource_id='vm-1', amounts=(('memory', 'gauge', 'MiB', 512),), metadata=None):
    return model.Reading(resource_id, 'p-1', 'u-1', '2026-11-22T09:00:00+00:00', metadata or {},
                         tuple(model.Amount(*amount) for amount in amounts))


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


class TestRefusedBody(unittest.TestCase):
    @given(_READINGS)
    def test_release_makes_the_same_sample(self, one):
        """A refused sample can be made again from its text, with the same id, whatever its source and message."""
        for sample in samples.from_readings('cloud/nova', 'm-1', [one]):
            message_id, readings = json.loads(samples.refused_body(sample))
            self.assertEqual([sample], samples.from_readings('elsewhere', message_id, readings))
            self.assertEqual(sample.id, message_id)
