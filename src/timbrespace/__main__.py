"""`python -m timbrespace` is the `timbrespace` command."""

from timbrespace.cli import main

if __name__ == "__main__":
    main()
