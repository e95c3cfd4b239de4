"""Files -> tensors: annotation rows, splits, frame sampling, pictures, batches."""
