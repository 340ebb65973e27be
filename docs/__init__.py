"""Scripts that keep the pages true."""
