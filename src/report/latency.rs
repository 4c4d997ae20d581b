//! How long things took, over all tasks of a pool's life, in little memory.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Each power of two is divided into so many buckets, as a power of two: a duration is known to less
/// than one part in 128.
const SUB_BITS: u32 = 7;

/// How many durations there were of each length.
///
/// A histogram: at most some ten kilobytes, however many durations there are.
/// The least and the greatest are kept as they were measured, and so is the sum, for the mean, up to some five hundred years on
/// one thread; percentiles to less than one part in 128. How exactly times are measured that tasks wait and run
/// is said at [`timings`](crate::ThreadPoolBuilder::timings).
///
/// ```
/// use stoppable::{Shutdown, ThreadPool};
///
/// let pool = ThreadPool::new(1);
/// let task = pool.submit(|stop| stop.wait());
/// task.wait_started();
/// task.cancel();
/// let report = pool.shutdown(Shutdown::Drain);
/// let latency = report.stop_latency();
/// assert_eq!(latency.to_ended().count(), 1);
/// assert!(latency.to_seen().percentile(50.0) <= latency.to_ended().max());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many there are in each bucket that is not empty.
    buckets: BTreeMap<u16, u64>,
    count: u64,
    /// In nanoseconds, as all of these.
    least: u64,
    greatest: u64,
    sum: u128,
}

impl Durations {
    pub(crate) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        *self.buckets.entry(bucket_of(nanos)).or_default() += 1;
        let is_first = self.count == 0;
        self.least = if is_first {
            nanos
        } else {
            self.least.min(nanos)
        };
        self.greatest = self.greatest.max(nanos);
        self.sum += u128::from(nanos);
        self.count += 1;
    }

    /// With so many in each of these buckets, and these extremes.
    pub(crate) fn of_counts(
        counts: impl Iterator<Item = (usize, u64)>,
        least: u64,
        greatest: u64,
        sum: u64,
    ) -> Durations {
        let bucket = |at| u16::try_from(at).expect("there are fewer buckets than that");
        let buckets: BTreeMap<_, _> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(at, count)| (bucket(at), count))
            .collect();
        if buckets.is_empty() {
            return Durations::default();
        }
        Durations {
            count: buckets.values().sum(),
            buckets,
            // Whoever reads while they grow may find a first one whose extremes are not there yet.
            least: least.min(greatest),
            greatest,
            sum: u128::from(sum),
        }
    }

    pub(crate) fn merge(&mut self, other: &Durations) {
        if other.count == 0 {
            return;
        }
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        let is_first = self.count == 0;
        self.least = if is_first {
            other.least
        } else {
            self.least.min(other.least)
        };
        self.greatest = self.greatest.max(other.greatest);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least, if there is one.
    pub fn min(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.least))
    }

    /// The greatest, if there is one.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.greatest))
    }

    /// The mean, if there is one.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum.checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(
            u64::try_from(mean).unwrap_or(u64::MAX),
        ))
    }

    /// The duration that so many percent of all do not exceed, if there is any: 50 is the median, 100 the
    /// greatest. What is outside of 0 to 100 counts as the nearer of these.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let share = percent.clamp(0.0, 100.0) / 100.0;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among more than 2^52 need not be exact, and it is not negative"
        )]
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                let nanos = last_of(*bucket).clamp(self.least, self.greatest);
                return Some(Duration::from_nanos(nanos));
            }
        }
        self.max()
    }
}

/// How many buckets there are.
pub(super) const BUCKETS: usize = (64 - SUB_BITS as usize + 1) << SUB_BITS;

/// The bucket of a duration: one for each number that is small, and 128 for each power of two above.
pub(super) fn bucket_of(nanos: u64) -> u16 {
    let small = 1 << SUB_BITS;
    let bucket = if nanos < small {
        nanos
    } else {
        let power = nanos.ilog2() - SUB_BITS;
        let within = (nanos >> power) - small;
        (u64::from(power + 1) << SUB_BITS) + within
    };
    u16::try_from(bucket).expect("there are 58 powers of two with 128 buckets each")
}

/// The longest duration in the bucket.
fn last_of(bucket: u16) -> u64 {
    let small = 1_u64 << SUB_BITS;
    let bucket = u64::from(bucket);
    if bucket < small {
        return bucket;
    }
    let power = (bucket >> SUB_BITS) - 1;
    let within = bucket % small;
    let first = (small + within) << power;
    first + ((1 << power) - 1)
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("p50", &self.percentile(50.0))
            .field("p99", &self.percentile(99.0))
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

/// How soon tasks stopped that were asked to while they ran: over all of a pool's life; in a
/// [`ShutdownReport`](crate::ShutdownReport).
///
/// It is stamped when a task finds its stop event set for the first time, and when it ends; a poll of an unset
/// event reads no clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopLatency {
    to_seen: Durations,
    to_ended: Durations,
}

impl StopLatency {
    pub(crate) fn add(&mut self, latency: Latency) {
        if let Some(seen) = latency.seen {
            self.to_seen.add(seen);
        }
        self.to_ended.add(latency.ended);
    }

    /// From the moment when a task was asked to that when it first saw it. Of those that did.
    pub fn to_seen(&self) -> &Durations {
        &self.to_seen
    }

    /// From the moment when a task was asked to its end, whether it saw it or not.
    pub fn to_ended(&self) -> &Durations {
        &self.to_ended
    }
}

/// How soon one task stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) seen: Option<Duration>,
    pub(crate) ended: Duration,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_without_gaps() {
        let mut next = 0_u64;
        for bucket in 0..4_000 {
            assert_eq!(bucket_of(next), bucket);
            let last = last_of(bucket);
            assert_eq!(bucket_of(last), bucket);
            assert!(last - next <= next / 128, "{next} to {last}");
            next = last + 1;
        }
        assert_eq!(last_of(bucket_of(u64::MAX)), u64::MAX);
        assert_eq!(usize::from(bucket_of(u64::MAX)), BUCKETS - 1);
    }

    #[test]
    fn percentiles_agree_with_a_sorted_list() {
        let (mut sorted, mut all) = (Vec::new(), Durations::default());
        let mut seed = 1_u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let nanos = (seed >> 33) % (1 << (seed >> 59));
            sorted.push(nanos);
            let mut one = Durations::default();
            one.add(Duration::from_nanos(nanos));
            all.merge(&one);
        }
        sorted.sort_unstable();
        for percent in [0_u32, 1, 25, 50, 75, 90, 99, 100] {
            let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
            let exact = sorted[rank - 1];
            let found = all
                .percentile(f64::from(percent))
                .unwrap_or_default()
                .as_nanos() as u64;
            assert!(
                (exact..=exact + exact / 128).contains(&found),
                "{percent}: {exact}, {found}"
            );
        }
        assert_eq!(all.count(), 10_000);
        assert_eq!(all.max(), sorted.last().copied().map(Duration::from_nanos));
        assert_eq!(Durations::default().percentile(50.0), None);
    }
}
