"""The product: puts tenants and auth together and adds features. May import every other package."""

from saas.app import create_app

__all__ = ["create_app"]
