# SPDX-License-Identifier: Apache-2.0
"""A mapped queue -> what its service must be told before it sends what is metered."""

from ceilometer_paas.config.sources import Queue

DRIVER = '[oslo_messaging_notifications] driver = messagingv2'
"""What every service needs; without it, it sends nothing at all."""

NEEDS = {
    'nova': '[DEFAULT] instance_usage_audit = true and instance_usage_audit_period = hour; [notifications] '
            'notification_format = unversioned or both, and notify_on_state_change = vm_state',
    'trove': '[DEFAULT] control_exchange = trove (without it, it sends to openstack), and '
             'exists_notification_transformer = trove.extensions.mgmt.instances.models.NovaNotificationTransformer',
    'designate': '[DEFAULT] notification_plugin = default; [service:producer] enabled_tasks, if it is set, with '
                 'periodic_exists',
    'octavia': '[controller_worker] event_notifications = true; of load balancers of other providers than amphora (OVN '
               'is one), Octavia never tells',
    'openstack': 'for Manila, [DEFAULT] enable_gathering_share_usage_size = true; without it, it tells of a share only '
                 'when that is made, resized or deleted',
    'magnum': 'an endpoint of sources.yaml for its [DEFAULT] transport_url, because it heeds no other; it tells of a '
              'cluster only when that changes',
}
"""Exchange -> what its service needs besides, and of what it is silent by its nature."""


def advice(queue: Queue) -> str:
    """Say what makes the service behind a queue talk."""
    if queue.format == 'paas-event':
        return f'the service must send the PaaS Event Format to the exchange {queue.exchange}, topic {queue.topic}'
    topics = '' if queue.topic == 'notifications' else f' and {queue.topic} among its topics'
    return f'the service needs {DRIVER}{topics}; ' + NEEDS.get(
        queue.exchange, f'[DEFAULT] control_exchange = {queue.exchange}, unless that is its default')
