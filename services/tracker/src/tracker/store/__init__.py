"""MongoDB: documents in, domain values out."""
