"""What a search left behind, in words, tables and pictures: plain files in, plain files out. Never imports Ray."""
