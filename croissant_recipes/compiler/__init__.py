"""Checked recipe and inventories to a plan: pure functions over tables, nothing is read or written here."""
