"""Fresh bios from X: where from, what it costs, and how to go on after any interruption."""
