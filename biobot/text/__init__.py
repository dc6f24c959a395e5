"""What a text is: X-weighted length, URLs, graphemes, and the fold that look-alikes share."""
