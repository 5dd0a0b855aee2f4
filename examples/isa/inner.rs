//! Instructions of inner loops, read from the compiler's code.
//!
//! Work is counted per group of four elements. Code that the compiler unrolled over `n` groups is
//! counted by the difference to the same program with one group less.

/// Machine instructions by the unit that runs them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// All of them.
    pub all: f64,
    /// Of the vector unit.
    pub vector: f64,
    /// Among these, exp, log, reciprocals, roots and the like, which take four times as long.
    pub slow: f64,
    /// Among these, fused multiply-adds.
    pub fused: f64,
    /// Stores of four numbers to memory.
    pub stores: f64,
    /// Loads from memory.
    pub loads: f64,
}

/// A basic block: its instructions, and how many loops it lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub name: String,
    pub depth: usize,
    /// True if no other loop lies inside its innermost loop.
    pub is_inner: bool,
    /// The first block of its innermost loop; its own index outside of loops.
    pub head: usize,
    pub count: Count,
}

impl Count {
    fn add(&mut self, other: Count, times: f64) {
        self.all += times * other.all;
        self.vector += times * other.vector;
        self.slow += times * other.slow;
        self.fused += times * other.fused;
        self.stores += times * other.stores;
        self.loads += times * other.loads;
    }

    /// The sum with another count, taken `times` times.
    pub fn plus(mut self, other: Count, times: f64) -> Count {
        self.add(other, times);
        self
    }

    /// Everything times a number.
    pub fn scaled(self, times: f64) -> Count {
        Count::default().plus(self, times)
    }

    /// Cycles of the vector unit per wave: four for a slow instruction, one for any other.
    pub fn cycles(&self) -> f64 {
        self.vector + 3.0 * self.slow
    }
}

const SLOW: [&str; 8] =
    ["v_exp_", "v_log_", "v_rcp_", "v_rsq_", "v_sqrt_", "v_sin_", "v_cos_", "v_trunc_f64"];

fn count_of(instruction: &str) -> Count {
    let starts = |words: &[&str]| words.iter().any(|word| instruction.starts_with(word));
    let of = |is: bool| f64::from(u8::from(is));
    let is_memory = starts(&["buffer_", "global_"]);
    Count {
        all: 1.0,
        vector: of(starts(&["v_"])),
        slow: of(starts(&SLOW)),
        fused: of(starts(&["v_fma", "v_mac", "v_mad_f32", "v_dot", "v_pk_fma", "v_dual_fma"])),
        stores: of(starts(&["buffer_store_b128", "buffer_store_dwordx4"])),
        loads: of(is_memory && instruction.contains("_load_")),
    }
}

/// The blocks of a listing by RADV: `BB3:`, then a line per instruction after a tab.
pub fn blocks(listing: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    // The places of jumps, and the names of the blocks they lead to.
    let mut jumps: Vec<(usize, String)> = Vec::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with("BB")) {
            blocks.push(Block {
                name: name.into(),
                depth: 0,
                is_inner: false,
                head: blocks.len(),
                count: Count::default(),
            });
            continue;
        }
        let (Some(code), Some(block)) = (line.strip_prefix('\t'), blocks.last_mut()) else {
            continue;
        };
        let mut words = code.split_whitespace();
        let Some(instruction) = words.next() else { continue };
        block.count.add(count_of(instruction), 1.0);
        if instruction.contains("branch") {
            let goal = words.next().ok_or_else(|| format!("`{code}` leads nowhere"))?;
            jumps.push((blocks.len() - 1, goal.into()));
        }
    }
    if blocks.is_empty() {
        return Err("the listing has no blocks".into());
    }
    let mut loops = Vec::new();
    for (from, goal) in jumps {
        let to = blocks.iter().position(|block| block.name == goal);
        let to = to.ok_or_else(|| format!("{goal} is no block of the listing"))?;
        if to <= from {
            loops.push((to, from));
        }
    }
    // Two jumps back to one block are one loop.
    loops.sort();
    loops.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 = first.1.max(later.1);
        }
        same
    });
    for (index, block) in blocks.iter_mut().enumerate() {
        let around: Vec<_> =
            loops.iter().filter(|(first, last)| (*first..=*last).contains(&index)).collect();
        block.depth = around.len();
        if let Some(&&(first, last)) = around.iter().min_by_key(|(first, last)| last - first) {
            block.head = first;
            let inside = |other: &&(usize, usize)| first <= other.0 && other.1 <= last;
            block.is_inner = loops.iter().filter(inside).count() == 1;
        }
    }
    Ok(blocks)
}

/// The innermost loops in order, each with what one turn of it runs and how deep it lies.
pub fn inner_loops(blocks: &[Block]) -> Vec<(usize, Count)> {
    let mut found: Vec<(usize, usize, Count)> = Vec::new();
    for block in blocks.iter().filter(|block| block.is_inner) {
        match found.iter_mut().find(|(head, ..)| *head == block.head) {
            Some((_, _, count)) => count.add(block.count, 1.0),
            None => found.push((block.head, block.depth, block.count)),
        }
    }
    found.into_iter().map(|(_, depth, count)| (depth, count)).collect()
}

/// All instructions, those in more than `depth` loops `times` times.
pub fn total(blocks: &[Block], depth: usize, times: f64) -> Count {
    let mut sum = Count::default();
    for block in blocks {
        sum.add(block.count, if block.depth > depth { times } else { 1.0 });
    }
    sum
}
