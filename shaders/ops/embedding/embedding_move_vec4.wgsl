// The optimizer's update of a cell of four numbers, one after another. Linked with an optimizer's
// update function.

fn moved(cells: Cells, gradient: Cell, step: Step) -> Cells {
    let a = update(cells.parameter.x, gradient.x, State(cells.first.x, cells.second.x, cells.third.x, cells.fourth.x), step);
    let b = update(cells.parameter.y, gradient.y, State(cells.first.y, cells.second.y, cells.third.y, cells.fourth.y), step);
    let c = update(cells.parameter.z, gradient.z, State(cells.first.z, cells.second.z, cells.third.z, cells.fourth.z), step);
    let d = update(cells.parameter.w, gradient.w, State(cells.first.w, cells.second.w, cells.third.w, cells.fourth.w), step);
    return Cells(
        Cell(a.parameter, b.parameter, c.parameter, d.parameter),
        Cell(a.state.first, b.state.first, c.state.first, d.state.first),
        Cell(a.state.second, b.state.second, c.state.second, d.state.second),
        Cell(a.state.third, b.state.third, c.state.third, d.state.third),
        Cell(a.state.fourth, b.state.fourth, c.state.fourth, d.state.fourth),
    );
}
