//! Where metadata is kept (research store §3). `sqlite` behind one trait; the server is `server`.
pub mod sqlite;
