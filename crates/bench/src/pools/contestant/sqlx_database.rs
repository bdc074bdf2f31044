//! A database for sqlx-core that has connections and nothing else. Rows, values and statements are
//! types without values, so what is asked of them can never be called. What the pool does call is
//! to connect and to ping, which the module `sqlx` beside it does, and to close.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use log::LevelFilter;
use sqlx_core::arguments::Arguments;
use sqlx_core::column::Column;
use sqlx_core::connection::{ConnectOptions, Connection as SqlxConnection};
use sqlx_core::database::Database;
use sqlx_core::encode::Encode;
use sqlx_core::error::{BoxDynError, Error};
use sqlx_core::row::Row;
use sqlx_core::statement::Statement;
use sqlx_core::transaction::{Transaction, TransactionManager};
use sqlx_core::type_info::TypeInfo;
use sqlx_core::types::Type;
use sqlx_core::value::{Value, ValueRef};
use sqlx_core::{Either, Url, impl_statement_query};

use super::sqlx::{connect, ping};
use super::{Connection, Connector};

/// The database.
#[derive(Debug)]
pub(crate) struct Nothing;

/// What this database does not have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Absent {}

/// Both have to exist.
#[derive(Debug, Default)]
pub(crate) struct Empty;

impl Database for Nothing {
    type Connection = Connection;
    type TransactionManager = Absent;
    type Row = Absent;
    type QueryResult = Empty;
    type Column = Absent;
    type TypeInfo = Absent;
    type Value = Absent;
    type ValueRef<'r> = Absent;
    type Arguments<'q> = Empty;
    type ArgumentBuffer<'q> = Empty;
    type Statement<'q> = Absent;

    const NAME: &'static str = "nothing";
    const URL_SCHEMES: &'static [&'static str] = &[];
}

impl SqlxConnection for Connection {
    type Database = Nothing;
    type Options = Connector;

    fn close(self) -> BoxFuture<'static, Result<(), Error>> {
        done()
    }

    fn close_hard(self) -> BoxFuture<'static, Result<(), Error>> {
        done()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        ping(self)
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<Transaction<'_, Nothing>, Error>> {
        Transaction::begin(self, None)
    }

    fn shrink_buffers(&mut self) {}

    fn flush(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        done()
    }

    fn should_flush(&self) -> bool {
        false
    }
}

/// A box of nothing does not allocate.
fn done<'a>() -> BoxFuture<'a, Result<(), Error>> {
    ready(Ok(())).boxed()
}

impl ConnectOptions for Connector {
    type Connection = Connection;

    fn from_url(_: &Url) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn connect(&self) -> BoxFuture<'_, Result<Connection, Error>> {
        connect(self)
    }

    fn log_statements(self, _: LevelFilter) -> Self {
        self
    }

    fn log_slow_statements(self, _: LevelFilter, _: Duration) -> Self {
        self
    }
}

impl FromStr for Connector {
    type Err = Error;

    fn from_str(_: &str) -> Result<Self, Error> {
        Ok(Self::default())
    }
}

impl TransactionManager for Absent {
    type Database = Nothing;

    fn begin<'c>(
        _: &'c mut Connection,
        _: Option<Cow<'static, str>>,
    ) -> BoxFuture<'c, Result<(), Error>> {
        done()
    }

    fn commit(_: &mut Connection) -> BoxFuture<'_, Result<(), Error>> {
        done()
    }

    fn rollback(_: &mut Connection) -> BoxFuture<'_, Result<(), Error>> {
        done()
    }

    fn start_rollback(_: &mut Connection) {}

    fn get_transaction_depth(_: &Connection) -> usize {
        0
    }
}

impl Row for Absent {
    type Database = Nothing;

    fn columns(&self) -> &[Self] {
        match *self {}
    }

    fn try_get_raw<I>(&self, _: I) -> Result<Self, Error> {
        match *self {}
    }
}

impl Column for Absent {
    type Database = Nothing;

    fn ordinal(&self) -> usize {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }

    fn type_info(&self) -> &Self {
        match *self {}
    }
}

impl TypeInfo for Absent {
    fn is_null(&self) -> bool {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }
}

impl Display for Absent {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Value for Absent {
    type Database = Nothing;

    fn as_ref(&self) -> Self {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, Self> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

impl ValueRef<'_> for Absent {
    type Database = Nothing;

    fn to_owned(&self) -> Self {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, Self> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

impl<'q> Statement<'q> for Absent {
    type Database = Nothing;

    fn to_owned(&self) -> Self {
        match *self {}
    }

    fn sql(&self) -> &str {
        match *self {}
    }

    fn parameters(&self) -> Option<Either<&[Self], usize>> {
        match *self {}
    }

    fn columns(&self) -> &[Self] {
        match *self {}
    }

    impl_statement_query!(Empty);
}

impl<'q> Arguments<'q> for Empty {
    type Database = Nothing;

    fn reserve(&mut self, _: usize, _: usize) {}

    fn add<T>(&mut self, _: T) -> Result<(), BoxDynError>
    where
        T: 'q + Encode<'q, Nothing> + Type<Nothing>,
    {
        Ok(())
    }

    fn len(&self) -> usize {
        0
    }
}

impl Extend<Self> for Empty {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, _: I) {}
}
