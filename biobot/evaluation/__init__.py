"""Measuring a model with sampler and filters."""
