# One envoy's clock is a year back and another's a year ahead. Neither keeps them from what is published, nor does one
# that is wrong bring back what was replaced.
shows R15

fleet of 2 bolts and 3 envoys
publish A at bolt1
everyone runs A within 30s
stop env1 env2
clock of env1 is 1 year back
clock of env2 is 1 year ahead
publish B at bolt1
bolt1 bolt2 env3 run B within 30s
start env1 env2
everyone runs B within 60s
publish C at env1
everyone runs C within 30s
publish D at env2
everyone runs D within 30s
bolts list env1 as active within 30s
everyone agrees within 30s

ends
{
  "machines": {
    "bolt1 bolt2": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "bolt*"},
    "env1": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "*1"},
    "env2": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "*2"},
    "env3": {"is": "member", "epoch": 4, "head": "D", "ran": "D", "/etc/release": "D", "/srv/group": "*"}
  },
  "settings": {"bolt1 bolt2 env1 env2 env3": {}},
  "members": {"bolt1 bolt2": {
    "recovery": "active recovery", "alice": "active operator", "bolt1": "active bolt", "bolt2": "active bolt",
    "env1": "active envoy", "env2": "active envoy", "env3": "active envoy"
  }}
}
