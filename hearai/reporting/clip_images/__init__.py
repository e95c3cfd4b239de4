"""Images of clips: their frames with landmarks, beside what was predicted or what the dataset says."""
