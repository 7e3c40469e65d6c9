use crate::conversation::*;
use futures_util::StreamExt;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::main]
pub async fn run() {
    let mut c = match open("COMPAT_PORT", "").await {
        Ok(c) => c,
        Err(e) => return tell("connect", Err(e.into())),
    };
    macro_rules! columns {
        ($($name:literal => $f:expr),* $(,)?) => { $(if asked($name) { tell($name, $f.await); })* };
    }
    columns! {
        "connect" => connect(&mut c), "auth" => auth(), "select" => select(), "read" => read(&mut c), "write" => write(&mut c), "pipeline" => pipeline(&mut c),
        "transaction" => transaction(&mut c), "scan" => scan(&mut c), "subscribe" => subscribe(), "cache" => cache(), "wait" => wait(), "big" => big_value(),
        "binary" => binary(&mut c), "pool" => pool(&c), "reconnect" => reconnect(&c),
    }
}

/// The client that connects anew by itself.
async fn open(port: &str, rest: &str) -> RedisResult<ConnectionManager> {
    Client::open(format!("{}{}", url(port), rest))?.get_connection_manager().await
}

async fn with_password(password: &str) -> RedisResult<String> {
    let at = format!("redis://:{}@{}:{}/", password, var("COMPAT_HOST"), var("COMPAT_AUTH_PORT"));
    Client::open(at)?.get_multiplexed_async_connection().await?.get(key("seed")).await
}

async fn connect(c: &mut ConnectionManager) -> Tried {
    same(redis::cmd("PING").query_async::<String>(c).await?, "PONG".into())?;
    same(redis::cmd("ECHO").arg("truth").query_async::<String>(c).await?, "truth".into())
}

async fn auth() -> Tried {
    same(with_password(&var("COMPAT_PASSWORD")).await?, SEED.into())?;
    refused("authentication", with_password("wrong").await)?;
    let mut c = Client::open(url("COMPAT_AUTH_PORT"))?.get_multiplexed_async_connection().await?;
    refused("NOAUTH", c.get::<_, String>(key("seed")).await)
}

async fn select() -> Tried {
    same(open("COMPAT_PORT", "1").await?.get::<_, String>(key("seed")).await?, "truth of database 1".into())
}

async fn read(c: &mut ConnectionManager) -> Tried {
    same(c.get::<_, String>(key("seed")).await?, SEED.into())?;
    same(c.get::<_, Option<String>>(key("none")).await?, None)?;
    same(c.mget::<_, Vec<Option<String>>>(&[key("seed"), key("none"), key("scan:7")]).await?, vec![Some(SEED.into()), None, Some("truth 7".into())])?;
    same(c.exists::<_, i64>(&[key("seed"), key("none"), key("seed")]).await?, 2)?;
    same(c.strlen::<_, usize>(key("seed")).await?, SEED.len())?;
    same(c.getrange::<_, String>(key("seed"), 0, 4).await?, "truth".into())?;
    same((c.ttl::<_, i64>(key("seed")).await?, c.ttl::<_, i64>(key("none")).await?), (-1, -2))?;
    same(c.key_type::<_, String>(key("seed")).await?, "string".into())
}

async fn write(c: &mut ConnectionManager) -> Tried {
    c.set::<_, _, ()>(key("w"), "truth w").await?;
    same(c.get::<_, String>(key("w")).await?, "truth w".into())?;
    c.mset::<_, _, ()>(&[(key("w1"), "truth 1"), (key("w2"), "truth 2")]).await?;
    same(c.get::<_, String>(key("w2")).await?, "truth 2".into())?;
    same(c.del::<_, i64>(&[key("w"), key("w1"), key("none")]).await?, 2)?;
    same(c.get::<_, Option<String>>(key("w")).await?, None)?;
    refused("READONLY", open("COMPAT_PORT", "2").await?.set::<_, _, String>(key("seed"), "x").await)
}

async fn pipeline(c: &mut ConnectionManager) -> Tried {
    let mut p = redis::pipe();
    for n in 0..100 {
        p.set(key(&format!("p:{n}")), format!("truth {n}")).ignore();
    }
    for n in 0..100 {
        p.get(key(&format!("p:{n}")));
    }
    same(p.query_async::<Vec<String>>(c).await?, (0..100).map(|n| format!("truth {n}")).collect())
}

async fn transaction(c: &mut ConnectionManager) -> Tried {
    let mut p = redis::pipe();
    p.atomic().set(key("t1"), "truth 1").ignore().set(key("t2"), "truth 2").ignore().get(key("t1")).del(key("t2"));
    same(p.query_async::<(String, i64)>(c).await?, ("truth 1".into(), 1))?;
    same(c.mget::<_, Vec<Option<String>>>(&[key("t1"), key("t2")]).await?, vec![Some("truth 1".into()), None])
}

async fn scan(c: &mut ConnectionManager) -> Tried {
    let mut keys = Vec::new();
    let mut pages = c.scan_match::<_, String>(key("scan:*")).await?;
    while let Some(k) = pages.next_item().await {
        keys.push(k?);
    }
    scanned(keys)
}

async fn subscribe() -> Tried {
    let mut s = Client::open(url("COMPAT_PORT"))?.get_async_pubsub().await?;
    s.psubscribe(format!("__keyspace@0__:{}", key("event*"))).await?;
    produce(&key("event1"), "truth")?;
    let m = tokio::time::timeout(PATIENCE, s.on_message().next()).await?.ok_or("the connection ended")?;
    same(m.get_channel_name().to_string(), format!("__keyspace@0__:{}", key("event1")))?;
    same(m.get_payload::<String>()?, "set".into())
}

async fn cache() -> Tried {
    let client = Client::open(format!("{}?protocol=resp3", url("COMPAT_PORT")))?;
    let config = AsyncConnectionConfig::new().set_cache_config(redis::caching::CacheConfig::new());
    let mut c = client.get_multiplexed_async_connection_with_config(&config).await?;
    same(c.get::<_, String>(key("cached")).await?, "truth 1".into())?;
    same(c.get::<_, String>(key("cached")).await?, "truth 1".into())?;
    let hits = |c: &redis::aio::MultiplexedConnection| c.get_cache_statistics().map(|s| s.hit);
    same(hits(&c), Some(1))?;
    produce(&key("cached"), "truth 2")?;
    let deadline = Instant::now() + PATIENCE;
    while c.get::<_, String>(key("cached")).await? != "truth 2" {
        if Instant::now() > deadline {
            return Err("the new value does not come".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = hits(&c);
    same(c.get::<_, String>(key("cached")).await?, "truth 2".into())?;
    same(hits(&c), before.map(|n| n + 1))?;
    Ok("`set_cache_config`, with RESP3, its hits counted".into())
}

/// The commands of one connection that is shared have 500 ms by default, so this is of a connection with more.
async fn patient() -> RedisResult<redis::aio::MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    Client::open(url("COMPAT_PORT"))?.get_multiplexed_async_connection_with_config(&config).await
}

async fn wait() -> Tried {
    let mut c = patient().await?;
    c.set::<_, _, ()>(key("waited"), "truth").await?;
    same(redis::cmd("WAIT").arg(1).arg(1000).query_async::<i64>(&mut c).await?, 1)?;
    let began = Instant::now();
    same(redis::cmd("WAIT").arg(7).arg(300).query_async::<i64>(&mut c).await?, 1)?;
    waited(began)?;
    same(c.get::<_, String>(key("waited")).await?, "truth".into())?;
    Ok("with a response timeout above the default of 500 ms".into())
}

async fn big_value() -> Tried {
    let (mut c, want) = (patient().await?, big());
    c.set::<_, _, ()>(key("big"), &want).await?;
    same(c.get::<_, String>(key("big")).await? == want, true)?;
    Ok("with a response timeout above the default of 500 ms".into())
}

async fn binary(c: &mut ConnectionManager) -> Tried {
    c.set::<_, _, ()>(every(&key("")), every("truth")).await?;
    same(c.get::<_, Vec<u8>>(every(&key(""))).await?, every("truth"))
}

async fn pool(c: &ConnectionManager) -> Tried {
    let callers: Vec<_> = (0..50)
        .map(|n| {
            let mut c = c.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    same(c.get::<_, String>(key(&format!("scan:{n}"))).await?, format!("truth {n}"))?;
                }
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok("one connection for all callers".into())
}

async fn reconnect(c: &ConnectionManager) -> Tried {
    let mut c = c.clone();
    same(c.get::<_, String>(key("seed")).await?, SEED.into())?;
    ask(json!({"ask": "restart"}))?;
    let mut other = c.clone();
    let first = tokio::spawn(async move { other.get::<_, String>(key("seed")).await });
    let note = match tokio::time::timeout(Duration::from_millis(1500), first).await {
        Ok(Ok(Err(e))) => format!("`ConnectionManager`; while it loads, GET is shown: {e}"),
        Ok(other) => format!("`ConnectionManager`; while it loads, GET is shown {other:?}"),
        Err(_) => "`ConnectionManager`; while it loads, GET is tried again and waits".into(),
    };
    ask(json!({"ask": "ready"}))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match c.get::<_, String>(key("seed")).await {
            Ok(v) if v == SEED => return Ok(note),
            came if Instant::now() > deadline => return Err(format!("{came:?} after the restart").into()),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
