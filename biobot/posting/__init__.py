"""From accepted candidates to posts: outbox, schedule, budget, poster."""
