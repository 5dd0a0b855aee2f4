// Dr. GRPO: templates/policy/clipped_ratio, a sum over each completion divided by a constant.
override DR_GRPO_LOW: f32 = 0.8;
override DR_GRPO_HIGH: f32 = 1.2;
// 0 for none.
override DR_GRPO_DELTA: f32 = 0.0;
