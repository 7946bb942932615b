//! The images of one review, asked for together: the first that needs the store asks for all.

use super::answer::Found;
use crate::{cache::hurried, digest::Digest};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

/// Some images that are about to be asked for, while their review is judged. What came for one of them is kept until then.
#[derive(Debug, Default)]
pub struct Together {
    images: BTreeSet<Digest>,
    came: Mutex<BTreeMap<Digest, Came>>,
    asking: Mutex<()>,
}

#[derive(Debug)]
struct Came {
    found: Found,
    /// How much time the question had.
    until: Instant,
}

impl Together {
    /// What came for the image when another was asked for. Who has until `until` asks anew where the time was short.
    pub(super) fn came(&self, image: &Digest, until: Instant) -> Option<Found> {
        let came = lock(&self.came);
        let came = came.get(image)?;
        let short = matches!(&came.found, Err(fault) if hurried(fault.reason, came.until, until));
        (!short).then(|| came.found.clone())
    }

    pub(super) fn keep(&self, image: &Digest, found: &Found, until: Instant) {
        lock(&self.came).insert(image.clone(), Came { found: found.clone(), until });
    }

    /// Held while the images are divided among questions: two that ask at once would each take a part of them.
    pub(super) fn asking(&self) -> MutexGuard<'_, ()> {
        lock(&self.asking)
    }

    /// The images for which nothing came that will do.
    pub(super) fn missing(&self, until: Instant) -> Vec<Digest> {
        self.images.iter().filter(|image| self.came(image, until).is_none()).cloned().collect()
    }
}

/// The reviews that are being judged, by their images. Of two that have an image in common the later one is found, and either will do.
#[derive(Default)]
pub(super) struct Reviews(Mutex<HashMap<Digest, Weak<Together>>>);

impl Reviews {
    pub fn enter(&self, images: BTreeSet<Digest>) -> Arc<Together> {
        let together = Arc::new(Together { images, ..Together::default() });
        let mut reviews = lock(&self.0);
        // Those that are over are struck off when there may be as many of them as of the others.
        if reviews.len() == reviews.capacity() {
            reviews.retain(|_, review| review.strong_count() > 0);
        }
        for image in &together.images {
            reviews.insert(image.clone(), Arc::downgrade(&together));
        }
        together
    }

    pub fn of(&self, image: &Digest) -> Option<Arc<Together>> {
        lock(&self.0).get(image).and_then(Weak::upgrade)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::answer::Stored, *};
    use std::time::Duration;

    #[test]
    fn a_review_that_is_over_is_forgotten() {
        let reviews = Reviews::default();
        let image = |n: u32| Digest::sha256(&n.to_be_bytes());
        let first = reviews.enter([image(1), image(2)].into());
        assert!(reviews.of(&image(2)).is_some_and(|found| Arc::ptr_eq(&found, &first)));
        let second = reviews.enter([image(2), image(3)].into());
        assert!(reviews.of(&image(2)).is_some_and(|found| Arc::ptr_eq(&found, &second)));
        drop((first, second));
        assert!(reviews.of(&image(1)).is_none() && reviews.of(&image(3)).is_none());
        for n in 0..10_000 {
            drop(reviews.enter([image(n)].into()));
        }
        assert!(lock(&reviews.0).capacity() < 100, "{}", lock(&reviews.0).capacity());
    }

    #[test]
    fn what_came_is_not_asked_for_again_unless_its_time_was_short() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let together = Together { images: [a.clone(), b.clone()].into(), ..Together::default() };
        let now = Instant::now();
        let found = Ok(Arc::new(Stored { envelopes: vec![], whole: true }));
        together.keep(&a, &found, now);
        assert_eq!(together.missing(now), std::slice::from_ref(&b));
        let away = Err(super::super::unavailable("it is away"));
        together.keep(&b, &away, now);
        let later = now + Duration::from_secs(5);
        assert_eq!((together.came(&a, later), together.came(&b, now)), (Some(found), Some(away)));
        assert_eq!(together.came(&b, later), None);
        // Who has more time asks for all of them together again.
        assert_eq!((together.missing(now), together.missing(later)), (vec![], vec![b]));
    }
}
