"""Changes of networks that others have written."""
