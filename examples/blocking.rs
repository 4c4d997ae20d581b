//! Stopping a task that is blocked in waiting.
//!
//! A thread in a plain sleep cannot look at anything. So one thread here sleeps for an hour with
//! `stop.sleep`, and another waits up to an hour with `stop.wait_timeout`: both end as soon as they
//! are stopped.
//!
//! Expect `Main stopping thread` at once, `Worker closing down` twice, and a few milliseconds.

use std::time::{Duration, Instant};
use stoppable::StoppableThread;

const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    let sleeper = StoppableThread::spawn(|stop| {
        println!("Worker thread running...");
        // A stop that comes before the hour is over is an error, for use with `?`.
        if let Err(stopped) = stop.sleep(HOUR) {
            println!("Woken: {}", stopped.reason());
        }
        println!("Worker closing down");
    });
    let waiter = StoppableThread::spawn(|stop| {
        println!("Worker thread running...");
        // The same as a question: was it set in time?
        if stop.wait_timeout(HOUR) {
            println!("Not an hour yet");
        }
        println!("Worker closing down");
    });

    println!("Main stopping thread");
    let asked = Instant::now();
    sleeper.stop();
    waiter.stop();
    println!("The sleeper: {}", sleeper.outcome().status());
    println!("The waiter: {}", waiter.outcome().status());
    println!("Both had ended after {} ms", asked.elapsed().as_millis());
}
