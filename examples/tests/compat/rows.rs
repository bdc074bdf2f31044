//! deadpool-postgres.

use deadpool_postgres::tokio_postgres::{Client, Config, NoTls};
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use testbed::Postgres;
use tokio::task::JoinSet;
use wait_pool::compat::deadpool::{Object, Pool};

use super::{CONNECTIONS, CROWD, ROUNDS, peak, until};

fn config(server: &Postgres, name: &str) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(server.port());
    config.user("postgres").application_name(name);
    config
}

fn pool(server: &Postgres, size: usize) -> Pool<Manager> {
    let settings = ManagerConfig {
        recycling_method: RecyclingMethod::Clean,
    };
    let manager = Manager::from_config(config(server, "pool"), NoTls, settings);
    let builder = Pool::builder(manager).max_size(size);
    builder.build().unwrap().into()
}

/// A connection past the pool, which counts and kills.
async fn overseer(server: &Postgres) -> Client {
    let (client, connection) = config(server, "overseer").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The process ids of the pool's connections at the server.
async fn backends(overseer: &Client) -> Vec<i32> {
    let pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pool'";
    let rows = overseer.query(pids, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Every user reads back what it alone has written.
fn users(pool: &Pool<Manager>) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for user in 0..CROWD {
        let pool = pool.clone();
        crowd.spawn(async move {
            for round in 0..ROUNDS {
                let key = format!("{user}:{round}");
                let mut client = pool.get().await.unwrap();
                let transaction = client.transaction().await.unwrap();
                let insert = "INSERT INTO kept VALUES ($1)";
                let insert = transaction.prepare_cached(insert).await.unwrap();
                transaction.execute(&insert, &[&key]).await.unwrap();
                transaction.commit().await.unwrap();
                let select = "DELETE FROM kept WHERE key = $1 RETURNING key";
                let select = client.prepare_cached(select).await.unwrap();
                let row = client.query_one(&select, &[&key]).await.unwrap();
                assert_eq!(row.get::<_, String>(0), key);
            }
        });
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadpool_postgres_serves_a_crowd() {
    let server = Postgres::start().unwrap();
    let overseer = overseer(&server).await;
    let create = "CREATE TABLE kept (key text PRIMARY KEY)";
    overseer.batch_execute(create).await.unwrap();
    let pool = pool(&server, CONNECTIONS);

    let most = peak(users(&pool), async || backends(&overseer).await.len()).await;
    assert!((1..=CONNECTIONS).contains(&most), "{most}");
    let before = backends(&overseer).await;
    assert_eq!(pool.status().size, before.len());

    // All are ended at the server; the next users notice nothing.
    for pid in &before {
        let kill = "SELECT pg_terminate_backend($1)";
        overseer.execute(kill, &[pid]).await.unwrap();
    }
    until("gone", async || backends(&overseer).await.is_empty()).await;
    let most = peak(users(&pool), async || backends(&overseer).await.len()).await;
    assert!((1..=CONNECTIONS).contains(&most), "{most}");
    let after = backends(&overseer).await;
    assert!(after.iter().all(|pid| !before.contains(pid)));
    assert_eq!(pool.status().size, after.len());
}

/// `RecyclingMethod::Clean` promises that nothing of a session passes to the next user.
#[tokio::test]
async fn what_one_user_sets_does_not_pass_to_the_next() {
    let server = Postgres::start().unwrap();
    let pool = pool(&server, 1);
    let first = pool.get().await.unwrap();
    let set = "SET search_path TO mine; CREATE TEMP TABLE secret AS SELECT 1";
    first.batch_execute(set).await.unwrap();
    let next = tokio::spawn({
        let pool = pool.clone();
        async move {
            let next = pool.get().await.unwrap();
            let path = next.query_one("SHOW search_path", &[]).await.unwrap();
            let secret = "SELECT to_regclass('secret') IS NULL";
            let gone = next.query_one(secret, &[]).await.unwrap();
            let recycled = Object::metrics(&next).recycle_count;
            (path.get::<_, String>(0), gone.get::<_, bool>(0), recycled)
        }
    });
    until("in line", async || pool.status().waiting == 1).await;
    drop(first);
    let (path, gone, recycled) = next.await.unwrap();
    assert_eq!(
        (path.as_str(), gone, recycled),
        (r#""$user", public"#, true, 1)
    );
}
