# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the release notes."""

extensions = ['openstackdocstheme', 'reno.sphinxext']
project = 'ceilometer_paas Release Notes'
author = copyright = 'OpenStack contributors'
version = release = ''
html_theme = 'openstackdocs'
openstackdocs_repo_name = 'openstack/ceilometer-paas'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
pygments_style = 'native'
