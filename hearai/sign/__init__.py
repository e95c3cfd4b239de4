"""Facts about the HamNoSys notation and about landmarks."""
