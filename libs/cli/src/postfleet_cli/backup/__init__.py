"""`postfleet backup` and `postfleet restore`: both servers' data, consistent under load."""
