//! Where requests are worked on: so many at once, each when all of it is here.

use super::{
    body::{Bodies, Pace},
    problem::Problem,
};
use axum::{body::Body, http::HeaderMap};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a request waits for a place: a burst does, an overload does not pass in that time.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The places for requests of one sort. Those who read and those who write have each their own: no pipeline keeps a webhook waiting.
#[derive(Debug)]
pub struct Desk {
    places: Semaphore,
    bodies: Bodies,
}

impl Desk {
    /// So many places, and room for so many bytes that are on their way to one.
    pub fn new(places: usize, bytes_max: usize, pace: Pace) -> Self {
        Desk { places: Semaphore::new(places), bodies: Bodies::new(bytes_max, pace) }
    }

    /// A place for a request that is here.
    ///
    /// # Errors
    /// 503: there was none for a second.
    pub async fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let place = tokio::time::timeout(WAIT_MAX, self.places.acquire()).await;
        place.ok().and_then(Result::ok).ok_or_else(Problem::overloaded)
    }

    /// The body of a request (`Bodies::receive`), and then its place.
    ///
    /// # Errors
    /// What is wrong with the body; 503 where there is no room for it, or no place.
    pub async fn body(
        &self,
        sender: &str,
        headers: &HeaderMap,
        body: Body,
        what: &'static str,
        max: usize,
    ) -> Result<(Vec<u8>, SemaphorePermit<'_>), Problem> {
        let arrived = self.bodies.receive(sender, headers, body, what, max).await?;
        let place = self.place().await?;
        Ok((arrived.unpack()?, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_takes_a_place_when_it_is_here() {
        let desk = Desk::new(1, 1 << 20, Pace::default());
        let headers = HeaderMap::new();
        let never = Body::from_stream(futures::stream::pending::<std::io::Result<&[u8]>>());
        let slow = desk.body("ci", &headers, never, "a record", 1 << 10);
        let fast = async {
            let (bytes, place) = desk.body("laptop", &headers, Body::from("x"), "a record", 1 << 10).await.unwrap();
            assert_eq!(bytes, b"x");
            assert_eq!(desk.place().await.unwrap_err().reason, "overloaded", "there is one place");
            drop(place);
            assert!(desk.place().await.is_ok());
        };
        tokio::select! {
            biased;
            _ = slow => panic!("its body never comes"),
            () = fast => {}
        }
    }
}
