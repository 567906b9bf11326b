"""Networks of oscillators: h is where each unit is, z how fast it moves."""

from tidegate.cell import Cell, sigmoid, tanh


class CoRNN(Cell):
    """Damped oscillators that drive each other."""

    source = "Rusch & Mishra 2021, Coupled Oscillatory Recurrent Neural Network, arXiv 2010.00951"
    differs = "the scheme of the authors' code, which damps by the old z"
    gates = "n"
    state = "h z"
    matrices = {"U": "n", "Z": "n"}
    biases = "W"
    settings = {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}

    def step(self, x, h, z, U, Z):
        n = tanh(x.n + U(h).n + Z(z).n)
        z = z + self.dt * (n - self.gamma * h - self.epsilon * z)
        h = h + self.dt * z
        return h, z


class UnICORNN(Cell):
    """Undamped oscillators, each by itself, with a step size of its own."""

    source = "Rusch & Mishra 2021, UnICORNN, arXiv 2103.05487"
    differs = "the biases and W are drawn as in torch.nn"
    gates = "n"
    state = "h z"
    matrices: dict[str, str] = {}
    vectors = "w c"
    biases = "W"
    settings = {"dt": 0.19, "alpha": 30.65}
    initial = {"w": "uniform 0 1", "c": "uniform -0.1 0.1"}

    def step(self, x, h, z, w, c):
        n = tanh(x.n + w * h)
        pace = self.dt * sigmoid(c)
        z = z - pace * (n + self.alpha * h)
        h = h + pace * z
        return h, z
