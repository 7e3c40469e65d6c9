use crate::conversation::*;
use redis::{Client, Commands, Connection, RedisResult};
use std::time::Instant;

fn open(port: &str, rest: &str) -> RedisResult<Connection> {
    Client::open(format!("{}{}", url(port), rest))?.get_connection()
}

fn with_password(password: &str) -> RedisResult<String> {
    let at = format!("redis://:{}@{}:{}/", password, var("COMPAT_HOST"), var("COMPAT_AUTH_PORT"));
    Client::open(at)?.get_connection()?.get(key("seed"))
}

pub fn run() {
    let mut c = match open("COMPAT_PORT", "") {
        Ok(c) => c,
        Err(e) => return tell("connect", Err(e.into())),
    };
    let columns: [(&str, fn(&mut Connection) -> Tried); 12] = [
        ("connect", connect), ("auth", auth), ("select", select), ("read", read), ("write", write), ("pipeline", pipeline), ("transaction", transaction),
        ("scan", scan), ("subscribe", subscribe), ("wait", wait), ("big", big_value), ("binary", binary),
    ];
    for (name, f) in columns {
        if asked(name) {
            tell(name, f(&mut c));
        }
    }
}

fn connect(c: &mut Connection) -> Tried {
    same(redis::cmd("PING").query::<String>(c)?, "PONG".into())?;
    same(redis::cmd("ECHO").arg("truth").query::<String>(c)?, "truth".into())
}

fn auth(_: &mut Connection) -> Tried {
    same(with_password(&var("COMPAT_PASSWORD"))?, SEED.into())?;
    refused("WRONGPASS", with_password("wrong")).or_else(|_| refused("authentication", with_password("wrong")))?;
    refused("NOAUTH", open("COMPAT_AUTH_PORT", "").and_then(|mut c| c.get::<_, String>(key("seed"))))
}

fn select(_: &mut Connection) -> Tried {
    same(open("COMPAT_PORT", "1")?.get::<_, String>(key("seed"))?, "truth of database 1".into())
}

fn read(c: &mut Connection) -> Tried {
    same(c.get::<_, String>(key("seed"))?, SEED.into())?;
    same(c.get::<_, Option<String>>(key("none"))?, None)?;
    same(c.mget::<_, Vec<Option<String>>>(&[key("seed"), key("none"), key("scan:7")])?, vec![Some(SEED.into()), None, Some("truth 7".into())])?;
    same(c.exists::<_, i64>(&[key("seed"), key("none"), key("seed")])?, 2)?;
    same(c.strlen::<_, usize>(key("seed"))?, SEED.len())?;
    same(c.getrange::<_, String>(key("seed"), 0, 4)?, "truth".into())?;
    same((c.ttl::<_, i64>(key("seed"))?, c.ttl::<_, i64>(key("none"))?), (-1, -2))?;
    same(c.key_type::<_, String>(key("seed"))?, "string".into())
}

fn write(c: &mut Connection) -> Tried {
    c.set::<_, _, ()>(key("w"), "truth w")?;
    same(c.get::<_, String>(key("w"))?, "truth w".into())?;
    c.mset::<_, _, ()>(&[(key("w1"), "truth 1"), (key("w2"), "truth 2")])?;
    same(c.get::<_, String>(key("w2"))?, "truth 2".into())?;
    same(c.del::<_, i64>(&[key("w"), key("w1"), key("none")])?, 2)?;
    same(c.get::<_, Option<String>>(key("w"))?, None)?;
    refused("READONLY", open("COMPAT_PORT", "2")?.set::<_, _, String>(key("seed"), "x"))
}

fn pipeline(c: &mut Connection) -> Tried {
    let mut p = redis::pipe();
    for n in 0..100 {
        p.set(key(&format!("p:{n}")), format!("truth {n}")).ignore();
    }
    for n in 0..100 {
        p.get(key(&format!("p:{n}")));
    }
    same(p.query::<Vec<String>>(c)?, (0..100).map(|n| format!("truth {n}")).collect())
}

fn transaction(c: &mut Connection) -> Tried {
    let mut p = redis::pipe();
    p.atomic().set(key("t1"), "truth 1").ignore().set(key("t2"), "truth 2").ignore().get(key("t1")).del(key("t2"));
    same(p.query::<(String, i64)>(c)?, ("truth 1".into(), 1))?;
    same(c.mget::<_, Vec<Option<String>>>(&[key("t1"), key("t2")])?, vec![Some("truth 1".into()), None])
}

fn scan(c: &mut Connection) -> Tried {
    let keys: RedisResult<Vec<String>> = c.scan_match::<_, String>(key("scan:*"))?.collect();
    scanned(keys?)
}

fn subscribe(_: &mut Connection) -> Tried {
    let mut c = open("COMPAT_PORT", "")?;
    let mut s = c.as_pubsub();
    s.set_read_timeout(Some(PATIENCE))?;
    s.psubscribe(format!("__keyspace@0__:{}", key("event*")))?;
    produce(&key("event1"), "truth")?;
    let m = s.get_message()?;
    same(m.get_channel_name().to_string(), format!("__keyspace@0__:{}", key("event1")))?;
    same(m.get_payload::<String>()?, "set".into())
}

fn wait(c: &mut Connection) -> Tried {
    c.set::<_, _, ()>(key("waited"), "truth")?;
    same(redis::cmd("WAIT").arg(1).arg(1000).query::<i64>(c)?, 1)?;
    let began = Instant::now();
    same(redis::cmd("WAIT").arg(7).arg(300).query::<i64>(c)?, 1)?;
    waited(began)?;
    same(c.get::<_, String>(key("waited"))?, "truth".into())
}

fn big_value(c: &mut Connection) -> Tried {
    let want = big();
    c.set::<_, _, ()>(key("big"), &want)?;
    same(c.get::<_, String>(key("big"))? == want, true)
}

fn binary(c: &mut Connection) -> Tried {
    c.set::<_, _, ()>(every(&key("")), every("truth"))?;
    same(c.get::<_, Vec<u8>>(every(&key("")))?, every("truth"))
}
