"""The process boundary: what draws and judges runs in a child, behind typed messages."""
