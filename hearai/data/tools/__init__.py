"""The offline tools of dataset folders: extraction, checks, rewriting."""
