"""The built-in fake X: an HTTP server on loopback with scripted faults."""
