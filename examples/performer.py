"""A consonance model and pack in PyTorch: `performer(model.safetensors)`, `pack(train.safetensors)`."""

import json

import torch
import torchvision
from safetensors import safe_open
from torch import nn


class Block(nn.Module):
    """The basic block of He et al. 2015, with a projection where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(x)) + shortcut).relu()


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2: three stages of three blocks, 16, 32 and 64 channels."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Performer(nn.Module):
    """Pixels in [0, 1] to logits: normalisation is the first layer."""

    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def performer(path):
    """The network of a model file, in evaluation mode, and what its metadata says of it."""
    with safe_open(path, "pt") as f:
        about = json.loads(f.metadata()["model"])
        tensors = {name: f.get_tensor(name) for name in f.keys()}
    classes = len(about["classes"])
    network = (
        ResNet20(classes)
        if about["arch"] == "resnet20"
        else getattr(torchvision.models, about["arch"])(num_classes=classes)
    )
    network.load_state_dict(tensors, strict=True)
    return Performer(network, about["mean"], about["std"]).eval(), about


def pack(path):
    """Images u8 [N, 3, H, W] and labels of a pack."""
    with safe_open(path, "pt") as f:
        return f.get_tensor("images"), f.get_tensor("labels")
