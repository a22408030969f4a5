//! The heap over a plain buffer, against what an allocator promises.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Memory of so many bytes, in pieces of whole pages with a gap behind every so many of them.
struct Buffer {
    words: Box<[u128]>,
    used: usize,
    pieces: usize,
    gap_every: usize,
}

const PAGE: usize = 64 * 1024;

impl Buffer {
    fn new(bytes: usize, gap_every: usize) -> Self {
        Self {
            words: vec![0; bytes / UNIT].into(),
            used: 0,
            pieces: 0,
            gap_every,
        }
    }
}

// SAFETY: each piece is behind the one before it, within the buffer, which stays where it is.
unsafe impl Memory for Buffer {
    fn more(&mut self, bytes: usize) -> Option<(*mut u8, usize)> {
        let bytes = bytes.next_multiple_of(PAGE);
        self.pieces += 1;
        if self.pieces.is_multiple_of(self.gap_every) {
            self.used += PAGE;
        }
        if self.used + bytes > self.words.len() * UNIT {
            return None;
        }
        let start = self.words.as_mut_ptr().cast::<u8>().wrapping_add(self.used);
        self.used += bytes;
        Some((start, bytes))
    }
}

/// A block in use, filled with one value.
#[derive(Clone, Copy)]
struct Block {
    start: *mut u8,
    layout: Layout,
    value: u8,
}

impl Block {
    fn fill(&self) {
        // SAFETY: the block is in use and so long.
        unsafe { self.start.write_bytes(self.value, self.layout.size()) };
    }

    fn is_intact(&self, bytes: usize) -> bool {
        // SAFETY: as above, and it was filled.
        let content = unsafe { std::slice::from_raw_parts(self.start, bytes) };
        content.iter().all(|byte| *byte == self.value)
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take { size: usize, align: u32 },
    Give(prop::sample::Index),
    Resize(prop::sample::Index, usize),
}

fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1..200_usize, 2 => 1..5_000_usize, 1 => 1..300_000_usize]
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (any_size(), 0..8_u32).prop_map(|(size, align)| Step::Take { size, align }),
        3 => index().prop_map(Step::Give),
        2 => (index(), any_size()).prop_map(|(block, size)| Step::Resize(block, size)),
    ]
}

proptest! {
    #[test]
    fn no_block_touches_another(steps in vec(any_step(), 1..200), gap_every in 1..5_usize) {
        let mut heap = Heap::new(Buffer::new(64 << 20, gap_every));
        let mut blocks: Vec<Block> = Vec::new();
        for (step, value) in steps.into_iter().zip((1..=250_u8).cycle()) {
            match step {
                Step::Take { size, align } => {
                    let layout = layout(size, 1 << align);
                    let start = heap.take(layout);
                    prop_assert!(!start.is_null());
                    prop_assert!(start.addr().is_multiple_of(layout.align()));
                    let block = Block { start, layout, value };
                    block.fill();
                    blocks.push(block);
                }
                Step::Give(index) if !blocks.is_empty() => {
                    let block = blocks.swap_remove(index.index(blocks.len()));
                    prop_assert!(block.is_intact(block.layout.size()));
                    // SAFETY: it was taken with this layout, and is forgotten.
                    unsafe { heap.give(block.start, block.layout.size()) };
                }
                Step::Resize(index, new) if !blocks.is_empty() => {
                    let index = index.index(blocks.len());
                    let was = blocks[index];
                    // SAFETY: as above.
                    let start = unsafe { heap.resize(was.start, was.layout, new) };
                    prop_assert!(!start.is_null());
                    prop_assert!(start.addr().is_multiple_of(was.layout.align()));
                    let layout = layout(new, was.layout.align());
                    blocks[index] = Block { start, layout, value: was.value };
                    prop_assert!(blocks[index].is_intact(new.min(was.layout.size())));
                    blocks[index].value = value;
                    blocks[index].fill();
                }
                Step::Give(_) | Step::Resize(..) => {}
            }
        }
        for block in &blocks {
            prop_assert!(block.is_intact(block.layout.size()));
        }
        let mut places: Vec<_> = blocks.iter().map(|b| (b.start.addr(), b.layout.size())).collect();
        places.sort_unstable();
        prop_assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
    }

    #[test]
    fn a_class_is_long_enough_and_wastes_a_fifth(bytes in prop_oneof![0..5_000_usize, 0..=LARGEST]) {
        let (index, size) = class(bytes).unwrap();
        prop_assert!(index < CLASSES);
        prop_assert!(size >= bytes && size.is_multiple_of(UNIT));
        prop_assert!(bytes <= 8 * UNIT || size - bytes < size / 5 + UNIT);
        prop_assert_eq!(class(size), Some((index, size)), "all of a class are as long");
    }
}

#[test]
fn an_instance_that_stays_does_not_grow() {
    // What an event of 64 KiB takes: its texts, its lists, its body, and a copy of that which grows.
    let texts = [3, 8, 17, 24, 36, 60, 100];
    let mut heap = Heap::new(Buffer::new(16 << 20, 3));
    let mut kept = Vec::new();
    let mut used = Vec::new();
    for event in 0..1_000_usize {
        let mut blocks: Vec<_> = (0..24)
            .map(|n| layout(texts[(event + n) % texts.len()], 1))
            .chain([layout(960, 8), layout(65_536 - event % 64, 1)])
            .map(|layout| (heap.take(layout), layout))
            .collect();
        let mut grown = (heap.take(layout(64, 1)), layout(64, 1));
        for doubled in (7..17).map(|power| 1 << power) {
            // SAFETY: it was taken with this layout.
            grown.0 = unsafe { heap.resize(grown.0, grown.1, doubled) };
            grown.1 = layout(doubled, 1);
        }
        blocks.push(grown);
        if event.is_multiple_of(100) {
            // A plugin may remember something, in the midst of all.
            kept.push(heap.take(layout(40, 8)));
        }
        assert!(blocks.iter().all(|(block, _)| !block.is_null()));
        // In another order than they were taken in.
        for (block, layout) in blocks
            .iter()
            .rev()
            .step_by(2)
            .chain(blocks.iter().rev().skip(1).step_by(2))
        {
            // SAFETY: each was taken with this layout, and is given back once.
            unsafe { heap.give(*block, layout.size()) };
        }
        used.push(heap.memory.used);
    }
    assert!(used[999] <= 640 * 1024, "{} bytes", used[999]);
    assert_eq!(used[499], used[999], "no more after the first events");
    assert!(kept.iter().all(|block| !block.is_null()));
}

#[test]
fn what_cannot_be_is_null() {
    let mut heap = Heap::new(Buffer::new(PAGE * 2, usize::MAX));
    assert!(heap.take(layout(LARGEST + 1, 1)).is_null());
    assert!(heap.take(layout(PAGE * 3, 1)).is_null());
    let block = heap.take(layout(100, 1));
    assert!(!block.is_null());
    // SAFETY: it was taken with this layout.
    assert!(unsafe { heap.resize(block, layout(100, 1), PAGE * 3) }.is_null());
    // SAFETY: it is still there, since it could not be resized.
    unsafe { heap.give(block, 100) };
    assert_eq!(heap.take(layout(100, 1)), block);
}
