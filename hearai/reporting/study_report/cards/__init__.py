"""The cards of the page, one module each: what it shows, or why it cannot yet."""
