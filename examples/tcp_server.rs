//! A TCP server that is stopped under 200 live connections, and loses no request that it has begun.
//!
//! The protocol is a line with a number, and a line in return with all numbers up to it. Each connection is a task, in a pool that
//! has a thread for each of so many. Ctrl-C sets `closing`, which
//!
//! - ends `accept`: from then on connections are refused;
//! - lets each connection finish the request that it has in work, and closes it behind that answer.
//!
//! Meanwhile the pool drains. The tasks' own stop events come last: they break the connections of those who do not hang up.
//!
//! `tcp_server --serve 127.0.0.1:7000` serves until Ctrl-C or SIGTERM. Without arguments it is its own clients, presses
//! its own Ctrl-C in the middle, and counts: what was begun, answered and received whole must be the same. One of the
//! clients never hangs up. Expect the counts after some two seconds; a lost request is a panic.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, thread};
use stoppable::{Graceful, ShutdownReport, StopEvent, StopStream, ThreadPool};

/// How many connections are served at a time; more wait in the queue.
const THREADS: usize = 256;
/// How often a connection that is waited for looks whether it is to be closed.
const LOOK: Duration = Duration::from_millis(100);

/// What became of requests and connections.
#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    answered: AtomicU64,
    hung_up: AtomicU64,
    closed: AtomicU64,
    broken: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// How a connection ended.
enum End {
    /// The client had no more requests.
    HungUp,
    /// We closed it, and the client knows.
    Closed,
}

struct Server {
    pool: ThreadPool,
    closing: StopEvent,
    counts: Arc<Counts>,
}

impl Server {
    fn new() -> Result<Server, stoppable::BuildError> {
        let pool = ThreadPool::builder().threads(THREADS).name("tcp server");
        Ok(Server {
            pool: pool.build()?,
            closing: StopEvent::new(),
            counts: Arc::default(),
        })
    }

    /// Serves until `closing` is set, and then shuts down; at the latest when `give_up` is set.
    fn run(&self, listener: TcpListener, give_up: &StopEvent) -> io::Result<ShutdownReport> {
        accept(listener, &self.closing, |stream, peer| {
            let (closing, counts) = (self.closing.clone(), Arc::clone(&self.counts));
            let task = self.pool.task().name(peer.to_string());
            // Nobody joins it. If the pool is shut down already, the connection is closed.
            let _ = task.execute(move |stop| match serve(stream, stop, &closing, &counts) {
                Ok(End::HungUp) => count(&counts.hung_up),
                Ok(End::Closed) => count(&counts.closed),
                Err(_) => count(&counts.broken),
            });
        })?;
        Ok(self.pool.shutdown_graceful(
            Graceful::new()
                .drain(Duration::from_secs(2))
                .cancel_pending(Duration::ZERO)
                .stop_all(Duration::from_secs(2))
                .give_up_on(give_up),
        ))
    }
}

/// Takes connections until `closing` is set. Who has not been taken by then is refused.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn accept(
    listener: TcpListener,
    closing: &StopEvent,
    mut take: impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    let listener = stoppable::StopListener::new(listener, closing)?;
    loop {
        match listener.accept() {
            Ok((stream, peer)) => take(stream, peer),
            Err(_) if closing.is_set() => return Ok(()),
            // A connection that was broken before it was taken, or too many files: both may pass.
            Err(_) => {
                let _ = closing.sleep(LOOK);
            }
        }
    }
}

/// Takes connections until `closing` is set. Who has not been taken by then is refused.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn accept(
    listener: TcpListener,
    closing: &StopEvent,
    mut take: impl FnMut(TcpStream, SocketAddr),
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    while !closing.is_set() {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false)?;
                take(stream, peer);
            }
            // Nobody is there; or a failure that may pass.
            Err(_) => {
                let _ = closing.sleep(Duration::from_millis(10));
            }
        }
    }
    Ok(())
}

/// Answers the requests of one connection, until the client hangs up or `closing` is set. When `stop` is set, it is broken.
fn serve(
    stream: TcpStream,
    stop: &StopEvent,
    closing: &StopEvent,
    counts: &Counts,
) -> io::Result<End> {
    // A `StopStream` on `closing` would break it in the middle of an answer.
    stream.set_read_timeout(Some(LOOK))?;
    let stream = StopStream::new(stream, stop);
    let mut requests = BufReader::new(&stream);
    let mut line = Vec::new();
    while !closing.is_set() {
        match requests.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => {
                count(&counts.begun);
                (&stream).write_all(answer(&line, stop)?.as_bytes())?;
                count(&counts.answered);
                line.clear();
            }
            Ok(_) => return Ok(End::HungUp),
            // What has come of the line by now stays in it.
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    // The client finds the end of the stream behind the last answer, and hangs up. What it had sent meanwhile has to be read: to
    // close a connection with something unread in it resets it, and that may cost the client the answer.
    stream.get_ref().shutdown(Shutdown::Write)?;
    stream.get_ref().set_read_timeout(None)?;
    io::copy(&mut requests, &mut io::sink())?;
    Ok(End::Closed)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Takes two milliseconds, unless it is stopped.
fn answer(request: &[u8], stop: &StopEvent) -> io::Result<String> {
    stop.sleep(Duration::from_millis(2))?;
    let number = std::str::from_utf8(request)
        .ok()
        .and_then(|it| it.trim().parse().ok());
    Ok(number.map_or("not a number\n".to_owned(), numbers))
}

fn numbers(last: u16) -> String {
    let numbers: Vec<String> = (1..=last).map(|n| n.to_string()).collect();
    numbers.join(" ") + "\n"
}

/// Prints what became of everything.
fn print(report: &ShutdownReport, counts: &Counts) {
    println!("{report}");
    let (begun, answered) = (read(&counts.begun), read(&counts.answered));
    println!("requests: {begun} begun, {answered} answered");
    let (hung_up, closed) = (read(&counts.hung_up), read(&counts.closed));
    let broken = read(&counts.broken);
    println!("connections: {closed} closed behind an answer, {hung_up} hung up, {broken} broken");
}

/// Until the first Ctrl-C; the second ends all patience.
fn serve_at(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new()?;
    let listener = TcpListener::bind(address)?;
    println!("serving at {}", listener.local_addr()?);
    let (closing, give_up) = (server.closing.clone(), StopEvent::new());
    let hurry = give_up.clone();
    ctrlc::set_handler(move || {
        if !closing.set() {
            hurry.set();
        }
    })?;
    let report = server.run(listener, &give_up)?;
    print(&report, &server.counts);
    Ok(())
}

const CLIENTS: u16 = 200;
/// So many answers has everyone had when the end comes.
const BEFORE: u64 = 50;

/// Sends requests, the next one when the last is answered, until the server closes the connection. How many answers came
/// whole; anything but a clean end is a panic.
fn ask(address: SocketAddr, first: u16, served: &mpsc::Sender<()>) -> (u64, TcpStream) {
    let mut stream = TcpStream::connect(address).expect("it is served");
    let mut answers = BufReader::new(stream.try_clone().expect("there are descriptors"));
    let mut received = 0;
    for n in (1..500).cycle().skip(first.into()) {
        writeln!(stream, "{n}").expect("the server reads until we hang up");
        let mut line = String::new();
        answers.read_line(&mut line).expect("it is not broken");
        if line.is_empty() {
            break;
        }
        assert_eq!(line, numbers(n), "a whole answer");
        received += 1;
        if received == BEFORE {
            served.send(()).expect("somebody counts");
        }
    }
    (received, stream)
}

/// The server, its clients, and its end.
fn rehearse() -> Result<(), Box<dyn std::error::Error>> {
    let server = Arc::new(Server::new()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    println!("serving at {address}");
    let run = thread::spawn({
        let server = Arc::clone(&server);
        move || server.run(listener, &StopEvent::never())
    });

    let (served, all_served) = mpsc::channel();
    let client = |n| {
        let served = served.clone();
        thread::spawn(move || ask(address, n, &served))
    };
    // This one keeps its connection open to the end, and has to be broken.
    let never_hangs_up = client(0);
    let clients: Vec<_> = (1..=CLIENTS).map(client).collect();
    let everyone = u64::from(CLIENTS) + 1;
    for _ in 0..everyone {
        all_served.recv()?;
    }

    println!("{everyone} clients have had {BEFORE} answers or more, and go on: closing");
    server.closing.set();
    let mut received = 0;
    for client in clients {
        // The connection is dropped, and the client has hung up.
        let (answers, _stream) = client.join().map_err(|_| "a client had no clean end")?;
        received += answers;
    }
    let (answers, held) = never_hangs_up
        .join()
        .map_err(|_| "a client had no clean end")?;
    received += answers;
    let refused = TcpStream::connect(address).is_err();
    let report = run.join().map_err(|_| "the server panicked")??;
    drop(held);

    let counts = &server.counts;
    print(&report, counts);
    println!("clients: {received} answers received whole");
    assert_eq!(read(&counts.begun), received, "what was begun came");
    assert_eq!(read(&counts.answered), received, "what was sent came");
    assert_eq!(read(&counts.closed), CLIENTS.into());
    assert_eq!((read(&counts.hung_up), read(&counts.broken)), (0, 1));
    assert!(refused, "nobody is let in any more");
    assert!(report.stragglers().is_empty() && report.is_final());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => rehearse(),
        ["--serve", address] => serve_at(address),
        _ => Err("usage: tcp_server [--serve ADDRESS]".into()),
    }
}
