//! What both probes share: the environment, and the conversation with who runs them.
use serde_json::json;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, Instant};

pub type Tried = Result<String, Box<dyn Error + Send + Sync>>;
pub const SEED: &str = "truth from the log";
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The version that Cargo.lock has.
pub fn version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let at = lock.find("name = \"redis\"\n").unwrap_or(0);
    lock[at..].split('"').nth(3).unwrap_or("unknown")
}

pub fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

pub fn url(port: &str) -> String {
    format!("redis://{}:{}/", var("COMPAT_HOST"), var(port))
}

pub fn key(name: &str) -> String {
    format!("{}{}", var("COMPAT_PREFIX"), name)
}

pub fn asked(column: &str) -> bool {
    var("COMPAT_COLUMNS").split(',').any(|c| c == column)
}

pub fn tell(column: &str, came: Tried) {
    let (ok, note) = match came {
        Ok(note) => (true, note),
        Err(e) => (false, e.to_string()),
    };
    println!("{}", json!({"column": column, "ok": ok, "note": note}));
}

pub fn ask(question: serde_json::Value) -> Tried {
    println!("{question}");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() != "ok" {
        return Err(answer.into());
    }
    Ok(String::new())
}

pub fn produce(key: &str, value: &str) -> Tried {
    ask(json!({"ask": "produce", "key": key, "value": value}))
}

pub fn same<T: PartialEq + Debug>(got: T, want: T) -> Tried {
    if got != want {
        let (got, want) = (format!("{got:?}"), format!("{want:?}"));
        return Err(format!("got {:.100}, want {:.100}", got, want).into());
    }
    Ok(String::new())
}

pub fn refused<T: Debug>(word: &str, came: redis::RedisResult<T>) -> Tried {
    match came {
        Ok(v) => Err(format!("got {v:?}, want an error with {word}").into()),
        Err(e) if format!("{e} {e:?}").to_lowercase().contains(&word.to_lowercase()) => Ok(String::new()),
        Err(e) => Err(format!("got {e:?}, want {word}").into()),
    }
}

pub fn waited(began: Instant) -> Tried {
    let took = began.elapsed();
    if took < Duration::from_millis(290) || took > Duration::from_secs(10) {
        return Err(format!("WAIT of 300 ms took {took:?}").into());
    }
    Ok(String::new())
}

pub fn scanned(keys: Vec<String>) -> Tried {
    let want: BTreeSet<String> = (0..300).map(|n| key(&format!("scan:{n}"))).collect();
    let got: BTreeSet<String> = keys.into_iter().collect();
    same(got.len(), 300)?;
    same(got == want, true)
}

/// Every byte, behind some text.
pub fn every(before: &str) -> Vec<u8> {
    before.bytes().chain(0..=255).collect()
}

pub fn big() -> String {
    (0..400_000).map(|n| format!("truth {n} ")).collect()
}
