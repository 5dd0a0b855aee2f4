// Copies runs of adjacent cells that lie at equal distances, between an input of a concatenation
// and its output. Linked with a cell: one number, or four. One thread per cell.

struct Params {
    cells: u32,
    run: u32, // cells of a run
    source_distance: u32,
    source_start: u32,
    target_distance: u32,
    target_start: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sources: array<Cell>;
@group(0) @binding(2) var<storage, read_write> targets: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn concat_move(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let cell = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if cell >= params.cells {
        return;
    }
    let run = cell / params.run;
    let place = cell % params.run;
    targets[run * params.target_distance + params.target_start + place] =
        sources[run * params.source_distance + params.source_start + place];
}
