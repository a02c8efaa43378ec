# Of two halves one goes on, and the other has what it missed soon after the network is whole again.
shows R3

fleet of 2 bolts and 3 envoys
publish A at bolt1
everyone runs A within 30s
split bolt1 env1 | bolt2 env2 env3
publish B at bolt1
bolt1 env1 run B within 30s
bolt2 env2 env3 never ran B
publish C at env1
bolt1 env1 run C within 30s
heal
everyone runs C within 60s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"},
    "env3": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
