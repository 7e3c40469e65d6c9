//! Tries redis-rs, its synchronous client or the one on tokio, and prints what came of it: see compat.Probe.
mod asynchronous;
mod conversation;
mod synchronous;

fn main() {
    println!("{{\"version\": \"{}\"}}", conversation::version());
    match std::env::args().nth(1).as_deref() {
        Some("sync") => synchronous::run(),
        Some("tokio") => asynchronous::run(),
        _ => {
            eprintln!("usage: compat sync|tokio");
            std::process::exit(2);
        }
    }
}
