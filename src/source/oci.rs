//! Evidence beside the image in its registry: referrers (API and tag schema), cosign's tags (design §8, §12; signatures §2.1–2.2).
//! One `ImageEvidence` reads referrers once and serves both signatures and envelopes from it.
