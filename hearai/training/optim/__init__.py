"""Loss, optimizer, and schedules as pure functions of progress."""
