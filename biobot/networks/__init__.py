"""One protocol for every network that the bot can post to, and what they share."""
