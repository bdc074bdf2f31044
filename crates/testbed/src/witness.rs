//! What a server has seen, by its own account.

use anyhow::Context as _;
use redis::cmd;

use crate::node::Node;

impl Node {
    /// How often it has run a command since it started (`INFO commandstats`); the name is in small
    /// letters, as in `get`, `cluster|slots`. Commands that were refused before they ran, such as
    /// those for a slot of another node, do not count.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn calls(&self, command: &str) -> anyhow::Result<u64> {
        let line = self.statistic("commandstats", &format!("cmdstat_{command}:calls="))?;
        Ok(line.unwrap_or_default())
    }

    /// How often it has answered with an error of this code since it started (`INFO errorstats`), as
    /// in `MOVED`, `READONLY`. Servers before 6.2 do not tell.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn errors(&self, code: &str) -> anyhow::Result<u64> {
        let line = self.statistic("errorstats", &format!("errorstat_{code}:count="))?;
        Ok(line.unwrap_or_default())
    }

    /// The ids of its connections from clients, in their order, without replicas, subscribers and the one
    /// that asks.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn clients(&self) -> anyhow::Result<Vec<u64>> {
        let mut connection = self.connection()?;
        let own: u64 = cmd("CLIENT").arg("ID").query(&mut connection)?;
        let mut list = cmd("CLIENT");
        list.arg("LIST").arg("TYPE").arg("NORMAL");
        let list: String = list.query(&mut connection)?;
        let fields = list.lines().map(|line| line.split(' '));
        let ids =
            fields.filter_map(|mut fields| fields.find_map(|field| field.strip_prefix("id=")));
        let mut ids: Vec<u64> = ids.map(str::parse).collect::<Result<_, _>>()?;
        ids.retain(|id| *id != own);
        ids.sort_unstable();
        Ok(ids)
    }

    /// How it is called in its cluster (`CLUSTER MYID`).
    ///
    /// # Errors
    /// If it does not answer, or is in no cluster.
    pub fn cluster_id(&self) -> anyhow::Result<String> {
        let mut connection = self.connection()?;
        let id = cmd("CLUSTER").arg("MYID").query(&mut connection);
        id.with_context(|| format!("node {} does not tell its id", self.port()))
    }

    /// The number behind `prefix` in a section of `INFO`.
    fn statistic(&self, section: &str, prefix: &str) -> anyhow::Result<Option<u64>> {
        let info: String = cmd("INFO").arg(section).query(&mut self.connection()?)?;
        let line = info.lines().find_map(|line| line.strip_prefix(prefix));
        let number = line.and_then(|rest| rest.split(',').next());
        Ok(number.map(str::parse).transpose()?)
    }
}
