"""Public tables of learning curves as tasks of the search benchmark: LCBench's surrogate, TaskSet, and our own demo."""
