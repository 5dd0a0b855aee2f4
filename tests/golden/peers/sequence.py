"""Losses of sequences whose alignment is not known."""

import torch
import torch.nn.functional as F

import draw
from peer import by_torch


@by_torch("ctc", "F.ctc_loss(log_softmax(predictions)): predictions are logits [time, batch, classes]")
def ctc(case):
    lengths = case.input_lengths.long(), case.target_lengths.long()
    options = {"blank": case.option("blank", 0), "zero_infinity": case.option("zero_infinity", False)}
    return case.reduced_by(F.ctc_loss, case.predictions.log_softmax(-1), case.labels, *lengths, **options)


@by_torch("rnnt", "float64 autograd of the forward recursion over the nodes (Graves 2012)", draw=draw.transducers)
def rnnt(case):
    logs, blank = case.predictions.log_softmax(-1), case.option("blank", 0)
    values = []
    for item, (rows, count) in enumerate(zip(case.input_lengths.long(), case.target_lengths.long())):
        into = {}
        for t in range(rows):
            for u in range(count + 1):
                ways = [torch.zeros((), dtype=logs.dtype)] if t == u == 0 else []
                if t > 0:
                    ways.append(into[t - 1, u] + logs[item, t - 1, u, blank])
                if u > 0:
                    ways.append(into[t, u - 1] + logs[item, t, u - 1, case.labels[item, u - 1]])
                into[t, u] = torch.stack(ways).logsumexp(0)
        values.append(-into[int(rows) - 1, int(count)] - logs[item, rows - 1, count, blank])
    return case.reduce(torch.stack(values))
