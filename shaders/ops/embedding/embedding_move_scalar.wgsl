// The optimizer's update of a cell of one number. Linked with an optimizer's update function.

fn moved(cells: Cells, gradient: Cell, step: Step) -> Cells {
    let result = update(cells.parameter, gradient, State(cells.first, cells.second, cells.third, cells.fourth), step);
    let state = result.state;
    return Cells(result.parameter, state.first, state.second, state.third, state.fourth);
}
