"""Readers of files, one format each: ``read(path)`` gives the recurrent layers that it finds."""
