"""Sources of identity, one file a kind. A provider proves who somebody is, and decides nothing."""
