//! Stories about how blobs and records travel, told with many machines in a small virtual world.

mod bill;
mod exchange;
mod hostile;
mod laws;
mod peers;

mod sync;
mod world;
