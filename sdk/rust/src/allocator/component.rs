//! The allocator as the one of a component.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;

use super::{Heap, Memory, UNIT};

#[cfg(target_feature = "atomics")]
compile_error!("the allocator of plugins is for one thread: leave out the feature `allocator`");

const PAGE: usize = 64 * 1024;

/// So many bytes are there from the start, and an event that needs no more than that never waits
/// for memory to grow. They cost nothing while they are not touched.
const FIRST: usize = 4 * PAGE;

/// The first piece; aligned to [`UNIT`].
#[repr(C, align(16))]
struct First(UnsafeCell<[u8; FIRST]>);

// SAFETY: a component has one thread.
unsafe impl Sync for First {}

static FIRST_PIECE: First = First(UnsafeCell::new([0; FIRST]));

struct Pages {
    first_is_taken: bool,
}

// SAFETY: the first piece is handed out once, and nobody else knows it; what `memory_grow` adds
// belongs to whoever called it. Both are aligned: 16 bytes, and a page.
unsafe impl Memory for Pages {
    fn more(&mut self, bytes: usize) -> Option<(*mut u8, usize)> {
        if !self.first_is_taken {
            self.first_is_taken = true;
            if bytes <= FIRST {
                return Some((FIRST_PIECE.0.get().cast(), FIRST));
            }
        }
        let pages = bytes.div_ceil(PAGE);
        let before = core::arch::wasm32::memory_grow::<0>(pages);
        if before == usize::MAX {
            return None;
        }
        Some((
            ptr::with_exposed_provenance_mut(before * PAGE),
            pages * PAGE,
        ))
    }
}

struct Allocator(UnsafeCell<Heap<Pages>>);

// SAFETY: a component has one thread.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Heap::new(Pages {
    first_is_taken: false,
})));

const _: () = assert!(UNIT <= PAGE && align_of::<First>() == UNIT);

// SAFETY: `Heap` says why its blocks are sound. No call of it calls another of these functions, and
// there is one thread, so each has the heap alone.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody else has the heap, see above.
        unsafe { &mut *self.0.get() }.take(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: nobody else has the heap, and the block is as the caller promises.
        unsafe { (*self.0.get()).give(block, layout.size()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // SAFETY: nobody else has the heap, and the block is as the caller promises.
        unsafe { (*self.0.get()).resize(block, layout, new) }
    }
}

/// What Weir calls to place a text or a list in the component: Rust owns it afterwards. The one of
/// the C library, which takes its place where there is no other, takes the C library's memory.
///
/// # Safety
///
/// Only for the code that the component model generates.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_length: usize,
    align: usize,
    new_length: usize,
) -> *mut u8 {
    if new_length == 0 {
        return ptr::without_provenance_mut(align);
    }
    let Ok(layout) = Layout::from_size_align(
        if old_length == 0 {
            new_length
        } else {
            old_length
        },
        align,
    ) else {
        core::arch::wasm32::unreachable();
    };
    let block = if old_length == 0 {
        // SAFETY: the size is not 0.
        unsafe { ALLOCATOR.alloc(layout) }
    } else {
        // SAFETY: the caller has it from here, with this layout.
        unsafe { ALLOCATOR.realloc(old, layout, new_length) }
    };
    if block.is_null() {
        core::arch::wasm32::unreachable();
    }
    block
}
