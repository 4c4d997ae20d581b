//! What is drawn from a seed.

use std::time::Duration;
use stoppable::Shutdown;

/// `SplitMix64`.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Fewer microseconds than `n`; often none.
    pub(crate) fn micros(&mut self, n: u64) -> Duration {
        let most = 1 + self.below(n);
        Duration::from_micros(self.below(most))
    }

    pub(crate) fn mode(&mut self) -> Shutdown {
        [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll][self.below(3) as usize]
    }
}
