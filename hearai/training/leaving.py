"""How a run ends before its end, as its surroundings say. Knows no torch, as the search looks for it in logs."""


class Leaving(Exception):
    """The run was asked to leave its machine; it is saved, and goes on where it is called again."""


class Superseded(Exception):
    """The run was taken for dead and goes on in another process; this one may not write any more."""
