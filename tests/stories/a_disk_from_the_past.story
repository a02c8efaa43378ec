# An envoy's disk is put back to where it was two publishes ago. It learns what it had said since from its peers, goes on
# as the same member, and comes to the newest.
shows R4 R15

fleet of 2 bolts and 2 envoys
publish A at bolt1
everyone runs A within 30s
stop env2
mark disk of env2 as past
start env2
publish B at bolt1
everyone runs B within 30s
publish C at env2
everyone runs C within 30s
kill -9 env2
disk of env2 rolled back to past
start env2
env2 runs C within 60s
env2 never ran B
publish D at env2
everyone runs D within 60s
bolts list env2 as active within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 env1 env2": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt", "env1": "active envoy", "env2": "active envoy"
  }}
}
