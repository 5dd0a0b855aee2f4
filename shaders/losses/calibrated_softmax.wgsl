// Calibrated softmax: -sum of y ln softmax(s) with a virtual item in each list, of score 0 and
// truth VIRTUAL_LABEL.
const CALIBRATED_SOFTMAX_VIRTUAL_ITEM: bool = true;
override CALIBRATED_SOFTMAX_VIRTUAL_LABEL: f32 = 1.0;
