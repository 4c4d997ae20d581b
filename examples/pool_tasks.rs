//! Tasks in a thread pool: stop them all, and print what became of each.
//!
//! Two threads have ten tasks to do. Main waits for the first result and then stops the pool: the
//! running tasks are asked, the pending ones never start.
//!
//! Expect a report of ten tasks: one completed, two cancelled (or one, where the second thread was
//! between two tasks) and the rest never started. Then the same from each handle.

use std::time::Duration;
use stoppable::{BuildError, Shutdown, ThreadPool};

fn main() -> Result<(), BuildError> {
    let pool = ThreadPool::builder().threads(2).name("tutorial").build()?;
    let mut tasks: Vec<_> = (0..10)
        .map(|number| {
            let task = pool.task().name(format!("task {number}"));
            task.submit(move |stop| {
                println!("Worker thread running... (task {number})");
                // The work takes 100, 300, 500 … milliseconds.
                let result = stop.sleep(Duration::from_millis(100 + 200 * number));
                if result.is_err() {
                    println!("Worker closing down (task {number})");
                }
                result
            })
        })
        .collect();

    let first = tasks.remove(0);
    if first.join().is_ok() {
        println!("The first task is done");
    }
    println!("Main stopping thread");
    let report = pool.shutdown(Shutdown::StopAll);
    println!("{report}");

    // The handles know the same, each for its own task.
    for task in tasks {
        println!("{} was {}", task.id(), task.outcome().status());
    }
    Ok(())
}
