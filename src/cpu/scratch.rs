//! Working memory of a thread, kept between calls: the system need not clear its pages again in
//! every step of a training.

use std::cell::RefCell;

/// Numbers of the largest memory that is kept, 16 MiB: a thread that has once transposed the weights
/// of a large model does not hold them for ever.
const MOST_KEPT: usize = 1 << 22;

thread_local! {
    /// A stack: a thread that waits for others may begin another operation meanwhile.
    static MEMORY: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `length` numbers of this thread's memory. They hold what an earlier call left.
pub(crate) fn with_scratch<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    let mut memory = MEMORY.with_borrow_mut(|stack| stack.pop()).unwrap_or_default();
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
    let found = work(&mut memory[..length]);
    if memory.len() <= MOST_KEPT {
        MEMORY.with_borrow_mut(|stack| stack.push(memory));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_and_nested_calls_do_not_share_it() {
        with_scratch(3, |outer| {
            outer.fill(1.0);
            with_scratch(5, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
        // The memory of the outer call was given back last.
        with_scratch(4, |memory| assert_eq!(memory[..3], [1.0; 3]));
    }

    #[test]
    fn large_memory_is_given_back() {
        with_scratch(MOST_KEPT + 1, |memory| memory.fill(3.0));
        assert!(MEMORY.with_borrow(|stack| stack.iter().all(|kept| kept.len() <= MOST_KEPT)));
    }
}
