"""Every mistake in a definition is found when the class is made, with its line and a remedy."""

import math

import pytest

from tests.null import broken
from tidegate.cell import Cell, log, sigmoid, tanh
from tidegate.cell.measure import parameters
from tidegate.cell.parameter import parameter_shapes
from tidegate.cell.width import axis_widths
from tidegate.errors import InputError, SpecError
from tidegate.zoo import GRU, RNN

IN_STEP = {  # the code, the line that the message must show, and a word of the remedy
    broken.branch: ("NOT_EXPRESSIBLE", "return n if n else h", "relu"),
    broken.branch_on_comparison: ("NOT_EXPRESSIBLE", "return n if n > h else h", "maximum"),
    broken.equality: ("NOT_EXPRESSIBLE", "return h if n == h else n", "same for every value"),
    broken.builtin_max: ("NOT_EXPRESSIBLE", "n = max(x.n, U(h).n)", "maximum"),
    broken.unknown_part: ("NO_PART", "n = tanh(x.m + U(h).n)", "declare it"),
    broken.unknown_vector_part: ("NO_PART", "p.m * h", "declare it"),
    broken.foreign_function: ("NOT_EXPRESSIBLE", "math.tanh(x.n + U(h).n)", "tidegate.cell"),
    broken.power: ("NOT_EXPRESSIBLE", "** 2", "multiply"),
    broken.free_matrix: ("NOT_EXPRESSIBLE", "@ h", "declare it"),
    broken.element: ("NOT_EXPRESSIBLE", "return n[0] * n", "whole vectors"),
    broken.loop: ("NOT_EXPRESSIBLE", "sum(v for v in n)", "whole vectors"),
    broken.namespace_as_value: ("OPERAND", "n = tanh(x + U(h).n)", "x.i"),
    broken.namespace_as_argument: ("FUNCTION_ARGUMENT", "n = tanh(U(h))", "U(h).i"),
    broken.product_with_a_number: ("OPERAND", "U(1).n", "vector"),
    broken.sum_of_two_axes: ("WIDTHS", "n = tanh(x.n + U(h).n + s)", "matrix"),
    broken.mean_of_a_number: ("WIDTHS", "mean(h, 2)", "vectors of one width"),
    broken.mean_of_a_mean: ("WIDTHS", "mean(variance(h))", "vectors of one width"),
    broken.mean_of_nothing: ("FUNCTION_ARGUMENT", "mean()", "block"),
    broken.mean_of_another_width: ("WIDTHS", "mean(x.raw)", "matrix"),
    broken.means_of_two_widths: ("WIDTHS", "mean(x.raw) + mean(n)", "matrix"),
    broken.product_with_a_mean: ("OPERAND", "U(mean(h)).n", "vector"),
    broken.norm_of_a_namespace_of_vectors_and_more: ("WIDTHS", "layer_norm(x.raw)", "matrix"),
    broken.widths: ("WIDTHS", "n = tanh(x.n + U(h).n + x.raw)", "matrix"),
}
ELSEWHERE = {  # the code and what the text must say
    broken.undeclared_parameter: ("STEP_PARAMETER", "asks for V .*declare what is missing"),
    broken.unnamed_gate: ("GATE_UNNAMED", "gates z, .*z = sigmoid"),
    broken.two_operands: ("GRAPH_INVALID", "block n of U multiplies two different values; .*declare a second matrix"),
    broken.unused_block: ("GRAPH_INVALID", "block z of U is declared but never used"),
    broken.unused_vector: ("GRAPH_INVALID", "vector p_n is declared but never used"),
    broken.unused_gate: ("GRAPH_INVALID", "gate z does not influence any state"),
    broken.too_few_states: ("STEP_RESULT", "1 values .*in this order: h c"),
    broken.no_states: ("STEP_RESULT", "returns nothing .*in this order: h"),
    broken.state_of_another_width: ("GRAPH_INVALID", "new value of state c has axis 'I', not 'H'"),
    broken.state_that_is_a_number: ("GRAPH_INVALID", "new value of state c has axis ''"),
    broken.wrong_reset: ("CONVENTION", "declares reset = 'before', but its equations say 'after' .*correct"),
    broken.wrong_update: ("CONVENTION", "declares update = 'keep', but its equations say 'write' .*correct"),
    broken.missing_update: ("CONVENTION", "declares update = 'keep', but its equations say None"),
    broken.infinite_number: ("GRAPH_INVALID", "a constant is a finite number"),
    broken.exception: ("STEP_FAILED", "KeyError: 'b'"),
    broken.gate_of_a_states_name: ("GRAPH_INVALID", "gate h has the name of a state but not its value"),
    broken.name_twice: ("NAME_TWICE", "'h' is a state and a vector"),
    broken.block_twice: ("GRAPH_INVALID", "block of W 'n' is declared twice"),
    broken.unknown_bias: ("BIASES", "V"),
    broken.axis_without_a_name: ("NAME", "state: '' is not an axis"),
    broken.axis_in_lower_case: ("NAME", "state: 's' is not an axis: use a capital"),
    broken.axis_of_the_output: ("NAME", "state: the axis 'P' is reserved"),
    broken.output_of_another_axis: ("GRAPH_INVALID", "first state, which is the output, has axis S, not H"),
    broken.matrix_on_two_axes: ("GRAPH_INVALID", "U has columns H, its operand 'S'"),
    broken.input_of_another_axis: ("DECLARATION", "input is 'S' .*as wide as h"),
    broken.state_that_is_a_mean: ("GRAPH_INVALID", "new value of state c has axis 'H1', not 'H'"),
    broken.reserved_norm: ("NAME", "the name 'norm_W' is reserved"),
    broken.gates_as_a_list: ("DECLARATION", "names separated by blanks"),
}


def label(definition):
    return definition.__name__


def cell(**declared):
    """A cell that differs from a right one by a declaration."""

    def step(self, x, h, U):
        n = tanh(x.n + U(h).n)
        return n  # noqa: RET504  a gate is a local name

    return type("Made", (Cell,), {"gates": "n", "step": step, **declared})


def test_every_broken_definition_is_listed():
    listed = {*IN_STEP, *ELSEWHERE, broken.unknown_bias_block}
    defined = {v for v in vars(broken).values() if getattr(v, "__module__", "") == broken.__name__}
    assert defined == listed


@pytest.mark.parametrize("definition", IN_STEP, ids=label)
def test_a_mistake_in_a_line_shows_the_line_and_a_remedy(definition):
    code, line, remedy = IN_STEP[definition]
    with pytest.raises(SpecError) as caught:
        definition()
    assert caught.value.code == code
    assert f"Broken.step, {broken.__file__}:" in caught.value.message
    assert line in caught.value.message
    assert remedy in str(caught.value)


@pytest.mark.parametrize("definition", ELSEWHERE, ids=label)
def test_a_mistake_between_the_lines_names_the_cell_and_what_is_wrong(definition):
    code, text = ELSEWHERE[definition]
    with pytest.raises(SpecError, match=text) as caught:
        definition()
    assert caught.value.code == code
    assert "Broken" in caught.value.message


def test_a_bias_for_a_block_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="m"):
        broken.unknown_bias_block()


@pytest.mark.parametrize(
    "name", ["1n", "n-m", "n;m", "n/m", "_n", "ñ", "if", "lambda", "x", "raw", "self", "weight_n", "bias_n", "n" * 33]
)
def test_a_name_that_could_not_be_a_parameter_is_refused(name):
    with pytest.raises(SpecError, match="name"):
        cell(gates=name)
    with pytest.raises(SpecError, match="name"):
        cell(state=name)
    with pytest.raises(SpecError, match="name"):
        cell(vectors=name)
    with pytest.raises(SpecError):
        cell(matrices={name: "n"})


@pytest.mark.parametrize("name", ["", "a b", "a/", "../a", "1a", "a;b", "a\nb", "a" * 65])
def test_a_name_for_a_cell_that_could_not_name_a_file_is_refused(name):
    with pytest.raises(SpecError, match="not a name"):
        cell(name=name)


def test_a_torn_declaration_is_refused():
    with pytest.raises(SpecError):
        cell(state="h:")
    with pytest.raises(SpecError):
        cell(state="")


def test_an_unknown_option_or_choice_is_refused():
    with pytest.raises(SpecError, match=r"GRU has no reset='sideways' .*after"):
        GRU.variant(reset="sideways")
    with pytest.raises(SpecError, match="RNN has no reset"):
        RNN.variant(reset="after")


def test_an_axis_of_a_cells_own_reaches_all_that_has_it():
    class Context(Cell):
        gates = "h g:S"
        state = "h s:S"
        matrices = {"U": "h", "P": "h", "R": "g:S"}
        vectors = "a:S b"
        biases = "W R"

        def step(self, x, h, s, U, P, R, a, b):
            g = sigmoid(x.g + R(h).g + a * s)
            s = g * s
            h = tanh(x.h + U(h).h + P(s).h + b)
            return h, s

    graph = Context.graph
    assert graph.own_axes == ("S",)
    assert [(v.name, v.blocks[0].axis) for v in graph.vectors] == [("a", "S"), ("b", "H")]
    assert [(m.name, m.columns, [b.axis for b in m.blocks]) for m in graph.matrices] == [
        ("W", "I", ["H", "S"]), ("U", "H", ["H"]), ("P", "S", ["H"]), ("R", "H", ["S"]),
    ]  # fmt: skip
    widths = axis_widths(graph, 5, 7, {"S": 3})
    assert widths == {"I": 5, "H": 7, "S": 3}
    assert axis_widths(graph, 5, 7) == {"I": 5, "H": 7, "S": 7}
    shapes = parameter_shapes(graph, widths)
    assert shapes == {
        "weight_W": (10, 5), "weight_U": (7, 7), "weight_P": (7, 3), "weight_R": (3, 7),
        "bias_W": (10,), "bias_R": (3,), "a": (3,), "b": (7,),
    }  # fmt: skip
    assert parameters(graph, widths) == sum(math.prod(shape) for shape in shapes.values())


def test_an_input_as_wide_as_the_units_is_added_to_them():
    class Residual(Cell):
        gates = "n"
        input = "H"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            h = n + x.raw
            return h  # noqa: RET504  a state is a local name

    assert Residual.graph.input_axis == "H"
    assert axis_widths(Residual.graph, 7, 7) == {"I": 7, "H": 7}
    with pytest.raises(InputError, match=r"expected 7, got 5 .*Linear\(5, 7\)"):
        axis_widths(Residual.graph, 5, 7)


def test_a_right_definition_is_accepted():
    assert cell().graph.gates == (("n", cell().graph.updates[0]),)


def test_a_convention_is_checked_whatever_the_numbers():
    """A logarithm has no value at some of the numbers at which conventions are tried out."""

    class Logarithm(Cell):
        gates = "z n"
        options = {"update": ("keep", "write")}

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = log(x.n + U(h).n - 5)
            return z * h + (1 - z) * n

    assert Logarithm.graph.gates


def test_values_are_numbered_so_that_equal_ones_are_one():
    class Twice(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = (x.n + U(h).n) * (x.n + U(h).n)
            return n  # noqa: RET504  a gate is a local name

    assert len(Twice.graph.nodes) == 6


def test_the_values_of_inherited_steps_are_found():
    class Child(GRU):
        pass

    assert Child.graph.hash == GRU.graph.hash


def test_tracing_leaves_a_profiler_in_place():
    import sys

    seen = []
    before = sys.getprofile()
    sys.setprofile(lambda *event: seen.append(event))
    mine = sys.getprofile()
    try:
        cell()
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)
