"""The OAuth 2 authorization server and OpenID provider of each tenant, on its own host.

`views.py` has the endpoints for programs, `consent_views.py` the page on which people decide; `server.py` puts
Authlib together from `clients.py` (who asks), `proofs.py` (whether it is them), `grants.py` (what for), `issuing.py`
(tokens, codes, and their families) and `openid.py` (who the person is). `metadata.py` says all that to programs.
RFC 6749, 6750, 7009, 7523, 7636, 7662, 8414, 9207, 9700, 9728; OpenID Connect Core 1.0.
"""
