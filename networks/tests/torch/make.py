"""Writes the small files of this folder, as PyTorch writes them: `pip install torch==2.2.2 numpy==1.26.4 safetensors==0.8.0`."""

import collections
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
a = torch.tensor([[0.5, -1.25, 3.0], [1e-30, 2.0, -7.5]])
state = collections.OrderedDict(
    {
        "a.weight": torch.nn.Parameter(a),
        "b.double": torch.tensor([0.1, -2.0], dtype=torch.float64),
        "c.half": torch.tensor([1.5, -6.1035156e-05, 65504.0, 5.9604645e-08], dtype=torch.float16),
        "d.bfloat16": torch.tensor([1.0, -3.140625], dtype=torch.bfloat16),
        "e.transposed": a.t(),
        "f.window": a.flatten()[1:3],
        "g.scalar": torch.tensor(4.0),
        "h.num_batches_tracked": torch.tensor(1 << 40),
    }
)
state._metadata = collections.OrderedDict({"": {"version": 1}})
torch.save(state, HERE / "state_dict.pth")
torch.save({"epoch": 3, "lr": 0.1, "best": None, "state_dict": state}, HERE / "checkpoint.pth")
torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 1), HERE / "whole_module.pth")
save_file({k: v.detach().clone().contiguous() for k, v in state.items()}, HERE / "state_dict.safetensors")
