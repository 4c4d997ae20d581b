//! A task that panics: how main sees it, and how the other tasks go on.
//!
//! The panic ends its own task and nothing else. The thread of the pool survives it, and the join
//! is an error with the task's name and the panic's message.
//!
//! Expect the usual message of a panic on stderr, one line for each of the three tasks, and a report
//! that counts two completed tasks and one that panicked.

use stoppable::{Shutdown, ThreadPool};

fn square_root(number: f64) -> f64 {
    assert!(number >= 0.0, "{number} has no square root");
    number.sqrt()
}

fn main() {
    let pool = ThreadPool::new(1);
    let handles: Vec<_> = [4.0, -1.0, 9.0]
        .into_iter()
        .map(|number| {
            let task = pool.task().name(format!("root of {number}"));
            task.submit(move |_stop| square_root(number))
        })
        .collect();

    for handle in handles {
        match handle.join() {
            Ok(root) => println!("The root is {root}"),
            // To go on panicking here: std::panic::resume_unwind(error.into_panic()?).
            Err(error) if error.is_panicked() => println!("Main goes on: {error}"),
            Err(error) => println!("Not run: {error}"),
        }
    }
    println!("{}", pool.shutdown(Shutdown::Drain));
}
