//! `tidewaiter key`: key pairs in files, and the ids they are known by.

use super::ui::Output;
use crate::{
    file,
    key::{PublicKey, Scheme, SecretKey},
    signer,
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Make keys and show what they are
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    New(New),
    Public(Public),
    Id(Id),
}

/// Make a key pair: PATH (PKCS#8 PEM, readable by you alone) and PATH.pub
///
/// The private key is not protected by a passphrase yet; what protects it is the mode of the file. Nothing is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter key new -o build.pem
  tidewaiter key new --scheme ecdsa-p256 -o release.pem")]
pub struct New {
    /// What kind of key
    #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
    scheme: Kind,
    /// Where the private key goes; the public one goes to PATH.pub
    #[arg(long, short = 'o', value_name = "PATH")]
    output: PathBuf,
}

/// Print the public key of a private one, or the key object of an OpenPGP certificate for a layout
///
/// An object has no revocation and no usage flags, so keys that must not sign are left out of it; a certificate that is revoked, expired,
/// or not for signing is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter key public build.pem > build.pub
  tidewaiter key public alice.asc > alice.json")]
pub struct Public {
    /// A private key, PKCS#8 PEM, or an OpenPGP certificate
    key: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Print every id a key is known by, the one we write first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidewaiter key id build.pub")]
pub struct Id {
    /// A public or a private key, PEM, or an OpenPGP certificate
    file: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    /// RSA of 3072 bits, signing by PSS with SHA-256
    #[value(name = "rsa-3072")]
    Rsa3072,
}
impl From<Kind> for Scheme {
    fn from(kind: Kind) -> Scheme {
        match kind {
            Kind::Ed25519 => Scheme::Ed25519,
            Kind::EcdsaP256 => Scheme::EcdsaP256,
            Kind::EcdsaP384 => Scheme::EcdsaP384,
            Kind::Rsa3072 => Scheme::RsaPssSha256,
        }
    }
}

/// Always 0; what fails is an error.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::New(args) => new(&args)?,
        Command::Public(args) => public(&args)?,
        Command::Id(args) => id(&args)?,
    }
    Ok(0)
}

fn new(args: &New) -> anyhow::Result<()> {
    let public_path = public_path(&args.output);
    anyhow::ensure!(!args.output.exists(), "\"{}\" is there and is not overwritten", args.output.display());
    anyhow::ensure!(!public_path.exists(), "\"{}\" is there and is not overwritten", public_path.display());
    let key = SecretKey::generate(args.scheme.into())?;
    let pem = Zeroizing::new(key.to_pem());
    file::write_new(&args.output, pem.as_bytes(), 0o600)?;
    file::write_new(&public_path, key.public().to_pem().as_bytes(), 0o644)?;
    anstream::println!("{}", key.public().id());
    anstream::eprintln!(
        "wrote {} (private, without a passphrase: keep it where only you can read) and {}",
        args.output.display(),
        public_path.display()
    );
    Ok(())
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn public(args: &Public) -> anyhow::Result<()> {
    if let Some(key) = certificate(&args.key)? {
        key.usable_at(Timestamp::now())?;
        match args.output {
            Output::Text => anstream::println!("{:#}", key.to_layout()),
            Output::Json => anstream::println!("{}", serde_json::json!({ "id": key.id(), "layout": key.to_layout() })),
        }
        return Ok(());
    }
    let secret = signer::from_file(&args.key)?;
    let key = secret.public();
    match args.output {
        Output::Text => anstream::print!("{}", key.to_pem()),
        Output::Json => anstream::println!("{}", serde_json::json!({ "id": key.id(), "pem": key.to_pem() })),
    }
    Ok(())
}

fn id(args: &Id) -> anyhow::Result<()> {
    let key = read_public(&args.file)?;
    let others = key.ids().iter().filter(|id| *id != key.id());
    let ids: Vec<&str> = std::iter::once(key.id()).chain(others.map(String::as_str)).collect();
    match args.output {
        Output::Text => ids.iter().for_each(|id| anstream::println!("{id}")),
        Output::Json => anstream::println!("{}", serde_json::json!({ "id": key.id(), "ids": ids })),
    }
    Ok(())
}

/// The public key of a file that holds a public or a private one, or an OpenPGP certificate.
pub fn read_public(path: &Path) -> anyhow::Result<PublicKey> {
    if let Some(key) = certificate(path)? {
        return Ok(key);
    }
    let named = || format!("the key \"{}\"", path.display());
    let text = std::fs::read_to_string(path).map(Zeroizing::new).with_context(named)?;
    match text.contains("PRIVATE KEY-----") {
        true => Ok(signer::from_file(path)?.public().clone()),
        false => PublicKey::from_pem(&text).with_context(named),
    }
}

/// The certificate, where the file begins as one does, in armor or without.
fn certificate(path: &Path) -> anyhow::Result<Option<PublicKey>> {
    let named = || format!("the key \"{}\"", path.display());
    let bytes = file::read(path, file::SMALL_BYTES_MAX).map(Zeroizing::new).with_context(named)?;
    let begins = bytes.first().is_some_and(|first| first & 0x80 != 0) || bytes.starts_with(b"-----BEGIN PGP ");
    begins.then(|| PublicKey::from_pgp(&bytes).with_context(named)).transpose()
}
