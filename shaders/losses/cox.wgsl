// Cox's partial likelihood: over the events i, ln of the sum of e^s over the items at risk, less
// s_i. Of d events of one time, the risk set of the l-th (from 0) leaves out the share l/d of each
// with COX_EFRON, nothing with Breslow's ties.
override COX_EFRON: bool = false;

fn cox_tied_share(rank: f32, ties: f32) -> f32 {
    return select(0.0, rank / max(ties, 1.0), COX_EFRON);
}
