"""Where a run's pictures lie: names that folders and shards share. No torch here."""

LAYOUTS = ("folders", "packed")
"""A file a picture, or tar shards; see `privacy_exp.runs.shards`."""

KINDS = {"original": "img", "masks": "masks", "results": "generated", "control": "control"}
"""Sub-folder and the word in its file names."""

NOTES = ".batches"
"""Sub-folder with what is known of each batch, until the run's record is written."""

PACKED = "packed"
"""Sub-folder with the shards."""
