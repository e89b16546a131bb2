"""HTTP: the service's own protocol at `/`, and a REST API at `/v1`."""
