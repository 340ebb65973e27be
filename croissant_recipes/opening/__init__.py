"""Opening a Croissant as a copick project, every artifact by the URL of its row."""
