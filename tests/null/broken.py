"""Invalid definitions. Each function defines one cell, and each must be rejected."""

from __future__ import annotations

# ruff: noqa: RET504, F841, FURB110, FURB136  a gate is a local name, and the other mistakes are the point
import math

from tidegate.cell import Cell, exp, layer_norm, mean, sigmoid, tanh, variance


def branch():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = x.n + U(h).n
            return n if n else h


def branch_on_comparison():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = x.n + U(h).n
            return n if n > h else h


def equality():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = x.n + U(h).n
            return h if n == h else n


def builtin_max():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = max(x.n, U(h).n)
            return n


def unknown_part():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.m + U(h).n)
            return n


def unknown_vector_part():
    class Broken(Cell):
        gates = "n"
        vectors = "p_n"

        def step(self, x, h, U, p):
            n = tanh(x.n + U(h).n + p.m * h)
            return n


def foreign_function():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = math.tanh(x.n + U(h).n)
            return n


def undeclared_parameter():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U, V):
            n = tanh(x.n + U(h).n + V(h).n)
            return n


def unnamed_gate():
    class Broken(Cell):
        gates = "z n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n * sigmoid(x.z + U(h).z)


def two_operands():
    class Broken(Cell):
        gates = "f n"

        def step(self, x, h, U):
            f = sigmoid(x.f + U(h).f)
            n = tanh(x.n + U(f * h).n + U(h).n)
            return n


def unused_block():
    class Broken(Cell):
        gates = "z n"

        def step(self, x, h, U):
            z = sigmoid(x.z)
            n = tanh(x.n + U(h).n)
            return z * h + (1 - z) * n


def unused_vector():
    class Broken(Cell):
        gates = "n"
        vectors = "p_n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def unused_gate():
    class Broken(Cell):
        gates = "z n"

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = tanh(x.n + U(h).n)
            return n


def too_few_states():
    class Broken(Cell):
        gates = "n"
        state = "h c"

        def step(self, x, h, c, U):
            n = tanh(x.n + U(h).n + c)
            return n


def no_states():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)


def widths():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n + x.raw)
            return n


def state_of_another_width():
    class Broken(Cell):
        gates = "n"
        state = "h c"

        def step(self, x, h, c, U):
            n = tanh(x.n + U(h).n + c)
            return n, x.raw


def state_that_is_a_number():
    class Broken(Cell):
        gates = "n"
        state = "h c"

        def step(self, x, h, c, U):
            n = tanh(x.n + U(h).n) * c
            return n, 0.0


def wrong_reset():
    class Broken(Cell):
        gates = "r n"
        options = {"reset": ("before", "after")}

        def step(self, x, h, U):
            r = sigmoid(x.r + U(h).r)
            n = tanh(x.n + r * U(h).n)
            return n


def wrong_update():
    class Broken(Cell):
        gates = "z n"
        options = {"update": ("keep", "write")}

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = tanh(x.n + U(h).n)
            return (1 - z) * h + z * n


def missing_update():
    class Broken(Cell):
        gates = "z n"
        options = {"update": ("keep", "write")}

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = tanh(x.n + U(h).n)
            return z * n


def power():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) ** 2
            return n


def free_matrix():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) @ h
            return n


def element():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n[0] * n


def loop():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return sum(v for v in n)


def namespace_as_value():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x + U(h).n)
            return n


def namespace_as_argument():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(U(h))
            return n


def product_with_a_number():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(1).n)
            return n * h


def infinite_number():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) * math.inf
            return n


def exception():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = {"a": x.n}["b"]
            return n


def gate_of_a_states_name():
    class Broken(Cell):
        gates = "h n"

        def step(self, x, h, U):
            h = tanh(x.h + U(h).h)
            n = sigmoid(x.n + U(h).n)
            return exp(h) * n


def name_twice():
    class Broken(Cell):
        gates = "n"
        vectors = "h"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def block_twice():
    class Broken(Cell):
        gates = "n n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def unknown_bias():
    class Broken(Cell):
        gates = "n"
        biases = "W V"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def unknown_bias_block():
    class Broken(Cell):
        gates = "n"
        biases = {"W": "n m"}

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def gates_as_a_list():
    class Broken(Cell):
        gates = ["n"]

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def axis_without_a_name():
    class Broken(Cell):
        gates = "n"
        state = "h s:"

        def step(self, x, h, s, U):
            n = tanh(x.n + U(h).n)
            return n, s


def axis_in_lower_case():
    class Broken(Cell):
        gates = "n"
        state = "h s:s"

        def step(self, x, h, s, U):
            n = tanh(x.n + U(h).n)
            return n, s


def axis_of_the_output():
    class Broken(Cell):
        gates = "n"
        state = "h s:P"

        def step(self, x, h, s, U):
            n = tanh(x.n + U(h).n)
            return n, x.raw


def output_of_another_axis():
    class Broken(Cell):
        gates = "n:S"
        state = "h:S"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def sum_of_two_axes():
    class Broken(Cell):
        gates = "n"
        state = "h s:S"

        def step(self, x, h, s, U):
            n = tanh(x.n + U(h).n + s)
            return n, s


def matrix_on_two_axes():
    class Broken(Cell):
        gates = "n"
        state = "h s:S"
        matrices = {"U": "n m"}

        def step(self, x, h, s, U):
            n = tanh(x.n + U(h).n + U(s).m)
            return n, s


def input_of_another_axis():
    class Broken(Cell):
        gates = "n"
        input = "S"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n


def mean_of_a_number():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) * mean(h, 2)
            return n


def mean_of_a_mean():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) * mean(variance(h))
            return n


def mean_of_nothing():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) * mean()
            return n


def mean_of_another_width():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n) * mean(x.raw)
            return n


def means_of_two_widths():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return n * (mean(x.raw) + mean(n))


def product_with_a_mean():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(mean(h)).n)
            return n


def state_that_is_a_mean():
    class Broken(Cell):
        gates = "n"
        state = "h c"

        def step(self, x, h, c, U):
            n = tanh(x.n + U(h).n + c)
            return n, mean(n)


def norm_of_a_namespace_of_vectors_and_more():
    class Broken(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n + layer_norm(x.raw))
            return n


def reserved_norm():
    class Broken(Cell):
        gates = "n"
        vectors = "norm_W"

        def step(self, x, h, U, norm):
            n = tanh(norm.W * x.n + U(h).n)
            return n
