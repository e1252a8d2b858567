"""Decides which delivery goes when, through which sender; sends it."""
