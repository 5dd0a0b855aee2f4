//! Recommender kernels: sampling, the updates of a batch, ranks. `recommend::sampling` defines the
//! algorithm.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl::File;

const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
const RANDOM: File = crate::runtime::wgsl::shader!("lib/random.wgsl");
const HELPERS: File = crate::runtime::wgsl::shader!("recommend/recommend.wgsl");
const DRAWS: File = crate::runtime::wgsl::shader!("recommend/recommend_draws.wgsl");
const LANE: File = crate::runtime::wgsl::shader!("recommend/recommend_lane.wgsl");
const ROW_GROUP: File = crate::runtime::wgsl::shader!("recommend/recommend_row_group.wgsl");
const POSITIVE_LANE: File = crate::runtime::wgsl::shader!("recommend/recommend_positive_lane.wgsl");
const POSITIVE_GROUP: File =
    crate::runtime::wgsl::shader!("recommend/recommend_positive_group.wgsl");
const OWN: File = crate::runtime::wgsl::shader!("recommend/recommend_own.wgsl");
const SHARES: File = crate::runtime::wgsl::shader!("recommend/recommend_shares.wgsl");
const PARTS: File = crate::runtime::wgsl::shader!("recommend/recommend_parts.wgsl");
const MOVE: File = crate::runtime::wgsl::shader!("recommend/recommend_move.wgsl");
const SAMPLE: File = crate::runtime::wgsl::shader!("recommend/recommend_sample.wgsl");
const EXACT: File = crate::runtime::wgsl::shader!("recommend/recommend_exact.wgsl");
const USERS: File = crate::runtime::wgsl::shader!("recommend/recommend_users.wgsl");
const ITEMS: File = crate::runtime::wgsl::shader!("recommend/recommend_items.wgsl");
const TALLY: File = crate::runtime::wgsl::shader!("recommend/recommend_tally.wgsl");
const PACK: File = crate::runtime::wgsl::shader!("recommend/recommend_pack.wgsl");
const RANKS: File = crate::runtime::wgsl::shader!("recommend/recommend_ranks.wgsl");
const ORDER: File = crate::runtime::wgsl::shader!("recommend/recommend_order.wgsl");
const MEASURE: File = crate::runtime::wgsl::shader!("recommend/recommend_measure.wgsl");
const SHARE: File = crate::runtime::wgsl::shader!("recommend/recommend_share.wgsl");
const SUMS: File = crate::runtime::wgsl::shader!("recommend/recommend_sums.wgsl");
const SIMILAR: File = crate::runtime::wgsl::shader!("recommend/recommend_similar.wgsl");
const BEST: File = crate::runtime::wgsl::shader!("recommend/recommend_best.wgsl");
const FINITE: File = crate::runtime::wgsl::shader!("recommend/recommend_finite.wgsl");

/// Threads that try draws of one interaction in parallel: `THREADS_PER_INTERACTION` in the shader.
const ROW_GROUP_THREADS: u32 = 16;

/// Parameters of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct BatchParams {
    pub seed: [u32; 2],
    pub epoch: u32,
    pub batch: u32,
    pub keys: [u32; 8],
    pub first: u32,
    pub length: u32,
    pub count: u32,
    pub users: u32,
    pub items: u32,
    pub cells: u32,
    pub max_sampled: u32,
    pub k: u32,
    pub n: u32,
    pub margin: f32,
    pub learning_rate: f32,
    pub user_alpha: f32,
    pub item_alpha: f32,
    pub capacity: u32,
    /// Trained rows: users or items, or their features.
    pub user_rows: u32,
    pub item_rows: u32,
}

/// Parameters of the kernels that use features of entities.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct PartsParams {
    pub entities: u32,
    pub entries: u32,
    pub cells: u32,
    pub hits: u32,
    pub most: u32,
    pub reserved: [u32; 3],
}

/// Inputs that select a batch's programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// `LOSS` in the shader: 0 for WARP, 1 for k-OS, 2 for BPR, 3 for logistic.
    pub loss: u32,
    pub exact_rank: bool,
    pub adagrad: bool,
    /// Factor of the step for the user's bias.
    pub user_bias: f64,
    /// Workgroup size.
    pub lanes: u32,
    /// True if a group of threads samples an interaction.
    pub uses_row_group: bool,
}

impl Choice {
    fn program(&self, label: &str, files: &[File]) -> Program {
        let constants = vec![("WORKGROUP", self.lanes.into()), ("LOSS", self.loss.into())];
        Program {
            label: format!("recommend, {label}"),
            header: String::new(),
            files: files.to_vec(),
            constants,
        }
    }

    /// The sampling program.
    pub fn sample(&self) -> Program {
        let shared = [HELPERS, DRAWS, RANDOM, NUMBERS];
        let own: &[File] = match (self.exact_rank, self.uses_row_group) {
            (true, _) => &[EXACT, POSITIVE_GROUP],
            (false, true) => &[SAMPLE, ROW_GROUP, POSITIVE_GROUP],
            (false, false) => &[SAMPLE, LANE, POSITIVE_LANE],
        };
        let label = if self.exact_rank { "exact ranks" } else { "samples" };
        let mut program = self.program(label, &[own, &shared].concat());
        if self.exact_rank {
            program.constants.retain(|(name, _)| *name != "WORKGROUP");
        } else if self.uses_row_group {
            program.constants[0].1 = 64.0;
        }
        program
    }

    /// Its number of workgroups for `places` interactions.
    pub fn sample_workgroups(&self, places: usize) -> u32 {
        let places = places as u32;
        match (self.exact_rank, self.uses_row_group) {
            (true, _) => places,
            (_, true) => places.div_ceil(64 / ROW_GROUP_THREADS),
            (_, false) => places.div_ceil(self.lanes),
        }
    }

    /// The program that updates users or, with `most`, their features (at most `most` per user).
    pub fn users(&self, most: Option<u32>) -> Program {
        let mut program = self.moving("users", USERS, most);
        program.constants.push(("BIAS", self.user_bias));
        program
    }

    /// The program that updates items or, with `most`, their features (at most `most` per item).
    pub fn items(&self, most: Option<u32>) -> Program {
        let mut program = self.moving("items", ITEMS, most);
        program.constants.retain(|(name, _)| *name != "LOSS");
        program
    }

    fn moving(&self, label: &str, kernel: File, most: Option<u32>) -> Program {
        let mut program =
            self.program(label, &[kernel, HELPERS, MOVE, most.map_or(OWN, |_| SHARES)]);
        program.constants.push(("ADAGRAD", f64::from(u8::from(self.adagrad))));
        program.constants.extend(most.map(|most| ("MOST", most.into())));
        program
    }
}

fn plain(label: &str, files: &[File], constants: &[(&'static str, f64)]) -> Program {
    let label = format!("recommend, {label}");
    Program { label, header: String::new(), files: files.to_vec(), constants: constants.to_vec() }
}

/// The program that reduces a batch's totals; one workgroup.
pub(crate) fn tally_program() -> Program {
    plain("tally", &[TALLY, HELPERS], &[])
}

/// The program that packs rows for a product.
pub(crate) fn pack_program(items: bool, lanes: u32) -> Program {
    plain("rows", &[PACK], &[("WORKGROUP", lanes.into()), ("IS_ITEMS", f64::from(u8::from(items)))])
}

/// The program that counts the items that score at least as high.
pub(crate) fn rank_program(lanes: u32) -> Program {
    plain("ranks", &[RANKS, NUMBERS], &[("WORKGROUP", lanes.into())])
}

/// The program that merges sorted runs of each user's ranks; one invocation per rank.
pub(crate) fn order_program(lanes: u32) -> Program {
    plain("order of ranks", &[ORDER], &[("WORKGROUP", lanes.into())])
}

/// The program that reduces metrics, with implicit's AUC or LightFM's.
pub(crate) fn measure_program(implicit: bool, lanes: u32) -> Program {
    plain(
        "metrics",
        &[MEASURE],
        &[("WORKGROUP", lanes.into()), ("IMPLICIT", f64::from(u8::from(implicit)))],
    )
}

/// The program that expands hits of entities to hits of features.
pub(crate) fn share_program(lanes: u32) -> Program {
    plain("shares", &[SHARE, PARTS], &[("WORKGROUP", lanes.into())])
}

/// The program that computes entities from their features.
pub(crate) fn sums_program(lanes: u32) -> Program {
    plain("sums", &[SUMS, PARTS], &[("WORKGROUP", lanes.into())])
}

/// The program that computes an item's similarity to all others.
pub(crate) fn similar_program(lanes: u32) -> Program {
    plain("similar items", &[SIMILAR, NUMBERS], &[("WORKGROUP", lanes.into())])
}

/// The program that selects the best of each row; one workgroup per row.
pub(crate) fn best_program() -> Program {
    plain("best items", &[BEST], &[])
}

/// Iterations per invocation of the top-n selection among `items`: four counts, two passes over its
/// range, the exclusions; and the digits.
pub(crate) fn best_iterations(items: usize) -> usize {
    7 * items.div_ceil(64) + 4 * (256 + 4 + 1) + 64
}

/// The program that checks for values that are not finite.
pub(crate) fn finite_program(lanes: u32) -> Program {
    plain("finite", &[FINITE], &[("WORKGROUP", lanes.into())])
}

/// Iterations per invocation that samples an interaction: draws, each with its random word, dot
/// product and search.
pub(crate) fn sample_iterations(choice: &Choice, params: &BatchParams) -> u64 {
    let [cells, items, draws, n] =
        [params.cells, params.items, params.max_sampled, params.n].map(u64::from);
    let search = 32;
    let scored = cells / 2 + search;
    let positives = if choice.loss == 1 { n * (cells / 2 + 12) + n * n } else { 0 };
    let own = match (choice.exact_rank, choice.uses_row_group) {
        (true, _) => 2 * items.div_ceil(64) * (1 + scored) + 64,
        (_, true) => {
            draws.div_ceil(ROW_GROUP_THREADS.into()) * (scored + 12 + u64::from(ROW_GROUP_THREADS))
        }
        (_, false) => draws * (scored + 4),
    };
    positives + own + 64
}

/// Every program of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = vec![tally_program(), best_program()];
    for lanes in [8, 64] {
        programs.extend([pack_program(true, lanes), pack_program(false, lanes)]);
        programs.extend([rank_program(lanes), finite_program(lanes), order_program(lanes)]);
        programs.extend([measure_program(false, lanes), measure_program(true, lanes)]);
        programs.extend([share_program(lanes), sums_program(lanes), similar_program(lanes)]);
        for loss in 0..4 {
            for (exact_rank, uses_row_group, adagrad) in
                [(false, false, true), (false, true, false), (true, false, true)]
            {
                // A GPU samples with one thread per interaction for the logistic loss alone.
                if lanes == 64 && loss < 3 && !exact_rank && !uses_row_group {
                    continue;
                }
                let user_bias = if loss == 3 { -1.0 } else { 0.0 };
                let choice = Choice { loss, exact_rank, adagrad, user_bias, lanes, uses_row_group };
                programs.push(choice.sample());
                for most in [None, Some(3)] {
                    programs.extend([choice.users(most), choice.items(most)]);
                }
            }
        }
    }
    programs
}

/// Stride in bytes between the parameters of two batches.
pub(crate) use crate::runtime::recorder::UNIFORM_STRIDE as BATCH_STRIDE;

/// A buffer for the parameters of `batches` batches.
pub(crate) fn batch_uniform(gpu: &Gpu, batches: usize) -> Result<wgpu::Buffer> {
    let size = BATCH_STRIDE * batches as u64;
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("batches"),
        size,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.check("batches", size)?;
    Ok(buffer)
}
