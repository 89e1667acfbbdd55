# SPDX-License-Identifier: Apache-2.0
"""Child processes of the throughput bench: the listener that does nothing, and ours in one process."""

import os
import sys
import threading

import oslo_messaging
from ceilometer import service
from oslo_messaging.notify import listener

from ceilometer_paas.config.load import load
from ceilometer_paas.serve import Collecting, Delivering
from ceilometer_paas.transport import open_transport


class Nothing(oslo_messaging.dispatcher.DispatcherBase):
    """Acknowledges batches, and writes down how many messages there were."""

    supported_priorities = ('info',)

    def __init__(self, path):
        self._path = path
        self._count = 0

    def dispatch(self, incoming):
        self._count += len(incoming)
        with open(self._path + '.new', 'w') as file:
            file.write(str(self._count))
        os.rename(self._path + '.new', self._path)
        return set()


def main():
    what, *arguments = sys.argv[1:]
    conf = service.prepare_service(['bench', *arguments])
    if what == 'empty':
        server = listener.BatchNotificationServer(
            open_transport(conf, None, prefetch=200), [oslo_messaging.Target(exchange='nova', topic='notifications')],
            Nothing(os.path.join(os.path.dirname(arguments[-1]), 'count')), executor='threading', batch_size=200,
            batch_timeout=0.2)
        server.start(override_pool_size=1)
    else:
        configuration = load(conf)
        Delivering(configuration).start()
        Collecting(configuration).start()
    threading.Event().wait()


if __name__ == '__main__':
    main()
