//! Links as models, and over real sockets.

mod fixture;
mod links;
mod model;
mod names;
mod proxy;
