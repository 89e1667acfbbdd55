# SPDX-License-Identifier: Apache-2.0
"""``[notification] pipelines = paas``: the agent also listens on our queues, in threads of our own."""

from typing import Any

from ceilometer_paas.plugin import worker


class PaasPipelineManager:
    """What the agent takes for a pipeline; it gives the agent's own listeners nothing to do.

    :param conf: Ceilometer's
    :raises SystemExit: the configuration cannot be used
    """

    def __init__(self, conf: Any) -> None:
        worker.join(conf)

    def get_main_endpoints(self) -> list[Any]:
        """Give no endpoints: what the agent's own bus brings goes to others."""
        return []
