//! What a caller asks for: keys, whole rows, fields of rows.

use std::fmt;

use redis::{FromRedisValue, ParsingError, Value};

use super::reads::{self, Reads, RowRead, Wanted};
use super::words::Words;
use super::{Lookup, LookupError, LookupResult};
use crate::dispatch::Positions;
use crate::error::Failure;

/// Keys that hold strings, to be read by [`get`](Self::get). Made by [`Lookup::keys`].
#[must_use = "nothing is read until `get` is awaited"]
pub struct Keys {
    lookup: Lookup,
    keys: Words,
}

impl Keys {
    pub(super) const fn new(lookup: Lookup, keys: Words) -> Self {
        Self { lookup, keys }
    }

    /// Reads the keys, one position each. Without keys nothing is sent.
    ///
    /// Each key is a `GET` of its own: `MGET` would be cheaper for the server and would show a key that holds no
    /// string as one that is not there.
    ///
    /// Cancel-safe: a dropped lookup leaves all connections in order.
    ///
    /// # Errors
    ///
    /// Each position has its own [`LookupError`], or none.
    pub async fn get<T: FromRedisValue>(self) -> LookupResult<T> {
        let reads = Reads::strings(self.keys);
        self.lookup.read(reads, reads::string).await
    }
}

/// Keys that hold hashes. Made by [`Lookup::rows`].
#[must_use = "nothing is read until `get` is awaited"]
pub struct Rows {
    lookup: Lookup,
    keys: Words,
}

impl Rows {
    pub(super) const fn new(lookup: Lookup, keys: Words) -> Self {
        Self { lookup, keys }
    }

    /// Which fields to read of each row. A field may be named more than once.
    pub fn fields<F: AsRef<[u8]>>(self, fields: impl IntoIterator<Item = F>) -> Fields {
        Fields {
            rows: self,
            fields: fields.into_iter().collect(),
            how: RowRead::Hmget,
        }
    }

    /// Reads whole rows, by `HGETALL`, each as a value of `R`: a map from names to values, or whatever else is
    /// made from a map of fields by [`FromRedisValue`]. A row that is not there is `None`.
    ///
    /// Cancel-safe as [`Keys::get`].
    ///
    /// # Errors
    ///
    /// Each position has its own [`LookupError`], or none.
    pub async fn get_as<R: FromRedisValue>(self) -> LookupResult<R> {
        let reads = Reads::rows(self.keys);
        self.lookup.read(reads, reads::row).await
    }
}

/// Some fields of rows. Made by [`Rows::fields`].
///
/// A row that has none of the fields is `None`, as is one that is not there: the answer to `HMGET` does not
/// tell the two apart.
///
/// # Example
///
/// ```no_run
/// use std::collections::HashMap;
/// use wait_pool_redis::RowRead;
///
/// # async fn example(lookup: wait_pool_redis::Lookup) -> Result<(), Box<dyn std::error::Error>> {
/// let users = ["user:7", "user:8"];
/// let ages: Vec<Option<Vec<Option<u8>>>> =
///     lookup.rows(users).fields(["age", "age_of_account"]).get().await.all()?;
/// // Small values, about nine fields in a row: eight of them are read by HGETALL.
/// let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// let rows = lookup.rows(users).fields(names).read_by(RowRead::Compact { fields_per_row: 9 });
/// let rows: Vec<Option<HashMap<String, f64>>> = rows.get_as().await.all()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is read until `get` is awaited"]
pub struct Fields {
    rows: Rows,
    fields: Words,
    how: RowRead,
}

impl Fields {
    /// By which command the fields are read. Default is [`RowRead::Hmget`].
    pub const fn read_by(mut self, how: RowRead) -> Self {
        self.how = how;
        self
    }

    /// Reads the fields of each row, in the order they were named in; a field that is not there is `None`. Without
    /// keys, or without fields, nothing is sent.
    ///
    /// Cancel-safe as [`Keys::get`].
    ///
    /// # Errors
    ///
    /// Each position has its own [`LookupError`], or none. A field that does not fit `T` is the error of its row.
    pub async fn get<T: FromRedisValue>(self) -> LookupResult<Vec<Option<T>>> {
        self.read(Wanted::values).await
    }

    /// Reads the fields of each row as a value of `R`, made from a map of those that are there, by name.
    ///
    /// Cancel-safe as [`Keys::get`].
    ///
    /// # Errors
    ///
    /// Each position has its own [`LookupError`], or none.
    pub async fn get_as<R: FromRedisValue>(self) -> LookupResult<R> {
        self.read(Wanted::map).await
    }

    async fn read<R>(
        self,
        decode: impl Fn(&Wanted, Value) -> Result<Option<R>, ParsingError>,
    ) -> LookupResult<R> {
        let Rows { lookup, keys } = self.rows;
        let wanted = Wanted::new(self.fields, self.how);
        if wanted.is_empty() {
            let none = keys.iter().map(|_| Ok(None));
            return LookupResult::new(none.collect());
        }
        let reads = Reads::fields(keys, &wanted);
        lookup.read(reads, |value| decode(&wanted, value)).await
    }
}

impl Lookup {
    /// Reads, and makes of each answer what the caller wants.
    async fn read<R>(
        self,
        reads: Reads,
        decode: impl Fn(Value) -> Result<Option<R>, ParsingError>,
    ) -> LookupResult<R> {
        let position = |answer: Result<Value, LookupError>| {
            let value = answer?.extract_error().map_err(LookupError::of_server)?;
            decode(value).map_err(LookupError::Unfit)
        };
        LookupResult::new(match self.answers(&reads).await {
            Positions::All(values) => {
                let decoded = |value| decode(value).map_err(LookupError::Unfit);
                values.into_iter().map(decoded).collect()
            }
            Positions::Each(answers) => {
                let told = |(position, answer): (usize, Result<Value, Failure>)| {
                    let owner = || self.owner_of(reads.keys.at(position));
                    answer.map_err(|failure| LookupError::of(failure, owner))
                };
                let answers = answers.into_iter().enumerate();
                answers.map(told).map(position).collect()
            }
        })
    }
}

/// Shows how many keys there are, not which.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("lookup", &self.lookup)
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// Shows how many keys there are, not which.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("lookup", &self.lookup)
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// Shows how many fields there are, not which.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("rows", &self.rows)
            .field("fields", &self.fields.len())
            .field("how", &self.how)
            .finish()
    }
}
