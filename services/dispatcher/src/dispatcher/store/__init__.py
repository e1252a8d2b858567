"""MongoDB: documents in, domain values out. One file per collection, or per rule they share."""
