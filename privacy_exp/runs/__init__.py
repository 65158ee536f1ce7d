"""What a run leaves on disk: pictures, record, table and finished batches."""
