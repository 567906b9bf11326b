"""The products of emitted C: one file for each kind of processor, all with the same order of sums."""
