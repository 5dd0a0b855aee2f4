// GRPO: templates/policy/clipped_ratio, a mean over each completion.
override GRPO_LOW: f32 = 0.8;
override GRPO_HIGH: f32 = 1.2;
// 0 for none.
override GRPO_DELTA: f32 = 0.0;
