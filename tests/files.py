# SPDX-License-Identifier: Apache-2.0
"""What an operator writes, in a temporary directory, and the ceilometer.conf that is read from there."""

import os
import tempfile
import textwrap
import unittest
from typing import Any

from ceilometer import service

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Files:
    """A directory of its own for one test."""

    def __init__(self, test: unittest.TestCase) -> None:
        directory = tempfile.TemporaryDirectory()
        test.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name: str) -> str:
        """Name a file in the directory."""
        return os.path.join(self.directory, name)

    def write(self, name: str, text: str) -> str:
        """Write a file, without the margin of its text; the first line is line 1."""
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(textwrap.dedent(text).removeprefix('\n'))
        return self.path(name)

    def conf(self, text: str = '') -> Any:
        """Write ceilometer.conf and read it as Ceilometer's programs do."""
        return service.prepare_service(['test'], config_files=[self.write('ceilometer.conf', text)])


def said(problems: Any) -> list[str]:
    """List problems as lines, with the bare names of their files."""
    return [f'{os.path.basename(problem.file)}:{problem.line}: {problem.text}' for problem in sorted(problems)]
