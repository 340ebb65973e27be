"""Results as text and as JSON. Two renderings of the same values; nothing is decided here."""
