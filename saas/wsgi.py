"""What a WSGI server loads: `saas.wsgi:app`."""

from saas.app import create_app

app = create_app()
"""The application, by the environment's settings."""
