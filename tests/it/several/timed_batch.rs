//! A batch with a time limit: what has ended in time keeps its result, and only the rest is cancelled.

use super::gated;
use crate::common::finishes;
use std::time::{Duration, Instant};
use stoppable::{CancelOutcome, TaskStatus, wait_all, wait_all_timeout};

#[test]
fn only_what_is_unfinished_in_time_is_cancelled() {
    finishes(|| {
        let limit = Duration::from_millis(10);
        let gated = gated(5);
        for n in [3, 1] {
            gated.end(n);
        }
        let start = Instant::now();
        let waited = wait_all_timeout(&gated.tasks, limit);
        assert!(start.elapsed() >= limit, "it was early");
        assert_eq!(
            (waited.done(), waited.unfinished()),
            (&[1, 3][..], &[0, 2, 4][..])
        );
        for n in waited.unfinished() {
            assert_eq!(gated.tasks[*n].cancel(), CancelOutcome::Requested);
        }
        for n in 0..5 {
            assert_eq!(gated.tasks[n].stop_event().peek(), n % 2 == 0);
            gated.gates[n].0.open();
        }
        assert!(wait_all(&gated.tasks).is_all_done());
        for (n, task) in gated.tasks.into_iter().enumerate() {
            // Those that were asked did not look, and have results as well.
            assert_eq!(task.status(), TaskStatus::Completed);
            assert_eq!(task.join().unwrap(), n);
        }
    });
}
