# What is published through one bolt runs everywhere, each machine with the policies that match its name; the next
# one goes in through an envoy.
shows R2

fleet of 2 bolts and 3 envoys
publish A at bolt1
everyone runs A within 30s
head of env1 and bolt2 is A within 5s
publish B at env2
everyone runs B within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*2"},
    "env3": {"is": "member", "epoch": 2, "head": "B", "ran": "B", "/etc/release": "B", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
