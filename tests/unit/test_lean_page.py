"""The forms that docs/howto/lean.md gives to a recurrent matrix: their names, and what the layer multiplies by."""

import re
from itertools import product
from pathlib import Path

import pytest
import torch

import tidegate as tg

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "lean.md"
G, M, H = 3, 6, 36


@pytest.fixture(scope="module")
def formed() -> dict:
    torch.manual_seed(0)
    names: dict = {"__name__": "page", "torch": torch, "tg": tg}
    section = PAGE.read_text(encoding="utf-8").split("\n## Matrices of any form\n")[1].split("\n## ")[0]
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    return names["formed"]


def orthogonal(gate, _):
    return torch.allclose(gate @ gate.T, torch.eye(H), atol=1e-5)


def antisymmetric(gate, _):
    return torch.allclose(gate + gate.T, -0.02 * torch.eye(H), atol=1e-7)


def circulant(gate, _):
    return all(torch.equal(gate[i], gate[0].roll(i)) for i in range(H))


def kronecker(gate, cores):
    A, B = cores
    blocks = gate.view(M, M, M, M).transpose(1, 2)
    return all(torch.allclose(blocks[i, j], A[i, j] * B) for i, j in product(range(M), repeat=2))


def tensor_train(gate, cores):
    a, b = cores
    rows = gate.view(M, M, M, M)
    places = product((0, 3, 5), (1, 4), (2, 5), (0, 3))
    return all(torch.allclose(rows[i, j, m, n], a[0, i, m] @ b[:, j, n]) for i, j, m, n in places)


def monarch(gate, cores):
    L, R = cores
    order = torch.arange(H).view(M, M).T.flatten()
    reorder = torch.eye(H)[order]
    return torch.allclose(gate, reorder.T @ torch.block_diag(*L[0]) @ reorder @ torch.block_diag(*R[0]), atol=1e-6)


FORMS = {
    "orthogonal": orthogonal,
    "antisymmetric": antisymmetric,
    "circulant": circulant,
    "Kronecker": kronecker,
    "tensor-train": tensor_train,
    "Monarch": monarch,
    "spectral": lambda _, __: True,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_what_it_says_and_what_the_layer_multiplies_by(formed, name):
    assert formed.keys() == FORMS.keys()
    layer = formed[name].eval()
    cores = [p for key, p in layer.named_parameters() if "weight_hh" in key]
    weight = layer.weight_hh_l0.detach()
    assert FORMS[name](weight[:H], cores)
    plain, x = tg.nn.GRU(8, H), torch.randn(9, 2, 8)
    own = {key: getattr(layer, key) for key, _ in plain.named_parameters()}
    plain.load_state_dict(own)
    assert torch.equal(layer(x)[0], plain(x)[0])
    assert layer.last_path == plain.last_path == "fused"
    assert torch.allclose(tg.Session(layer, 2).run(x), layer(x)[0], atol=1e-6)
    layer.train()
    layer(x)[0].square().sum().backward()
    for parameter in cores:
        moved = parameter.grad.norm()
        assert torch.isfinite(moved)
        assert moved > 0


def test_the_norm_that_torch_divides_by_is_the_whole_matrix_s(formed):
    assert torch.linalg.matrix_norm(formed["spectral"].weight_hh_l0, 2).item() == pytest.approx(1, abs=0.1)
