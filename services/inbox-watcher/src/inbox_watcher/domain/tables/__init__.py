"""What is known about mail systems and languages, as data with its sources."""
