"""Files -> tensors: annotations, splits, frame sampling, images, landmarks, batches."""
