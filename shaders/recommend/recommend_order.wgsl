// One pass of a merge sort of each user's ranks: runs of `width` become runs of twice the length.
//
// One thread per rank, which finds by bisection the number of ranks of the neighbouring run that
// come before it, and writes its rank to that position: no thread waits for another, and no loop is
// as long as a user has items. Equal ranks keep their order.
//
// `rows` holds where each user's ranks begin, and the end, [users + 1]; `owners` is the user of
// each rank.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32, // number of ranks
    width: u32,
    reserved: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> owners: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> ranks: array<u32>;
@group(0) @binding(4) var<storage, read_write> merged: array<u32>;

// Number of ranks in an ascending run that are below a rank, or, with takes_equal, below or equal.
fn count_before(begin: u32, end: u32, rank: u32, takes_equal: bool) -> u32 {
    var low = begin;
    var high = end;
    while low < high {
        let middle = low + (high - low) / 2u;
        if ranks[middle] < rank || (takes_equal && ranks[middle] == rank) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low - begin;
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.count {
        return;
    }
    let owner = owners[index];
    let begin = rows[owner];
    let end = rows[owner + 1u];
    let left = begin + (index - begin) / (2u * params.width) * (2u * params.width);
    let right = min(left + params.width, end);
    let rank = ranks[index];
    var place = index;
    if index < right {
        place += count_before(right, min(right + params.width, end), rank, false);
    } else {
        place = left + (index - right) + count_before(left, right, rank, true);
    }
    merged[place] = rank;
}
