# Two envoys that nobody can dial get what is published and publish themselves, through the bolts; with one bolt gone,
# through the other.
shows R3

fleet of 2 bolts and 1 envoy
join nat1 as envoy through bolt1 from behind NAT
join nat2 as envoy through bolt2 from behind NAT
publish A at bolt1
everyone runs A within 60s
publish B at nat1
everyone runs B within 60s
stop bolt1
publish C at nat2
everyone runs C within 60s
start bolt1
everyone runs C within 60s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "bolt*"},
    "env1 nat1": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*1"},
    "nat2": {"is": "member", "epoch": 3, "head": "C", "ran": "C", "/etc/release": "C", "/srv/group": "*2"}
  },
  "settings": {"bolt1 bolt2 env1 nat1 nat2": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "nat1": "active envoy", "nat2": "active envoy"
  }}
}
