"""Bios on disk: reading, storing and cleaning."""
