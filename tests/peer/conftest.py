"""Small tensors: threads cost more than they give, and the tests run in parallel already."""

import torch

torch.set_num_threads(1)
