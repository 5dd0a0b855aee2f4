// Output of one query over the kept keys and values of its sequence, its own among them: a running
// maximum m and sum l over tiles of keys,
//     o = sum over j of e^(s_j - m) v_j / l.
// A workgroup per head; a thread has a key of each tile, then numbers d of o. The sums of o are in
// workgroup memory: a private array would be scratch memory.

@group(0) @binding(4) var<storage, read> cache: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;

var<workgroup> query: array<f32, DEPTH>;
var<workgroup> sums: array<f32, DEPTH>;
// The scores of a tile, then e^(s - m).
var<workgroup> weights: array<f32, TILE>;

// The score of a kept key.
fn score(first: u32, key: u32) -> f32 {
    var place = params.keys + first * params.context + key;
    var s = 0.0;
    var d = 0u;
    for (; d + 4u <= DEPTH; d += 4u) {
        let k = vec4<f32>(
            cache[place],
            cache[place + params.context],
            cache[place + 2u * params.context],
            cache[place + 3u * params.context],
        );
        s += sum4(k * vec4<f32>(query[d], query[d + 1u], query[d + 2u], query[d + 3u]));
        place += 4u * params.context;
    }
    for (; d < DEPTH; d += 1u) {
        s += query[d] * cache[place];
        place += params.context;
    }
    return s;
}

fn weights_from(key: u32) -> vec4<f32> {
    return vec4<f32>(weights[key], weights[key + 1u], weights[key + 2u], weights[key + 3u]);
}

// x if it is NaN, else what was found.
fn nan_of(x: f32, found: f32) -> f32 {
    return select(found, x, is_nan(x));
}

// The tile's values of number i, times their weights.
fn weighted(begin: u32, keys: u32, i: u32) -> f32 {
    let width = params.width;
    var place = params.values + begin * width + i;
    var found = 0.0;
    var key = 0u;
    for (; key + 4u <= keys; key += 4u) {
        let v = vec4<f32>(
            cache[place],
            cache[place + width],
            cache[place + 2u * width],
            cache[place + 3u * width],
        );
        found += sum4(weights_from(key) * v);
        place += 4u * width;
    }
    for (; key < keys; key += 1u) {
        found += weights[key] * cache[place];
        place += width;
    }
    return found;
}

@compute @workgroup_size(WORKGROUP)
fn attention_decode(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let head = workgroup.y * count.x + workgroup.x;
    // Uniform in the workgroup: none of its threads reaches the barriers.
    if head >= params.heads {
        return;
    }
    let at = min(place[0], params.context - 1u);
    let first = head * DEPTH;
    for (var d = local_index; d < DEPTH; d += WORKGROUP) {
        query[d] = params.scale * rotated(0u, 0u, first + d, at);
        sums[d] = 0.0;
    }
    workgroupBarrier();
    var maximum = LOWEST;
    var sum = 0.0;
    // The maximum hides NaN, and a driver's exp may too.
    var nan_value = 0.0;
    for (var begin = 0u; begin <= at; begin += TILE) {
        let keys = min(TILE, at + 1u - begin);
        var s = 0.0;
        if local_index < keys {
            s = score(first, begin + local_index);
            weights[local_index] = s;
        }
        workgroupBarrier();
        // Four at a time here and below: software Vulkan counts the iterations of loops.
        var larger = maximum;
        var key = 0u;
        for (; key + 4u <= keys; key += 4u) {
            let four = weights_from(key);
            larger = max(max(larger, max(four.x, four.y)), max(four.z, four.w));
            nan_value = nan_of(four.x, nan_of(four.y, nan_of(four.z, nan_of(four.w, nan_value))));
        }
        for (; key < keys; key += 1u) {
            larger = max(larger, weights[key]);
            nan_value = nan_of(weights[key], nan_value);
        }
        let shrinks = exp(maximum - larger);
        maximum = larger;
        // Every thread must have read the scores.
        workgroupBarrier();
        if local_index < keys {
            weights[local_index] = exp(s - larger);
        }
        workgroupBarrier();
        sum *= shrinks;
        for (key = 0u; key + 4u <= keys; key += 4u) {
            sum += sum4(weights_from(key));
        }
        for (; key < keys; key += 1u) {
            sum += weights[key];
        }
        for (var d = local_index; d < DEPTH; d += WORKGROUP) {
            sums[d] = sums[d] * shrinks + weighted(begin, keys, first + d);
        }
        // The next tile's scores take the place of the weights.
        workgroupBarrier();
    }
    for (var d = local_index; d < DEPTH; d += WORKGROUP) {
        output[first + d] = select(sums[d] / sum, nan_value, is_nan(nan_value));
    }
}
