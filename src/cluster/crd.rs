//! Our CustomResourceDefinitions, from the types that are parsed (design §6).
