# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the documentation."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'ext'))

extensions = ['openstackdocstheme', 'oslo_config.sphinxext', 'cliff.sphinxext', 'catalogue']
project = 'ceilometer_paas'
author = copyright = 'OpenStack contributors'
html_theme = 'openstackdocs'
openstackdocs_repo_name = 'openstack/ceilometer-paas'
openstackdocs_auto_name = False
openstackdocs_pdf_link = False
pygments_style = 'native'
autoprogram_cliff_application = 'ceilometer-paas'
autoprogram_cliff_app_dist_name = 'ceilometer-paas'
