//! What a fused loss takes besides its inputs and gradients, counted where memory is handed out. A test of its own file: the count
//! is that of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gradus::losses::{LinearCrossEntropy, Loss};
use gradus::{Device, Inputs};
use ndarray::{Array1, Array2};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is the system's allocator, which is asked with what was handed in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the layout is the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: pointer and layout are the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn the_cpu_takes_no_more_than_it_says_however_many_rows_there_are() {
    let (features, classes) = (64, 32_768);
    for rows in [512, 2560] {
        let x = Array2::from_shape_fn((rows, features), |(i, j)| ((i * 31 + j * 17) % 13) as f32 / 13.0);
        let weight = Array2::from_shape_fn((classes, features), |(i, j)| ((i * 7 + j * 3) % 11) as f32 / 11.0);
        let labels = Array1::from_shape_fn(rows, |row| (row * 37 % classes) as i64);
        let criterion = LinearCrossEntropy::new().on(&Device::cpu()).unwrap();
        let inputs = Inputs::new(&x, &labels).input("linear_weight", &weight);
        // Threads and what they keep for products are there from the first call on.
        criterion.evaluate(&inputs).unwrap();
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        criterion.evaluate(&inputs).unwrap();
        let taken = MOST.load(Relaxed) - before;
        let gradients = 4 * (rows * features + classes * features);
        let said = LinearCrossEntropy::extra_bytes(rows, classes, &Device::cpu()) as usize;
        // Labels and values, and what the products keep of their operands in blocks.
        let small = 4 << 20;
        println!("{rows} rows: {taken} bytes, {gradients} of them gradients; {said} are said");
        assert!(taken <= gradients + said + small, "{rows} rows: {taken} bytes with {gradients} of gradients");
        assert!(said <= 32 << 20 && taken - gradients < 4 * rows * classes, "{rows} rows: {taken} bytes");
    }
}
