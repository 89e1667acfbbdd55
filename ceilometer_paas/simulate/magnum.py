# SPDX-License-Identifier: Apache-2.0
"""Magnum: CADF events of a Kubernetes cluster that is created, grown and shrunk.

Kept from life: the same event type when something is asked for (``pending``, which already tells the new number of
nodes) and when it is done (``success``); the second has no initiating project; a key that ends in a colon.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ceilometer_paas.simulate.bus import NOBODY, Caller, Day, Sent, Service, Tenant, customer, iso, new_id, play, whole

_TYPE = 'service/magnum/cluster'


def _context(caller: Caller, _at: datetime) -> dict[str, Any]:
    return {'auth_url': None, 'user_domain_id': None, 'user_domain_name': None, 'user_name': caller.user_id,
            'user_id': caller.user_id, 'project_name': caller.project_id, 'auth_token_info': None,
            'all_tenants': False}


class _Cluster:
    def __init__(self, day: Day, tenant: Tenant, name: str, nodes: int) -> None:
        self._chance = day.chance('magnum', name)
        self._send = Service(self._chance, 'magnum', context=_context)
        self._caller = customer(tenant)
        self._id = new_id(self._chance)
        self._name = name
        self._content: dict[str, Any] = {
            'status': 'CREATE_IN_PROGRESS',
            'status_reason': None,
            'project_id': tenant.project_id,
            'created_at': None,
            'updated_at': None,
            'cluster_template_id': new_id(self._chance),
            'keypair': 'ops',
            'docker_volume_size:': 10,
            'labels': {'kube_tag': 'v1.33.1'},
            'master_flavor_id': new_id(self._chance),
            'flavor_id': new_id(self._chance),
            'stack_id': None,
            'health_status': None,
            'create_timeout': 60,
            'api_address': None,
            'discovery_url': None,
            'node_addresses': [],
            'master_addresses': [],
            'node_count': nodes,
            'master_count': 1,
        }

    def create(self, at: datetime) -> Iterator[Sent]:
        """Build the cluster, which takes some minutes."""
        self._content['created_at'] = iso(at)
        yield self._say('create', 'pending', at)
        done = at + timedelta(minutes=6.4)
        self._content.update(status='CREATE_COMPLETE', stack_id=f'kube-{self._id[:5]}', created_at=whole(at),
                             updated_at=whole(done), api_address='https://203.0.113.9:6443')
        yield self._say('create', 'success', done)

    def resize(self, nodes: int, at: datetime) -> Iterator[Sent]:
        """Change the number of nodes."""
        self._content['node_count'] = nodes
        yield self._say('update', 'pending', at)
        done = at + timedelta(minutes=3.1)
        self._content.update(status='UPDATE_COMPLETE', updated_at=whole(done))
        yield self._say('update', 'success', done)

    def _say(self, action: str, outcome: str, at: datetime) -> Sent:
        asked = outcome == 'pending'
        initiator: dict[str, str | None] = {'id': new_id(self._chance), 'typeURI': 'service/security/account/user'}
        if asked:
            initiator |= {'user_id': self._caller.user_id, 'project_id': self._caller.project_id}
        return self._send(at, 'container-infra.coe-1', f'magnum.cluster.{action}', {
            'typeURI': 'http://schemas.dmtf.org/cloud/audit/1.0/event',
            'eventType': 'activity',
            'id': new_id(self._chance),
            'eventTime': at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%f+0000'),
            'action': action,
            'outcome': outcome,
            'observer': {'id': new_id(self._chance), 'typeURI': _TYPE},
            'initiator': initiator,
            'target': {
                'id': self._id, 'typeURI': _TYPE, 'name': self._name,
                'attachments': [{'typeURI': _TYPE, 'content': dict(self._content), 'name': 'cluster_data'}],
            },
        }, caller=self._caller if asked else NOBODY)


def lives(day: Day, tenant: Tenant) -> Iterator[Sent]:
    """Give the day of one cluster."""
    cluster = _Cluster(day, tenant, 'prod-k8s', 3)
    return play(day, [(day.at(185.5), cluster.create), (day.at(602.2), partial(cluster.resize, 5)),
                      (day.at(1203.7), partial(cluster.resize, 4))])
