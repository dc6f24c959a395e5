"""A model and a temperature made into candidates."""
