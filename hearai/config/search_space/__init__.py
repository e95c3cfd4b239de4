"""Search spaces: domains of values around a base config, with conditions and rules."""
