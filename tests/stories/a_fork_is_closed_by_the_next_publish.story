# Both halves publish the same epoch. Healed, all agree on one of the two; which it is, the ids decide. The next publish
# stands above both.
shows R1 R3

fleet of 2 bolts and 3 envoys
publish A at bolt1
everyone runs A within 30s
split bolt1 env1 | bolt2 env2 env3
publish LEFT at bolt1
bolt1 env1 run LEFT within 30s
publish RIGHT at env3
bolt2 env2 env3 run RIGHT within 30s
bolt1 env1 never ran RIGHT
bolt2 env2 env3 never ran LEFT
heal
everyone agrees within 60s
publish CLOSED at bolt2
everyone runs CLOSED within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 3, "head": "CLOSED", "ran": "CLOSED", "/etc/release": "CLOSED", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 3, "head": "CLOSED", "ran": "CLOSED", "/etc/release": "CLOSED", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 3, "head": "CLOSED", "ran": "CLOSED", "/etc/release": "CLOSED", "/srv/group": "*2"},
    "env3": {"is": "member", "epoch": 3, "head": "CLOSED", "ran": "CLOSED", "/etc/release": "CLOSED", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
