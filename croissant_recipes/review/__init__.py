"""What a change of a dataset means: for those who use it, for its version, and why it comes. Pure, and in columns."""
