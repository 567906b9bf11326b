"""What torch's compilers and transforms do to a layer, held against the plain layer and the definition."""

import io
from unittest import mock

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacrev, jvp, stack_module_state, vmap
from torch.utils._pytree import tree_leaves, tree_map

import tidegate as tg
from tidegate.nn import operator, recurrent
from tidegate.runtime import eager_only
from tidegate.runtime import layer as runtime_layer

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own forward mode and compiler use it
CELLS = ["LSTM", "GRU", "RNN", "PeepholeLSTM"]
every_cell = pytest.mark.parametrize("kind", CELLS)


def layer(kind: str = "LSTM", *args, **options) -> tg.nn.Recurrent:
    torch.manual_seed(0)
    return getattr(tg.nn, kind)(3, 5, *args, dtype=torch.float64, **options)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def assert_equal(got, wanted, limit: float = 1e-12) -> None:
    got, wanted = tree_leaves(got), tree_leaves(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=limit, atol=limit)


def by_definition(function):
    """What torch makes of the definition's own operations."""
    with eager_only(), mock.patch.object(recurrent, "wants_operator", return_value=False):
        return function()


def states(last) -> tuple[torch.Tensor, ...]:
    return last if isinstance(last, tuple) else (last,)


def loss_of(module: tg.nn.Recurrent, weights: dict[str, torch.Tensor], x: torch.Tensor, **options) -> torch.Tensor:
    y, last = functional_call(module, weights, (x,), options)
    return y.sin().sum() + sum(state.cos().sum() for state in states(last))


# Registration


@pytest.fixture(params=["even", "first states", "ragged", "no gradients"])
def problem(request):
    module = layer("LSTM", bidirectional=True)
    cell, parameters = module.cells[0], [p.detach().requires_grad_() for p in module.layer_parameters(0)]
    first = [draw(2, 4, 5).requires_grad_() for _ in cell.state_widths] if request.param == "first states" else []
    lengths = resets = None
    if request.param == "ragged":
        lengths, resets = torch.tensor([6, 2, 0, 3]), draw(6, 4) < -0.8
    x = draw(6, 4, 3).requires_grad_()
    return x, first, parameters, [], lengths, resets, cell.text, request.param != "no gradients"


def test_opcheck_passes(problem) -> None:
    torch.library.opcheck(operator.layer, problem)
    output, *last, saved = (result.detach() for result in operator.layer(*problem))
    ends = [torch.ones_like(value).requires_grad_() for value in (output, *last)]
    torch.library.opcheck(operator.layer_backward, (*problem[:7], output, saved, ends[0], ends[1:]))


def test_gradients_of_the_operation_are_right_twice(problem) -> None:
    x, first, parameters, masks, lengths, resets, text, saving = problem

    def run(x, *tensors):
        states, weights = [*tensors[: len(first)]], [*tensors[len(first) :]]
        return tuple(operator.layer(x, states, weights, masks, lengths, resets, text, saving)[:-1])

    inputs = (x[:2, :, :], *first, *parameters) if lengths is None else (x, *first, *parameters)
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


def test_without_the_engine_the_operation_runs_the_definition(problem) -> None:
    def gradients():
        results = operator.layer(*problem)[:-1]
        return results, torch.autograd.grad(sum(r.sin().sum() for r in results), [problem[0], *problem[1], *problem[2]])

    wanted = gradients()
    with mock.patch.object(runtime_layer, "forward", side_effect=AssertionError), eager_only():
        assert_equal(gradients(), wanted)


# torch.func


@every_cell
def test_vmap(kind: str) -> None:
    module, many = layer(kind, 2, bidirectional=True), draw(7, 6, 4, 3)
    with tg.strict():
        got = vmap(module)(many)
    assert module.last_path == "fused"
    assert_equal(got, by_definition(lambda: vmap(module)(many)))
    assert_equal(vmap(module, 1, 1)(many)[0], torch.stack([module(x)[0] for x in many.unbind(1)], 1))


def test_vmap_is_one_larger_batch() -> None:
    module, many = layer(), draw(7, 6, 4, 3)
    with mock.patch.object(runtime_layer, "forward", wraps=runtime_layer.forward) as run:
        vmap(module)(many)
    assert run.call_count == 1


def test_vmap_of_ragged_batches_with_states_and_resets() -> None:
    module, many = layer("GRU", 2), draw(3, 6, 4, 3)
    first, resets, lengths = (
        draw(3, 2, 4, 5),
        draw(3, 6, 4) < -1,
        torch.tensor([[6, 1, 0, 3], [2, 2, 2, 2], [0, 1, 6, 5]]),
    )

    def run(x, h, r, n):
        return module(x, h, reset=r, lengths=n)

    wanted = [run(*values) for values in zip(many, first, resets, lengths, strict=True)]
    assert_equal(vmap(run)(many, first, resets, lengths), [torch.stack(parts) for parts in zip(*wanted, strict=True)])
    shared = vmap(lambda x: module(x, lengths=[6, 1, 0, 3]))(many)
    assert_equal(shared, by_definition(lambda: vmap(lambda x: module(x, lengths=[6, 1, 0, 3]))(many)))


@every_cell
def test_gradients_of_each_sample(kind: str) -> None:
    module, many = layer(kind, 2), draw(5, 6, 1, 3)
    weights = dict(module.named_parameters())
    with tg.strict():
        found = vmap(grad(lambda w, x: loss_of(module, w, x)), (None, 0))(weights, many)
    for k, x in enumerate(many):
        wanted = torch.autograd.grad(loss_of(module, weights, x), [*weights.values()])
        assert_equal([value[k] for value in found.values()], wanted)


@every_cell
def test_an_ensemble(kind: str) -> None:
    modules, x = [layer(kind, 2) for _ in range(3)], draw(6, 4, 3)
    for k, module in enumerate(modules):
        for p in module.parameters():
            p.data.mul_(1 + k)
    weights, _ = stack_module_state(modules)
    with tg.strict():
        assert_equal(
            vmap(lambda w: functional_call(modules[0], w, (x,))[0])(weights), torch.stack([m(x)[0] for m in modules])
        )
        found = vmap(grad(lambda w: loss_of(modules[0], w, x)))(weights)
    for k, module in enumerate(modules):
        own = dict(module.named_parameters())
        assert_equal([v[k] for v in found.values()], torch.autograd.grad(loss_of(module, own, x), [*own.values()]))


@every_cell
def test_forward_mode_and_higher_orders(kind: str) -> None:
    module, x = layer(kind), draw(3, 1, 3)

    def scalar(v):
        return module(v)[0].sin().sum()

    for function in (
        lambda: jvp(module, (x,), (draw(3, 1, 3).cos(),)),
        lambda: hessian(scalar)(x),
        lambda: jacrev(jacrev(scalar))(x),
        lambda: grad(lambda v: grad(lambda u: grad(scalar)(u).sin().sum())(v).sum())(x),
        lambda: grad(lambda w: vmap(lambda v: loss_of(module, w, v))(torch.stack([x, 2 * x])).sum())(
            dict(module.named_parameters())
        ),
        lambda: grad(lambda v: module(v, lengths=[2])[0].sum())(x),
    ):
        assert_equal(function(), by_definition(function))


def test_strict_refuses_forward_mode() -> None:
    module, x = layer(), draw(3, 1, 3)
    with tg.strict(), pytest.raises(tg.errors.BackendError, match="transform of torch"):
        jvp(module, (x,), (x,))


@every_cell
def test_derivatives_are_those_of_differences(kind: str) -> None:
    module, x = layer(kind), draw(2, 1, 3).requires_grad_()
    names = [name for name, _ in module.named_parameters()]

    def run(x, *weights):
        y, last = functional_call(module, dict(zip(names, weights, strict=True)), (x,))
        return y, *states(last)

    assert torch.autograd.gradcheck(run, (x, *module.parameters()), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *module.parameters()), fast_mode=True)


# Compilers


class Between(torch.nn.Module):
    """Linear, recurrent, linear."""

    def __init__(self, kind: str = "GRU", **options) -> None:
        super().__init__()
        self.before, self.behind = torch.nn.Linear(7, 3), torch.nn.Linear(5, 2)
        self.layer = layer(kind, 2, batch_first=True, **options).float()

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return self.behind(self.layer(self.before(x), lengths=lengths)[0])


def compiled(module, backend: str = "aot_eager", **options):
    torch.compiler.reset()
    return torch.compile(module, fullgraph=True, backend=backend, **options)


@pytest.fixture
def fresh_compiler():
    """An empty folder for what Inductor compiles: it keeps that for the next process, by the names of operations.

    No processes to compile in and no vectors: to start those and to find out about these takes most of the time.
    """
    from torch._inductor import config, cpu_vec_isa  # takes seconds
    from torch._inductor.utils import fresh_cache

    no_vectors = mock.patch.object(cpu_vec_isa, "valid_vec_isa_list", return_value=[])
    with fresh_cache(), config.patch(compile_threads=1), no_vectors:
        yield


@pytest.mark.usefixtures("fresh_compiler")
def test_inductor_compiles_a_whole_graph() -> None:
    module, x = Between(), draw(4, 6, 7).float()
    run = compiled(module, "inductor", dynamic=True)  # compiled once for all shapes
    for shape in (x, x[:, :4].contiguous(), x[:2]):
        assert_equal(run(shape), module(shape), limit=0)
    assert_equal(gradients(run, module, x), gradients(module, module, x), limit=1e-6)


def gradients(run, module, x):
    return torch.autograd.grad(run(x).square().sum(), [*module.parameters()])


@every_cell
def test_compiled_with_everything(kind: str) -> None:
    module = layer(kind, 2, bidirectional=True)
    x, lengths, resets = draw(6, 4, 3), torch.tensor([6, 0, 2, 1]), draw(6, 4) < -0.8
    first = tuple(draw(4, 4, 5) for _ in module.cells[0].state_widths)
    hx = first if len(first) > 1 else first[0]

    def run(x, hx, lengths, resets):
        return module(x, hx, lengths=lengths, reset=resets)

    assert_equal(compiled(run)(x, hx, lengths, resets), run(x, hx, lengths, resets), limit=0)
    assert_equal(compiled(module)(x[:, 0]), module(x[:, 0]), limit=0)  # without a batch


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell", "PeepholeLSTMCell"])
def test_steps_of_cells_are_compiled_and_vectorised(kind: str) -> None:
    module, x = layer(kind), draw(6, 4, 3)

    def run(x):
        state = None
        for step in x.unbind(0):
            state = module(step, state)
        return state

    assert_equal(compiled(run)(x), run(x), limit=0)
    with tg.strict():
        got = vmap(run, 1)(x)  # each sequence without a batch
    assert module.last_path == "fused"
    assert_equal(got, run(x))


OPTIONS = {"zoneout": 0.2, "recurrent_dropout": 0.3, "state_clip": 0.5, "learn_initial_state": True}


@pytest.mark.parametrize("options", [{"layer_norm": True}, OPTIONS], ids=["layer norm", "masks"])
def test_options_go_with_compilers_and_transforms(options) -> None:
    module, x, lengths, resets = layer("LSTM", 2, **options), draw(6, 4, 3), [6, 0, 2, 1], draw(6, 4) < -0.8

    def run(x):
        return module(x, lengths=lengths, reset=resets)

    def gradients(run):
        torch.manual_seed(1)
        y, last = run(x)
        return y, last, torch.autograd.grad(y.sin().sum(), [*module.parameters()])

    # the registered operation itself
    with tg.strict(), mock.patch.object(recurrent, "wants_operator", return_value=True):
        operated = gradients(run)
        assert module.last_path == "fused"
    torch.manual_seed(1)
    module.eval()
    assert_equal(compiled(run)(x), run(x), limit=0)
    many = draw(3, 6, 4, 3)
    assert_equal(vmap(run)(many)[0], torch.stack([run(x)[0] for x in many]))
    module.train()
    assert_equal(operated, gradients(run))


def test_torchs_own_layers_are_refused_as_before() -> None:
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        compiled(torch.nn.LSTM(3, 5))(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("strict", [False, True])
def test_export_with_any_number_of_steps_and_sequences(strict: bool) -> None:
    module, x = Between(), draw(4, 6, 7).float()
    dims = {0: torch.export.Dim("B", min=1, max=64), 1: torch.export.Dim("T", min=1, max=512)}
    saved = io.BytesIO()
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=(dims,), strict=strict), saved)
    saved.seek(0)
    run = torch.export.load(saved).module()
    for size in ((4, 6), (1, 1), (9, 40)):
        x = draw(*size, 7).float()
        assert_equal(run(x), module(x), limit=0)


def test_export_with_lengths() -> None:
    module, x, lengths = Between(), draw(4, 6, 7).float(), torch.tensor([6, 3, 0, 1])
    dims = ({1: torch.export.Dim("T", min=1, max=64)}, None)
    run = torch.export.export(module, (x, lengths), dynamic_shapes=dims).module()
    for n in (lengths, torch.tensor([0, 1, 6, 6])):
        assert_equal(run(x, n), module(x, n), limit=0)
    with pytest.raises(tg.errors.InputError, match="lengths go from 1 to 7"):
        run(x, torch.tensor([1, 7, 1, 1]))


def test_a_fake_layer_says_its_shapes() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    module, x = layer("GRU", 2), draw(6, 4, 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        y, h = module(torch.empty_like(x))
    assert (y.shape, h.shape) == ((6, 4, 5), (2, 4, 5))


# Half precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_half_precision_has_the_types_that_torch_gives(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = getattr(tg.nn, kind)(3, 5, 2, dtype=dtype)
    x = draw(6, 4, 3).to(dtype).requires_grad_()
    with tg.strict():
        y, last = module(x)
        (y.sum() + sum(s.sum() for s in states(last))).backward()
    assert {t.dtype for t in (y, *states(last), x.grad, module.weight_hh_l0.grad)} == {dtype}
    wide = getattr(tg.nn, kind)(3, 5, 2)
    wide.load_state_dict(tree_map(torch.Tensor.float, module.state_dict()))
    torch.testing.assert_close(y.float(), wide(x.float())[0], rtol=0, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_autocast_gives_the_types_that_torch_gives(kind: str, dtype: torch.dtype) -> None:
    own = torch.float64 if dtype == torch.float64 else torch.float32
    torch.manual_seed(0)
    mine, theirs = getattr(tg.nn, kind)(3, 5, dtype=own), getattr(torch.nn, kind)(3, 5, dtype=own)
    theirs.load_state_dict(mine.state_dict())
    x = draw(6, 4, 3).to(dtype)
    with torch.autocast("cpu", torch.bfloat16), tg.strict():
        got, wanted = tree_leaves(mine(x)), tree_leaves(theirs(x))
        assert [t.dtype for t in tree_leaves(vmap(mine)(x[None]))] == [t.dtype for t in wanted]
    assert [t.dtype for t in got] == [t.dtype for t in wanted]
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=0.02, atol=0.02)
    got[0].sum().backward()
    assert mine.weight_hh_l0.grad.dtype == own
