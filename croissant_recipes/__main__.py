"""What the command ``croissant-recipe`` starts. An interruption is heard from the start."""

from __future__ import annotations

import os


def run() -> None:
    """Run the command and end the process."""
    try:
        from croissant_recipes.cli import main
    except KeyboardInterrupt:
        os.write(2, b"Interrupted.\n")
        os._exit(130)
    main()


if __name__ == "__main__":
    run()
