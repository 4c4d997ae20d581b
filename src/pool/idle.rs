//! Who sleeps, who searches, and who wakes whom.
//!
//! A worker without a task *searches* for a while (it spins, looking at the queue) and then *sleeps*.
//! One word counts both, and says whether the pool is closing:
//!
//! | bits | meaning |
//! |---|---|
//! | 0–15 | how many search |
//! | 16–31 | how many sleep |
//! | 32 | the pool is closing |
//!
//! 1. A submitter wakes a sleeper only if nobody searches and somebody sleeps. So a burst of
//!    submissions costs one wake-up, and a pool with a searcher none.
//! 2. A woken worker counts as a searcher from the moment it is chosen, so that two submitters do not
//!    wake two workers for one task.
//! 3. The last searcher to find a task wakes another worker if there is more. So what rule 1 left
//!    out is made up for: as many wake as there is work, each by the one before.
//! 4. A worker that goes to sleep looks at the queue once more after it has said so. If it finds
//!    something it searches again, and so comes under rule 3.
//!
//! # No task is stranded
//!
//! A submitter pushes, fences, and reads the word; a worker changes the word (from searching to
//! sleeping), fences, and looks at the queue. By the fences one of the two sees what the other did.
//! If the submitter sees the worker asleep and nobody searching, it wakes one. If it sees a searcher,
//! that searcher has not yet said that it sleeps, and so will look after the push: either it finds
//! this task, or it finds another one and then, being the last (rule 3), looks whether there is more.
//! If it is not the last, the last one does so.

use crate::stop::parker::Parker;
use crate::sync::{AtomicU64, CachePadded, Mutex, Ordering, fence};

const SEARCHER: u64 = 1;
const SLEEPER: u64 = 1 << 16;
const MASK: u64 = 0xffff;
const CLOSING: u64 = 1 << 32;

/// The most workers that the word can count.
pub(crate) const MOST_WORKERS: usize = MASK as usize;

pub(crate) struct Idle {
    word: CachePadded<AtomicU64>,
    /// The lanes of those who sleep, the latest last: it is the warmest and is woken first. The
    /// number of sleepers in the word changes under this lock only.
    sleepers: Mutex<Vec<usize>>,
    parkers: Box<[Parker]>,
    /// More searchers than this would only be in each other's way.
    most_searchers: u64,
}

fn searchers(word: u64) -> u64 {
    word & MASK
}

fn sleepers(word: u64) -> u64 {
    (word / SLEEPER) & MASK
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        Idle {
            word: CachePadded::new(AtomicU64::new(0)),
            sleepers: Mutex::new(Vec::with_capacity(workers)),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            most_searchers: workers.div_ceil(2) as u64,
        }
    }

    /// A task has been pushed. Wakes a worker if that is needed; says whether the pool is closing.
    #[inline]
    pub(crate) fn notify(&self) -> bool {
        // Partner: the fence in `sleep`, and that of the closer; see above.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        let word = self.word.load(Ordering::Relaxed);
        if searchers(word) == 0 && sleepers(word) > 0 {
            self.wake_one();
        }
        word & CLOSING != 0
    }

    #[cold]
    fn wake_one(&self) {
        let chosen = {
            let mut list = self.sleepers.lock();
            // Relaxed: a searcher that has come meanwhile has yet to look.
            if searchers(self.word.load(Ordering::Relaxed)) > 0 {
                return;
            }
            let Some(chosen) = list.pop() else {
                return;
            };
            // Relaxed: the change is made under the lock; those who read it without the lock have
            // their fences.
            self.word
                .fetch_add(SEARCHER.wrapping_sub(SLEEPER), Ordering::Relaxed);
            chosen
        };
        self.parkers[chosen].unpark();
    }

    /// Marks the pool as closing and wakes everyone.
    pub(crate) fn close(&self) {
        // Relaxed, with the fence after it: partner is the fence in `notify`. Either the submitter
        // sees the mark, or the closer's look at the queue, which comes next, sees its task.
        self.word.fetch_or(CLOSING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.wake_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        // Relaxed: what is done then is done under the lock of the pool's life, which the closer holds
        // while it marks. And who has just counted an end does not miss a mark whose closer has not counted it: both
        // went through the lock of the ledger's book, or, for what a worker ran, through the fence in `close` and that of
        // `Lane::enter`.
        self.word.load(Ordering::Relaxed) & CLOSING != 0
    }

    pub(crate) fn wake_all(&self) {
        let chosen = {
            let mut list = self.sleepers.lock();
            let change = (SEARCHER.wrapping_sub(SLEEPER)).wrapping_mul(list.len() as u64);
            // Relaxed: as in `wake_one`.
            self.word.fetch_add(change, Ordering::Relaxed);
            std::mem::take(&mut *list)
        };
        for lane in chosen {
            self.parkers[lane].unpark();
        }
    }

    /// Becomes a searcher, unless there are enough.
    pub(crate) fn start_searching(&self) -> bool {
        // Relaxed: a searcher has yet to look at the queue, so nothing depends on when it is seen
        // to search; that it stops is what is fenced.
        let mut word = self.word.load(Ordering::Relaxed);
        while searchers(word) < self.most_searchers {
            match self.word.compare_exchange_weak(
                word,
                word + SEARCHER,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// A searcher has found a task. If it was the last one and there is more, it wakes another.
    pub(crate) fn found(&self, more: impl FnOnce() -> bool) {
        // Relaxed: the fence after it orders the look for more behind the change, so a submitter that
        // still saw us searching has pushed before we look.
        let before = self.word.fetch_sub(SEARCHER, Ordering::Relaxed);
        if searchers(before) == 1 && sleepers(before) > 0 {
            fence(Ordering::SeqCst);
            if more() {
                self.wake_one();
            }
        }
    }

    /// Goes to sleep unless `stay` says not to, and returns when woken. Either way the caller counts as
    /// a searcher then.
    pub(crate) fn sleep(&self, lane: usize, searching: bool, stay: impl FnOnce() -> bool) {
        {
            let mut list = self.sleepers.lock();
            list.push(lane);
            let change = SLEEPER.wrapping_sub(SEARCHER * u64::from(searching));
            // Relaxed: ordered by the fence below.
            self.word.fetch_add(change, Ordering::Relaxed);
        }
        // Partner: the fence in `notify`.
        fence(Ordering::SeqCst);
        if stay() {
            let mut list = self.sleepers.lock();
            if let Some(place) = list.iter().rposition(|other| *other == lane) {
                list.remove(place);
                // Relaxed: as in `wake_one`. It searches again, so that rule 3 holds for it: what
                // made it stay may be two tasks, pushed by one who relied on its search.
                self.word
                    .fetch_add(SEARCHER.wrapping_sub(SLEEPER), Ordering::Relaxed);
                return;
            }
            // Somebody has chosen us: the token is there, or on its way.
        }
        self.parkers[lane].park();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::without;
    use std::time::Instant;

    /// Puts the worker of that lane to sleep. As if it had been woken for nothing the test goes on.
    fn fall_asleep(idle: &Idle, lane: usize, searching: bool) {
        idle.parkers[lane].unpark();
        idle.sleep(lane, searching, || false);
    }

    fn idle(workers: usize, sleepers: impl IntoIterator<Item = usize>) -> Idle {
        let idle = Idle::new(workers);
        for lane in sleepers {
            fall_asleep(&idle, lane, false);
        }
        idle
    }

    /// Whether that worker has been woken since.
    fn is_woken(idle: &Idle, lane: usize) -> bool {
        idle.parkers[lane].park_until(Some(Instant::now()))
    }

    #[test]
    fn a_push_wakes_one_sleeper_unless_somebody_searches() {
        let idle = idle(4, [0, 1]);
        idle.notify();
        assert!(is_woken(&idle, 1), "the latest is the warmest");
        // That one searches now.
        idle.notify();
        assert!(!is_woken(&idle, 0));
        idle.found(|| false);
        assert!(!is_woken(&idle, 0));
        idle.notify();
        assert!(is_woken(&idle, 0));
    }

    /// Nor does a push that finds a searcher.
    #[test]
    fn a_push_takes_no_lock_when_nobody_sleeps() {
        let idle = Idle::new(2);
        assert!(!without(idle.sleepers.lock(), || idle.notify()));
        fall_asleep(&idle, 0, false);
        assert!(idle.start_searching());
        assert!(!without(idle.sleepers.lock(), || idle.notify()));
        idle.close();
        assert!(without(idle.sleepers.lock(), || idle.notify()));
    }

    #[test]
    fn who_has_begun_to_search_meanwhile_is_enough() {
        let idle = idle(2, [0]);
        assert!(idle.start_searching());
        idle.wake_one();
        assert!(!is_woken(&idle, 0));
        idle.found(|| false);
        idle.wake_one();
        assert!(is_woken(&idle, 0));
    }

    #[test]
    fn the_last_searcher_to_find_a_task_wakes_another_if_there_is_more() {
        let idle = idle(4, [2, 3]);
        assert!(idle.start_searching() && idle.start_searching());
        idle.found(|| unreachable!("another one searches"));
        assert!(!is_woken(&idle, 3));
        idle.found(|| true);
        assert!(is_woken(&idle, 3) && !is_woken(&idle, 2));
        idle.found(|| false);
        assert!(!is_woken(&idle, 2));
    }

    #[test]
    fn with_nobody_to_wake_it_does_not_matter_whether_there_is_more() {
        let idle = Idle::new(2);
        assert!(idle.start_searching());
        idle.found(|| unreachable!("nobody sleeps"));
    }

    #[test]
    fn half_of_the_workers_search_at_most() {
        for (workers, most) in [(1, 1), (2, 1), (3, 2), (8, 4)] {
            let idle = Idle::new(workers);
            let begin = || (0..workers).filter(|_| idle.start_searching()).count();
            assert_eq!(begin(), most);
            idle.found(|| false);
            assert_eq!(begin(), 1, "in place of the one that found something");
            fall_asleep(&idle, 0, true);
            assert_eq!(begin(), 1, "in place of the one that sleeps");
        }
    }

    #[test]
    fn closing_wakes_everyone_and_is_seen_by_who_pushes() {
        let idle = idle(3, [0, 1, 2]);
        assert!(!idle.is_closing() && !idle.notify());
        assert!(is_woken(&idle, 2));
        idle.close();
        assert!(idle.is_closing() && idle.notify());
        assert!(is_woken(&idle, 0) && is_woken(&idle, 1));
    }
}
