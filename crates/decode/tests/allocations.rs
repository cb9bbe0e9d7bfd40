//! The walk over a body takes no memory once it has seen one of its size: its buffers are used again.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use decode::{Unpacked, remote_write::Rows};
use traffic::{Shape, Traffic};

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts how often each thread asks for memory.
struct Counting;

#[expect(unsafe_code, reason = "an allocator is made of unsafe functions")]
// SAFETY: all work is the system's allocator's; counting touches no memory that it gives.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_body_like_the_one_before_takes_no_memory() {
    let mut bodies = Vec::new();
    let shape = Shape { series: 2000, samples_per_request: 2000, ..Shape::default() };
    Traffic::new(shape).requests(0..4, |body| bodies.push(body.to_vec()));
    let (mut body, mut rows) = (Unpacked::default(), Rows::default());
    let mut taken = Vec::new();
    for bytes in bodies.iter().chain(&bodies) {
        let before = TAKEN.get();
        body.set(bytes);
        rows.decode(&mut body).expect("a good body");
        taken.push(TAKEN.get() - before);
        assert!(rows.samples().len() > 500);
    }
    assert!(taken[0] > 0, "the first one needs buffers");
    assert_eq!(taken[bodies.len()..].iter().sum::<u64>(), 0, "{taken:?}");
}
