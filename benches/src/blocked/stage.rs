//! One task that is blocked, and the time until it is not.

use core_affinity::CoreId;
use std::fmt;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{Outcome, StopEvent, TaskHandle, ThreadPool};

/// How a task is blocked.
#[derive(Clone, Copy)]
pub(super) enum Blocked {
    /// It computes.
    Busy,
    /// It is asleep in a call of the system's.
    Asleep,
    /// It is asleep, and a child process runs.
    #[cfg_attr(not(unix), expect(dead_code, reason = "children are for unix"))]
    WithChild,
}

/// A pool of one thread, and the thread that made it, each kept on a processor of its own.
#[derive(Clone)]
pub struct Stage {
    pool: Rc<ThreadPool>,
    /// Where the system says what the thread does. Linux only.
    state: Option<Rc<str>>,
    /// Where the tasks are. A thread that is kept on one processor sees no others.
    last: Option<CoreId>,
}

/// Says that a task is about to block.
#[derive(Clone, Default)]
pub(super) struct Started(Arc<AtomicBool>);

impl Started {
    pub(super) fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// For code that comes by more than once.
    pub(super) fn tell_once(&self) {
        if !self.0.load(Ordering::Relaxed) {
            self.tell();
        }
    }
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::new()
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

fn stay_on(processor: Option<CoreId>) {
    if let Some(processor) = processor {
        core_affinity::set_for_current(processor);
    }
}

impl Stage {
    /// Keeps the calling thread on the first processor, and its tasks on the last.
    pub fn new() -> Stage {
        let processors = core_affinity::get_core_ids().unwrap_or_default();
        let (first, last) = (processors.first().copied(), processors.last().copied());
        let pool = ThreadPool::new(1);
        let place = pool.submit(move |_stop| {
            stay_on(last);
            fs::read_link("/proc/thread-self")
        });
        let place = place.join().expect("it completed").ok();
        // Threads that are started from now on begin there too.
        stay_on(first);
        Stage {
            pool: Rc::new(pool),
            state: place.map(|place| format!("/proc/{}/stat", place.display()).into()),
            last,
        }
    }

    /// A pool of rayon's with one thread, where the tasks are. With one more, on two processors, the one who stops would
    /// have to wait for its turn.
    pub(super) fn rayon(&self) -> rayon::ThreadPool {
        let last = self.last;
        let builder = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .start_handler(move |_thread| stay_on(last));
        builder.build().expect("threads can be started")
    }

    /// From `cancel()` until `block`, which is given the task's event, returns. What it returns is dropped after the time.
    pub(super) fn ours<K>(
        &self,
        blocked: Blocked,
        block: impl FnOnce(&StopEvent, &Started) -> K + Send + 'static,
    ) -> Duration {
        self.round(blocked, block, |task| {
            task.cancel();
        })
    }

    /// From `set` until `block` returns, which looks at no event.
    pub(super) fn by_hand<K>(
        &self,
        blocked: Blocked,
        block: impl FnOnce(&Started) -> K + Send + 'static,
        set: impl FnOnce(),
    ) -> Duration {
        self.round(blocked, |_stop, started| block(started), |_task| set())
    }

    fn round<K>(
        &self,
        blocked: Blocked,
        block: impl FnOnce(&StopEvent, &Started) -> K + Send + 'static,
        set: impl FnOnce(&TaskHandle<Instant>),
    ) -> Duration {
        let started = Started::default();
        let task = self.pool.submit({
            let started = started.clone();
            move |stop| {
                let kept = block(stop, &started);
                let at = Instant::now();
                drop(kept);
                at
            }
        });
        self.await_blocked(blocked, &started);
        let from = Instant::now();
        set(&task);
        let (Outcome::Completed(to)
        | Outcome::Cancelled {
            partial: Some(to), ..
        }) = task.outcome()
        else {
            panic!("it ran to its end");
        };
        to.saturating_duration_since(from)
    }

    fn await_blocked(&self, blocked: Blocked, started: &Started) {
        while !started.0.load(Ordering::Acquire) {
            thread::yield_now();
        }
        match blocked {
            Blocked::Busy => {
                let from = Instant::now();
                while from.elapsed() < Duration::from_micros(20) {}
            }
            Blocked::Asleep => self.await_asleep(),
            Blocked::WithChild => {
                // So that the child has begun, and is not waited for in the shortest of pauses.
                thread::sleep(Duration::from_millis(3));
                self.await_asleep();
            }
        }
    }

    /// Until the thread is found asleep twice in a row: nothing that is done before the blocking call sleeps for so long.
    fn await_asleep(&self) {
        let Some(state) = &self.state else {
            // Nobody can see it from outside; this is ample.
            return thread::sleep(Duration::from_micros(200));
        };
        let mut found = 0;
        while found < 2 {
            let stat = fs::read_to_string(&**state).expect("the thread is alive");
            // Behind the name, which may contain anything.
            let asleep = stat
                .rsplit_once(") ")
                .is_some_and(|(_, behind)| behind.starts_with('S'));
            if asleep {
                found += 1;
            } else {
                found = 0;
                thread::yield_now();
            }
        }
    }
}
