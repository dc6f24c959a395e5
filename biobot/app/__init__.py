"""The verbs that commands, daemon and console share."""
