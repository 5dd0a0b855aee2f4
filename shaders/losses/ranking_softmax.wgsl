// Softmax loss of a list: -sum of y ln softmax(s), the truths y used unnormalized; derivative p sum
// of y - y.
const RANKING_SOFTMAX_VIRTUAL_ITEM: bool = false;
const RANKING_SOFTMAX_VIRTUAL_LABEL: f32 = 0.0;
