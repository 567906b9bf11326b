"""Proofs of what is shipped: run by the programs that it is meant for."""
