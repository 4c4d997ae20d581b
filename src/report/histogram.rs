//! How often something took how long: counted by one thread, read by any, without a lock.

use super::latency::{BUCKETS, Durations, bucket_of};
use std::sync::OnceLock;
// Counts of what is measured publish nothing, so the models need not look at them.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many buckets are made at once: those of one power of two.
const OCTAVE: usize = 128;
const OCTAVES: usize = BUCKETS.div_ceil(OCTAVE);

/// As [`Durations`], while it grows.
///
/// Only one thread at a time may add. Who reads meanwhile sees some additions in part: the count of one
/// and the sum of the one before.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Made when the first duration falls into it: a pool sees few of them.
    octaves: [OnceLock<Box<[AtomicU64; OCTAVE]>>; OCTAVES],
    /// In nanoseconds, as all of these.
    least: AtomicU64,
    greatest: AtomicU64,
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            octaves: [const { OnceLock::new() }; OCTAVES],
            least: AtomicU64::new(u64::MAX),
            greatest: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(crate) fn add(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = usize::from(bucket_of(nanos));
        let octave = self.octaves[bucket / OCTAVE]
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; OCTAVE]));
        let count = &octave[bucket % OCTAVE];
        // Relaxed, all of these: one thread writes, and what was added before a task's end is seen
        // with that.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let sum = self.sum.load(Ordering::Relaxed).saturating_add(nanos);
        self.sum.store(sum, Ordering::Relaxed);
        if nanos < self.least.load(Ordering::Relaxed) {
            self.least.store(nanos, Ordering::Relaxed);
        }
        if nanos > self.greatest.load(Ordering::Relaxed) {
            self.greatest.store(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Durations {
        let octaves = self.octaves.iter().enumerate();
        let counts = octaves
            .filter_map(|(index, octave)| Some((index, octave.get()?)))
            .flat_map(|(index, octave)| {
                let counts = octave.iter().enumerate();
                // Relaxed: see above.
                counts.map(move |(at, count)| (index * OCTAVE + at, count.load(Ordering::Relaxed)))
            });
        Durations::of_counts(
            counts,
            self.least.load(Ordering::Relaxed),
            self.greatest.load(Ordering::Relaxed),
            self.sum.load(Ordering::Relaxed),
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_durations_that_were_added_one_by_one() {
        let (all, mut same) = (Histogram::default(), Durations::default());
        assert_eq!(all.read(), same);
        for nanos in [7, 0, 127, 128, 3_000_000_000, 1 << 50, 129, 7] {
            let duration = Duration::from_nanos(nanos);
            all.add(duration);
            same.add(duration);
            assert_eq!(all.read(), same);
        }
    }

    #[test]
    fn what_is_longer_than_it_can_count_is_the_longest() {
        let all = Histogram::default();
        all.add(Duration::MAX);
        assert_eq!(all.read().max(), Some(Duration::from_nanos(u64::MAX)));
    }
}
