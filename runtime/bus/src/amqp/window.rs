//! How many deliveries a consumer asks for at one time, so that they have no more bytes than they
//! may. Brokers of AMQP only count messages: how large they are shows when they are here.

use crate::Prefetch;

/// Wide for messages that are small; narrow once they are large, until they are small again.
#[derive(Debug)]
pub(super) struct Window {
    most: u16,
    /// What the deliveries that are unsettled may have altogether.
    bytes: usize,
    now: u16,
    /// How many deliveries in a row would have fitted into a window twice as wide.
    small: u16,
}

impl Window {
    pub(super) fn new(prefetch: Prefetch) -> Self {
        // To AMQP, 0 is no bound at all.
        let most = prefetch.messages.max(1);
        Self {
            most,
            bytes: prefetch.bytes,
            now: most,
            small: 0,
        }
    }

    /// How many deliveries to ask for.
    pub(super) fn messages(&self) -> u16 {
        self.now
    }

    /// How many bytes they may have; one delivery may have any number.
    pub(super) fn bytes(&self) -> usize {
        if self.now == 1 {
            usize::MAX
        } else {
            self.bytes
        }
    }

    /// A delivery of this size came.
    pub(super) fn came(&mut self, size: usize) {
        let twice = 2 * usize::from(self.now);
        if size.saturating_mul(twice) <= self.bytes {
            self.small = self.small.saturating_add(1);
        } else {
            self.small = 0;
        }
    }

    /// True if it can be twice as wide: as many deliveries as it may ever have were small.
    pub(super) fn can_widen(&self) -> bool {
        self.now < self.most && self.small >= self.most
    }

    pub(super) fn widen(&mut self) {
        self.now = self.now.saturating_mul(2).min(self.most);
        self.small = 0;
    }

    /// Makes room for no more than messages of this size.
    pub(super) fn narrow(&mut self, largest: usize) {
        let fit = self.bytes / largest.max(1);
        let narrower = (self.now / 2).max(1);
        self.now = u16::try_from(fit).unwrap_or(u16::MAX).clamp(1, narrower);
        self.small = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    fn window() -> Window {
        Window::new(Prefetch {
            messages: 256,
            bytes: 64 * MIB,
        })
    }

    #[test]
    fn it_is_narrow_for_large_messages_and_wide_again_for_small_ones() {
        let mut window = window();
        window.narrow(16 * MIB);
        assert_eq!(window.messages(), 4);
        for _ in 0..600 {
            window.came(9 * MIB);
        }
        assert!(!window.can_widen());
        let mut widths = Vec::new();
        for _ in 0..6 * 256 {
            assert!(!window.can_widen());
            window.came(1000);
            if window.can_widen() {
                window.widen();
                widths.push(window.messages());
            }
        }
        assert_eq!(widths, [8, 16, 32, 64, 128, 256]);
    }

    #[test]
    fn one_message_may_be_of_any_size() {
        let mut window = window();
        window.narrow(usize::MAX);
        assert_eq!((window.messages(), window.bytes()), (1, usize::MAX));
    }

    proptest! {
        /// A window of messages of one size is narrowed until they fit, and is never widened so far
        /// that they do not.
        #[test]
        fn messages_of_one_size_settle(size in 1_usize..200 * MIB, messages in 0_u16..300) {
            let mut window = Window::new(Prefetch { messages, bytes: 64 * MIB });
            let held = |window: &Window| usize::from(window.messages()) * size;
            let mut narrowed = 0;
            while held(&window) > window.bytes() {
                window.narrow(size);
                narrowed += 1;
            }
            prop_assert!(narrowed <= 1);
            for _ in 0..3000 {
                window.came(size);
                if window.can_widen() {
                    window.widen();
                }
                prop_assert!(held(&window) <= window.bytes());
            }
        }
    }
}
