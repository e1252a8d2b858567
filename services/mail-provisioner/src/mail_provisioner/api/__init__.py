"""HTTP: one module per kind of thing."""
