//! The API server's list of our webhooks.
