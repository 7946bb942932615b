//! Verdicts by digest + repository + policy hash + namespace, bounded by bytes; single flight per key (security §2.G).
