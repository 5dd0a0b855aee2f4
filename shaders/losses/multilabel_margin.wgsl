// Multi-label margin: the hinge [1 - d]+ of each class in the row's label list against each class
// not in it, divided by the number of classes C; derivative -1/C inside the margin, 0 at its edge.
// An item's target is the number of times that the list has it: each mention counts.
fn multilabel_margin_uses_statistics() -> bool {
    return false;
}

fn multilabel_margin_initial_statistics() -> vec3<f32> {
    return vec3<f32>();
}

fn multilabel_margin_update_statistics(statistics: vec3<f32>, item: Item, other: Item) -> vec3<f32> {
    return statistics;
}

fn multilabel_margin_record(item: Item, statistics: vec3<f32>) -> Item {
    return item;
}

fn multilabel_margin_normalizer_term(item: Item) -> f32 {
    return 0.0;
}

fn multilabel_margin_scale(total: f32) -> f32 {
    return 1.0 / f32(params.items);
}

fn multilabel_margin_item_terms(item: Item) -> vec2<f32> {
    return vec2<f32>();
}

// The value of a pair belongs to its listed class.
fn multilabel_margin_pair_terms(item: Item, other: Item) -> vec2<f32> {
    let is_listed = item.truth > 0.0;
    if is_listed == (other.truth > 0.0) {
        return vec2<f32>();
    }
    let side = select(-1.0, 1.0, is_listed);
    let d = side * difference(item.score, other.score);
    let mentions = max(item.truth, other.truth);
    return mentions * vec2<f32>(select(0.0, max(1.0 - d, 0.0), is_listed), select(0.0, -side, d < 1.0));
}
