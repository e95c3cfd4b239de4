"""A local web page that lists the studies of a storage: `experiments/dashboard.py`."""
