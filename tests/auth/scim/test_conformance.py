"""The whole of scim2-tester, against the application."""

import random

from flask import Flask
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from tests.auth.scim.conftest import Provider


def test_every_check_of_the_tester_passes(app: Flask, provider: Provider) -> None:
    random.seed(1)
    client = WSGISCIMClient(app, f"{provider.base}/scim/v2", headers={"Authorization": f"Bearer {provider.token}"})
    results = check_server(client)
    assert len(results) > 50
    faults = [repr(result) for result in results if result.status in (Status.ERROR, Status.CRITICAL)]
    assert not faults, "\n".join(faults)
