"""One module for each kind of dataset: reads its metadata and says where its files are."""
