"""The command line ``vidgen``, one file a group of commands. It prints; the library does the work."""

from vidgen.cli.app import app, main

__all__ = ["app", "main"]
