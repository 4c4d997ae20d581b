//! Daemon threads, and others.
//!
//! Dropping the handle of a thread stops the thread and waits for it, so that nothing is left
//! running by accident. A daemon thread is let go instead: nobody asks it, and it runs on until it
//! ends by itself, or the process does.
//!
//! Expect the worker to close down in the middle. The daemon works to the end and never closes down:
//! it ends with the process.

use std::io;
use std::sync::mpsc::channel;
use std::time::Duration;
use stoppable::StoppableThread;

fn main() -> io::Result<()> {
    let worker = StoppableThread::spawn(|stop| {
        println!("Worker thread running...");
        stop.wait();
        println!("Worker closing down");
    });
    let (ticks, ticking) = channel();
    let daemon = StoppableThread::builder()
        .name("ticker")
        .daemon(true)
        .spawn(move |stop| {
            while stop.sleep(Duration::from_millis(100)).is_ok() {
                if ticks.send("Daemon thread running...").is_err() {
                    break;
                }
            }
            println!("Daemon closing down");
        })?;

    println!("Main stopping thread");
    drop(worker);
    println!("The worker has ended");
    drop(daemon);
    for line in ticking.iter().take(3) {
        println!("{line}");
    }
    println!("Main closing down");
    Ok(())
}
