//! Draws of a case: pure functions of (seed, case, count), so that a case can be made again alone.

use scarce_engine::random::Stream;

/// The draws of one case, in their order.
pub(super) struct Draws {
    stream: Stream,
    drawn: u64,
}

impl Draws {
    /// The draws of a case.
    pub(super) fn new(seed: u64, case: u64) -> Self {
        Self { stream: Stream::new(seed, case), drawn: 0 }
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.drawn += 1;
        self.stream.bits(self.drawn)
    }

    /// A number below `end`, or 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    /// Whether it happens that happens once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(super) fn of<'a, T: ?Sized>(&mut self, these: &[&'a T]) -> &'a T {
        these[self.below(these.len())]
    }

    /// A stretch of `length` elements, mostly a short one.
    pub(super) fn span(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let most = if self.once_in(4) { length - start } else { 16.min(length - start) };
        start..start + self.below(most + 1)
    }
}
