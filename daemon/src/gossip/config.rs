//! The numbers of the gossip plane: QUIC, gossipsub, scores. Each bound is a promise about memory or time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use libp2p_core::Transport as _;
use libp2p_core::muxing::StreamMuxerBox;
use libp2p_gossipsub::{
    self as gossipsub, IdentTopic, MaxCountSubscriptionFilter, MessageAuthenticity, PeerScoreParams,
    PeerScoreThresholds, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    score_parameter_decay,
};
use libp2p_identify as identify;
use libp2p_identity::Keypair;
use libp2p_swarm::{NetworkBehaviour, Swarm};
use vigo_base::{Hash, SecretKey, SpannerId, limits};

use super::gate::Gate;
use super::quic::Quic;
use super::{Counts, GossipError};

/// What a peer says it speaks; whoever says something else is cut.
pub(super) const PROTOCOL: &str = "vigo/gossip/1";
/// Messages on the topic, with what gossipsub puts around them.
const TRANSMIT_BYTES: usize = 8 * 1024;
/// Control messages of one RPC; 16 KiB, the default, ends the stream at 740 message ids.
const CONTROL_BYTES: usize = 256 * 1024;
/// One RPC: control messages and a little more.
const RPC_BYTES: usize = CONTROL_BYTES + 2 * TRANSMIT_BYTES;
/// Below this score a peer is not listened to, and cut at the next look.
pub(super) const GRAYLIST: f64 = -100.0;

/// What filters subscriptions: our topic, and few words about it.
pub(super) type Filter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;

/// Everything that answers on a link.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p_swarm::derive_prelude")]
pub(super) struct Behaviour {
    /// First: what it refuses the others do not see.
    pub gate: Gate,
    pub gossipsub: gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>,
    pub identify: identify::Behaviour,
}

/// The fleet's topic. Its name says nothing of the fleet to whoever does not know it.
pub fn topic(spanner: &SpannerId) -> IdentTopic {
    let name = Hash::of_parts(&[b"vigo gossip topic 1\0", &spanner.0.0]);
    IdentTopic::new(format!("vigo/1/{name}"))
}

/// A swarm that listens on nothing yet. Must be called in the context of a runtime.
pub(super) fn swarm(
    key: &SecretKey,
    spanner: &SpannerId,
    counts: Arc<Counts>,
) -> Result<Swarm<Behaviour>, GossipError> {
    let keypair = Keypair::ed25519_from_bytes(*key.seed()).map_err(|e| GossipError::Setup(e.to_string()))?;
    let transport = Quic::new(&keypair, quic(), counts.clone())?
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    let identify = identify::Config::new(PROTOCOL.into(), keypair.public())
        .with_agent_version(String::new())
        .with_interval(Duration::from_secs(3_600))
        .with_push_listen_addr_updates(false)
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    let behaviour = Behaviour {
        gate: Gate::new(counts.clone()),
        gossipsub: gossipsub(spanner, counts.clone())?,
        identify: identify::Behaviour::new(identify),
    };
    let config = libp2p_swarm::Config::with_tokio_executor()
        // A link outside the mesh is idle for gossipsub, and wanted all the same: the node cuts what it does not want.
        .with_idle_connection_timeout(Duration::from_secs(10 * 365 * 86_400))
        .with_max_negotiating_inbound_streams(8)
        .with_per_connection_event_buffer_size(8);
    Ok(Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config))
}

fn quic() -> quinn::TransportConfig {
    let mut quic = quinn::TransportConfig::default();
    let idle = quinn::VarInt::from_u32(20_000);
    quic.max_idle_timeout(Some(idle.into()))
        .keep_alive_interval(Some(Duration::from_secs(8)))
        // One stream each way for gossipsub, a short one for identify, and those that are refused.
        .max_concurrent_bidi_streams(16u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window((384u32 * 1024).into())
        .receive_window((512u32 * 1024).into())
        .allow_spin(false);
    quic
}

fn gossipsub(
    spanner: &SpannerId,
    counts: Arc<Counts>,
) -> Result<gossipsub::Behaviour<gossipsub::IdentityTransform, Filter>, GossipError> {
    let setup = |e: &dyn std::fmt::Display| GossipError::Setup(e.to_string());
    let topic = topic(spanner);
    let config = gossipsub::ConfigBuilder::default()
        // Records carry signatures of their own; anything of the sender's in the message would be noise.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        // Asked for every copy that comes in, before it is known to be one.
        .message_id_fn(move |message| {
            Counts::add(&counts.copies, 1);
            gossipsub::MessageId::new(&Hash::of(&message.data).0[..20])
        })
        .mesh_n(6)
        .mesh_n_low(4)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .heartbeat_interval(Duration::from_secs(1))
        .max_transmit_size(RPC_BYTES)
        .max_transmit_size_for_topic(TRANSMIT_BYTES, topic.hash())
        .max_control_message_size(CONTROL_BYTES)
        .max_publish_messages(512)
        .forward_queue_duration(Duration::from_secs(10))
        .publish_queue_duration(Duration::from_secs(10))
        .connection_handler_queue_len(64)
        // Links come and go with sessions, so that a peer we pruned is soon another's neighbour.
        .prune_backoff(Duration::from_secs(30))
        .build()
        .map_err(|e| setup(&e))?;
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: 8,
    };
    let mut behaviour =
        gossipsub::Behaviour::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|e| setup(&e))?;
    behaviour.with_peer_score(scores(&topic), thresholds()).map_err(|e| setup(&e))?;
    behaviour.subscribe(&topic).map_err(|e| setup(&e))?;
    Ok(behaviour)
}

/// What lowers a score: a message that the sender must have known to be wrong (the node says so, or it is larger than
/// may be), and breaking gossipsub's own rules again and again. Being slow, quiet, late or behind the same address
/// as others lowers nothing, and being first is worth little: nobody can save up for a misdeed.
fn scores(topic: &IdentTopic) -> PeerScoreParams {
    let ten_minutes = score_parameter_decay(Duration::from_secs(600));
    let of_topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: score_parameter_decay(Duration::from_secs(60)),
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Squared: one is -20, two are -80, three are -180 and below every threshold.
        invalid_message_deliveries_weight: -20.0,
        invalid_message_deliveries_decay: ten_minutes,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [(topic.hash(), of_topic)].into(),
        topic_score_cap: 5.0,
        app_specific_weight: 0.0,
        // A whole site may stand behind one address.
        ip_colocation_factor_weight: 0.0,
        // Squared above six, forgotten within a minute: a link that lost packets breaks a promise now and then.
        behaviour_penalty_weight: -5.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: score_parameter_decay(Duration::from_secs(60)),
        slow_peer_weight: 0.0,
        retain_score: Duration::from_secs(300),
        ..PeerScoreParams::default()
    }
}

/// One wrong message costs nothing but trust, two are no longer gossiped or published to, three end it.
fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -40.0,
        publish_threshold: -60.0,
        graylist_threshold: GRAYLIST,
        accept_px_threshold: 1_000.0,
        opportunistic_graft_threshold: 0.0,
    }
}

const _: () = assert!(limits::GOSSIP_BYTES + 256 < TRANSMIT_BYTES, "a message fits");
