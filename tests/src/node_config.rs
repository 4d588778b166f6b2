use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// `cluster.listen`
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
    /// `cluster.members`
    pub founders: Vec<Founder>,
    /// `api.listen`
    pub api: SocketAddr,
    /// `http.listen`
    pub http: SocketAddr,
    /// The addresses of the component listeners, in the order of [`Listener`].
    pub components: [SocketAddr; 3],
}

impl NodeConfig {
    /// The file's text.
    #[must_use]
    pub fn render(&self) -> String {
        let members: Vec<String> = self
            .founders
            .iter()
            .map(|founder| format!("\"{}={}\"", founder.name, founder.address))
            .collect();
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
members = [{members}]

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
            members = members.join(", "),
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
