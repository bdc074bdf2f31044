//! What a lookup comes back with: a result for each position.

use super::LookupError;

/// The results of a lookup, one for each position, in the order of the keys.
///
/// A position is `Ok(Some(value))`, `Ok(None)` where nothing is stored, or the reason why neither is known.
///
/// # Example
///
/// ```no_run
/// # async fn example(lookup: wait_pool_redis::Lookup) -> Result<(), Box<dyn std::error::Error>> {
/// let result = lookup.keys(["a", "b"]).get::<i64>().await;
/// let strict: Vec<Option<i64>> = result.clone().all()?; // all positions, or the first error
/// let lenient: Vec<i64> = result.or_default(); // 0 where there is no value, whatever the reason
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "each position may hold an error"]
pub struct LookupResult<T> {
    positions: Vec<Result<Option<T>, LookupError>>,
}

impl<T> LookupResult<T> {
    pub(super) const fn new(positions: Vec<Result<Option<T>, LookupError>>) -> Self {
        Self { positions }
    }

    /// How many positions there are: as many as there were keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether nothing was asked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether every position was answered, be it that nothing is stored there.
    pub fn is_complete(&self) -> bool {
        self.positions.iter().all(Result::is_ok)
    }

    /// All positions, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Result<Option<T>, LookupError>> {
        self.positions.iter()
    }

    /// The values there are, with their positions.
    pub fn found(&self) -> impl Iterator<Item = (usize, &T)> {
        let positions = self.positions.iter().enumerate();
        positions.filter_map(|(position, result)| {
            let value = result.as_ref().ok()?.as_ref()?;
            Some((position, value))
        })
    }

    /// The errors there are, with their positions.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &LookupError)> {
        let positions = self.positions.iter().enumerate();
        positions.filter_map(|(position, result)| Some((position, result.as_ref().err()?)))
    }

    /// All positions, if every one was answered.
    ///
    /// # Errors
    ///
    /// The first error by position.
    pub fn all(self) -> Result<Vec<Option<T>>, LookupError> {
        self.positions.into_iter().collect()
    }

    /// The values, with `value` where there is none, whatever the reason.
    #[must_use]
    pub fn or(self, value: T) -> Vec<T>
    where
        T: Clone,
    {
        self.values(|| value.clone())
    }

    /// The values, with the default where there is none, whatever the reason. (That of a `Vec` is empty: for rows
    /// see [`or`](Self::or).)
    #[must_use]
    pub fn or_default(self) -> Vec<T>
    where
        T: Default,
    {
        self.values(T::default)
    }

    /// The results as a vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<Result<Option<T>, LookupError>> {
        self.positions
    }

    fn values(self, otherwise: impl Fn() -> T) -> Vec<T> {
        let value = |result: Result<Option<T>, _>| result.ok().flatten();
        self.positions
            .into_iter()
            .map(|result| value(result).unwrap_or_else(&otherwise))
            .collect()
    }
}

impl<T> IntoIterator for LookupResult<T> {
    type Item = Result<Option<T>, LookupError>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.positions.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a LookupResult<T> {
    type Item = &'a Result<Option<T>, LookupError>;
    type IntoIter = std::slice::Iter<'a, Result<Option<T>, LookupError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> LookupResult<u8> {
        LookupResult::new(vec![Ok(Some(7)), Ok(None), Err(LookupError::WrongType)])
    }

    #[test]
    fn each_way_out_keeps_the_positions() {
        assert_eq!(some().or_default(), [7, 0, 0]);
        assert_eq!(some().or(9), [7, 9, 9]);
        assert_eq!(some().found().collect::<Vec<_>>(), [(0, &7)]);
        let wrong: Vec<usize> = some().errors().map(|(position, _)| position).collect();
        assert_eq!(wrong, [2]);
        assert_eq!(some().len(), 3);
        assert!(!some().is_complete());
    }

    #[test]
    fn all_or_the_first_error() {
        assert!(matches!(some().all(), Err(LookupError::WrongType)));
        let whole = LookupResult::new(vec![Ok(Some(1)), Ok(None)]);
        assert!(whole.is_complete());
        assert_eq!(whole.all().unwrap(), [Some(1), None]);
    }
}
