"""What both halves do with a finished picture: look at it, and sign its file (extra `pictures`)."""
