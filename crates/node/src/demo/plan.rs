use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// The password of every component port of the demo, which is on loopback only.
pub(crate) const PASSWORD: &str = "demo";

/// How many nodes the demo has.
const NODES: usize = 3;

/// Ports that the first node has if all that the demo needs are free; the others follow.
const USUAL: Ports<u16> = Ports {
    peers: 7371,
    api: 7381,
    http: 7391,
    components: 8881,
};

/// One node of the demo: its name and where it listens.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan {
    /// `node.name`
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) ports: Ports<SocketAddr>,
}

/// What a node listens on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports<T> {
    /// `cluster.listen`
    pub(crate) peers: T,
    /// `api.listen`
    pub(crate) api: T,
    /// `http.listen`
    pub(crate) http: T,
    /// `listen.component.port`
    pub(crate) components: T,
}

/// Chooses ports for all nodes: the usual ones, or any if one of those is taken.
pub(crate) fn plan() -> io::Result<Vec<NodePlan>> {
    if let Ok(ports) = usual_ports() {
        return Ok(ports);
    }
    // All are held until the last is found, or the system could give one twice.
    let mut held = Vec::new();
    let mut any = || -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        held.push(listener);
        Ok(address)
    };
    let mut ports = || -> io::Result<Ports<SocketAddr>> {
        Ok(Ports {
            peers: any()?,
            api: any()?,
            http: any()?,
            components: any()?,
        })
    };
    (1..=NODES)
        .map(|number| Ok(node_plan(number, ports()?)))
        .collect()
}

fn usual_ports() -> io::Result<Vec<NodePlan>> {
    let mut held = Vec::new();
    let mut usual = |first: u16, number: usize| -> io::Result<SocketAddr> {
        let port = usize::from(first) + number - 1;
        let port = u16::try_from(port).map_err(io::Error::other)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        held.push(TcpListener::bind(address)?);
        Ok(address)
    };
    let mut ports = |number| -> io::Result<Ports<SocketAddr>> {
        Ok(Ports {
            peers: usual(USUAL.peers, number)?,
            api: usual(USUAL.api, number)?,
            http: usual(USUAL.http, number)?,
            components: usual(USUAL.components, number)?,
        })
    };
    (1..=NODES)
        .map(|number| Ok(node_plan(number, ports(number)?)))
        .collect()
}

fn node_plan(number: usize, ports: Ports<SocketAddr>) -> NodePlan {
    NodePlan {
        name: format!("node{number}"),
        ports,
    }
}

impl NodePlan {
    /// Its configuration file, as one of the cluster of `all`.
    pub(crate) fn config(&self, all: &[Self], data_dir: &Path) -> String {
        let member = |node: &Self| format!("\"{}={}\"", node.name, node.ports.peers);
        let members: Vec<String> = all.iter().map(member).collect();
        let Ports {
            peers,
            api,
            http,
            components,
        } = self.ports;
        format!(
            "[general]\n\
             hosts = [\"example.org\"]\n\
             \n\
             [node]\n\
             name = \"{name}\"\n\
             data_dir = {data_dir:?}\n\
             \n\
             [cluster]\n\
             name = \"demo\"\n\
             listen = \"{peers}\"\n\
             members = [{members}]\n\
             \n\
             [api]\n\
             listen = \"{api}\"\n\
             \n\
             [http]\n\
             listen = \"{http}\"\n\
             \n\
             [[listen.component]]\n\
             port = {port}\n\
             ip_address = \"{ip}\"\n\
             password = \"{PASSWORD}\"\n",
            name = self.name,
            members = members.join(", "),
            port = components.port(),
            ip = components.ip(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::parse;

    #[test]
    fn configurations_of_the_demo_are_valid_and_no_port_is_given_twice() {
        let plan = plan().unwrap();
        let mut addresses = HashSet::new();
        for node in &plan {
            let text = node.config(&plan, Path::new("/tmp/a \"quoted\" directory"));
            let loaded = parse(Path::new("demo.toml"), &text).unwrap();
            assert_eq!(loaded.warnings, [""; 0]);
            let Ports {
                peers,
                api,
                http,
                components,
            } = node.ports;
            addresses.extend([peers, api, http, components]);
        }
        assert_eq!(addresses.len(), 4 * NODES);
    }
}
