"""What a text is: its characters and graphemes, what counts as the same, links, contacts, length, language."""
