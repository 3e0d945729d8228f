"""The device that PyTorch's side of the tests runs on: NPGPT_DEVICE, by default the CPU."""

import os

import torch

DEVICE = torch.device(os.environ.get("NPGPT_DEVICE", "cpu"))
MISSING = (
    f"NPGPT_DEVICE is {DEVICE}, but PyTorch {torch.__version__} finds no GPU; nothing was checked"
    if DEVICE.type == "cuda" and not torch.cuda.is_available()
    else None
)
