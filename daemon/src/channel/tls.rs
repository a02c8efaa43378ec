//! TLS for the peer channel: mutual TLS 1.3 with raw public keys (RFC 7250), one Ed25519 key per node.
//!
//! It proves that the peer holds the key it shows, and nothing else: who that is, papers say later. It never
//! reads a certificate, a name or a clock.
//!
//! Invariant: every connection runs a verifier. Sessions are never resumed and no early data is taken, because
//! a resumed session skips the verifier and a revoked peer would walk in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
};
use vigo_base::{PublicKey, SecretKey};

/// The application protocol both sides must speak.
pub(crate) const ALPN: &[u8] = b"vigo/1";
/// The server name every client sends: the same for all, so that it tells nothing.
pub(crate) const SERVER_NAME: &str = "vigo";

/// What precedes the 32 key bytes in the DER of an Ed25519 SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What precedes the 32 seed bytes in the DER of an Ed25519 PKCS#8 v1 private key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The node's TLS identity, from which the configurations of every connection are made.
#[derive(Clone)]
pub(crate) struct Identity {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    /// How often a verifier has looked at a peer's key, on either side.
    pub(crate) verified: Arc<AtomicU64>,
}

impl Identity {
    /// The identity of this key.
    pub(crate) fn new(key: &SecretKey) -> Result<Identity, Error> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![
                ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        });
        let mut der = zeroize::Zeroizing::new([0u8; 48]);
        der[..16].copy_from_slice(&PKCS8_PREFIX);
        der[16..].copy_from_slice(&*key.seed());
        let signer = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]))?;
        let certificate = CertificateDer::from(spki(&key.public()).to_vec());
        let certified = Arc::new(CertifiedKey::new(vec![certificate], signer));
        Ok(Identity { provider, certified, verified: Arc::default() })
    }

    /// The configuration for accepting connections.
    pub(crate) fn server(&self) -> Result<QuicServerConfig, Error> {
        let verifier = self.verifier(None, Arc::default());
        let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(self.certified.clone());
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ignore_client_order = true;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        QuicServerConfig::try_from(config)
            .map_err(|_| Error::General("the provider has no suite for QUIC's first packets".into()))
    }

    /// The configuration for one dial. With `expect`, another key ends the handshake before this side shows
    /// its own; the key that was found is left in `seen`.
    pub(crate) fn client(
        &self,
        expect: Option<PublicKey>,
        seen: Arc<OnceLock<PublicKey>>,
    ) -> Result<QuicClientConfig, Error> {
        let verifier = self.verifier(expect, seen);
        let config = self.client_with(verifier, rustls::client::Resumption::disabled())?;
        QuicClientConfig::try_from(config)
            .map_err(|_| Error::General("the provider has no suite for QUIC's first packets".into()))
    }

    fn client_with(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
        resumption: rustls::client::Resumption,
    ) -> Result<rustls::ClientConfig, Error> {
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(self.certified.clone());
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = resumption;
        config.enable_early_data = false;
        Ok(config)
    }

    fn verifier(&self, expect: Option<PublicKey>, seen: Arc<OnceLock<PublicKey>>) -> Arc<Verifier> {
        Arc::new(Verifier { provider: self.provider.clone(), verified: self.verified.clone(), expect, seen })
    }

    /// A client that would resume a session if the server let it.
    #[cfg(test)]
    pub(crate) fn client_that_resumes(&self) -> Result<QuicClientConfig, Error> {
        let verifier = self.verifier(None, Arc::default());
        let mut config = self.client_with(verifier, rustls::client::Resumption::in_memory_sessions(16))?;
        config.enable_early_data = true;
        QuicClientConfig::try_from(config).map_err(|_| Error::General("no initial suite".into()))
    }
}

/// The DER of `key` as a SubjectPublicKeyInfo.
pub(crate) fn spki(key: &PublicKey) -> [u8; 44] {
    let mut der = [0; 44];
    der[..12].copy_from_slice(&SPKI_PREFIX);
    der[12..].copy_from_slice(key.as_bytes());
    der
}

/// The key in a SubjectPublicKeyInfo, if that is exactly an Ed25519 key and not a weak one.
pub(crate) fn key_from_spki(der: &[u8]) -> Option<PublicKey> {
    let bytes: [u8; 32] = der.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    PublicKey::from_bytes(bytes).ok()
}

/// Accepts any usable Ed25519 key whose handshake signature holds, or exactly the expected one.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    verified: Arc<AtomicU64>,
    expect: Option<PublicKey>,
    seen: Arc<OnceLock<PublicKey>>,
}

impl Verifier {
    fn check_key(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        self.verified.fetch_add(1, Ordering::Relaxed);
        let key = match (key_from_spki(shown), more) {
            (Some(key), []) => key,
            _ => return Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        };
        let _ = self.seen.set(key);
        match self.expect {
            Some(expected) if expected != key => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(shown.as_ref()),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }
}

fn only_tls13() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        only_tls13()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spki_is_what_ring_makes_of_the_same_seed() {
        let key = SecretKey::from_seed([9; 32]);
        let identity = Identity::new(&key).unwrap();
        let made_by_rustls = identity.certified.key.public_key().unwrap();
        assert_eq!(made_by_rustls.as_ref(), spki(&key.public()));
        assert_eq!(key_from_spki(&spki(&key.public())), Some(key.public()));
    }

    #[test]
    fn weak_and_malformed_keys_are_refused() {
        let good = spki(&SecretKey::from_seed([9; 32]).public());
        assert_eq!(key_from_spki(&good[..43]), None);
        assert_eq!(key_from_spki(&[&good[..], &[0]].concat()), None);
        let mut weak = good;
        weak[12..].fill(0);
        assert_eq!(key_from_spki(&weak), None);
        weak[12] = 1;
        assert_eq!(key_from_spki(&weak), None);
        let mut x25519 = good;
        x25519[8] = 0x6e;
        assert_eq!(key_from_spki(&x25519), None);
    }
}
