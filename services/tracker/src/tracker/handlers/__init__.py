"""Events and hits in; load, decide, save; events out."""
