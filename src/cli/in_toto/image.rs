//! The image that inspections look at, from a registry or an OCI image layout on disk.

use super::VerifyArgs;
use crate::{
    cli::ui,
    digest::Digest,
    image::ImageFacts,
    reason::{Fault, Reason},
    reference::Reference,
    registry::{Registries, Repository},
    source::{dir, layout_dir::LayoutDir},
};
use std::{path::Path, time::Instant};

/// The image and where its manifests are read.
pub(super) struct Image {
    pub facts: ImageFacts,
    place: Place,
}

enum Place {
    Registry(Box<Registries>, Repository),
    Layout(LayoutDir),
}

impl Image {
    pub async fn open(args: &VerifyArgs, deadline: Instant) -> anyhow::Result<Result<Option<Image>, Fault>> {
        match (&args.image_layout, &args.image) {
            (None, None) => Ok(Ok(None)),
            (Some(dir), reference) => Self::in_layout(dir, reference.as_ref()).map(|image| image.map(Some)),
            (None, Some(reference)) => {
                Self::in_registry(reference, &args.registry, deadline).await.map(|image| image.map(Some))
            }
        }
    }

    async fn in_registry(
        reference: &Reference,
        registry: &ui::RegistryArgs,
        deadline: Instant,
    ) -> anyhow::Result<Result<Image, Fault>> {
        let registries = registry.reader(reference)?;
        let digest = match reference.digest() {
            Some(digest) => digest.clone(),
            None => match registries.resolve(reference, deadline).await {
                Ok(blob) => blob.digest,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        let place = Place::Registry(Box::new(registries), Repository::from(reference));
        Ok(Ok(Image { facts: ImageFacts::new(reference.name(), digest), place }))
    }

    fn in_layout(dir: &Path, reference: Option<&Reference>) -> anyhow::Result<Result<Image, Fault>> {
        let layout = LayoutDir::unmarked(dir)?;
        let digest = &layout.first()?.digest;
        if let Some(named) = reference.and_then(Reference::digest)
            && named != digest
        {
            let what = format!("the first entry of {} is {digest}, --image names {named}", dir.display());
            return Ok(Err(Fault::new(Reason::DigestMismatch, what)));
        }
        let facts = ImageFacts::new(layout.repository(reference)?, digest.clone());
        Ok(Ok(Image { facts, place: Place::Layout(layout) }))
    }

    pub async fn read_manifests(&mut self, deadline: Instant) -> Result<(), Fault> {
        loop {
            let wants = self.facts.wants();
            if wants.is_empty() {
                return Ok(());
            }
            for digest in wants {
                let bytes = self.place.manifest(&digest, deadline).await?;
                self.facts.give(&digest, &bytes)?;
            }
        }
    }
}

impl Place {
    async fn manifest(&self, digest: &Digest, deadline: Instant) -> Result<Vec<u8>, Fault> {
        match self {
            Place::Registry(registries, repository) => {
                let found = registries.manifest(repository, digest, deadline).await?;
                let missing = || Fault::new(Reason::ImageNotFound, format!("the registry has no manifest {digest}"));
                Ok(found.ok_or_else(missing)?.bytes)
            }
            // Who judges the bytes hashes them.
            Place::Layout(layout) => dir::read_file(&layout.path(digest))
                .map_err(|error| Fault::new(Reason::ImageNotFound, format!("{error:#}"))),
        }
    }
}
