//! Every Namespace, watched: its uid and its annotations.
