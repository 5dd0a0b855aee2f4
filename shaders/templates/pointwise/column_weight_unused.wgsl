// For fillings that know no weight of the column.
fn loss_at(prediction: f32, truth: f32, column_weight: f32) -> Loss {
    return loss(prediction, truth);
}
