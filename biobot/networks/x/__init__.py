"""X: the client and its HTTP session."""
