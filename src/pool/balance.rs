//! What has become of every task, and what is live: counts and lists that agree.

use super::shared::Core;
use super::worker::{Post, Shown};
use crate::report::ledger::Exceptions;
use crate::report::tick::{Moment, Tick};
use crate::report::{Ending, Parts, ShutdownReport, Stats, Straggler, TaskSnapshot, TaskStatus};
use crate::sync::{Arc, yield_now};
use crate::task::cell::TaskRef;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl Core {
    /// The tasks that have not ended: those that run, and then those that are pending, in order.
    pub(super) fn tasks(&self) -> Vec<TaskSnapshot> {
        let (now, balance) = (Moment::now(), self.balance());
        let running = balance.running.iter();
        let running = running.map(|(task, since)| snapshot(task, *since, now));
        let pending = balance.pending.iter().map(|task| snapshot(task, None, now));
        let mut tasks: Vec<_> = running.chain(pending).collect();
        // One may have ended, or begun, since it was found.
        let mut known = BTreeSet::new();
        tasks.retain(|task| !task.status.is_done() && known.insert(task.id));
        tasks
    }

    /// What has become of every task so far.
    pub(super) fn report(&self) -> ShutdownReport {
        let Balance {
            running,
            pending,
            stats,
            ids,
            exceptions,
        } = self.balance();
        let shared = &self.shared;
        let now = Moment::now();
        let stragglers = running
            .iter()
            .map(|(task, since)| Straggler::new(snapshot(task, *since, now)));
        ShutdownReport::new(Parts {
            pool: shared.name.clone(),
            mode: shared.life.lock().mode,
            stats,
            ids,
            exceptions,
            stragglers: stragglers.collect(),
            pending: pending.iter().map(TaskRef::id).collect(),
            ending: (stats.pending + stats.running > 0)
                .then(|| -> Arc<dyn Ending> { Arc::new(self.clone()) }),
        })
    }

    /// Counts and lists that agree, if such a moment is found.
    pub(super) fn balance(&self) -> Balance {
        let Core { home, shared } = self;
        // Counts and lists are not taken at one instant. So they are taken until they agree, and
        // those that were listed first are still what they were when they have been counted: then
        // nobody is missing, and nobody is too many. They agree at once when little moves. If they do
        // not for a while, the counts are exact and the lists as good as can be.
        let give_up = Instant::now() + PATIENCE;
        loop {
            let running: Vec<_> = shared.posts.iter().flat_map(Post::tasks).collect();
            // Or nobody is to be kept from the queue for this.
            let pending = if home.ledger.stats().pending > 0 {
                shared.queue.freeze(&home.ledger).pending()
            } else {
                Vec::new()
            };
            let (stats, ids, exceptions) = home.ledger.closing_balance();
            let are_running = all_are(running.iter().map(|(task, _)| task), TaskStatus::Running);
            let agree = (stats.running, stats.pending)
                == (running.len() as u64, pending.len() as u64)
                && are_running
                && all_are(&pending, TaskStatus::Pending);
            if agree || Instant::now() >= give_up {
                return Balance {
                    running,
                    pending,
                    stats,
                    ids,
                    exceptions,
                };
            }
            yield_now();
        }
    }
}

/// Who runs, who waits, and how all others have ended.
pub(super) struct Balance {
    pub(super) running: Vec<Shown>,
    pub(super) pending: Vec<TaskRef>,
    stats: Stats,
    ids: u64,
    exceptions: Exceptions,
}

/// For how long a report looks for a moment at which its counts and its lists agree.
const PATIENCE: Duration = Duration::from_millis(100);

fn all_are<'a>(tasks: impl IntoIterator<Item = &'a TaskRef>, status: TaskStatus) -> bool {
    let mut tasks = tasks.into_iter();
    tasks.all(|task| task.state().load().status() == status)
}

/// A task that has been running since then, or has not begun.
fn snapshot(task: &TaskRef, started: Option<Tick>, now: Moment) -> TaskSnapshot {
    let word = task.state().load();
    let waited_until = started.unwrap_or(now.tick);
    TaskSnapshot {
        id: task.id(),
        name: task.shared_name().cloned(),
        status: word.status(),
        cause: task.node().cause(),
        has_looked: word.seen(),
        seen: task.node().seen_at(),
        waited: task.submitted().map(|it| waited_until.since(it)),
        running_for: started.map(|it| now.tick.since(it)),
        now: now.stamp,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::shared::tests::{clear, core};
    use super::*;
    use crate::task::TaskHandle;

    #[test]
    fn counts_and_lists_agree_if_all_listed_are_what_they_were() {
        let core = core(1);
        let handles = [(); 3].map(|()| core.submit(None, (), |_| ()));
        let tasks = || handles.iter().map(TaskHandle::task);
        assert!(all_are(tasks(), TaskStatus::Pending));
        assert!(!all_are(tasks(), TaskStatus::Running));
        handles[1].cancel();
        assert!(!all_are(tasks(), TaskStatus::Pending));
        clear(&core);
        assert!(all_are(tasks(), TaskStatus::NeverStarted));
    }

    /// Only somebody to wait for needs the pool.
    #[test]
    fn a_report_on_a_pool_in_which_all_has_ended_keeps_nothing_of_it() {
        let core = core(1);
        let report = core.report();
        let shared = Arc::downgrade(&core.shared);
        drop(core);
        assert!(shared.upgrade().is_none());
        assert_eq!(report.submitted(), 0);
    }
}
