# What a bolt sends to one envoy is lost, and what another envoy sends to that bolt; the other way both links work. The
# other bolt has it all, and gives it to whom it does not reach.
shows R1

fleet of 2 bolts and 3 envoys
publish A at bolt1
everyone runs A within 30s
env1 is deaf to bolt1
bolt1 is deaf to env2
publish B at bolt1
everyone runs B within 60s
publish C at env2
everyone runs C within 60s
heal
publish D at env1
everyone runs D within 60s
everyone agrees within 60s

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
