//! Instants in one word, for what is stamped beside an event.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// When stamps began to be counted: the first time that anybody asked.
static EPOCH: OnceLock<Instant> = OnceLock::new();

fn epoch() -> Instant {
    *EPOCH.get_or_init(Instant::now)
}

/// An instant: how many nanoseconds after the epoch, and one. What came before the epoch is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(NonZeroU64);

impl Stamp {
    pub(crate) fn now() -> Stamp {
        let _ = epoch();
        Stamp::of(Instant::now())
    }

    /// Makes sure that whatever is stamped from now on comes after the epoch.
    pub(crate) fn begin() {
        let _ = epoch();
    }

    pub(crate) fn of(at: Instant) -> Stamp {
        let nanos = at.saturating_duration_since(epoch()).as_nanos();
        // That is good for five hundred years.
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX - 1);
        Stamp(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// How long after `earlier` it is; nothing if it is not.
    pub(crate) fn since(self, earlier: Stamp) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// So long before.
    #[cfg(feature = "timeline")]
    pub(crate) fn before(self, duration: Duration) -> Stamp {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bits = self.0.get().saturating_sub(nanos);
        Stamp(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// As a number that is not zero.
    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Stamp> {
        NonZeroU64::new(bits).map(Stamp)
    }
}
