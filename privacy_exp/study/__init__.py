"""A study: fit a recogniser, anonymise photos, score what comes out."""
