"""The built-in fake networks: HTTP servers on loopback with scripted faults."""
