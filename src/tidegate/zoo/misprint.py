"""Two cells exactly as a tutorial misprints them.

They are here to be run, measured and compared with what was meant, and because a language for
cells that cannot hold a misprint is too narrow.
"""

from tidegate.cell import Cell, sigmoid, tanh


class MisprintLSTM(Cell):
    """Gates that see h and x twice, and a candidate that is reset by the forget gate and fed by c."""

    source = "a widely copied tutorial, as printed"
    differs = "every W [h, x] is split into its recurrent and its input part, which changes no number"
    gates = "i f g o"
    state = "h c"
    inputs = "i f o g vi vf vo hx"
    matrices = {"U": "i f o g", "R": "i f o", "C": "g"}
    biases = {"W": "i f o"}

    def step(self, x, h, c, U, R, C):
        i = sigmoid((U(h).i + x.i) + R(h).i + x.vi)
        f = sigmoid((U(h).f + x.f) + R(h).f + x.vf)
        o = sigmoid((U(h).o + x.o) + R(h).o + x.vo)
        g = tanh(x.g + (U(h).g + x.hx) * (1 - f) + C(c).g)
        c = f * c + i * g
        h = o * tanh(c)
        return h, c


class MisprintGRU(Cell):
    """A reset gate that acts twice, once inverted, and an update gate that keeps nothing."""

    source = "a widely copied tutorial, as printed"
    differs = "every W [h, x] is split into its recurrent and its input part, which changes no number"
    gates = "z r"
    inputs = "z r n vz vr"
    matrices = {"U": "z r n", "R": "z r n"}
    biases = {"W": "z r"}

    def step(self, x, h, U, R):
        z = sigmoid((U(h).z + x.z) + R(h).z + x.vz)
        r = sigmoid((U(h).r + x.r) + R(h).r + x.vr)
        h = (1 - z) * tanh((U(h).n + x.n) * (1 - r) + R(h).n * r)
        return h
