//! The metadata store's HTTP face (design §8).
