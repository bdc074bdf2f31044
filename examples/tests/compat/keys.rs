//! deadpool-redis and bb8-redis.

use std::collections::HashSet;
use std::ops::DerefMut;

use bb8_redis::RedisConnectionManager;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use testbed::Server;
use tokio::task::JoinSet;
use wait_pool::compat::{Foreign, Pool, bb8, deadpool};

use super::{CONNECTIONS, CROWD, ROUNDS, peak, until};

/// A connection past the pool, which counts and kills.
struct Overseer(redis::Connection);

impl Overseer {
    fn of(server: &Server) -> Self {
        Self(server.connection().unwrap())
    }

    /// The ids of the connections that the server has, without this one.
    fn clients(&mut self) -> HashSet<u64> {
        let own: u64 = self.run("CLIENT ID");
        let list: String = self.run("CLIENT LIST");
        list.lines()
            .filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("id=")))
            .map(|id| id.parse().unwrap())
            .filter(|id| *id != own)
            .collect()
    }

    fn run<T: redis::FromRedisValue>(&mut self, words: &str) -> T {
        command(words).query(&mut self.0).unwrap()
    }
}

fn command(words: &str) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command
}

fn deadpool_pool(server: &Server, size: usize) -> deadpool::Pool<deadpool_redis::Manager> {
    let manager = deadpool_redis::Manager::new(server.url()).unwrap();
    let builder = deadpool::Pool::builder(manager).max_size(size);
    builder.build().unwrap().into()
}

fn bb8_pool(server: &Server, size: usize) -> bb8::Pool<RedisConnectionManager> {
    let manager = RedisConnectionManager::new(server.url()).unwrap();
    let builder = bb8::Pool::builder(manager).max_size(size);
    builder.build().unwrap().into()
}

/// Every user reads back what it alone has written.
fn users<F: Foreign<Object = MultiplexedConnection>>(pool: &Pool<F>) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for user in 0..CROWD {
        let pool = pool.clone();
        crowd.spawn(async move {
            for round in 0..ROUNDS {
                let key = format!("{user}:{round}");
                let mut connection = pool.get().await.unwrap();
                let _: () = connection.set(&key, &key).await.unwrap();
                let get = redis::cmd("GET").arg(&key).to_owned();
                let value: String = get.query_async(connection.deref_mut()).await.unwrap();
                assert_eq!(value, key);
            }
        });
    }
    crowd
}

async fn a_crowd_shares_a_few<F>(server: &Server, pool: &Pool<F>)
where
    F: Foreign<Object = MultiplexedConnection>,
{
    let mut overseer = Overseer::of(server);
    until("alone", async || overseer.clients().is_empty()).await;
    let peak = peak(users(pool), async || overseer.clients().len()).await;
    assert!((1..=CONNECTIONS).contains(&peak), "{peak}");
    assert_eq!(pool.status().size, overseer.clients().len());
}

/// All are killed at the server; the next users notice nothing.
async fn the_dead_are_replaced<F>(server: &Server, pool: &Pool<F>)
where
    F: Foreign<Object = MultiplexedConnection>,
{
    let mut overseer = Overseer::of(server);
    until("alone", async || {
        overseer.clients().len() == pool.status().size
    })
    .await;
    let before = overseer.clients();
    let killed: usize = overseer.run("CLIENT KILL TYPE normal");
    assert_eq!((killed, before.is_empty()), (before.len(), false));
    until("gone", async || overseer.clients().is_empty()).await;
    let peak = peak(users(pool), async || overseer.clients().len()).await;
    assert!((1..=CONNECTIONS).contains(&peak), "{peak}");
    assert!(overseer.clients().is_disjoint(&before));
    assert_eq!(pool.status().size, overseer.clients().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadpool_redis_serves_a_crowd() {
    let server = Server::start().unwrap();
    let pool = deadpool_pool(&server, CONNECTIONS);
    a_crowd_shares_a_few(&server, &pool).await;
    the_dead_are_replaced(&server, &pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bb8_redis_serves_a_crowd() {
    let server = Server::start().unwrap();
    let pool = bb8_pool(&server, CONNECTIONS);
    a_crowd_shares_a_few(&server, &pool).await;
    the_dead_are_replaced(&server, &pool).await;
}

/// deadpool-redis forgets the last user's `WATCH` when it recycles, and so between any two users.
#[tokio::test]
async fn what_one_user_watches_does_not_fail_the_next() {
    let server = Server::start().unwrap();
    let pool = deadpool_pool(&server, 1);
    let mut first = pool.get().await.unwrap();
    let () = command("WATCH key").query_async(&mut *first).await.unwrap();
    let next = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut next = pool.get().await.unwrap();
            let mut pipe = redis::pipe();
            pipe.atomic().incr("counter", 1);
            let done: Option<(i32,)> = pipe.query_async(&mut *next).await.unwrap();
            done
        }
    });
    until("in line", async || pool.status().waiting == 1).await;
    let mut overseer = Overseer::of(&server);
    let () = overseer.run("SET key changed");
    drop(first);
    assert_eq!(next.await.unwrap(), Some((1,)));
    assert_eq!(pool.status().size, 1);
}

#[tokio::test]
async fn a_connection_that_is_taken_is_its_takers() {
    let server = Server::start().unwrap();
    let pool = deadpool_pool(&server, 1);
    let mut own = deadpool::Object::take(pool.get().await.unwrap());
    assert_eq!(pool.status().size, 0);
    let other = pool.get().await.unwrap();
    let mut overseer = Overseer::of(&server);
    until("both there", async || overseer.clients().len() == 2).await;
    drop(other);
    pool.close();
    let () = command("SET a 1").query_async(&mut own).await.unwrap();
    drop(own);
    until("gone", async || overseer.clients().is_empty()).await;
}
