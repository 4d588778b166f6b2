use super::{Api, Cluster, ClusterTls, ComponentListener, Config, General, Node};

/// What differs between the configuration that a node runs with and a new one: names of keys,
/// never values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What can change while a node runs.
    pub(crate) live: Vec<String>,
    /// What needs a restart.
    pub(crate) pending: Vec<&'static str>,
}

impl Changes {
    /// Compares `old` to `new`.
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        // Whoever adds a section has to say here whether it can change while a node runs.
        let Config {
            general,
            node,
            cluster,
            registry,
            api,
            http,
            listeners,
            disco,
        } = new;
        let mut changes = Self::default();
        changes.add_general(&old.general, general);
        changes.add_node(&old.node, node);
        for (key, is_same) in [
            (
                "cluster",
                is_same_cluster(cluster.as_ref(), old.cluster.as_ref()),
            ),
            ("registry", *registry == old.registry),
            ("api", api.has_port_of(&old.api)),
            ("http", *http == old.http),
        ] {
            if !is_same {
                changes.pending.push(key);
            }
        }
        if let (Some(old), Some(new)) = (tls(&old.cluster), tls(cluster))
            && old != new
        {
            changes.live.push("cluster.tls".to_owned());
        }
        changes.add_api(&old.api, api);
        changes.add_listeners(&old.listeners, listeners);
        if *disco != old.disco {
            changes.live.push("modules.mod_disco".to_owned());
        }
        changes
    }

    fn add_general(&mut self, old: &General, new: &General) {
        let General {
            hosts,
            loglevel,
            routing_modules,
        } = new;
        if *loglevel != old.loglevel {
            self.live.push("general.loglevel".to_owned());
        }
        if *hosts != old.hosts {
            self.pending.push("general.hosts");
        }
        if *routing_modules != old.routing_modules {
            self.pending.push("general.routing_modules");
        }
    }

    fn add_api(&mut self, old: &Api, new: &Api) {
        if !new.has_port_of(old) {
            return;
        }
        if new.tls != old.tls {
            self.live.push("api.tls".to_owned());
        }
        if new.access.tokens != old.access.tokens {
            self.live.push("api.tokens".to_owned());
        }
    }

    fn add_node(&mut self, old: &Node, new: &Node) {
        let Node { name, data_dir } = new;
        if *name != old.name {
            self.pending.push("node.name");
        }
        if *data_dir != old.data_dir {
            self.pending.push("node.data_dir");
        }
    }

    fn add_listeners(&mut self, old: &[ComponentListener], new: &[ComponentListener]) {
        for listener in new {
            let what = match old.iter().find(|old| old.address == listener.address) {
                None => "added".to_owned(),
                Some(old) => listener.changes_since(old).join(", "),
            };
            if !what.is_empty() {
                self.add_listener(listener, &what);
            }
        }
        for listener in old {
            if !new.iter().any(|new| new.address == listener.address) {
                self.add_listener(listener, "removed");
            }
        }
    }

    fn add_listener(&mut self, listener: &ComponentListener, what: &str) {
        let address = listener.address;
        self.live
            .push(format!("listen.component {address} ({what})"));
    }
}

fn tls(cluster: &Option<Cluster>) -> Option<&ClusterTls> {
    cluster.as_ref()?.tls.as_ref()
}

/// Whether all is the same but the certificates, if there are any in both.
fn is_same_cluster(new: Option<&Cluster>, old: Option<&Cluster>) -> bool {
    let without_tls = |cluster: &Cluster| Cluster {
        tls: None,
        ..cluster.clone()
    };
    let has_tls = |cluster: &Cluster| cluster.tls.is_some();
    new.map(without_tls) == old.map(without_tls) && new.map(has_tls) == old.map(has_tls)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const OLD: &str = "[general]\nhosts = [\"example.org\"]\n[node]\nname = \"n\"\n\
        [[listen.component]]\nport = 1\npassword = \"one\"\n\
        [[listen.component]]\nport = 2\npassword = \"two\"\n";

    fn config(text: &str) -> Config {
        parse(Path::new("n.toml"), text).unwrap().config
    }

    /// What a replacement of `what` by `with` changes.
    fn replaced(what: &str, with: &str) -> (String, String) {
        assert!(OLD.contains(what), "{what}");
        let new = config(&OLD.replacen(what, with, 1));
        let changes = Changes::between(&config(OLD), &new);
        (changes.live.join("; "), changes.pending.join("; "))
    }

    #[test]
    fn contract_a4_changes_are_named_and_told_from_those_that_need_a_restart() {
        let twice = "\"one\"\ncheck_from = false\nbacklog = 5";
        for (what, with, live, pending) in [
            ("\"one\"", "\"one\"", "", ""),
            (
                "\"one\"",
                "\"new\"",
                "listen.component 0.0.0.0:1 (password)",
                "",
            ),
            (
                "\"one\"",
                "[\"new\", \"one\"]",
                "listen.component 0.0.0.0:1 (password)",
                "",
            ),
            (
                "\"one\"",
                twice,
                "listen.component 0.0.0.0:1 (check_from, backlog)",
                "",
            ),
            (
                "password = \"one\"",
                "passwords = { a = \"one\" }",
                "listen.component 0.0.0.0:1 (password, passwords)",
                "",
            ),
            (
                "port = 2",
                "port = 3",
                "listen.component 0.0.0.0:3 (added); listen.component 0.0.0.0:2 (removed)",
                "",
            ),
            (
                "[node]",
                "loglevel = \"debug\"\n[node]",
                "general.loglevel",
                "",
            ),
            (
                "[node]",
                "[modules.mod_disco]\nextra_domains = [\"x\"]\n[node]",
                "modules.mod_disco",
                "",
            ),
            (
                "[node]",
                "[api]\nlisten = \"127.0.0.1:9\"\n[http]\n[node]",
                "",
                "api; http",
            ),
            ("[node]", "[node]\ndata_dir = \"/srv\"", "", "node.data_dir"),
            (
                "hosts = [\"example.org\"]\n[node]\nname = \"n\"",
                "routing_modules = [\"mongoose_router_external\"]\n[node]\nname = \"m\"\n[cluster]\n\
                 name = \"c\"\nlisten = \"127.0.0.1:7\"\nmembers = [\"m=127.0.0.1:7\"]",
                "",
                "general.hosts; general.routing_modules; node.name; cluster",
            ),
        ] {
            let expected = (live.to_owned(), pending.to_owned());
            assert_eq!(replaced(what, with), expected, "{with}");
        }
    }
}
