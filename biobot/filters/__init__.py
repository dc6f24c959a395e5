"""Candidates made into verdicts by plugins."""
