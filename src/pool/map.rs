//! Mapping a function over items, in order, with a bounded number of them in flight.

use super::capacity::Capacity;
use super::shared::Core;
use super::{Submitter, ThreadPool};
use crate::report::TaskId;
use crate::stop::{StopEvent, StopReason};
use crate::sync::Arc;
use crate::task::slab::Draft;
use crate::task::{TaskError, TaskHandle, stash};
use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::panic::Location;
use std::time::{Duration, Instant};

/// How many items are in flight: few at first, and more while they are short, so that what it costs to
/// submit them is shared by many.
#[derive(Clone, Copy, Debug)]
struct Window {
    least: usize,
    now: usize,
    most: usize,
    /// When it was filled last, and with how many.
    filled: Option<(Instant, usize)>,
}

impl Window {
    /// More would share no more of the cost.
    const MOST: usize = 256;
    /// An item that took less, to be mapped and used, is short.
    const SHORT: Duration = Duration::from_micros(4);

    fn new(threads: usize) -> Self {
        let least = (2 * threads).min(Window::MOST);
        Window {
            least,
            now: least,
            most: Window::MOST,
            filled: None,
        }
    }

    fn exactly(count: usize) -> Self {
        let count = count.max(1);
        Window {
            least: count,
            now: count,
            most: count,
            filled: None,
        }
    }

    /// It is about to be filled with so many.
    fn fill(&mut self, now: Instant, count: usize) {
        if let Some((before, used)) = self.filled.replace((now, count)) {
            let took = now - before;
            let short = Window::SHORT * u32::try_from(used).unwrap_or(u32::MAX);
            if took < short {
                self.now = (2 * self.now).min(self.most);
            } else if took > 4 * short {
                self.now = (self.now / 2).max(self.least);
            }
        }
    }
}

/// What a function makes of items, in their order; made by [`ThreadPool::map`].
#[must_use = "an iterator does nothing unless it is used"]
pub struct Map<I: Iterator, F, T> {
    core: Core,
    items: Fuse<I>,
    code: Arc<F>,
    /// In the order of the items.
    flying: VecDeque<TaskHandle<T>>,
    /// The first id.
    batch: Option<TaskId>,
    window: Window,
    /// No more items are fetched, since one was refused.
    refused: bool,
    location: &'static Location<'static>,
}

impl<I: Iterator, F, T> Map<I, F, T> {
    /// How many items may be in flight at most: fetched, and not yielded. One at least.
    ///
    /// Without this it is twice the number of threads at first, and up to 256 while items prove to be short.
    pub fn in_flight(mut self, count: usize) -> Self {
        self.window = Window::exactly(count);
        self
    }
}

impl<I, F, T> Map<I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item, &StopEvent) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    fn new(core: &Core, items: I, code: F, location: &'static Location<'static>) -> Self {
        Map {
            core: core.clone(),
            items: items.fuse(),
            code: Arc::new(code),
            flying: VecDeque::new(),
            batch: None,
            window: Window::new(core.shared.posts.len()),
            refused: false,
            location,
        }
    }

    /// Fetches items and submits them, until so many are in flight as may be.
    fn fill(&mut self) {
        let count = self.window.now - self.flying.len();
        self.window.fill(Instant::now(), count);
        while !self.refused && self.flying.len() < self.window.now {
            let Some(first) = self.items.next() else {
                return;
            };
            let closure = |item| {
                let code = Arc::clone(&self.code);
                move |stop: &StopEvent| code(item, stop)
            };
            let room = self.window.now - self.flying.len();
            let capacity = self.core.shared.capacity.as_ref();
            let most = capacity.map_or(room, Capacity::most);
            let mut draft = Draft::new(stash::take(&self.core.home), room.min(most));
            draft.push(closure(first));
            while !draft.is_full() {
                let Some(item) = self.items.next() else {
                    break;
                };
                draft.push(closure(item));
            }
            let known = self.flying.len();
            if !self
                .core
                .submit_draft(draft, &mut self.batch, &mut self.flying)
            {
                // One of them says why.
                self.flying.truncate(known + 1);
                self.refused = true;
            }
        }
    }
}

impl<I, F, T> Iterator for Map<I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item, &StopEvent) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.flying.len() <= self.window.now / 2 {
            self.fill();
        }
        Some(self.flying.pop_front()?.join())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let flying = self.flying.len();
        let most = self.items.size_hint().1;
        // A refusal ends it early.
        (flying, most.and_then(|most| most.checked_add(flying)))
    }
}

impl<I, F, T> FusedIterator for Map<I, F, T>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item, &StopEvent) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
}

impl<I: Iterator, F, T> Drop for Map<I, F, T> {
    fn drop(&mut self) {
        // The latest first: one that runs is followed by none that is pending.
        for handle in self.flying.iter().rev() {
            let canceller = handle.canceller();
            canceller.cancel_from(StopReason::Dropped, self.location);
        }
    }
}

impl<I: Iterator, F, T> fmt::Debug for Map<I, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("flying", &self.flying.len())
            .field("window", &self.window)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

impl ThreadPool {
    /// What `code` makes of each of these items, in their order. Each item is a task of its own, which is
    /// given its own event.
    ///
    /// It is lazy: nothing is fetched before the first result is asked for, and then a bounded number of items
    /// [is in flight](Map::in_flight), so an endless iterator will do, and ten million items take no more memory than a
    /// thousand. Items are submitted some at a time, as by [`submit_all`](Self::submit_all). When it is dropped, the items that are in
    /// flight are cancelled, with [`StopReason::Dropped`].
    ///
    /// A result is an error if its task was cancelled, never started or panicked; the others go on. After a
    /// shutdown has begun no more items are fetched: one `Err` more says so, and is the last.
    ///
    /// Fetching a result waits as a join does: on a worker of the pool, a pending task is run on the spot.
    /// An iterator that panics does so in `next`, and nothing that was submitted is lost.
    ///
    /// ```
    /// use stoppable::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2);
    /// let squares = pool.map(1.., |n: u64, _stop| n * n);
    /// let sum: u64 = squares.map_while(Result::ok).take(10).sum();
    /// assert_eq!(sum, 385);
    /// ```
    #[track_caller]
    pub fn map<I, F, T>(&self, items: I, code: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item, &StopEvent) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(&self.core, items.into_iter(), code, Location::caller())
    }
}

impl Submitter {
    /// As [`ThreadPool::map`].
    #[track_caller]
    pub fn map<I, F, T>(&self, items: I, code: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item, &StopEvent) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self.core(), items.into_iter(), code, Location::caller())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::shared::tests::{clear, core};
    use super::*;

    const INSTANT: Duration = Duration::from_nanos(1);

    /// What becomes of a window that had been filled with so many, when that took so long.
    fn after(window: Window, used: usize, took: Duration) -> usize {
        let (mut window, start) = (window, Instant::now());
        window.fill(start, used);
        window.fill(start + took, used);
        window.now
    }

    #[test]
    fn it_grows_while_items_are_short_and_shrinks_when_they_are_long() {
        let window = Window::new(4);
        assert_eq!((window.now, window.least), (8, 8));
        let at = |now| Window { now, ..window };
        for used in [1, 5, 8] {
            let short = Window::SHORT * used;
            let used = used as usize;
            assert_eq!(after(at(32), used, short - INSTANT), 64);
            assert_eq!(after(at(32), used, short), 32);
            assert_eq!(after(at(32), used, 4 * short), 32);
            assert_eq!(after(at(32), used, 4 * short + INSTANT), 16);
        }
    }

    #[test]
    fn it_stays_between_its_bounds() {
        let window = Window::new(4);
        let at = |now| Window { now, ..window };
        assert_eq!(after(at(Window::MOST), 8, INSTANT), Window::MOST);
        assert_eq!(after(at(150), 8, INSTANT), Window::MOST);
        let long = Duration::from_secs(1);
        assert_eq!(after(at(8), 8, long), 8);
        assert_eq!(after(at(10), 8, long), 8);
        for took in [INSTANT, long] {
            assert_eq!(after(Window::exactly(7), 7, took), 7);
        }
    }

    #[test]
    fn items_are_submitted_together() {
        let core = core(1);
        let location = Location::caller();
        let map = Map::new(&core, 0..100, |n: i32, _: &StopEvent| n, location);
        let mut map = map.in_flight(16);
        map.fill();
        let slab = |handle: &TaskHandle<i32>| handle.task().node().head();
        let first = slab(&map.flying[0]);
        assert!(first.is_some() && map.flying.len() == 16);
        assert!(map.flying.iter().all(|handle| slab(handle) == first));
        // What takes long are those that were submitted last.
        map.flying.drain(..5);
        map.fill();
        assert_eq!(map.flying.len(), 16);
        assert_eq!(map.window.filled.map(|(_, count)| count), Some(5));
        drop(map);
        clear(&core);
    }
}
