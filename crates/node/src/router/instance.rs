//! Which of several instances of a domain serves a conversation (contract R2).

use std::hash::Hasher;

use fnv::FnvHasher;
use switchyard_registry::{NodeId, Route};

use crate::peer::Destination;

/// Orders `routes` to `to` by preference for what `from` (a prepared bare JID) sends: highest
/// random weight first (rendezvous hashing).
///
/// The order is the same on every node and across restarts, spreads conversations evenly, and when
/// an instance goes only its own conversations move, each to its second choice.
pub(super) fn by_preference(routes: &[Route], from: &[u8], to: &Destination) -> Vec<Route> {
    let to = to.name.as_str().as_bytes();
    let mut ranked: Vec<_> = routes
        .iter()
        .map(|route| (weight(route.node, from, to), *route))
        .collect();
    ranked.sort_unstable_by_key(|(weight, route)| (std::cmp::Reverse(*weight), route.node));
    ranked.into_iter().map(|(_, route)| route).collect()
}

fn weight(node: NodeId, from: &[u8], to: &[u8]) -> u64 {
    // Every node must compute the same weights, whatever its build: the standard library's hasher
    // promises no such thing.
    let mut hasher = FnvHasher::default();
    hasher.write(&node.0.to_be_bytes());
    hasher.write(from);
    hasher.write(&[0]);
    hasher.write(to);
    mix(hasher.finish())
}

/// Spreads the differences of an FNV hash, which gather in its low bits, over all bits
/// (the finaliser of MurmurHash3).
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use switchyard_registry::{ConnectionId, Domain, Incarnation};

    use super::*;

    fn routes(nodes: &[u64]) -> Vec<Route> {
        nodes
            .iter()
            .map(|node| Route {
                node: NodeId(*node),
                incarnation: Incarnation(1),
                connection: ConnectionId(1),
                hidden: false,
                exclusive: false,
            })
            .collect()
    }

    fn choice(nodes: &[u64], user: usize) -> NodeId {
        let from = format!("user{user}@client.example");
        let to = Destination {
            name: Domain::prepare("bot.example").unwrap(),
            is_subdomain: false,
        };
        by_preference(&routes(nodes), from.as_bytes(), &to)[0].node
    }

    #[test]
    fn contract_r2_conversations_spread_and_only_the_lost_share_moves() {
        let all = [11, 22, 33];
        let mut share = [0_usize; 3];
        for user in 0..3000 {
            let before = choice(&all, user);
            share[all.iter().position(|node| *node == before.0).unwrap()] += 1;
            let after = choice(&[11, 33], user);
            if before.0 != 22 {
                assert_eq!(after, before, "user{user} moved though its instance stayed");
            }
            assert_eq!(
                choice(&[33, 11, 22], user),
                before,
                "the order of rows must not matter"
            );
        }
        assert!(
            share.iter().all(|share| (800..1200).contains(share)),
            "{share:?}"
        );
    }
}
