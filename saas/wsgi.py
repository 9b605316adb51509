"""What a WSGI server loads: `saas.wsgi:app`."""

import gc

from saas.app import create_app

app = create_app()
"""The application, by the environment's settings."""

# What is loaded by now stays until the process ends: the collector need not walk through it again and again.
gc.collect()
gc.freeze()
