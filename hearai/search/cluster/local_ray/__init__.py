"""What a Ray that is started on this machine needs of it."""
