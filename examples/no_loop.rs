//! Stopping a task without a loop: it checks its stop event between its steps.
//!
//! `stop.check()?` leaves the function with an error once the event is set. Each step says that it
//! has begun, and main stops the task during the second one, so the third never begins.
//!
//! Expect steps 1 and 2, `Main stopping thread`, `Worker closing down` and the error of the join.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use stoppable::{StopEvent, StoppableThread, Stopped};

fn step(number: u32, progress: &Sender<u32>) {
    println!("Worker thread running... step {number}");
    // Nobody listens any more once main has seen enough.
    let _ = progress.send(number);
    thread::sleep(Duration::from_millis(100)); // the work
}

fn task(stop: &StopEvent, progress: &Sender<u32>) -> Result<(), Stopped> {
    stop.check()?;
    step(1, progress);
    stop.check()?;
    step(2, progress);
    stop.check()?;
    step(3, progress);
    Ok(())
}

fn main() {
    let (progress, steps) = channel();
    let thread = StoppableThread::spawn(move |stop| {
        let result = task(stop, &progress);
        println!("Worker closing down");
        result
    });

    steps.iter().find(|&number| number == 2);
    println!("Main stopping thread");
    thread.stop();

    match thread.join() {
        Ok(_) => println!("It was done before it was stopped"),
        Err(error) => println!("No result: {error}"),
    }
}
