# SPDX-License-Identifier: Apache-2.0
"""``gnocchi upgrade``: create in Gnocchi what the publishers need before they can publish."""

import argparse
import logging
from collections.abc import Iterable
from typing import Any
from urllib import parse as urls

from cliff import lister

from ceilometer_paas.cli.common import Columns
from ceilometer_paas.config.load import load
from ceilometer_paas.config.pipeline import Target
from ceilometer_paas.errors import ConfigError, Problem
from ceilometer_paas.publish import gnocchi_types


class GnocchiUpgrade(lister.Lister):  # type: ignore[misc]
    """Create in Gnocchi the archive policies and resource types of the pipeline's gnocchi:// publishers.

    Of each publisher's file of definitions, or of the shipped one if there is no such publisher. Attributes that a
    type lacks are added; what there is is neither changed nor deleted, and what differs is noted on stderr. Do it once
    before gnocchi:// is named in the pipeline, and after each upgrade of this package or change of the file. The
    credentials are those of ceilometer.conf.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--resources-definition-file', metavar='FILE',
                            help='definitions of resources, instead of the files that the pipeline names')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        """Create what is missing, and give a row for each archive policy and resource type."""
        conf, file = self.app.conf, parsed_args.resources_definition_file
        definitions = ([gnocchi_types.load_definitions(conf, file)] if file else
                       definitions_of(load(conf).targets, conf) or
                       [gnocchi_types.load_definitions(conf, gnocchi_types.DEFAULT_FILE)])
        logging.getLogger('keystoneauth').setLevel(logging.ERROR)  # its warnings say first what the error says
        rows, notes = gnocchi_types.upgrade(conf, definitions)
        for note in notes:
            print(f'note: {note}', file=self.app.stderr)
        return ('kind', 'name', 'action'), rows


def definitions_of(targets: Iterable[Target], conf: Any) -> list[gnocchi_types.Definitions]:
    """Read the file of each gnocchi publisher.

    :raises ConfigError: mistakes in them
    """
    definitions: dict[str, gnocchi_types.Definitions] = {}
    problems: list[Problem] = []
    for target in targets:
        url = urls.urlsplit(target.url)
        if url.scheme == 'gnocchi':
            try:
                definitions[url.query] = gnocchi_types.load_definitions(conf, *gnocchi_types.named_in(url))
            except ConfigError as error:
                problems += error.problems
            except ValueError as error:
                problems.append(Problem(target.file, target.line, str(error)))
    if problems:
        raise ConfigError(problems)
    return list(definitions.values())
