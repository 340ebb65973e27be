"""The Croissant itself: its bytes and its manifest, what a build noted of it, how it differs, how it is opened."""
