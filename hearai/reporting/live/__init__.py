"""Views of a search while it runs: a live one for terminals, plain lines, JSON lines."""
