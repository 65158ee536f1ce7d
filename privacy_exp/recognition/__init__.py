"""Who is on the photo: recognisers, how they are fitted, and their checkpoints."""
