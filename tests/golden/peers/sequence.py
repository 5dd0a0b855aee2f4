"""Losses of sequences whose alignment is not known."""

import torch.nn.functional as F

from peer import by_torch


@by_torch("ctc", "F.ctc_loss(log_softmax(predictions)): predictions are logits [time, batch, classes]")
def ctc(case):
    lengths = case.input_lengths.long(), case.target_lengths.long()
    options = {"blank": case.option("blank", 0), "zero_infinity": case.option("zero_infinity", False)}
    return case.reduced_by(F.ctc_loss, case.predictions.log_softmax(-1), case.labels, *lengths, **options)
