"""Whether a text was seen before: fingerprints, their index, and the texts known to this bot."""
