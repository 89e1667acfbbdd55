# SPDX-License-Identifier: Apache-2.0
"""Samples, or events -> POST requests, each answered by success.

Ceilometer's publisher only logs an error status, takes a redirection that turns the POST into a GET for success, and
finds out about a missing certificate file when it first sends.
"""

import os
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import requests
from ceilometer.event.models import Event
from ceilometer.publisher import http, opentelemetry_http, prometheus
from ceilometer.sample import Sample

from ceilometer_paas.errors import Refused, Unavailable
from ceilometer_paas.publish.load import Item, Refusal

_REFUSALS = frozenset({400, 413, 422})
"""Statuses that speak of the content; whatever else is no success speaks of the server or of the configuration."""
_REPEATED = frozenset({307, 308})
"""Redirections after which requests sends the same request again."""


class _Checked(http.HttpPublisher):  # type: ignore[misc]
    """Ceilometer's, but an answer other than success is raised.

    :raises ValueError: the URL cannot be right
    """

    def __init__(self, conf: Any, parsed_url: urllib.parse.SplitResult) -> None:
        if parsed_url.username and parsed_url.password is None:
            raise ValueError('the URL has a user, but no password')
        super().__init__(conf, parsed_url)
        for path in (self.client_cert, self.verify_ssl):
            for name in path if isinstance(path, tuple) else (path,):
                if isinstance(name, str) and not os.path.exists(name):
                    raise ValueError(f'{name} does not exist')
        self.session.hooks['response'].append(_check)


class PrometheusPublisher(_Checked, prometheus.PrometheusPublisher):  # type: ignore[misc]
    """``prometheus://``: samples in Prometheus' text format, for a Pushgateway."""


class OpentelemetryHttpPublisher(_Checked, opentelemetry_http.OpentelemetryHttpPublisher):  # type: ignore[misc]
    """``opentelemetryhttp://``: samples as OTLP/HTTP JSON, one a request, for an OpenTelemetry Collector."""


class HttpPublisher(_Checked):
    """``http://`` and ``https://``: samples or events as JSON, a list a request; with ``batch=false``, one."""

    def publish_samples(self, samples: list[Sample]) -> Sequence[Refusal]:
        """Post the samples.

        :return: those that the server refused one by one
        :raises Refused: the server refused a list
        :raises Unavailable: the server answered with another error
        :raises requests.RequestException: it did not answer
        """
        return self._post(super().publish_samples, samples)

    def publish_events(self, events: list[Event]) -> Sequence[Refusal]:
        """Post the events, as :meth:`publish_samples` does."""
        return self._post(super().publish_events, events)

    def _post(self, publish: Callable[[list[Item]], None], items: list[Item]) -> Sequence[Refusal]:
        if self.poster == self._batch_post:
            publish(items)
            return ()
        refused = []
        for item in items:
            try:
                publish([item])
            except Refused as refusal:
                refused.append((item, refusal.reason))
        return refused


def _check(response: requests.Response, **kwargs: Any) -> None:
    """Raise for every answer but success; requests calls it for each, those that redirect included."""
    status = response.status_code
    if 200 <= status < 300 or (status in _REPEATED and response.is_redirect):
        return
    text = f'HTTP {status} {response.reason}: {response.text[:300]}'
    if status in _REFUSALS:
        raise Refused('publish.refused', text)
    raise Unavailable(text)
