"""What is lost besides identity."""
