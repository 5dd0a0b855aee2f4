// Calibrated softmax: -sum of y ln softmax(s) with one more item in each list, whose score is 0 and whose truth is VIRTUAL_LABEL.
const CALIBRATED_SOFTMAX_VIRTUAL_ITEM: bool = true;
override CALIBRATED_SOFTMAX_VIRTUAL_LABEL: f32 = 1.0;
