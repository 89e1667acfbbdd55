# SPDX-License-Identifier: Apache-2.0
"""A resource -> a message in the PaaS Event Format that speaks of it, on the bus that ceilometer.conf names.

It goes to the topic that DevStack's source map has for it. Run by ``exercise.sh``::

    python3 send_usage.py CEILOMETER_CONF EVENT_TYPE RESOURCE
"""

import sys
from datetime import UTC, datetime, timedelta

import oslo_messaging
from oslo_config import cfg

TOPIC = 'ceilometer-paas-exercise'


def main(file: str, event_type: str, resource: str) -> None:
    """Send the message."""
    conf = cfg.ConfigOpts()
    conf(['--config-file', file])
    oslo_messaging.set_transport_defaults('exercise')
    transport = oslo_messaging.get_notification_transport(conf)
    now = datetime.now(UTC)
    payload = {
        'version': '1.0', 'service_type': 'exercise', 'service_id': 'exercise', 'project_id': 'exercise',
        'instance_id': resource, 'instance_type_id': 'small', 'record_type': 'event',
        'audit_period_beginning': (now - timedelta(hours=1)).isoformat(), 'audit_period_ending': now.isoformat(),
    }
    if event_type.endswith('.exists'):
        payload |= {'record_type': 'quantity', 'metrics': [
            {'metric_name': 'exercise.requests', 'metric_type': 'delta', 'metric_value': 7, 'metric_units': 'request'}]}
    notifier = oslo_messaging.Notifier(transport, 'exercise', driver='messagingv2', topics=[TOPIC], retry=3)
    notifier.info({}, event_type, payload)
    transport.cleanup()


if __name__ == '__main__':
    main(*sys.argv[1:])
