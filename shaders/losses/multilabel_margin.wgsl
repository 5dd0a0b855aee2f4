// Multi-label margin: the hinge [1 - d]+ of each class in the row's label list against each class
// not in it, divided by the number of classes C; derivative -1/C inside the margin, 0 at its edge.
const MULTILABEL_MARGIN_TEMPERATURE: f32 = 1.0;
const MULTILABEL_MARGIN_LAMBDA: u32 = 0u;
const MULTILABEL_MARGIN_TOP_N: u32 = 0u;

fn multilabel_margin_pair(d: f32) -> vec2<f32> {
    return vec2<f32>(max(1.0 - d, 0.0), select(0.0, -1.0, d < 1.0)) / f32(params.items);
}
