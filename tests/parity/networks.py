"""The networks of `models`, by torchvision; ResNet-20, which it lacks, from its parts."""

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

ARCHS = ["vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "resnet20"]


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2, with projection shortcuts ("option B")."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self.stage(16, 16, 1)
        self.layer2 = self.stage(16, 32, 2)
        self.layer3 = self.stage(32, 64, 2)
        self.fc = nn.Linear(64, classes)

    @staticmethod
    def stage(inputs, width, stride):
        shortcut = None
        if stride != 1:
            shortcut = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        first = BasicBlock(inputs, width, stride, shortcut)
        return nn.Sequential(first, BasicBlock(width, width), BasicBlock(width, width))

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Normalized(nn.Module):
    """A network behind its normalisation: takes pixels in [0, 1]."""

    def __init__(self, net, mean, std):
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, x):
        return self.net((x - self.mean) / self.std)


def build(arch, classes):
    """A network without pretrained parameters."""
    if arch == "resnet20":
        return ResNet20(classes)
    return getattr(torchvision.models, arch)(weights=None, num_classes=classes)
