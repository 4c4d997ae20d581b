//! A server that shuts down in good order, as under an orchestrator, and says who held it up.
//!
//! It answers requests over TCP, each of them a task. Ctrl-C, or SIGTERM, begins the end: it drains for a while, then
//! cancels what is pending, then stops what runs, and then gives up; a second Ctrl-C gives up at once. Started without
//! `--serve` it is its own clients for a moment, and then its own Ctrl-C. One of its tasks never looks at its
//! stop event: the report names it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, io, thread};
use stoppable::{Graceful, StopEvent, Stopped, ThreadPool};

/// Works for that long, in small steps, and looks at its stop event between them.
fn work(stop: &StopEvent, duration: Duration) -> Result<(), Stopped> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        stop.sleep(Duration::from_millis(1))?;
    }
    Ok(())
}

/// Answers one request, such as `GET /search`.
fn answer(stop: &StopEvent, mut connection: TcpStream) -> io::Result<()> {
    let mut request = String::new();
    BufReader::new(&connection).read_line(&mut request)?;
    let slow = request.contains("/export");
    work(stop, Duration::from_millis(if slow { 400 } else { 5 }))?;
    writeln!(connection, "done: {}", request.trim())
}

/// Takes connections until the event is set. Whoever sets it connects once more, to wake us.
fn accept(listener: &TcpListener, pool: &ThreadPool, stop: &StopEvent) -> io::Result<()> {
    loop {
        let (connection, peer) = listener.accept()?;
        if stop.is_set() {
            return Ok(());
        }
        let task = pool.task().name(format!("request of {peer}"));
        // A task that nobody joins; what it could not answer, the peer finds out.
        let submitted = task.execute(move |stop| answer(stop, connection));
        if submitted.is_err() {
            return Ok(());
        }
    }
}

/// A client that asks, and says whether it was answered.
fn ask(address: SocketAddr, path: &str) -> bool {
    let ask = || -> io::Result<String> {
        let mut connection = TcpStream::connect(address)?;
        writeln!(connection, "GET {path}")?;
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("done"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let serve = env::args().any(|argument| argument == "--serve");
    let pool = ThreadPool::builder()
        .threads(4)
        .name("server")
        .timings(true)
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    println!("serving at {address}");

    // The first signal ends the accept loop, the second one all patience.
    let (end, give_up) = (StopEvent::new(), StopEvent::new());
    let pressed = {
        let (end, give_up, presses) = (end.clone(), give_up.clone(), AtomicU32::new(0));
        move || {
            match presses.fetch_add(1, Ordering::Relaxed) {
                0 => end.set(),
                _ => give_up.set(),
            };
            // Wakes the accept loop.
            drop(TcpStream::connect(address));
        }
    };

    // A task that does not look.
    pool.task()
        .name("rebuild index")
        .execute(|_stop| thread::sleep(Duration::from_millis(1_500)))?;

    if serve {
        ctrlc::set_handler(pressed)?;
    } else {
        thread::spawn(move || {
            let clients: Vec<_> = (0..40)
                .map(|n| {
                    let path = if n % 10 == 3 { "/export" } else { "/search" };
                    thread::spawn(move || ask(address, path))
                })
                .collect();
            thread::sleep(Duration::from_millis(60));
            pressed();
            let answered = clients.into_iter().filter_map(|client| client.join().ok());
            let answered = answered.filter(|answered| *answered).count();
            println!("{answered} of 40 clients were answered");
        });
    }
    accept(&listener, &pool, &end)?;
    println!("shutting down");
    let report = pool.shutdown_graceful(
        Graceful::new()
            .drain(Duration::from_millis(150))
            .cancel_pending(Duration::from_millis(100))
            .stop_all(Duration::from_millis(200))
            .give_up_on(&give_up),
    );
    println!("{report}");
    for straggler in report.stragglers() {
        println!("\nheld up by {:?}", straggler.name().unwrap_or("?"));
    }
    // Not the drop of the pool, which would wait for it.
    pool.abandon();
    Ok(())
}
