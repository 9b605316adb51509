"""What a request costs, against the floor: `make bench`."""
