# Two envoys are revoked, one while it is connected and one while it is away. The first is cut off at once; the other is
# told by the first peer it meets. Neither gets what comes later, nor can anything be published through it.
shows R10

fleet of 2 bolts and 4 envoys
publish A at bolt1
everyone runs A within 30s
stop env4
revoke env3 through bolt1
revoke env4 through bolt2
env3 is cut off within 10s
env3 knows that it is revoked within 10s
publish B at bolt2
everyone runs B within 30s
start env4
env4 knows that it is revoked within 10s
env4 is cut off within 10s
bolts list env3 as revoked within 30s
bolts list env4 as revoked within 30s
publish is refused at env3
stop env3
start env3
wait 3s
env3 is cut off within 10s
env3 env4 never ran B
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*2"},
    "env3 env4": {"is": "revoked", "epoch": 1, "head": "A", "ran": "A", "/etc/release": "A", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "revoked envoy", "env4": "revoked envoy"
  }}
}
