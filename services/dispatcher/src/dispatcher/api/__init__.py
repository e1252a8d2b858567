"""HTTP: one file per thing that people name."""
