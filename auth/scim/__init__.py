"""SCIM 2.0 (RFC 7643, RFC 7644): an identity provider keeps its people and groups here up to date.

The protocol is scim2-server's, which only this package imports; what a person or a group is to a workspace is decided
in `people.py` and `teams.py`.
"""
