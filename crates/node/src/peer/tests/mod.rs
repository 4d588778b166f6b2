//! Links as models, and over real sockets.

mod cost;
mod fixture;
mod links;
mod model;
mod proxy;
