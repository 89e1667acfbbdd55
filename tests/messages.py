# SPDX-License-Identifier: Apache-2.0
"""Messages that many tests need, in the shape in which services send them."""

import copy
from typing import Any

from ceilometer_paas.model import Envelope

PROJECT = '8c6f1f6d3b9a4a5e9c2f0d1e7b6a5c41'
USER = '5f0d0d7a5b5c4a7b9a0b3f1c2d3e4f50'
CONTEXT = {'user': USER, 'project_id': PROJECT, 'tenant': PROJECT, 'request_id': 'req-1', 'auth_token': 'sesame'}

_EVENT = {
    'message_id': '0d5c7c3e-58ff-4d3a-9f5b-5f6d8a4c1c01',
    'publisher_id': 'queue.ctl-1',
    'event_type': 'acme-queue.usage',
    'priority': 'INFO',
    'timestamp': '2026-03-10 09:00:00.250000',
    'payload': {
        'version': '1.0',
        'audit_period_beginning': '2026-03-10T08:00:00Z',
        'audit_period_ending': '2026-03-10T09:00:00Z',
        'record_type': 'quantity',
        'project_id': PROJECT,
        'user_id': USER,
        'service_id': '7a0e6f3a-4a53-4d0c-8f0c-51a0b4b0a001',
        'service_type': 'acme-queue',
        'instance_id': 'q-1',
        'display_name': 'orders',
        'instance_type_id': 'small',
        'state': 'active',
        'metrics': [
            {'metric_name': 'acme-queue.messages', 'metric_type': 'delta', 'metric_value': 1200,
             'metric_units': 'message'},
            {'metric_name': 'acme-queue.depth', 'metric_type': 'gauge', 'metric_value': 3.5},
        ],
    },
}


def paas_event(**changes: Any) -> dict[str, Any]:
    """Give a good message in the PaaS Event Format, changed.

    :param changes: fields of the message, or, as ``payload__field``, of its payload; Ellipsis removes the field
    """
    message = copy.deepcopy(_EVENT)
    for name, value in changes.items():
        place, field = (message['payload'], name[9:]) if name.startswith('payload__') else (message, name)
        if value is ...:
            del place[field]
        else:
            place[field] = value
    return message


def vm_exists(message_id: str = 'f6c0f0a2-2f5c-4b1e-8d2c-0000000000a1', **payload: Any) -> dict[str, Any]:
    """Give Nova's hourly audit of one VM, changed."""
    return {
        'message_id': message_id,
        'publisher_id': 'compute.cmp-1',
        'event_type': 'compute.instance.exists',
        'priority': 'INFO',
        'timestamp': '2026-03-10 09:00:04.512000',
        'payload': {
            'instance_id': 'e1690178-70ef-4606-a3b4-79beb101aa90', 'tenant_id': PROJECT, 'user_id': USER,
            'display_name': 'web-1', 'instance_type': 'm1.small', 'instance_flavor_id': 'fl-1', 'vcpus': 2,
            'memory_mb': 4096, 'root_gb': 60, 'ephemeral_gb': 0, 'disk_gb': 60, 'state': 'active',
            'state_description': '', 'host': 'cmp-1', 'node': 'cmp-1', 'availability_zone': 'nova',
            'created_at': '2026-03-10 07:17:25+00:00', 'launched_at': '2026-03-10T07:17:31.771086',
            'deleted_at': '', 'terminated_at': '', 'metadata': {'metering.stack': 's1'},
            'image_meta': {'base_image_ref': '11111111-aaaa-4aaa-8aaa-000000000002', 'os_type': 'linux'},
            'audit_period_beginning': '2026-03-10 08:00:00', 'audit_period_ending': '2026-03-10 09:00:00',
            'bandwidth': {}, **payload,
        },
    }


def envelope(message: Any, size: int = 2000) -> Envelope:
    """Wrap a message as the listener does."""
    return Envelope(dict(CONTEXT), message, size)
