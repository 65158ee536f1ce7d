"""Files: run folders, records, and what has been computed already."""
