"""Every tolerance of the numerical tests, and why it has that size.

An error is relative to the largest element of the tensor it belongs to: a small element of a large tensor is the
difference of large ones, so its own digits are not at stake.
"""

FLOAT64 = 1e-12
"""Two orders of summation over at most 63 steps of 64 products, each rounded to 1.1e-16: about 4e3 roundings,
which add up like a random walk to 7e-15, times up to a hundred for the products along the steps."""

NORMALISED_FACTOR = 10.0
"""Times as much in deep stacks with layer norm, over many steps: behind a norm a product has the deviation of its gain,
which begins at 1, however small the weights are. A step then passes errors on at about their size or enlarges them,
where those of a plain layer, whose weights are drawn below 1 / sqrt(H), shrink."""

SATURATED_FLOOR = 1.0
"""Saturated gates have the slope s (1 - s) with s next to 1, where one rounding of s changes the slope by any
factor. Its absolute size is what float64 can hold; upstream gradients are of size 1, so errors are measured
against at least 1."""

FLOAT32_FACTOR = 2.0
"""Our float32 may be at most this much worse than the float32 of torch, measured against one float64 run."""

FLOAT32_EPS = 4 * 2.0**-23
"""Added to it, times the largest element: torch is now and then exact by luck."""

GRADCHECK_ATOL = 1e-7
GRADCHECK_EPS = 1e-6
"""Central differences of step 1e-6 have an error of eps^2 times the third derivative, and of 1e-16 / eps by
rounding: 1e-10 for values of size 1. Two orders of magnitude are left for larger derivatives."""

GRADCHECK_RTOL = 1e-5
"""Relative part of the same."""

CONVERT_FLOAT32 = 2e-6
"""Two programs that compute the same layers in float32, each with roundings of its own: 2^-24 times about 30, which
add up over 7 steps of two layers. Weights are below 0.7 and gates squash, so that little is amplified."""

KERAS_FLOAT32 = 2e-5
"""Two orders of summation in float32, over half a dozen steps of a few products: some hundred roundings of 6e-8."""
