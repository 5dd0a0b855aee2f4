// The gradient by the normalised values: dL/dy times the derivative of the ReLU, if there is one.

fn through_relu(gradient: Cell, y: Cell) -> Cell {
    let inside = select(Cell(), gradient, y > Cell());
    return select(gradient, select(inside, y, nan_of(y)), has(RELU));
}
