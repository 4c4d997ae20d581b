//! Tasks that are handed back before they began.

use super::ThreadPool;
use crate::task::PendingTask;
use std::panic::Location;

impl ThreadPool {
    /// Hands back every pending task, in order, and leaves the pool open: to be run here, inside a task of another
    /// pool, or dropped. Their handles stay valid.
    ///
    /// For the pool they have gone: they are counted as [taken](crate::Stats::taken), and a shutdown does not wait for them.
    /// The tasks of scopes are not taken, since whoever opened the scope waits for them. Their stop events stay under the
    /// pool's: when that is set, by [`Shutdown::StopAll`](crate::Shutdown::StopAll) or by the pool's drop, those that have not begun
    /// never start.
    #[track_caller]
    pub fn take_pending(&self) -> Vec<PendingTask> {
        let location = Location::caller();
        let stop = self.stop_event();
        let tasks = self.core.shared.take_pending(&self.core.home).into_iter();
        tasks
            .map(|task| PendingTask::taken(task, location, &stop))
            .collect()
    }
}
