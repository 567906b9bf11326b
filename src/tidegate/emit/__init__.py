"""Graph to text: one file per target, each a table of rules."""
