//! Spans and events, through a subscriber that writes lines.

use crate::common::*;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use stoppable::{Shutdown, ThreadPool};

/// What has been written, by all tests of the process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that speak of a task of this name.
fn lines_of(name: &str) -> Vec<String> {
    let bytes = lines().0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    let all = text.lines().filter(|line| line.contains(name));
    all.map(str::to_owned).collect()
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_max_level(::tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        lines
    })
}

#[test]
fn a_task_has_a_span_and_tells_of_its_stop_and_its_end() {
    finishes(|| {
        lines();
        let pool = ThreadPool::new(1);
        let task = pool.task().name("traced-1").submit(|stop| {
            ::tracing::info!("inside of it");
            poll(stop);
        });
        task.wait_started();
        task.cancel();
        task.wait();
        let pending = pool
            .task()
            .name("traced-2")
            .start_before(std::time::Instant::now());
        drop(pending.submit(|_| ()));
        let panics = pool.task().name("traced-3");
        panics.submit(|_| quiet_panic("on purpose")).wait();
        pool.shutdown(Shutdown::Drain);
        let third = lines_of("traced-3");
        let is_error = |line: &String| line.contains("ERROR") && line.contains("status=panicked");
        assert!(third.iter().any(is_error), "{third:#?}");
        let first = lines_of("traced-1");
        let has = |what: &str| first.iter().any(|line| line.contains(what));
        for what in [
            "inside of it",
            "asked to stop",
            "has seen its stop",
            "status=cancelled",
        ] {
            assert!(has(what), "{what}: {first:#?}");
        }
        assert!(
            first
                .iter()
                .any(|line| line.contains("task{id=0") && line.contains("inside"))
        );
        assert!(
            lines_of("traced-2")
                .iter()
                .any(|line| line.contains("never started"))
        );
    });
}

#[test]
fn many_that_are_cancelled_at_once_are_one_line() {
    finishes(|| {
        lines();
        let stuck = Stuck::new(1);
        for _ in 0..1_234 {
            drop(stuck.pool.submit(|_| ()));
        }
        assert_eq!(stuck.pool.cancel_pending(), 1_234);
        let cancelled = lines_of("count=1234");
        assert_eq!(cancelled.len(), 1);
        assert!(cancelled[0].contains("pending tasks were cancelled"));
        // None of them are no line.
        assert_eq!(stuck.pool.cancel_pending(), 0);
        assert_eq!(lines_of("count=0 "), [""; 0]);
    });
}
