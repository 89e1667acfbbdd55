# SPDX-License-Identifier: Apache-2.0
"""The doors in Ceilometer's own notification agent: the classes that ``setup.cfg`` names for it.

``ceilometer.notification.pipeline``
    :mod:`.pipeline`: the agent also listens on our queues.
``ceilometer.sample.endpoint``
    :mod:`.endpoint`: what the agent's own bus brings is recorded.
``ceilometer.sample.publisher``
    :mod:`.publisher`: what the agent's own pipeline publishes to ``paas://`` is recorded.

What is recorded is delivered from the same process. All of it is in :mod:`.worker`; the classes are thin. Ceilometer
goes on without a plug-in that fails to load, and so would consume, and drop, what is ours: a configuration that cannot
be used ends the worker instead.
"""

import logging

logging.getLogger('alembic').setLevel(logging.WARNING)  # it tells of itself when it is imported
