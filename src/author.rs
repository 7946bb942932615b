//! Authoring: layouts from templates, lint, sign, show; keys (design §11).
