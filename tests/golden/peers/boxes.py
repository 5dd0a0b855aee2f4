"""Losses of boxes, x1, y1, x2, y2 in each row."""

import torch
import torchvision.ops

import draw
from peer import by_torch


def ratio(found, truth, epsilon):
    """The area of the intersection over that of the union."""
    low = found[:, :2].maximum(truth[:, :2])
    high = found[:, 2:].minimum(truth[:, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    joined = (found[:, 2:] - found[:, :2]).prod(-1) + (truth[:, 2:] - truth[:, :2]).prod(-1) - overlap
    return overlap / (joined + epsilon)


@by_torch("iou", "float64 autograd of 1 - I/(U + eps) (Yu et al.)", draw=draw.two_boxes)
def iou(case):
    return case.reduce(1 - ratio(case.predictions, case.targets, case.option("epsilon", 1e-7)))


def of_torchvision(name, function):
    @by_torch(name, function.__name__, peer="torchvision", draw=draw.two_boxes)
    def loss(case):
        return case.reduce(function(case.predictions, case.targets, eps=case.option("epsilon", 1e-7)))


of_torchvision("giou", torchvision.ops.generalized_box_iou_loss)
of_torchvision("diou", torchvision.ops.distance_box_iou_loss)
of_torchvision("ciou", torchvision.ops.complete_box_iou_loss)


@by_torch("ciou", "float64 autograd of distance_box_iou_loss + v^2/(1 - I/(U + eps) + v + eps) (Zheng et al.)")
def whole_ciou(case):
    """With a derivative of alpha too."""
    found, truth, epsilon = case.predictions, case.targets, case.option("epsilon", 1e-7)
    assert not case.option("detach", True)
    (width, height), (true_width, true_height) = ((box[:, 2:] - box[:, :2]).unbind(-1) for box in (found, truth))
    v = 4 / torch.pi**2 * ((true_width / true_height).atan() - (width / height).atan()) ** 2
    values = torchvision.ops.distance_box_iou_loss(found, truth, eps=epsilon)
    return case.reduce(values + v**2 / (1 - ratio(found, truth, epsilon) + v + epsilon))
