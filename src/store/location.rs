//! Where a database is: `sqlite:PATH` or `postgres://…`.

use std::{fmt, path::PathBuf, str::FromStr};
use url::Url;

/// A database's address.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// An embedded database, in this file.
    Sqlite(PathBuf),
    /// A server of PostgreSQL, or one that speaks as it does.
    Postgres(Url),
}

/// The text is no database's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sqlite:PATH or postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE")]
pub struct LocationError;

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() && !path.contains(['?', '#']) => {
                Ok(Location::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                text.parse().map(Location::Postgres).map_err(|_| LocationError)
            }
            _ => Err(LocationError),
        }
    }
}

impl fmt::Display for Location {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Location::Postgres(url) => {
                // Parameters may hold a password too.
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_file_or_a_server() {
        let file = |path: &str| Ok(Location::Sqlite(PathBuf::from(path)));
        assert_eq!("sqlite:store.db".parse(), file("store.db"));
        assert_eq!("sqlite:/var/store.db".parse(), file("/var/store.db"));
        assert_eq!("sqlite:///var/store.db".parse(), file("/var/store.db"));
        for server in ["postgres://host/db", "postgresql://user@host:5433/db", "postgres:///db?host=/run/postgresql"] {
            assert!(matches!(server.parse(), Ok(Location::Postgres(_))), "{server}");
        }
        for no in ["store.db", "sqlite:", "mysql://host/db", "sqlite:a?mode=memory", "postgres:db", "postgres://a:b:c/"]
        {
            assert_eq!(no.parse::<Location>(), Err(LocationError), "{no}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let location: Location = "postgres://user:secret@host:5433/db?password=secret".parse().unwrap();
        assert_eq!(location.to_string(), "postgres://host:5433/db");
        assert!(!format!("{location:?}").contains("secret"));
    }
}
