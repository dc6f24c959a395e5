"""Bios on disk: reading, storing, cleaning, and the fingerprints of what was learnt."""
