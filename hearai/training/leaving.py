"""How a run ends that is asked to leave its machine. Knows no torch, as the search looks for it in logs."""


class Leaving(Exception):
    """The run was asked to leave its machine; it is saved, and goes on where it is called again."""
