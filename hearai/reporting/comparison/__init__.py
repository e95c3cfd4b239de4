"""Several studies side by side: `compare.html` and a text for the terminal."""
