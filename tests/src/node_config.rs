use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::PortBlock;

/// Keys of `[cluster]` with which being given up takes seconds: the shortest lease that a busy machine
/// bears.
pub const SHORT_LEASE: &str =
    "lease = 2500\nheartbeat = 100\nelection_timeout_min = 750\nelection_timeout_max = 1000";

/// The password of every listener.
pub const SECRET: &str = "sesame";

/// The one served host.
pub const SERVED_HOST: &str = "router.example";

/// Which of a node's three component listeners to connect to. Names are shared by all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// `conflict_behaviour = "disconnect"`
    Disconnect,
    /// `conflict_behaviour = "kick_old"`
    KickOld,
    /// `hidden_components = true`
    Hidden,
}

/// A member of the cluster from its first start.
#[derive(Debug, Clone)]
pub struct Founder {
    /// `node.name`
    pub name: String,
    /// `cluster.advertise`
    pub address: SocketAddr,
}

/// What is written into a node's configuration file.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `node.name`
    pub name: String,
    /// `node.data_dir`
    pub data_dir: PathBuf,
    /// `cluster.name`
    pub cluster: String,
    /// `cluster.listen`
    pub peers: SocketAddr,
    /// `cluster.advertise`
    pub advertise: SocketAddr,
    /// More lines for `[cluster]`.
    pub cluster_keys: String,
    /// `cluster.members`
    pub founders: Vec<Founder>,
    /// `cluster.seeds`, in place of `cluster.members`
    pub seeds: Option<Vec<SocketAddr>>,
    /// `api.listen`
    pub api: SocketAddr,
    /// `http.listen`
    pub http: SocketAddr,
    /// The addresses of the component listeners, in the order of [`Listener`].
    pub components: [SocketAddr; 3],
    /// An address that the file does not mention, for a test that adds a port.
    pub spare: SocketAddr,
}

impl NodeConfig {
    /// Of the node `name` on `ports`, with its data below `dir`. It knows no other node yet.
    #[must_use]
    pub fn new(name: &str, dir: &Path, ports: &PortBlock) -> Self {
        Self {
            name: name.to_owned(),
            data_dir: dir.join(name),
            cluster: "test".to_owned(),
            peers: ports.address(0),
            advertise: ports.address(0),
            founders: Vec::new(),
            seeds: None,
            cluster_keys: String::new(),
            api: ports.address(1),
            http: ports.address(2),
            components: [ports.address(3), ports.address(4), ports.address(5)],
            spare: ports.address(6),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn render(&self) -> String {
        let entry = self.entry();
        let mut text = format!(
            r#"[general]
hosts = ["{SERVED_HOST}"]
loglevel = "info"
routing_modules = ["mongoose_router_global", "mongoose_router_localdomain", "mongoose_router_external_localnode", "mongoose_router_external", "mongoose_router_dynamic_domains"]

[node]
name = "{name}"
data_dir = "{data_dir}"

[cluster]
name = "{cluster}"
listen = "{peers}"
advertise = "{advertise}"
{entry}
{cluster_keys}

[api]
listen = "{api}"

[http]
listen = "{http}"

[modules.mod_disco]
users_can_see_hidden_services = false
"#,
            name = self.name,
            data_dir = self.data_dir.display(),
            cluster = self.cluster,
            peers = self.peers,
            advertise = self.advertise,
            cluster_keys = self.cluster_keys,
            api = self.api,
            http = self.http,
        );
        let behaviours = [
            "",
            "conflict_behaviour = \"kick_old\"\n",
            "hidden_components = true\n",
        ];
        for (address, behaviour) in self.components.iter().zip(behaviours) {
            render_listener(&mut text, *address, behaviour);
        }
        text
    }

    /// How the node comes to its cluster.
    fn entry(&self) -> String {
        let founders = self.founders.iter();
        let founders = founders.map(|founder| format!("\"{}={}\"", founder.name, founder.address));
        match &self.seeds {
            Some(seeds) => {
                let seeds = seeds.iter().map(|seed| format!("\"{seed}\""));
                format!("seeds = [{}]", seeds.collect::<Vec<_>>().join(", "))
            }
            None => format!("members = [{}]", founders.collect::<Vec<_>>().join(", ")),
        }
    }
}

fn render_listener(text: &mut String, address: SocketAddr, behaviour: &str) {
    write!(
        text,
        "\n[[listen.component]]\nport = {}\nip_address = \"{}\"\npassword = \"{SECRET}\"\n{behaviour}",
        address.port(),
        address.ip(),
    )
    .expect("a String takes every write");
}
