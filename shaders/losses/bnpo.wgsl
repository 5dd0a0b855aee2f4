// BNPO: templates/policy/clipped_ratio, a mean over the tokens of all completions.
override BNPO_LOW: f32 = 0.8;
override BNPO_HIGH: f32 = 1.2;
// 0 for none.
override BNPO_DELTA: f32 = 0.0;
