"""Damaged files of every kind that is read: none may end in a traceback, a hang or a wrong answer without a word."""
