// For row-wise fillings that fold a row once.
fn restart(sums: Sums) -> Sums {
    return sums;
}
