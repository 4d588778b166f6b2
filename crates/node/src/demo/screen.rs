use std::fmt::Write as _;
use std::io::IsTerminal;

use super::exchange::{ALPHA, BETA};
use super::plan::{NodePlan, PASSWORD, Ports};
use crate::api_client::Listing;
use crate::cli::{Table, describe_listing, print};

/// Shows how the demo goes: a picture that is drawn anew on a terminal, a line at a time
/// elsewhere.
#[derive(Debug)]
pub(crate) struct Screen {
    is_terminal: bool,
    /// Height of the picture on the terminal.
    drawn_lines: usize,
}

/// How things stand.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The component table.
    pub(crate) listing: Listing,
    /// Messages that have arrived.
    pub(crate) received: u64,
    /// How many of them in the last second.
    pub(crate) rate: u64,
    /// Seconds since the first.
    pub(crate) seconds: u64,
}

impl Screen {
    /// Nothing drawn yet.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            drawn_lines: 0,
        }
    }

    /// Says what stays on the screen: the nodes, and how to join them.
    pub(crate) fn introduce(&self, plan: &[NodePlan], listing: &Listing) -> anyhow::Result<()> {
        let mut text = introduction(plan);
        if !self.is_terminal {
            text += &describe_listing(listing);
        }
        print(&text)
    }

    /// Shows how things stand.
    pub(crate) fn show(&mut self, standing: &Standing) -> anyhow::Result<()> {
        let line = standing.line();
        if !self.is_terminal {
            return print(&line);
        }
        let picture = format!("{}{line}", describe_listing(&standing.listing));
        let up = match self.drawn_lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.drawn_lines = picture.lines().count();
        print(&format!("{up}{picture}"))
    }
}

impl Standing {
    fn line(&self) -> String {
        format!(
            "{:>4} s  {} messages between {ALPHA} and {BETA}, {} in the last second\n",
            self.seconds, self.received, self.rate
        )
    }
}

fn introduction(plan: &[NodePlan]) -> String {
    let mut nodes = Table::new(["NODE", "COMPONENTS", "API", "HTTP"]);
    for NodePlan { name, ports } in plan {
        let Ports {
            components,
            api,
            http,
            ..
        } = ports;
        let addresses = [components, api, http].map(ToString::to_string);
        let [components, api, http] = addresses;
        nodes.push([name.clone(), components, api, http]);
    }
    let mut text = format!("Three nodes form a cluster on this machine:\n\n{nodes}\n");
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("switchyard");
    if let Some(node) = plan.last() {
        let Ports {
            components,
            api,
            http,
            ..
        } = node.ports;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "Join with a component of your own (XEP-0114) on any of them, by any name, with the \
             password \"{PASSWORD}\";\nwith slixmpp for example:\n\n    \
             ComponentXMPP(\"me.example\", \"{PASSWORD}\", \"{}\", {})\n\n\
             Ask any of them who is connected where:\n\n    \
             {program} components --api {api}\n    \
             {program} cluster status --api {api}\n    \
             curl http://{http}/metrics\n\n\
             Ctrl-C ends the demo.\n\n",
            components.ip(),
            components.port(),
        );
    }
    text
}
