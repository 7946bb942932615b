//! Capture: materials → command → products → link (design §8, store §5).
