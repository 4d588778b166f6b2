use std::fmt::{self, Display};

use crate::config::{ComponentListener, conflict_behaviour_name};
use switchyard_listener::ConflictScope;

/// What a listener does, a line for each matter: the first has its address. No secrets.
pub(super) struct ListenerSummary<'a>(pub(super) &'a ComponentListener);

impl Display for ListenerSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listener = self.0;
        write!(f, "{}, ", listener.address)?;
        match &listener.tls {
            Some(tls) => write!(f, "{tls}")?,
            None => write!(f, "plain text")?,
        }
        line(f, "secrets", &listener.secrets)?;
        line(f, "access", &listener.access_shown)?;
        match listener.max_rate {
            Some(rate) => {
                let name = &listener.shaper_name;
                line(f, "shaper", format_args!("{name}, {rate} bytes a second"))?;
            }
            None => line(f, "shaper", "none")?,
        }
        let conflict = conflict_behaviour_name(listener.conflict_behaviour);
        let scope = match listener.conflict_scope {
            ConflictScope::Node => "on each node",
            ConflictScope::Cluster => "in the cluster",
        };
        line(
            f,
            "on conflict",
            format_args!("{conflict}, a name is there once {scope}"),
        )?;
        let timeout = listener.state_timeout.map(|timeout| timeout.as_millis());
        line(f, "state_timeout", limit(timeout, " ms"))?;
        let keepalive = listener.keepalive.map(|keepalive| keepalive.as_millis());
        line(f, "keepalive", limit(keepalive, " ms"))?;
        let timeout = listener.write_timeout.as_millis();
        line(f, "write_timeout", format_args!("{timeout} ms"))?;
        line(f, "max_connections", limit(listener.max_connections, ""))?;
        line(
            f,
            "max_stanza_size",
            limit(listener.max_stanza_size, " bytes"),
        )?;
        match self.peculiarities() {
            said if said.is_empty() => Ok(()),
            said => line(f, "besides", said.join(", ")),
        }
    }
}

impl ListenerSummary<'_> {
    /// Switches that are not as they are by default.
    fn peculiarities(&self) -> Vec<&'static str> {
        let listener = self.0;
        let switches = [
            (!listener.check_from, "components may send from any address"),
            (listener.hidden_components, "components are hidden"),
            (
                listener.disconnect_revoked,
                "a secret taken away disconnects",
            ),
            (listener.proxy_protocol, "behind a proxy"),
            (listener.reuse_port, "others may share the port"),
        ];
        let on = switches.into_iter().filter(|(is_on, _)| *is_on);
        on.map(|(_, said)| said).collect()
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    write!(f, "\n    {name:<16} {value}")
}

fn limit(limit: Option<impl Display>, unit: &str) -> String {
    limit.map_or_else(|| "infinity".to_owned(), |limit| format!("{limit}{unit}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::ListenerSummary;
    use crate::config::parse;

    fn shown(keys: &str) -> String {
        let text = format!(
            "listen.component = [{{port = 8888, ip_address = \"127.0.0.1\", \
             password = \"hunter2\"{keys}}}]\n\
             acl.staff = [{{user = \"alice\"}}]\nshaper.fast.max_rate = 50_000\n\
             access.helpdesk = [{{acl = \"staff\", value = \"allow\"}}]"
        );
        let loaded = parse(Path::new("node1.toml"), &text).unwrap();
        ListenerSummary(&loaded.config.listeners[0]).to_string()
    }

    #[test]
    fn contract_l_an_operator_sees_what_holds_and_no_secret() {
        let by_default = "127.0.0.1:8888, plain text\n    \
                          secrets          secret from password\n    \
                          access           all\n    \
                          shaper           none\n    \
                          on conflict      disconnect, a name is there once on each node\n    \
                          state_timeout    5000 ms\n    \
                          keepalive        30000 ms\n    \
                          write_timeout    30000 ms\n    \
                          max_connections  infinity\n    \
                          max_stanza_size  1048576 bytes";
        assert_eq!(shown(""), by_default);
        let keys = ", access = \"helpdesk\", shaper = \"fast\", state_timeout = \"infinity\", \
                    keepalive = \"infinity\", write_timeout = 1000, max_connections = 10, max_stanza_size = \"infinity\", \
                    conflict_behaviour = \"kick_old\", conflict_scope = \"cluster\", \
                    passwords = {a = \"hunter3\"}, check_from = false, hidden_components = true, \
                    disconnect_revoked = true, proxy_protocol = true, reuse_port = true";
        let given = "127.0.0.1:8888, plain text\n    \
                     secrets          secret from password, 1 name with their own\n    \
                     access           helpdesk (staff allow, anybody else deny)\n    \
                     shaper           fast, 50000 bytes a second\n    \
                     on conflict      kick_old, a name is there once in the cluster\n    \
                     state_timeout    infinity\n    \
                     keepalive        infinity\n    \
                     write_timeout    1000 ms\n    \
                     max_connections  10\n    \
                     max_stanza_size  infinity\n    \
                     besides          components may send from any address, components are \
                     hidden, a secret taken away disconnects, behind a proxy, others may share \
                     the port";
        assert_eq!(shown(keys), given);
    }
}
