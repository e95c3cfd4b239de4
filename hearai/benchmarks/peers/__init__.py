"""Search engines of other projects, in processes and environments of their own: they are not in our requirements."""
