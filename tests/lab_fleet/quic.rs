//! First packets of QUIC, made by hand, and a client whose handshake is good and everything after it is not.
//!
//! The attackers of [`siege`](crate::siege) use it. It never completes a handshake that is made by hand.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::quic::{ClientConnection, Keys, Version};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, Side, SignatureScheme, SupportedCipherSuite};
use vigo_base::SecretKey;

/// What a first packet of QUIC has at least.
const PACKET: usize = 1_200;
/// The id that the attacker gives itself: the same for all, since its TLS words name it.
const OURS: [u8; 8] = *b"stranger";

/// Which plane is attacked: they speak different TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The peer channel: raw public keys.
    Channel,
    /// Gossip: libp2p's certificates.
    Gossip,
}

/// Takes any server for good.
#[derive(Debug)]
struct Trusting(Plane);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0 == Plane::Channel
    }
}

/// TLS with a key that is nobody's.
pub fn tls(plane: Plane, seed: u8) -> ClientConfig {
    let provider =
        Arc::new(CryptoProvider { kx_groups: vec![ring::kx_group::X25519], ..ring::default_provider() });
    let key = SecretKey::from_seed([seed; 32]);
    let der = |head: &str, tail: &[u8]| [&hex::decode(head).expect("hex")[..], tail].concat();
    let private = der("302e020100300506032b657004220420", &*key.seed());
    let public = der("302a300506032b6570032100", key.public().as_bytes());
    let signer = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&private[..])).expect("a key");
    let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], signer));
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(certified);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(plane)));
    let mut config = match plane {
        Plane::Channel => builder.with_client_cert_resolver(Arc::new(resolver)),
        Plane::Gossip => builder.with_no_client_auth(),
    };
    let word: &[u8] = if plane == Plane::Channel { b"vigo/1" } else { b"libp2p" };
    config.alpn_protocols = vec![word.to_vec()];
    config
}

/// The first words of TLS, as a dialer says them.
pub fn hello(plane: Plane) -> Vec<u8> {
    // One transport parameter: the id that the packets come from.
    let parameters = [&[0x0f, OURS.len() as u8][..], &OURS].concat();
    let name = ServerName::try_from("vigo").expect("a name");
    let config = Arc::new(tls(plane, 77));
    let mut client = ClientConnection::new(config, Version::V1, name, parameters).expect("a client");
    let mut words = Vec::new();
    client.write_hs(&mut words);
    words
}

/// A protected first packet of the connection attempt `attempt`, with these pieces of the TLS words.
pub fn initial(attempt: u64, number: u32, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    let to = attempt.to_be_bytes();
    let mut payload = Vec::new();
    for (offset, piece) in pieces {
        payload.push(0x06);
        payload.extend(varint(*offset));
        payload.extend(varint(piece.len()));
        payload.extend(*piece);
    }
    let mut header = vec![0xc3, 0, 0, 0, 1, to.len() as u8];
    header.extend(to);
    header.push(OURS.len() as u8);
    header.extend(OURS);
    header.push(0);
    let (numbered, tag) = (header.len() + 2, 16);
    payload.resize(payload.len().max(PACKET - numbered - 4 - tag), 0);
    header.extend((0x4000 | (4 + payload.len() + tag) as u16).to_be_bytes());
    header.extend(number.to_be_bytes());
    let keys = keys(&to);
    let sealed =
        keys.local.packet.encrypt_in_place(u64::from(number), &header, &mut payload).expect("sealed");
    payload.extend(sealed.as_ref());
    let (first, rest) = header.split_at_mut(1);
    let at = rest.len() - 4;
    keys.local.header.encrypt_in_place(&payload[..16], &mut first[0], &mut rest[at..]).expect("hidden");
    header.extend(payload);
    header
}

fn keys(to: &[u8]) -> Keys {
    let SupportedCipherSuite::Tls13(suite) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
        panic!("not of TLS 1.3");
    };
    Keys::initial(Version::V1, suite, suite.quic.expect("for QUIC"), to, Side::Client)
}

/// Two bytes: enough for offsets below 16,384.
fn varint(value: usize) -> [u8; 2] {
    (0x4000 | u16::try_from(value).expect("small")).to_be_bytes()
}

/// A connection with a finished handshake. Must be called within a runtime.
pub async fn connect(from: Ipv4Addr, to: SocketAddr, seed: u8) -> Result<quinn::Connection, String> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls(Plane::Channel, seed));
    let config = quinn::ClientConfig::new(Arc::new(crypto.map_err(|e| e.to_string())?));
    let socket = UdpSocket::bind((from, 0)).map_err(|e| e.to_string())?;
    let (defaults, runtime) = (quinn::EndpointConfig::default(), Arc::new(quinn::TokioRuntime));
    let endpoint = quinn::Endpoint::new(defaults, None, socket, runtime).map_err(|e| e.to_string())?;
    let connecting = endpoint.connect_with(config, to, "vigo").map_err(|e| e.to_string())?;
    connecting.await.map_err(|e| e.to_string())
}

/// What is sent is what a server takes for a first packet: it answers with words of its own.
#[test]
fn packets_by_hand_are_good_ones() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a timeout");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (sender, _events) = std::sync::mpsc::sync_channel(8);
    let (listen, limits) = (["127.0.0.1:0".parse().expect("an address")], Default::default());
    let sink = vigo_daemon::channel::sink_to(sender);
    let key = SecretKey::from_seed([1; 32]);
    let channel = vigo_daemon::channel::Channel::bind(runtime.handle(), &listen, &key, limits, sink);
    let channel = channel.expect("a channel");
    let words = hello(Plane::Channel);
    let half = words.len() / 2;
    let to = channel.addresses()[0];
    // In two pieces, the second first: only a server that has put them together answers with a handshake packet.
    socket.send_to(&initial(5, 0, &[(half, &words[half..]), (0, &words[..half])]), to).expect("sent");
    let mut answer = [0; 2_000];
    let (length, _) = socket.recv_from(&mut answer).expect("an answer");
    assert!(length >= PACKET && answer[0] & 0x80 != 0 && answer[6..14] == OURS, "{:?}", &answer[..20]);
    assert_eq!(channel.totals().strangers, 1);
    // With a gap it waits for the rest, and says so with no more than an acknowledgement.
    socket.send_to(&initial(6, 0, &[(0, &words[..50]), (60, &words[60..])]), to).expect("sent");
    let gone = std::time::Instant::now();
    while channel.totals().strangers < 2 {
        assert!(gone.elapsed().as_secs() < 5, "the second attempt is not one: {:?}", channel.totals());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
