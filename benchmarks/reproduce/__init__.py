"""Published rows, run again: each module lists the cases of one row, ``python -m benchmarks.reproduce`` runs them."""
