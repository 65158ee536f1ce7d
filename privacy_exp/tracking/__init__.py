"""CSV and W&B as mirrors of the record."""
