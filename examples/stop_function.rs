//! Stopping a custom function in a thread.
//!
//! The function is handed its stop event and polls it once a round. Main lets it do three rounds,
//! stops it, and gets its result so far.
//!
//! Expect three or four times `Worker thread running...`, among them `Main stopping thread`, then
//! `Worker closing down` and the number of rounds.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use stoppable::{Outcome, StopEvent, StoppableThread};

/// Works until it is stopped, and returns how many rounds it did.
fn task(stop: &StopEvent, progress: &Sender<u32>) -> u32 {
    let mut rounds = 0;
    while !stop.is_set() {
        println!("Worker thread running...");
        thread::sleep(Duration::from_millis(100)); // the work
        rounds += 1;
        // Nobody listens any more once main has seen enough.
        let _ = progress.send(rounds);
    }
    println!("Worker closing down");
    rounds
}

fn main() {
    let (progress, rounds) = channel();
    let thread = StoppableThread::spawn(move |stop| task(stop, &progress));

    rounds.iter().take(3).for_each(drop);
    println!("Main stopping thread");
    thread.stop();

    match thread.outcome() {
        Outcome::Cancelled { partial, cause } => {
            println!(
                "Stopped ({}) after {} rounds",
                cause.reason,
                partial.unwrap_or(0)
            );
        }
        other => println!("Not stopped: {other:?}"),
    }
}
