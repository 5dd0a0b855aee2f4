// DAPO: templates/policy/clipped_ratio with a higher upper bound, a mean over the tokens of all
// completions.
override DAPO_LOW: f32 = 0.8;
override DAPO_HIGH: f32 = 1.28;
// 0 for none.
override DAPO_DELTA: f32 = 0.0;
