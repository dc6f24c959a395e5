"""Accepted candidates made into posts: outbox, schedule, budget, networks."""
