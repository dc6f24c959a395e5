"""Choosing the best of many accepted drafts, as one owner would: features, a ranker, and the owner's marks."""
