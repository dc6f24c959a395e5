"""X itself: session, secrets, the kinds of its errors, and waiting."""
