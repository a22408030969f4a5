//! The allocator of a plugin: most of what a plugin does with an event is to take memory for its
//! texts and to give it back, and the one of the C library is slow at that.
//!
//! Memory is taken from the end of what was taken before. What is given back is the next to be taken
//! for that size, so an instance that lives for many events needs no more than the event that needed
//! most of each size.
#![allow(
    unsafe_code,
    clippy::cast_ptr_alignment,
    reason = "an allocator hands out addresses; why that is sound, and aligned, stands beside each use"
)]

#[cfg(target_family = "wasm")]
mod component;

use std::alloc::Layout;
use std::ptr;

/// What every block is aligned to, and a multiple of: on wasm32, no type of Rust or C needs more.
const UNIT: usize = 16;

/// How many sizes there are: 8 in steps of 16 bytes, and then 4 for each doubling up to a GiB, so
/// that a fifth of a block is lost at most.
const CLASSES: usize = 100;

/// No block is larger: a quarter of what wasm32 can address.
const LARGEST: usize = 1 << 30;

/// Where a heap takes its memory from.
///
/// # Safety
///
/// What `more` gives is at least `bytes` long, readable and writable, aligned to [`UNIT`], belongs to
/// nobody else, and does so for as long as the heap is used.
unsafe trait Memory {
    /// The start and the length of another piece; `None` where there is no more.
    fn more(&mut self, bytes: usize) -> Option<(*mut u8, usize)>;
}

/// The blocks of one thread.
///
/// What holds between any two calls, and makes it sound: the blocks that are in use, the blocks that
/// are in `free`, and what lies between `top` and `end` never overlap, and all of them lie in what
/// `memory` gave. A block of a class is as long as the class says.
struct Heap<M> {
    memory: M,
    /// What was never taken, or was given back from the end, in the piece that is in use.
    top: *mut u8,
    end: *mut u8,
    /// For each size the last block that was given back; its first word leads to the one before it.
    free: [*mut u8; CLASSES],
}

impl<M: Memory> Heap<M> {
    const fn new(memory: M) -> Self {
        Self {
            memory,
            top: ptr::null_mut(),
            end: ptr::null_mut(),
            free: [ptr::null_mut(); CLASSES],
        }
    }

    /// A block for `layout`, or null.
    fn take(&mut self, layout: Layout) -> *mut u8 {
        let Some((class, size)) = class(layout.size()) else {
            return ptr::null_mut();
        };
        let block = self.free[class];
        if !block.is_null() && block.addr().is_multiple_of(layout.align()) {
            // SAFETY: a block in `free` is ours, aligned to `UNIT` and at least as long, and `give`
            // wrote its first word.
            self.free[class] = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let align = layout.align().max(UNIT);
        let start = match self.room(size, align) {
            Some(start) => start,
            // Enough for the block wherever in the new piece it may begin.
            None if self.renew(size.saturating_add(align)) => match self.room(size, align) {
                Some(start) => start,
                None => return ptr::null_mut(),
            },
            None => return ptr::null_mut(),
        };
        self.top = start.wrapping_add(size);
        start
    }

    /// Takes back a block of `size` bytes, as it was asked for.
    ///
    /// # Safety
    ///
    /// `block` came from `take` or `resize` for a layout of this size, and nobody uses it any more.
    unsafe fn give(&mut self, block: *mut u8, size: usize) {
        let Some((class, size)) = class(size) else {
            return;
        };
        if block.wrapping_add(size) == self.top {
            self.top = block;
            return;
        }
        // SAFETY: the block is ours again; it is aligned to `UNIT` and at least that long, so a
        // pointer fits.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// A block of `new` bytes with what the block has, or null, and then the block stays as it is.
    ///
    /// # Safety
    ///
    /// As for `give`; `layout` is that of the block.
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        let (Some((from, had)), Some((to, needs))) = (class(layout.size()), class(new)) else {
            return ptr::null_mut();
        };
        if from == to {
            return block;
        }
        // The last block grows and shrinks where it is.
        let last = block.wrapping_add(had) == self.top;
        if last && needs <= self.end.addr() - block.addr() {
            self.top = block.wrapping_add(needs);
            return block;
        }
        let Ok(wanted) = Layout::from_size_align(new, layout.align()) else {
            return ptr::null_mut();
        };
        let moved = self.take(wanted);
        if !moved.is_null() {
            // SAFETY: both are blocks in use, so they do not overlap, and as long as this at least.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(new)) };
            // SAFETY: the caller has given the old one up.
            unsafe { self.give(block, layout.size()) };
        }
        moved
    }

    /// Where a block would begin, if it fits between `top` and `end`.
    fn room(&self, size: usize, align: usize) -> Option<*mut u8> {
        let start = self.top.addr().checked_next_multiple_of(align)?;
        let room = self.end.addr().checked_sub(start)?;
        (!self.top.is_null() && room >= size)
            .then(|| self.top.wrapping_add(start - self.top.addr()))
    }

    /// Gets another piece of memory; false if there is none.
    fn renew(&mut self, bytes: usize) -> bool {
        let Some((start, length)) = self.memory.more(bytes) else {
            return false;
        };
        if start != self.end {
            // What is left of the old piece is lost. That happens when somebody else took memory
            // meanwhile, and once when the first piece is full.
            self.top = start;
        }
        self.end = start.wrapping_add(length);
        true
    }
}

/// The class of a block of this many bytes, and how many it really has.
fn class(bytes: usize) -> Option<(usize, usize)> {
    if bytes > LARGEST {
        return None;
    }
    if bytes <= 8 * UNIT {
        let units = bytes.div_ceil(UNIT).max(1);
        return Some((units - 1, units * UNIT));
    }
    let last = bytes - 1;
    let doubling = last.ilog2() as usize;
    let quarter = doubling - 2;
    let step = last >> quarter;
    Some((8 + (doubling - 7) * 4 + (step & 3), (step + 1) << quarter))
}

#[cfg(test)]
mod tests;
