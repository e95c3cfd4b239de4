"""What a search keeps: the journal, the study folder, the object store."""
